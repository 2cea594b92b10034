"""Messages of other systems in a storm: each taken once, together where they come together, and on the disk before it is answered."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from core import audit
from core.monitoring import alerts, webhooks
from core.monitoring.webhooks import Incoming, SentBefore
from storage import connection
from storage.connection import close_all, connect

HEART = "heart_disease"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def one(subject):
    return Incoming(HEART, subject, "warning", f"{subject} is full.")


def send(home, mark, *subjects):
    try:
        return webhooks.receive(home, mark, [one(s) for s in subjects], now=NOW)
    finally:
        close_all()


@pytest.fixture
def counted(monkeypatch):
    """How many write transactions there were."""
    begun, real = [], connection.writing

    def counting(path):
        begun.append(path)
        return real(path)

    monkeypatch.setattr("core.acts.writing", counting)
    return begun


def hold_the_line(home, waiting):
    """Whoever comes waits, until so many do."""
    line = webhooks._lines.setdefault(home.db, webhooks._Line())
    line.turn.acquire()

    def let_go():
        while len(line.waiting) < waiting:
            pass
        line.turn.release()

    threading.Thread(target=let_go).start()


def test_messages_that_come_while_another_is_written_share_one_commit_and_each_gets_its_own_answer(demo_home, counted):
    hold_the_line(demo_home, 20)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: send(demo_home, f"s{n}", f"host {n}"), range(20)))
    assert [a[0]["subject"] for a in answers] == [f"host {n}" for n in range(20)]
    assert sorted(a[0]["id"] for a in answers) == list(range(1, 21))
    assert len(counted) == 1
    rows = connect(demo_home.db).conn.execute("SELECT count(*) FROM alerts").fetchone()[0]  # as another process sees it
    assert (rows, audit.search(demo_home, action="raise_alert")[1]) == (20, 20)
    assert audit.verify(demo_home).intact


def test_the_same_message_ten_times_at_once_is_taken_once(demo_home):
    hold_the_line(demo_home, 10)

    def go(_):
        try:
            return send(demo_home, "same", "disk")[0]["state"]
        except SentBefore:
            return "sent before"

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(go, range(10))) == ["active", *["sent before"] * 9]
    assert [a.times for a in alerts.list_alerts(demo_home, HEART)] == [1]


def test_a_message_that_cannot_be_written_takes_no_other_with_it(demo_home, monkeypatch):
    real = alerts.raise_in

    def raise_in(db, note, project, kind, subject, **more):
        if subject == "host 3":
            raise OverflowError("impossible")
        return real(db, note, project, kind, subject, **more)

    monkeypatch.setattr(alerts, "raise_in", raise_in)
    hold_the_line(demo_home, 6)

    def go(n):
        try:
            return send(demo_home, f"s{n}", f"host {n}")[0]["state"]
        except OverflowError:
            return "failed"

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(go, range(6))) == ["active", "active", "active", "failed", "active", "active"]
    assert sorted(a.subject for a in alerts.list_alerts(demo_home, HEART)) == [f"host {n}" for n in (0, 1, 2, 4, 5)]
    assert audit.verify(demo_home).intact


def test_more_than_share_a_commit_are_written_by_several(demo_home, counted, monkeypatch):
    monkeypatch.setattr(webhooks, "TOGETHER", 8)
    hold_the_line(demo_home, 20)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda n: send(demo_home, f"s{n}", f"host {n}"), range(20)))
    assert len(counted) == 3
    assert len(alerts.list_alerts(demo_home, HEART)) == 20
