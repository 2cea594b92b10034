"""Metrics that clients post: what is taken, what is refused, and what comes back."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.acts import Actor
from core.errors import BadInput, NotFound, Refused
from core.monitoring import histogram, observations
from core.projects.projects import archive_project
from storage.connection import reading

NOON = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
RECIPES = "recipe_ranking"


def post(home, *values, project=RECIPES, now=NOON):
    return observations.post(home, "devops", project, values, now=now)


def stored(home):
    return [tuple(r) for r in reading(home.predictions_db).conn.execute("SELECT name, value, at, by FROM observations ORDER BY id")]


def test_posted_values_come_back_summed_up(demo_home):
    assert post(demo_home, ("embedding_latency_ms", 10.0, None), ("embedding_latency_ms", 30, NOON - timedelta(minutes=5))) == 2
    post(demo_home, ("num_recipes", -3, None), ("embedding_latency_ms", 20, NOON - timedelta(minutes=1)))
    latency, recipes = observations.window(demo_home, RECIPES, 60, now=NOON)
    assert (latency.name, latency.n, latency.mean, latency.least, latency.most) == ("embedding_latency_ms", 3, 20.0, 10.0, 30.0)
    assert latency.std == pytest.approx(np.std([10, 20, 30]))
    assert (latency.last, latency.last_at) == (10.0, "2026-11-21T12:00:30.000Z")
    assert latency.p50 == pytest.approx(20, rel=0.01)
    assert (recipes.p50, recipes.p99, recipes.last) == (-3.0, -3.0, -3.0)
    assert stored(demo_home)[1] == ("embedding_latency_ms", 30.0, "2026-11-21T11:55:30.000Z", "devops")


def test_a_late_value_does_not_become_the_last_one(demo_home):
    post(demo_home, ("m", 1, NOON - timedelta(seconds=1)))
    post(demo_home, ("m", 2, NOON - timedelta(seconds=20)))
    assert observations.window(demo_home, RECIPES, 1, now=NOON)[0].last == 1.0


def test_a_window_ends_where_it_says(demo_home):
    edge = NOON.replace(second=0) - timedelta(minutes=14)
    post(demo_home, ("m", 1, edge), ("m", 2, edge - timedelta(milliseconds=1)))
    assert [s.n for s in observations.window(demo_home, RECIPES, 15, now=NOON)] == [1]


def test_a_series_has_gaps_where_nothing_was_posted(demo_home):
    post(demo_home, ("m", 1, None), ("m", 3, NOON - timedelta(minutes=2)), ("m", 5, NOON - timedelta(minutes=2)))
    (series,) = observations.list_series(
        demo_home, RECIPES, since=NOON - timedelta(minutes=3), until=NOON, step=timedelta(minutes=1)
    )  # fmt: skip
    assert [(p.n, p.mean, p.most) for p in series.points] == [(0, None, None), (2, 4.0, 5.0), (0, None, None), (1, 1.0, 1.0)]


@pytest.mark.parametrize("name", ["", "Latency", "1st", "a-b", "a b", "x" * 61, "a\n", "é", 7, None, "<script>"])
def test_a_name_that_is_no_name_is_refused_with_its_place(demo_home, name):
    with pytest.raises(BadInput, match="Observation 2: the name"):
        post(demo_home, ("fine", 1, None), (name, 1, None))
    assert stored(demo_home) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e101, True, "1", None, 10**400])
def test_a_value_that_cannot_be_counted_is_refused(demo_home, value):
    with pytest.raises(BadInput, match=r"Observation 1 \(m\): the value must be"):
        post(demo_home, ("m", value, None))


@pytest.mark.parametrize("away", [timedelta(minutes=6), timedelta(days=-31)])
def test_a_time_far_from_now_is_refused(demo_home, away):
    with pytest.raises(BadInput, match="check the sender's clock"):
        post(demo_home, ("m", 1, NOON + away))


def test_a_time_without_a_zone_is_refused(demo_home):
    with pytest.raises(BadInput, match="names no zone"):
        post(demo_home, ("m", 1, NOON.replace(tzinfo=None)))


def test_nothing_and_too_much_at_once_are_refused(demo_home):
    with pytest.raises(BadInput, match="these are 0"):
        post(demo_home)
    with pytest.raises(BadInput, match="these are 1001"):
        post(demo_home, *[("m", 1, None)] * 1001)


def test_a_program_cannot_flood_a_project_with_names(demo_home):
    post(demo_home, *[(f"m{n}", 1, None) for n in range(200)])
    with pytest.raises(BadInput, match="has 200 metrics and may have 200; post fresh under a name that exists already"):
        post(demo_home, ("m1", 1, None), ("fresh", 1, None))
    assert post(demo_home, ("m1", 2, None)) == 1
    assert post(demo_home, ("fresh", 1, None), project="heart_disease") == 1
    assert len(stored(demo_home)) == 202


def test_only_who_may_posts_and_only_to_a_project_that_lives(demo_home):
    with pytest.raises(Refused):
        observations.post(demo_home, "director", RECIPES, [("m", 1, None)], now=NOON)
    with pytest.raises(Refused, match="no active account"):
        observations.post(demo_home, "nobody", RECIPES, [("m", 1, None)], now=NOON)
    with pytest.raises(NotFound):
        post(demo_home, ("m", 1, None), project="nothing")
    archive_project(demo_home, Actor("scientist"), RECIPES)
    with pytest.raises(Refused, match="archived"):
        post(demo_home, ("m", 1, None))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=100), st.integers(1, 4))
def test_percentiles_of_any_values_are_within_one_percent(values, pieces):
    parts = [histogram.measure_values(np.array(values[n::pieces])) for n in range(pieces) if values[n::pieces]]
    found = histogram.find_value_percentiles(parts, (0.5, 0.95, 0.99), min(values), max(values))
    exact = np.quantile(values, [0.5, 0.95, 0.99], method="inverted_cdf")
    assert found == pytest.approx(list(exact), rel=0.01, abs=1e-12)


def test_single_values_and_minutes_go_after_two_months_and_longer_counts_stay(demo_home):
    post(demo_home, ("m", 1, None), ("m", 2, None))
    later = NOON + timedelta(days=63)
    post(demo_home, ("m", 5, None), now=later)
    assert [row[1] for row in stored(demo_home)] == [5.0]
    (year,) = observations.summarise(demo_home, RECIPES, since=NOON - timedelta(days=1), until=later + timedelta(days=1))
    assert (year.n, year.mean) == (3, pytest.approx(8 / 3))
