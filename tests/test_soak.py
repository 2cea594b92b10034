"""The long doses: `make soak`. SOAK_SHARE=0.01 tries them with a hundredth."""

import hashlib
import multiprocessing
import os
import random
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from core import approvals, audit
from core.acts import Actor, Done, perform
from core.errors import GreenlightError, Refused
from core.home import Home, open_home
from core.registry import versions
from core.registry.golden import check_golden
from core.scoring import log
from core.scoring.files import predict_file
from core.scoring.scorer import open_scorer
from core.training import runs
from storage import accounts as accounts_store
from storage import versions as versions_store
from storage.connection import close_all, reading, writing

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]

SHARE = float(os.environ.get("SOAK_SHARE", "1"))
PROJECT = "heart_disease"
DATA = Path(__file__).resolve().parents[1] / "samples" / "heart_disease" / "data"


def dose(full: int) -> int:
    return max(1, round(full * SHARE))


def act(home: Home, number: int) -> None:
    perform(home, Actor("ann"), "train", lambda tx: Done({"n": number}, before=number, after=number + 1), reason=f"case{number}x")


@pytest.fixture
def ann(home):
    with writing(home.db) as db:
        accounts_store.insert_account(
            db, name="ann", role="data_scientist", password_hash=None, demo=False, at="2026-01-01T00:00:00.000Z", by="test"
        )
    return home


def edit(rng, connection, last):
    row = rng.randint(1, last)
    connection.execute("UPDATE audit SET body = replace(body, 'ann', 'eve') WHERE seq = ?", (row,))
    return row


def remove(rng, connection, last):
    row = rng.randint(1, last)
    connection.execute("DELETE FROM audit WHERE seq = ?", (row,))
    return row


def cut(rng, connection, last):
    row = rng.randint(1, last)
    connection.execute("DELETE FROM audit WHERE seq >= ?", (row,))
    return row


def hash_anew(rng, connection, last):
    """From a row on, bodies changed and every hash made right again; only the note outside can tell, at the last row."""
    first = rng.randint(1, last)
    rows = connection.execute("SELECT seq, prev_hash, body FROM audit WHERE seq >= ? ORDER BY seq", (first,)).fetchall()
    prev = rows[0][1]
    for seq, _, body in rows:
        body = body.replace("case", "fall")
        digest = hashlib.sha256(f"{seq}\n{prev}\n{body}".encode()).hexdigest()
        connection.execute("UPDATE audit SET prev_hash = ?, hash = ?, body = ? WHERE seq = ?", (prev, digest, body, seq))
        prev = digest
    return last


def test_5000_tamperings_are_all_found_and_the_row_named(ann, tmp_path):
    rng, last = random.Random(5), 60
    for number in range(last):
        act(ann, number)
    close_all()
    assert audit.verify(ann).intact
    close_all()
    for trial in range(dose(5000)):
        root = tmp_path / f"t{trial}"
        shutil.copytree(ann.root, root)
        other = Home(root, root / "models")
        connection = sqlite3.connect(other.db)
        connection.execute("DROP TRIGGER audit_refuses_update")
        connection.execute("DROP TRIGGER audit_refuses_delete")
        how = rng.choice([edit, remove, cut, hash_anew])
        row = how(rng, connection, last)
        connection.commit()
        connection.close()
        verdict = audit.verify(other)
        close_all()
        assert (verdict.intact, verdict.row) == (False, row), (how.__name__, row, verdict)
        shutil.rmtree(root)


def _act_many(root, models, times):
    home = Home(root, models)
    for number in range(times):
        act(home, number)


def test_50_threads_and_4_processes_do_10_000_acts_without_a_lock_error(ann):
    each = max(1, dose(10_000) // 54)
    errors = []

    def run():
        try:
            _act_many(ann.root, ann.models, each)
        except Exception as error:
            errors.append(error)

    processes = [
        multiprocessing.get_context("spawn").Process(target=_act_many, args=(ann.root, ann.models, each)) for _ in range(4)
    ]
    threads = [threading.Thread(target=run) for _ in range(50)]
    [w.start() for w in (*processes, *threads)]
    [w.join() for w in (*threads, *processes)]
    assert errors == []
    assert [p.exitcode for p in processes] == [0] * 4
    verdict = audit.verify(ann)
    assert (verdict.intact, verdict.count) == (True, 54 * each)


def test_1000_pairs_of_approvers_one_effect_each_and_the_loser_is_told(trained_home):
    with writing(trained_home.db) as db:
        accounts_store.insert_account(
            db, name="vera", role="drh_manager", password_hash=None, demo=False, at="2026-01-01T00:00:00.000Z", by="test"
        )
    forest = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    versions.register(trained_home, Actor("scientist"), forest.id, version="1.1.0")
    for trial in range(dose(1000)):
        request = approvals.request_release(trained_home, Actor("scientist"), PROJECT, "1.1.0", reason="again")["id"]
        done, told, barrier = [], [], threading.Barrier(2)

        def decide(name, request=request, done=done, told=told, barrier=barrier):
            barrier.wait()
            try:
                done.append(approvals.approve(trained_home, Actor(name), request, reason=name, despite_gates=True))
            except Refused as refusal:
                told.append(str(refusal))

        threads = [threading.Thread(target=decide, args=(name,)) for name in ("director", "vera")]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert (len(done), len(told)) == (1, 1), trial
        approvals.withdraw(trained_home, Actor("scientist"), request)


def test_10_000_malformed_tables_are_read_or_refused_with_a_sentence(trained_home, tmp_path):
    rng = random.Random(9)
    source = (DATA / "heart_hungary.csv").read_bytes()[:3000].rsplit(b"\n", 1)[0]
    logged, sentences = 0, []
    for _ in range(dose(10_000)):
        content = bytearray(source)
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(content))
            kind = rng.randrange(4)
            if kind == 0:
                content[place] = rng.randrange(256)
            elif kind == 1:
                del content[place : place + rng.randint(1, 40)]
            elif kind == 2:
                content[place:place] = rng.choice([b'"', b"\n", b",", b";", b"\0", b"\r", b"\xff", b"=1+1", b'""'])
            else:
                content[place:place] = content[place : place + rng.randint(1, 200)]
        table, out = tmp_path / "in.csv", tmp_path / "out.csv"
        table.write_bytes(content)
        out.unlink(missing_ok=True)
        try:
            logged += predict_file(trained_home, Actor("developer"), PROJECT, table, out, source="soak").rows
        except GreenlightError as error:
            sentences.append(str(error))
    assert all(sentences)
    assert not [s for s in sentences if "\n" in s]
    assert sum(g["rows"] for g in log.list_groups(trained_home, PROJECT, limit=1_000_000)) == logged


def test_100_golden_replays_have_equal_bits(trained_home):
    row = versions_store.find_version(reading(trained_home.db), PROJECT, "1.0.0")
    for _ in range(dose(100)):
        check_golden(trained_home, open_scorer(open_home(trained_home.root), row))
