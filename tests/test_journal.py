"""The journal: many threads' groups in few transactions, each told only when it is on disk."""

import asyncio
import os
import sqlite3
import threading
from concurrent.futures import Future
from datetime import UTC, datetime

import pytest

from core.scoring import journal, log
from core.scoring.payload import json_head, write_json
from core.scoring.profiles import Counts
from storage import predictions as store
from storage.connection import reading, writing

AT = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)
HEAD = json_head(["age", "out:prediction", "out:score", "out:confidence", "out:problems"], [True, False, True, True, False])


def group(uid, *, at=AT, rows=1, keys=None, payload=None, age=40.0):
    import numpy as np

    table = [[age, "1", 80.0, 0.8, ""]] * rows
    return log.Group(
        uid, "p", "1.0.0", f"r{uid}", at, "caller", "test", 1.5, {"inference": 0.5}, rows,
        write_json(HEAD, table) if payload is None else payload, {"1": (rows, 0, 0)}, Counts("b", np.array([rows, 0, 0])), keys,
    )  # fmt: skip


@pytest.fixture
def writer(home):
    made = journal.of(home)
    yield made
    made.close()


def test_a_group_that_was_told_of_is_in_the_log_with_its_counts_and_profile(home, writer):
    writer.submit(group("aa", rows=2)).result(10)
    assert log.read_group(home, "p", "aa")["age"].tolist() == [40.0, 40.0]
    db = reading(home.predictions_db)
    assert store.count_labels(db, "p", since="") == {"1": 2}
    (hour,) = store.list_hour_profiles(db, "p", "b")
    import numpy as np

    assert (hour["hour"], hour["rows"], np.frombuffer(hour["counts"], np.int64).tolist()) == ("2026-03-01T10", 2, [2, 0, 0])


def test_what_many_threads_hand_over_is_all_there_once(home, writer):
    def work(name):
        for n in range(50):
            writer.submit(group(f"{name}x{n}")).result(30)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.list_groups(home, "p", limit=1000)) == 400
    assert store.count_labels(reading(home.predictions_db), "p", since="") == {"1": 400}


def test_one_bad_group_is_refused_alone(home, writer):
    writer.submit(group("aa")).result(10)
    with writing(home.predictions_db):  # while the log is locked, all three wait and so share a transaction
        waiting = [writer.submit(group(uid)) for uid in ("bb", "aa", "cc")]
    assert waiting[0].result(30) is None
    with pytest.raises(journal.NotLogged, match="UNIQUE"):
        waiting[1].result(30)
    assert waiting[2].result(30) is None
    assert sorted(g["uid"] for g in log.list_groups(home, "p")) == ["aa", "bb", "cc"]


def test_a_note_rides_along_and_a_broken_one_harms_nobody(home, writer, caplog):
    @writer.note
    def broken(db):
        db.conn.execute("INSERT INTO rate_counts VALUES ('s', 'm', 1)")
        raise ValueError("broken")

    writer.note(lambda db: db.conn.execute("INSERT INTO nowhere VALUES (1)"))
    writer.note(lambda db: db.conn.execute("INSERT INTO rate_counts VALUES ('t', 'm', 2)"))
    writer.submit(group("aa")).result(10)
    writer.flush()
    assert [tuple(r) for r in reading(home.predictions_db).conn.execute("SELECT * FROM rate_counts")] == [("t", "m", 2)]
    assert "a note beside the prediction log was dropped" in caplog.text


def test_a_note_alone_is_written_within_a_second(home, writer):
    done: Future[None] = Future()
    writer.note(lambda db: done.set_result(None))
    assert done.result(1.5) is None


def test_close_writes_what_waits_and_a_later_group_gets_a_new_writer(home):
    first = journal.of(home)
    futures = [first.submit(group(f"u{n}")) for n in range(20)]
    first.close()
    assert all(f.done() and f.exception() is None for f in futures)
    with pytest.raises(journal.NotLogged):
        first.submit(group("late")).result(1)
    again = journal.of(home)
    again.submit(group("later")).result(10)
    again.close()
    assert len(log.list_groups(home, "p")) == 21


def test_a_caller_who_goes_away_harms_nobody(home, writer):
    async def leave():
        with writing(home.predictions_db):
            waiting = asyncio.wrap_future(writer.submit(group("aa")))
            await asyncio.sleep(0)
            waiting.cancel()

    asyncio.run(leave())
    writer.submit(group("bb")).result(10)
    assert sorted(g["uid"] for g in log.list_groups(home, "p")) == ["aa", "bb"]


def test_a_log_that_stays_locked_is_said_within_its_time(home, writer, monkeypatch):
    monkeypatch.setattr(store, "WRITER_LOCK_MS", 50)
    writer.note(store.prepare_writer)
    writer.flush()
    with writing(home.predictions_db), pytest.raises(journal.NotLogged, match="locked"):
        writer.submit(group("aa")).result(10)
    writer.submit(group("bb")).result(10)
    assert [g["uid"] for g in log.list_groups(home, "p")] == ["bb"]


def test_too_much_waiting_is_refused_at_once_and_says_so(home, writer, monkeypatch):
    monkeypatch.setattr(journal, "WAITING_GROUPS", 3)
    monkeypatch.setattr(journal, "MOST_AT_ONCE", 1)
    with writing(home.predictions_db):
        futures = [writer.submit(group(f"u{n}")) for n in range(8)]
    refused = [f for f in futures if isinstance(f.exception(30), journal.NotLogged)]
    assert 3 <= len(refused) <= 5
    assert "wait for the prediction log" in str(refused[0].exception())
    assert len(log.list_groups(home, "p")) == 8 - len(refused)


def test_a_full_disk_refuses_what_it_meets_and_the_journal_goes_on(home, writer):
    writer.submit(group("aa")).result(10)

    def limit(pages):
        def apply(db):
            db.conn.execute(f"PRAGMA max_page_count = {pages}")

        return apply

    done: Future[None] = Future()
    writer.note(limit(1))  # the pages that there are, and no more
    writer.note(lambda db: done.set_result(None))
    done.result(5)
    with pytest.raises(journal.NotLogged, match="full") as refusal:
        writer.submit(group("bb", payload=write_json(HEAD, [[1.0, "1", 1.0, 1.0, "x" * 2_000_000]]))).result(10)
    assert isinstance(refusal.value.__cause__, sqlite3.OperationalError)
    writer.note(limit(1_000_000))
    writer.flush()
    writer.submit(group("cc")).result(10)
    assert sorted(g["uid"] for g in log.list_groups(home, "p")) == ["aa", "cc"]
    assert store.count_labels(reading(home.predictions_db), "p", since="") == {"1": 2}


def test_a_forked_child_has_a_writer_of_its_own(home, writer):
    writer.submit(group("aa")).result(10)
    child = os.fork()
    if child == 0:
        try:
            writer.submit(group("bb")).result(10)  # the parent's object, in the child
            journal.close_journals()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    writer.submit(group("cc")).result(10)
    assert sorted(g["uid"] for g in log.list_groups(home, "p")) == ["aa", "bb", "cc"]


def test_business_keys_find_their_predictions_newest_first(home, writer):
    writer.submit(group("aa", rows=2, keys=["k1", None])).result(10)
    writer.submit(group("bb", rows=2, keys=["k2", "k1"], at=AT.replace(hour=12))).result(10)
    assert log.find_by_key(home, "p", "k1") == ["bb-2", "aa-1"]
    assert log.find_by_key(home, "q", "k1") == []
