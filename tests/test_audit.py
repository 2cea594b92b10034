"""The chain finds every edit, gap, cut tail and re-hash, and names the row."""

import hashlib
import json
import sqlite3
import threading

import pytest

from core import audit
from core.acts import Actor, Done, perform
from core.audit_export import export_audit_file
from core.errors import BadInput, Refused
from core.home import open_home
from core.times import parse
from storage import accounts as accounts_store
from storage.connection import close_all, writing

NOW = parse("2026-03-01T10:00:00.000Z")


@pytest.fixture
def chain(tmp_path):
    """An installation with ten events."""
    home = open_home(tmp_path / "var")
    with writing(home.db) as db:
        accounts_store.insert_account(
            db, name="ann", role="data_scientist", password_hash=None, demo=False, at="2026-01-01T00:00:00.000Z", by="test"
        )
    for number in range(10):
        perform(home, Actor("ann"), "train", lambda tx, n=number: Done({"n": n}, before=n, after=n + 1), reason=f"case{number}x", now=NOW)
    return home


def tamper(home, *statements):
    """As somebody with the file would: triggers dropped, rows edited."""
    connection = sqlite3.connect(home.db)
    connection.execute("DROP TRIGGER audit_refuses_update")
    connection.execute("DROP TRIGGER audit_refuses_delete")
    for statement, *values in statements:
        connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_an_untouched_chain_is_intact_and_counts_its_events(chain):
    verdict = audit.verify(chain)
    assert (verdict.intact, verdict.count, verdict.row) == (True, 10, None)


@pytest.mark.parametrize("row", [1, 5, 10])
def test_an_edited_event_is_named(chain, row):
    tamper(chain, ("UPDATE audit SET body = replace(body, '\"ann\"', '\"eve\"') WHERE seq = ?", row))
    verdict = audit.verify(chain)
    assert not verdict.intact
    assert verdict.row == row
    assert str(row) in verdict.sentence


@pytest.mark.parametrize("row", [1, 4])
def test_a_removed_event_is_named(chain, row):
    tamper(chain, ("DELETE FROM audit WHERE seq = ?", row))
    verdict = audit.verify(chain)
    assert (verdict.intact, verdict.row) == (False, row)


def test_a_cut_tail_is_found_by_the_note_outside_the_database(chain):
    tamper(chain, ("DELETE FROM audit WHERE seq > 7",))
    verdict = audit.verify(chain)
    assert (verdict.intact, verdict.row) == (False, 8)
    assert "10 events were noted" in verdict.sentence


def test_a_chain_hashed_anew_is_found_by_the_note_outside_the_database(chain):
    connection = sqlite3.connect(chain.db)
    rows = connection.execute("SELECT seq, prev_hash, hash, body FROM audit ORDER BY seq").fetchall()
    changes, prev = [], rows[5][1]
    for seq, _, _, body in rows[5:]:
        body = body.replace("case", "fall")
        digest = hashlib.sha256(f"{seq}\n{prev}\n{body}".encode()).hexdigest()
        changes.append(("UPDATE audit SET prev_hash = ?, hash = ?, body = ? WHERE seq = ?", prev, digest, body, seq))
        prev = digest
    connection.close()
    tamper(chain, *changes)
    verdict = audit.verify(chain)
    assert (verdict.intact, verdict.row) == (False, 10)
    assert "written anew" in verdict.sentence


def test_a_missing_or_forged_note_is_said(chain):
    head = json.loads(chain.audit_head.read_text())
    chain.audit_head.write_text(json.dumps({**head, "count": 3}))
    assert "wrongly signed" in audit.verify(chain).sentence
    chain.audit_head.unlink()
    verdict = audit.verify(chain)
    assert not verdict.intact
    assert "missing" in verdict.sentence


def test_an_act_after_a_crash_between_commit_and_note_heals_the_note(chain):
    head = chain.audit_head.read_text()
    perform(chain, Actor("ann"), "train", lambda tx: Done(), now=NOW)
    chain.audit_head.write_text(head)  # as if the process had died before it was written
    assert audit.verify(chain).intact
    perform(chain, Actor("ann"), "train", lambda tx: Done(), now=NOW)
    assert json.loads(chain.audit_head.read_text())["count"] == 12
    assert audit.verify(chain).intact


@pytest.mark.parametrize("statement", ["UPDATE audit SET body = '{}'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_the_audit(chain, statement):
    connection = sqlite3.connect(chain.db)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()


def test_search_filters_by_text_actor_action_and_outcome(chain):
    with pytest.raises(Refused):
        perform(chain, Actor("ann"), "deploy", lambda tx: Done(), project="heart", reason="let me", now=NOW)
    found, total = audit.search(chain, outcome="refused")
    assert total == 1
    assert (found[0]["actor"], found[0]["action"], found[0]["project"], found[0]["reason"]) == ("ann", "deploy", "heart", "let me")
    assert audit.search(chain, text="case7x")[1] == 1
    assert audit.search(chain, action="train")[1] == 10
    page, total = audit.search(chain, limit=3, offset=3)
    assert (len(page), total) == (3, 11)
    assert [e["seq"] for e in page] == [8, 7, 6]


def test_search_takes_any_text_as_text(chain):
    for text in ('"', "a AND (", "NEAR(", "*", "'; DROP TABLE audit; --", "number* OR"):
        audit.search(chain, text=text)
    assert audit.search(chain, text='"')[1] == 0


def test_export_writes_every_event_and_never_overwrites(chain, tmp_path):
    with writing(chain.db) as db:
        accounts_store.update_account(db, "ann", role="devops")
    path = tmp_path / "out.jsonl"
    assert export_audit_file(chain, Actor("ann"), path) == 11
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, 12))
    assert lines[1]["prev_hash"] == lines[0]["hash"]
    assert lines[3]["event"]["before"] == 3
    assert lines[-1]["event"]["action"] == "export_audit"
    with pytest.raises(BadInput, match="exists already"):
        export_audit_file(chain, Actor("ann"), path)


def test_the_head_is_overwritten_in_place_while_it_is_read(chain):
    inode = chain.audit_head.stat().st_ino
    verdicts, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            verdicts.append(audit.verify(chain).intact)
        close_all()

    reader = threading.Thread(target=look)
    reader.start()
    for n in range(200):
        perform(chain, Actor("ann"), "train", lambda tx, n=n: Done({"n": n}), now=NOW)
    stop.set()
    reader.join()
    assert verdicts
    assert all(verdicts)
    assert (chain.audit_head.stat().st_ino, chain.audit_head.stat().st_size) == (inode, 256)
