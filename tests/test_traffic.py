"""Requests are recorded in passing, and are on disk within a second, once each."""

import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest

from core.acts import Actor, cli_actor
from core.errors import GreenlightError
from core.home import Home, open_home
from core.monitoring import stats, traffic
from core.monitoring.traffic import Request
from core.scoring import files, predict
from core.times import utc_now
from storage.connection import reading

HEART = "heart_disease"
NOON = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
ROOT = Path(__file__).parent.parent


def ask(number=1, at=NOON, *, status=200, project="p", **stages):
    return Request(f"r{number}", at, project, "predict", "api", status, 1, "1.0.0", "caller", 2.5, stages)


def counted(home):
    return stats.window(home, None, 60, now=NOON).requests


def test_a_recorded_request_is_on_disk_with_its_stages_after_a_flush(home):
    traffic.record(home, ask(7, validation=0.25, inference=1.5))
    traffic.flush(home)
    (row,) = traffic.find_requests(home, "r7")
    assert {k: row[k] for k in ("project", "route", "door", "status", "rows", "version", "caller")} == {
        "project": "p", "route": "predict", "door": "api", "status": 200, "rows": 1, "version": "1.0.0", "caller": "caller",
    }  # fmt: skip
    assert row["at"] == "2026-11-21T12:00:30.000Z"
    assert (row["total_ms"], row["validation_ms"], row["preprocessing_ms"], row["inference_ms"]) == (2.5, 0.25, None, 1.5)
    assert counted(home) == 1


def test_nobody_has_to_flush(home):
    traffic.record(home, ask())
    end = time.monotonic() + 10
    while not counted(home) and time.monotonic() < end:
        time.sleep(0.05)
    assert counted(home) == 1


def test_many_threads_at_once_lose_and_double_nothing(home):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: traffic.record(home, ask(n)), range(4000)))
    traffic.flush(home)
    assert counted(home) == 4000
    rows = traffic.list_requests(home, "p", since=NOON, until=NOON + timedelta(seconds=1), limit=10_000)
    assert len({r["request_id"] for r in rows}) == len(rows) == 4000


def _record_in_child(home: Home) -> None:
    traffic.record(home, ask(2))
    traffic.flush(home)


def test_a_forked_child_records_what_is_its_own(home):
    traffic.record(home, ask(1))
    traffic.flush(home)
    child = get_context("fork").Process(target=_record_in_child, args=(home,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    traffic.record(home, ask(3))
    traffic.flush(home)
    assert [len(traffic.find_requests(home, f"r{n}")) for n in (1, 2, 3)] == [1, 1, 1]
    assert counted(home) == 3


def _record_many(home: Home, first: int) -> None:
    for number in range(first, first + 300):
        traffic.record(home, ask(number))
        if number % 50 == 0:
            traffic.flush(home)
    traffic.flush(home)


def test_several_processes_count_into_the_same_minute_and_nothing_is_lost(home):
    children = [get_context("fork").Process(target=_record_many, args=(home, 1000 * n)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert counted(home) == 900
    assert stats.window(home, "p", 60, now=NOON).latency.n == 900


@pytest.mark.parametrize(("ending", "kept"), [("", 5), ("os.kill(os.getpid(), 9)", 3)])
def test_a_process_that_ends_writes_everything_and_one_that_is_killed_loses_its_last_moments_only(tmp_path, ending, kept):
    home = open_home(tmp_path / "home")
    script = textwrap.dedent(f"""
        import os, time
        from tests.test_traffic import ask, traffic
        from core.home import open_home
        home = open_home({str(home.root)!r})
        for n in range(3):
            traffic.record(home, ask(n))
        time.sleep(1.3)
        for n in range(3, 5):
            traffic.record(home, ask(n))
        {ending}
    """)
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=not ending, timeout=60)
    assert counted(home) == kept


def test_failed_and_refused_requests_can_be_listed_alone(home):
    for number, status in enumerate([200, 422, 500]):
        traffic.record(home, ask(number, NOON + timedelta(milliseconds=number), status=status))
    traffic.flush(home)
    listed = traffic.list_requests(home, None, since=NOON, until=NOON + timedelta(seconds=1), failed=True)
    assert [r["status"] for r in listed] == [500, 422]


def test_a_case_scored_by_form_and_a_file_are_recorded_with_their_door(trained_home, tmp_path):
    table = trained_home.root / "samples" / HEART / "heart_hungary.csv"
    now = utc_now()
    row = pd.read_csv(table).iloc[0].to_dict()
    predict.predict_rows(trained_home, Actor("scientist"), HEART, [row], source="form")
    done = files.predict_file(trained_home, cli_actor("devops"), HEART, table, tmp_path / "out.csv", source="cli")
    traffic.flush(trained_home)
    file, case = traffic.list_requests(trained_home, HEART, since=now - timedelta(minutes=1), until=now + timedelta(minutes=5))
    seen = [(r["route"], r["door"], r["status"], r["rows"], r["version"], r["caller"]) for r in (case, file)]
    assert seen == [("predict", "page", 200, 1, "1.0.0", "scientist"), ("file", "cli", 200, 294, "1.0.0", "devops")]
    assert file["request_id"] == done.request_id
    window = stats.window(trained_home, HEART, 60, now=utc_now())
    assert (window.requests, window.rows, window.latency.n) == (2, 295, 1)  # a file's time is not an answer's


def test_what_was_refused_is_recorded_as_such_and_a_wrong_name_is_no_series(trained_home):
    row = [{"age": 1}]
    with pytest.raises(GreenlightError):
        predict.predict_rows(trained_home, Actor("nobody"), HEART, row, source="form")
    with pytest.raises(GreenlightError):
        predict.predict_rows(trained_home, Actor("scientist"), "no_such_project", row, source="form")
    with pytest.raises(GreenlightError):
        predict.predict_rows(trained_home, Actor("scientist"), "future_skills", row, source="form")
    traffic.flush(trained_home)
    now = utc_now()
    listed = traffic.list_requests(trained_home, None, since=now - timedelta(minutes=5), until=now + timedelta(minutes=5))
    assert [(r["project"], r["status"]) for r in reversed(listed)] == [(HEART, 403), ("", 404), ("future_skills", 404)]
    assert stats.window(trained_home, HEART, 60, now=now).refused == 1


def test_single_requests_and_minutes_go_after_two_months_and_longer_counts_stay(home):
    long_ago = NOON - timedelta(days=63)
    for number in range(3):
        traffic.record(home, ask(number, long_ago))
    traffic.flush(home)
    traffic.record(home, ask(9))
    traffic.flush(home)
    assert [len(traffic.find_requests(home, f"r{n}")) for n in (0, 1, 2, 9)] == [0, 0, 0, 1]
    levels = {r[0]: r[1] for r in reading(home.predictions_db).conn.execute("SELECT level, sum(requests) FROM traffic GROUP BY 1")}
    assert levels == {"minute": 1, "hour": 4, "day": 4, "all": 4}
