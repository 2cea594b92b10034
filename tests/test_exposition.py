"""What Prometheus reads: parsed back with its own parser, counted from what was recorded."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.acts import Actor
from core.drift import checks
from core.drift.checks import Period
from core.monitoring import alerts, exposition, observations, traffic
from core.monitoring import checks as watching
from core.monitoring.traffic import Request
from core.projects import proposals
from core.scoring import predict
from core.times import utc_now
from storage import versions as versions_store
from storage.connection import reading

NOON = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
HEART = "heart_disease"


def ask(ms, *, status=200, project="p", **stages):
    return Request("r", NOON, project, "predict", "api", status, 1, "1.0.0", "c", ms, stages)


def record(home, *requests):
    for request in requests:
        traffic.record(home, request)
    traffic.flush(home)


def scrape(home, now=NOON):
    """{(sample, sorted labels): value}, through the real parser."""
    text = exposition.render(home, now=now).decode()
    return {
        (s.name, *sorted(s.labels.items())): s.value for family in text_string_to_metric_families(text) for s in family.samples
    }


def labels(**values):
    return tuple(sorted(values.items()))


KEY = {"project": "p", "version": "1.0.0", "route": "predict", "door": "api"}


def test_requests_errors_and_refusals_are_counted_and_never_fall(home):
    record(home, ask(1), ask(2), ask(3, status=500), ask(4, status=422))
    seen = scrape(home)
    assert seen["greenlight_requests_total", *labels(**KEY, status="200")] == 2
    assert seen["greenlight_errors_total", *labels(**KEY)] == 1
    assert seen["greenlight_refused_total", *labels(**KEY)] == 1
    record(home, ask(1))
    again = scrape(home, now=datetime(2027, 1, 1, tzinfo=UTC))
    assert again["greenlight_requests_total", *labels(**KEY, status="200")] == 3
    assert all(again[key] >= value for key, value in seen.items() if key[0].endswith(("_total", "_bucket", "_count")))


def test_durations_are_a_histogram_in_seconds(home):
    record(home, ask(0.7), ask(1.5, inference=1.0), ask(30, inference=20.0), ask(20_000))
    seen = scrape(home)

    def below(limit):
        return seen["greenlight_request_seconds_bucket", *labels(project="p", route="predict", le=limit)]

    assert [below(limit) for limit in ("0.0005", "0.001", "0.002", "0.05", "10.0", "+Inf")] == [0, 1, 2, 3, 3, 4]
    assert seen["greenlight_request_seconds_sum", *labels(project="p", route="predict")] == pytest.approx(20.0322)
    assert seen["greenlight_inference_seconds_count", *labels(project="p")] == 2
    assert seen["greenlight_inference_seconds_sum", *labels(project="p")] == pytest.approx(0.021)
    assert not [key for key in seen if key[0].startswith("greenlight_validation_seconds")]


def test_a_projects_own_limits_are_bounds_so_that_prometheus_can_tell_what_is_above_them(demo_home):
    proposals.propose(demo_home, Actor("scientist"), HEART, {"latency_warning_ms": 150, "latency_critical_ms": 20_000}, reason="As agreed")
    proposals.decide(demo_home, Actor("director"), 1, "approved", reason="Yes")
    record(demo_home, ask(110, project=HEART), ask(160, project=HEART), ask(30_000, project=HEART), ask(110, project="recipe_ranking"))
    counted = [
        (dict(key[1:])["project"], dict(key[1:])["le"], value) for key, value in scrape(demo_home).items()
        if key[0] == "greenlight_request_seconds_bucket" and dict(key[1:])["le"] in ("0.15", "0.2", "20.0", "+Inf")
    ]  # fmt: skip
    assert sorted(counted) == [
        (HEART, "+Inf", 3), (HEART, "0.15", 1), (HEART, "0.2", 2), (HEART, "20.0", 2), ("recipe_ranking", "+Inf", 1), ("recipe_ranking", "0.2", 1),
    ]  # fmt: skip


def test_the_live_model_its_predictions_and_its_drift_are_series(trained_home):
    before = scrape(trained_home)
    assert before["greenlight_model_info", *labels(project=HEART, version="1.0.0")] == 1
    assert not [key for key in before if "drift" in key[0]]  # unknown is no sample
    frame = pd.read_csv(trained_home.root / "samples" / HEART / "heart_hungary.csv")
    predict.predict_rows(trained_home, Actor("scientist"), HEART, frame.to_dict("records"), source="test")
    checks.run_check(trained_home, Actor("scientist"), HEART, current=Period(), evidently=False)
    check = checks.get_check(trained_home, 1)
    seen = scrape(trained_home)
    assert sum(v for k, v in seen.items() if k[0] == "greenlight_predictions_total") == 294
    assert seen["greenlight_drift_score", *labels(project=HEART)] == pytest.approx(check.overall)
    scores = {dict(key[1:])["column"]: v for key, v in seen.items() if key[0] == "greenlight_drift_column_score"}
    assert scores == pytest.approx({c.name: c.counted for c in check.result.columns if c.score is not None})
    importances = checks.find_importances(versions_store.find_live(reading(trained_home.db), HEART))
    unused = {column for column, importance in importances.items() if not importance}
    assert {dict(key[1:])["column"] for key in seen if key[0] == "greenlight_drift_column_unused"} == unused
    assert any(c.within_chance and c.score for c in check.result.columns)  # which would be an alarm of Prometheus', and is none here


def test_drift_is_what_was_measured_last_by_a_person_or_by_the_clock(trained_home):
    frame = pd.read_csv(trained_home.root / "samples" / HEART / "heart_hungary.csv")
    predict.predict_rows(trained_home, Actor("scientist"), HEART, frame.to_dict("records"), source="test")
    now = utc_now()
    watching.watch(trained_home, HEART, now=now)
    seen = scrape(trained_home)
    assert seen["greenlight_drift_checked_timestamp_seconds", *labels(project=HEART)] == pytest.approx(now.timestamp(), abs=0.002)
    found = next(f for w in watching.find_last(trained_home, HEART) for f in w.findings if f.kind == "drift")
    assert seen["greenlight_drift_score", *labels(project=HEART)] == pytest.approx(found.detail["overall"])
    assert seen["greenlight_drift_column_score", *labels(project=HEART, column="chol")] == pytest.approx(found.detail["scores"]["chol"][0])
    later = now + timedelta(hours=1)
    checks.run_check(trained_home, Actor("scientist"), HEART, current=Period(), evidently=False, now=later)
    again = scrape(trained_home)
    assert again["greenlight_drift_checked_timestamp_seconds", *labels(project=HEART)] == pytest.approx(later.timestamp(), abs=0.002)


def test_every_posted_metric_is_a_series(demo_home):
    observations.post(demo_home, "devops", "recipe_ranking", [("num_recipes", 12, None), ("num_recipes", 5, None)], now=NOON)
    seen = scrape(demo_home)
    key = labels(project="recipe_ranking", name="num_recipes")
    assert seen["greenlight_observation", *key] == 5
    assert seen["greenlight_observation_timestamp_seconds", *key] == NOON.timestamp()
    assert (seen["greenlight_observation_values_count", *key], seen["greenlight_observation_values_sum", *key]) == (2, 17)


def test_open_alerts_are_counted_and_none_is_zero(demo_home):
    alerts.raise_alert(demo_home, HEART, "latency", severity="critical", sentence="Slow.", now=NOON)
    seen = scrape(demo_home)
    assert seen["greenlight_alerts_open", *labels(project=HEART, severity="critical")] == 1
    assert seen["greenlight_alerts_open", *labels(project=HEART, severity="warning")] == 0


def test_text_of_others_cannot_break_a_line(home):
    evil = 'a"b\\c\nd{x="1"} 5\n# HELP'
    record(home, ask(1, project=evil))
    seen = scrape(home)
    assert seen["greenlight_request_seconds_count", *labels(project=evil, route="predict")] == 1


def test_an_empty_installation_answers_too(home):
    assert scrape(home) == {}
