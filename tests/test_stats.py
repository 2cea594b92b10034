"""Rates and percentiles of a period are sums of counts, and agree with the single requests that they stand for."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.monitoring import histogram, stats, traffic
from core.monitoring.traffic import Request
from storage import traffic as store
from storage.connection import reading, writing

NOON = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)


def ask(at=NOON, ms=1.0, *, project="p", status=200, rows=1, version="1.0.0", route="predict", door="api", **stages):
    return Request("r", at, project, route, door, status, rows, version, "c", ms, stages)


def keep(home, *requests):
    with writing(home.predictions_db) as db:
        traffic.write_requests(db, list(requests), traffic.count(list(requests)))


def test_a_window_counts_requests_answers_errors_and_refusals(home):
    keep(home, ask(ms=10, rows=3, inference=4), ask(ms=30, rows=2, inference=8), ask(ms=20, status=500, rows=0), ask(ms=5, status=422, rows=0))
    seen = stats.window(home, "p", 60, now=NOON)
    assert (seen.requests, seen.rows, seen.errors, seen.refused) == (4, 5, 1, 1)
    assert (seen.error_rate, seen.refused_rate) == (0.25, 0.25)
    assert seen.mean == pytest.approx(16.25)
    assert seen.std == pytest.approx(np.std([10, 30, 20, 5]))
    assert seen.most == 30
    assert seen.stages["inference"].mean == pytest.approx(6.0)
    assert set(seen.stages) == {"inference"}


def test_a_window_in_which_nothing_was_asked_is_unknown_and_not_zero(home):
    seen = stats.window(home, "p", 60, now=NOON)
    assert (seen.requests, seen.per_second) == (0, 0.0)
    assert (seen.error_rate, seen.mean, seen.p95, seen.latency, seen.stages) == (None, None, None, None, {})


def test_the_rate_is_over_the_part_of_the_window_that_has_passed(home):
    keep(home, *[ask(NOON - timedelta(seconds=1)) for _ in range(45)])
    # fourteen whole minutes and the running one, of which 30 s have passed
    assert stats.window(home, "p", 15, now=NOON).per_second == pytest.approx(45 / (14 * 60 + 30))


def test_the_window_before_is_as_long_and_ends_where_this_one_begins(home):
    edge = NOON.replace(second=0) - timedelta(minutes=14)  # the first minute of the last 15
    keep(home, ask(edge, 1), ask(edge - timedelta(milliseconds=1), 2), ask(edge - timedelta(minutes=15), 4))
    keep(home, ask(edge - timedelta(minutes=15, milliseconds=1), 8))
    seen = stats.window(home, "p", 15, now=NOON)
    assert (seen.requests, seen.most) == (1, 1)
    assert (seen.before.requests, seen.before.most) == (2, 4)
    assert seen.before.until == seen.since
    assert seen.before.before is None


def test_one_project_or_all_of_them(home):
    keep(home, ask(project="p"), ask(project="q"), ask(project=""))
    assert stats.window(home, "p", 60, now=NOON).requests == 1
    assert stats.window(home, None, 60, now=NOON).requests == 3


def test_counts_written_in_two_goes_are_one_count(home):
    keep(home, ask(ms=1), ask(ms=100))
    keep(home, ask(ms=50))
    rows = store.list_traffic(reading(home.predictions_db), "p", "hour", "2026-11-21T12", "2026-11-21T13")
    assert [(r["requests"], r["rows"]) for r in rows] == [(3, 3)]
    assert stats.window(home, "p", 1, now=NOON).most == 100
    assert stats.window(home, "p", 1, now=NOON).p50 == pytest.approx(50, rel=0.01)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 600_000), min_size=1, max_size=200), st.integers(1, 5))
def test_percentiles_are_within_one_percent_of_the_exact_ones(durations, pieces):
    parts = [histogram.measure(np.array([[d] + [np.nan] * 4 for d in durations[n::pieces]])) for n in range(pieces) if durations[n::pieces]]
    seen = histogram.read([histogram.merge(parts)], [0], 1).latency("total")
    exact = np.quantile(durations, [0.5, 0.95, 0.99], method="inverted_cdf")
    assert [seen.p50, seen.p95, seen.p99] == pytest.approx(list(exact), rel=0.01)
    assert seen.n == len(durations)
    assert seen.mean == pytest.approx(np.mean(durations))
    assert seen.most == max(durations)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 90 * 1440), st.integers(0, 45 * 1440))
def test_minutes_hours_and_days_cover_a_period_exactly_once(start, length):
    since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=start)
    pieces = stats.cover(since, since + timedelta(minutes=length))
    edges = [since, *(end for _, _, end in pieces)]
    assert [first for _, first, _ in pieces] == edges[:-1]
    assert edges[-1] == since + timedelta(minutes=length)
    spans = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
    assert sum((end - first) // spans[level] for level, first, end in pieces) <= 2 * 59 + 2 * 23 + 45


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 4000), min_size=1, max_size=40), st.integers(1, 4000))
def test_a_window_of_any_length_agrees_with_the_single_requests(tmp_path_factory, minutes_ago, minutes):
    from core.home import open_home

    home = open_home(tmp_path_factory.mktemp("home"))
    keep(home, *[ask(NOON - timedelta(minutes=m)) for m in minutes_ago])
    assert stats.window(home, "p", minutes, now=NOON).requests == sum(m < minutes for m in minutes_ago)


def test_a_series_has_every_step_and_a_quiet_one_is_not_left_out(home):
    keep(home, ask(NOON, 10, inference=2), ask(NOON - timedelta(minutes=2), 20, status=503, rows=0))
    start = NOON.replace(second=0) - timedelta(minutes=3)
    points = stats.series(home, "p", start, NOON, timedelta(minutes=1))
    assert [p.at for p in points] == [start + timedelta(minutes=n) for n in range(4)]
    assert [p.requests for p in points] == [0, 1, 0, 1]
    assert [p.errors for p in points] == [0, 1, 0, 0]
    assert [p.latency and p.latency.most for p in points] == [None, 20, None, 10]
    assert points[3].stages == {"inference": 2.0}
    assert points[3].per_second == pytest.approx(1 / 30)  # the running minute is half over


def test_a_series_of_hours_and_days_begins_with_a_whole_one(home):
    keep(home, ask(NOON), ask(NOON - timedelta(hours=5)), ask(NOON - timedelta(days=1)))
    hours = stats.series(home, "p", NOON - timedelta(hours=6), NOON, timedelta(hours=3))
    assert [(p.at.hour, p.requests) for p in hours] == [(6, 1), (9, 0), (12, 1)]
    days = stats.series(home, "p", NOON - timedelta(days=2), NOON, timedelta(days=1))
    assert [(p.at.day, p.requests) for p in days] == [(19, 0), (20, 1), (21, 2)]


@pytest.mark.parametrize(("project", "index"), [("p", "traffic_by_key"), (None, "traffic_by_time")])
def test_counts_are_found_by_an_index(home, project, index):
    sql, values = store.build_traffic_query(project, "minute", "2026", "2027")
    plan = reading(home.predictions_db).conn.execute("EXPLAIN QUERY PLAN " + sql, values).fetchall()
    assert [f"USING INDEX {index}" in row["detail"] for row in plan] == [True]


def test_the_command_tells_the_window_and_the_one_before(demo_home, monkeypatch, capsys):
    import json
    import re

    from core.cli.app import main
    from core.times import utc_now

    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    monkeypatch.setenv("GREENLIGHT_MODELS", str(demo_home.models))
    now = utc_now()
    keep(demo_home, ask(now, 4, project="heart_disease"), ask(now - timedelta(minutes=15), 2, project="heart_disease", status=500))
    assert main(["monitor", "--project", "heart_disease", "--minutes", "10", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["window"]["requests"], told["window"]["error_rate"], told["window"]["latency"]["most"]) == (1, 0.0, 4.0)
    assert (told["window"]["before"]["requests"], told["window"]["before"]["error_rate"]) == (1, 1.0)
    assert {p["name"] for p in told["health"]["parts"]} >= {"database", "scheduler", "model"}
    assert main(["monitor", "--minutes", "10"]) == 0
    assert re.search(r"^error rate +0\.000 +1\.000$", capsys.readouterr().out, re.MULTILINE)
    assert main(["monitor", "--project", "nothing"]) == 1
