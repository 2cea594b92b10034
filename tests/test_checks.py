"""The watching: each check says ok, warning, critical or unknown by its limit, and turns into one alert that ends when it is well."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from core import audit, clock, deployment
from core.acts import Actor
from core.datasets import versions as datasets
from core.errors import BadInput, Refused
from core.monitoring import alerts, answer_checks, checks, data_checks, health, quality_checks, stats, traffic, traffic_checks
from core.monitoring.anomalies import find_outliers, reach
from core.monitoring.answer_checks import Lately
from core.monitoring.findings import Finding
from core.monitoring.histogram import Latency
from core.monitoring.stats import Point, Window
from core.monitoring.traffic import Request
from core.projects import proposals
from core.projects.limits import Limits, Watching, get_limits
from core.projects.projects import get_definition
from core.scoring import files, labels, predict
from core.times import stamp, utc_now
from core.training import runs

HEART = "heart_disease"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SCIENTIST, DIRECTOR, DEVOPS = Actor("scientist"), Actor("director"), Actor("devops")
WATCHING = Watching()


# Outliers


def test_so_many_points_can_reach_so_many_deviations_and_no_more():
    assert reach(10) == pytest.approx(2.846, abs=1e-3)
    assert reach(30) == pytest.approx(5.295, abs=1e-3)
    found = find_outliers([0.0] * 29 + [1.0], limit=3.0, least=30)
    assert found.outliers[0].z == pytest.approx(reach(30))
    assert find_outliers([0.0] * 9 + [1e9], limit=3.0, least=5) is None  # 10 points cannot reach 3.0, however far one is


def test_too_few_known_points_are_not_judged():
    assert find_outliers([1.0] * 29 + [None] * 10, least=30) is None
    assert find_outliers([1.0] * 30 + [None] * 10, least=30).points == 30
    assert find_outliers([float("nan")] * 40, least=30) is None


def test_equal_values_have_no_outlier_and_an_ordinary_spread_has_none():
    assert find_outliers([0.1] * 40).outliers == ()
    assert find_outliers([1.0, 2.0] * 20).outliers == ()
    found = find_outliers([1.0, 2.0] * 20 + [9.0])
    assert [(o.place, o.value) for o in found.outliers] == [(40, 9.0)]


# Requests


def latency(p95=100.0, n=100, mean=50.0, std=10.0):
    return Latency(n, mean, std, mean, p95, p95, p95)


def window(requests=100, errors=0, took=None, before=None):
    return Window(
        HEART, NOW - timedelta(hours=1), NOW, 60, requests, requests, errors, 0, requests / 3600,
        errors / requests if requests else None, 0.0, took or latency(n=requests), {}, before,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("p95", "state", "threshold"),
    [(1999.0, "ok", 2000.0), (2000.0, "warning", 2000.0), (4999.0, "warning", 2000.0), (5000.0, "critical", 5000.0)],
)
def test_latency_has_its_two_bands(p95, state, threshold):
    found = traffic_checks.judge_latency(window(took=latency(p95)), WATCHING)
    assert (found.state, found.value, found.threshold, found.unit, found.rows) == (state, p95, threshold, "ms", 100)


@pytest.mark.parametrize(("errors", "state"), [(19, "ok"), (20, "warning"), (49, "warning"), (50, "critical")])
def test_the_error_rate_has_its_two_bands(errors, state):
    found = traffic_checks.judge_errors(window(1000, errors), WATCHING)
    assert (found.state, found.value) == (state, errors / 1000)


def test_few_requests_say_nothing_of_latency_and_errors():
    few = window(19, 19, latency(9000.0, n=19))
    assert traffic_checks.judge_latency(few, WATCHING).state == "unknown"
    found = traffic_checks.judge_errors(few, WATCHING)
    assert (found.state, found.sentence) == ("unknown", "19 requests in 60 minutes; 20 are needed to say.")


@pytest.mark.parametrize(
    ("mean", "n", "state"),
    [(600.0, 100, "warning"), (549.0, 1000, "ok"), (600.0, 29, "unknown"), (400.0, 100, "ok")],
)
def test_slower_is_more_than_ten_percent_above_the_window_before(mean, n, state):
    now = window(took=latency(n=n, mean=mean), before=window(took=latency(mean=500.0)))
    assert traffic_checks.judge_slower(now, WATCHING).state == state


def test_slower_by_chance_or_by_what_nobody_notices_is_no_finding():
    noisy = window(took=latency(mean=600.0, std=2000.0), before=window(took=latency(mean=500.0, std=2000.0)))
    assert traffic_checks.judge_slower(noisy, WATCHING).state == "ok"
    tiny = window(took=latency(n=9999, mean=4.0, std=0.1), before=window(took=latency(n=9999, mean=2.0, std=0.1)))
    assert traffic_checks.judge_slower(tiny, WATCHING).state == "ok"


def test_more_failures_than_before_must_be_more_than_chance():
    assert traffic_checks.judge_failing(window(1000, 60, before=window(1000, 20)), WATCHING).state == "warning"
    assert traffic_checks.judge_failing(window(1000, 22, before=window(1000, 20)), WATCHING).state == "ok"
    from_nothing = traffic_checks.judge_failing(window(1000, 60, before=window(1000, 0)), WATCHING)
    assert (from_nothing.state, from_nothing.value) == ("warning", None)


def points(*counts, errors=None, mean=None):
    errors, mean = errors or [0] * len(counts), mean or [20.0] * len(counts)
    return [
        Point(NOW, n, n, e, 0, n / 300, latency(n=n, mean=m) if n else None, {})
        for n, e, m in zip(counts, errors, mean, strict=True)
    ]


def anomaly(found, subject):
    return next(f for f in found if f.subject == subject)


def test_a_burst_stands_out_while_it_is_new_and_then_no_longer():
    flow = [100, 104] * 20
    burst = anomaly(traffic_checks.judge_anomalies(points(*flow, 400), WATCHING), "rate")
    assert (burst.state, burst.kind, burst.rows) == ("warning", "anomaly", 41)
    assert burst.value > 3.0
    assert anomaly(traffic_checks.judge_anomalies(points(*flow, 400, 100, 104), WATCHING), "rate").state == "ok"
    silence = anomaly(traffic_checks.judge_anomalies(points(*[100, 104] * 20, 0), WATCHING), "rate")
    assert (silence.state, silence.sentence[:10]) == ("warning", "0 requests")


def test_one_request_after_a_quiet_night_is_no_anomaly_and_time_before_the_first_does_not_count():
    assert anomaly(traffic_checks.judge_anomalies(points(1, *[0] * 40, 1), WATCHING), "rate").state == "ok"
    assert anomaly(traffic_checks.judge_anomalies(points(*[0] * 40, *[100] * 10), WATCHING), "rate").state == "unknown"


def test_a_slow_step_and_a_failing_step_stand_out_of_their_series():
    slow = points(*[50] * 41, mean=[*[20.0, 22.0] * 20, 90.0])
    assert anomaly(traffic_checks.judge_anomalies(slow, WATCHING), "latency").state == "warning"
    faster = points(*[50] * 41, mean=[*[90.0, 92.0] * 20, 20.0])
    assert anomaly(traffic_checks.judge_anomalies(faster, WATCHING), "latency").state == "ok"
    failing = points(*[50] * 41, errors=[0] * 40 + [10])
    assert anomaly(traffic_checks.judge_anomalies(failing, WATCHING), "errors").state == "warning"
    two = points(*[50] * 41, errors=[0] * 40 + [2])
    assert anomaly(traffic_checks.judge_anomalies(two, WATCHING), "errors").state == "ok"


# Answers


@pytest.fixture(scope="module")
def heart(built_demo):
    from core.home import open_home

    return get_definition(open_home(built_demo), HEART)


def lately(rows=200, problems=0, unsure=0, **by_label):
    return Lately("1.0.0", "the last 24 hours", rows, problems, unsure, Counter(by_label), None, None, None)


@pytest.mark.parametrize(("problems", "state"), [(19, "ok"), (20, "warning")])
def test_rows_with_a_problem_warn_from_ten_percent(problems, state):
    assert answer_checks.judge_problems(lately(problems=problems), Limits()).state == state


@pytest.mark.parametrize(("rows", "unsure", "state"), [(200, 60, "ok"), (200, 61, "warning"), (29, 29, "unknown")])
def test_unsure_answers_warn_above_thirty_percent(rows, unsure, state):
    assert answer_checks.judge_unsure(lately(rows, unsure=unsure), Limits()).state == state


@pytest.mark.parametrize(("ones", "state"), [(9, "warning"), (10, "ok"), (0, "warning")])
def test_the_rarest_answer_warns_below_five_percent(heart, ones, state):
    found = answer_checks.judge_mix(lately(**{"0": 200 - ones, "1": ones}), heart, Limits())
    assert (found.state, found.value, found.threshold) == (state, ones / 200, 0.05)


def test_ninety_nine_answers_say_nothing_of_a_rare_one(heart):
    assert answer_checks.judge_mix(lately(99, **{"0": 99}), heart, Limits()).state == "unknown"


def hungary(home, rows=290):
    return pd.read_csv(home.root / "samples" / HEART / "heart_hungary.csv").head(rows)


def cleveland(home, rows=290):
    return pd.read_csv(home.root / "samples" / HEART / "heart_cleveland.csv").head(rows)


def ask(home, table, now=None):
    answer = predict.predict_rows(home, SCIENTIST, HEART, table.to_dict("records"), source="test", now=now)
    return answer.outputs


def states(findings):
    return {(f.kind, f.subject): f.state for f in findings}


def test_rows_like_those_of_training_are_well_and_others_raise_an_alert_a_column(trained_home):
    now = utc_now()
    ask(trained_home, cleveland(trained_home), now)
    found = states(checks.watch(trained_home, HEART, now=now))
    for kind in ("problem_rows", "missing_values", "unsure", "minority", "drift", "prediction_drift", "model"):
        assert found[(kind, "")] == "ok", kind
    assert alerts.list_open(trained_home) == []
    for _ in range(3):
        ask(trained_home, hungary(trained_home), now)
    later = now + timedelta(minutes=11)
    found = checks.watch(trained_home, HEART, now=later)
    drift = next(f for f in found if f.kind == "drift")
    assert (drift.state, drift.threshold, drift.version) == ("critical", 0.7, "1.0.0")
    assert "Column ca has drifted" in drift.sentence
    missing = {a.subject: a for a in alerts.list_open(trained_home, HEART) if a.kind == "missing_values"}
    assert set(missing) == {"ca", "thal", "slope"}
    assert missing["ca"].value == pytest.approx(870 / 1160, abs=0.02)
    # the same again changes nothing but the times
    before = {a.id for a in alerts.list_open(trained_home)}
    checks.watch(trained_home, HEART, now=later + timedelta(minutes=11))
    assert {a.id: a.times for a in alerts.list_open(trained_home)} == dict.fromkeys(before, 2)


def test_a_column_that_was_as_empty_in_training_is_not_missing_now(trained_home):
    ask(trained_home, hungary(trained_home), utc_now())
    live = deployment.store.find_live(deployment.reading(trained_home.db), HEART)
    seen = answer_checks.read_lately(trained_home, HEART, live, now=utc_now())
    usual = {**seen.reference.counts, "ca": seen.profile.counts["ca"]}
    found = answer_checks.judge_missing(replace(seen, reference=replace(seen.reference, counts=usual)), Limits())
    assert "ca" not in {f.subject for f in found}
    assert "thal" in {f.subject for f in found}


def test_an_alert_ends_when_the_column_is_well_again(trained_home):
    now = utc_now() - timedelta(days=3)
    ask(trained_home, hungary(trained_home), now)
    checks.watch(trained_home, HEART, now=now + timedelta(minutes=1))
    assert {a.kind for a in alerts.list_open(trained_home)} == {"drift", "missing_values", "problem_rows"}
    ask(trained_home, cleveland(trained_home), now + timedelta(days=2))
    checks.watch(trained_home, HEART, now=now + timedelta(days=2, minutes=1))
    assert alerts.list_open(trained_home) == []
    ended = alerts.list_alerts(trained_home, HEART, kind="missing_values")
    assert {a.resolved_by for a in ended} == {"monitor"}
    event = audit.search(trained_home, action="resolve_alert")[0][0]
    assert event["actor"] == "monitor"
    assert event["reason"]


def test_what_cannot_be_measured_any_more_does_not_end_an_alert(trained_home):
    now = utc_now() - timedelta(days=30)
    ask(trained_home, hungary(trained_home), now)
    checks.watch(trained_home, HEART, now=now + timedelta(minutes=1))
    before = len(alerts.list_open(trained_home))
    found = states(checks.watch(trained_home, HEART, now=now + timedelta(days=20)))
    assert found[("drift", "")] == found[("missing_values", "")] == "unknown"
    assert len(alerts.list_open(trained_home)) == before > 0


def test_what_was_said_of_a_version_is_over_when_it_is_no_longer_live(trained_home):
    ask(trained_home, hungary(trained_home))
    now = utc_now() + timedelta(minutes=1)
    checks.watch(trained_home, HEART, now=now)
    assert alerts.list_open(trained_home)
    deployment.undeploy(trained_home, DEVOPS, HEART, reason="It drifted")
    checks.watch(trained_home, HEART, now=now + timedelta(minutes=1))
    assert alerts.list_open(trained_home) == []


def test_the_mean_answer_of_an_hour_that_is_unlike_the_week_stands_out(heart):
    hours = [{"hour": f"h{n:02d}", "label": str(label), "rows": rows} for n in range(40) for label, rows in ((0, 60 - n % 2), (1, 40 + n % 2))]
    means = answer_checks._mean_classes(heart, hours)
    assert means["h00"] == 40.0
    assert means["h01"] == 41.0
    found = traffic_checks.judge_series("score", "Mean answer", [*means.values(), 90.0], WATCHING, say=str)
    assert found.state == "warning"
    assert answer_checks._mean_classes(heart, [{"hour": "h", "label": "1", "rows": 29}]) == {}


# Labels


def feed(home, outputs, right_share, now):
    flip = {"0": "1", "1": "0"}
    n = round(len(outputs) * right_share)
    given = [p if i < n else flip[p] for i, p in enumerate(outputs["prediction"])]
    text = pd.DataFrame({"prediction_id": outputs["prediction_id"], "label": given}).to_csv(index=False)
    labels.feed_labels(home, SCIENTIST, HEART, text.encode(), file_name="labels.csv", now=now)


@pytest.mark.parametrize(
    ("rows", "share", "state"),
    [(60, 0.90, "ok"), (60, 0.65, "warning"), (60, 0.40, "critical"), (29, 0.10, "unknown")],
)
def test_the_accuracy_floor_is_surely_or_probably_missed_or_unknown(trained_home, rows, share, state):
    now = utc_now()
    feed(trained_home, ask(trained_home, cleveland(trained_home, rows), now), share, now)
    found = quality_checks.check_floor(trained_home, HEART, "1.0.0", get_limits(trained_home, HEART), now=now + timedelta(minutes=1))
    assert (found.state, found.rows, found.threshold) == (state, rows, 0.7)


def test_a_week_that_is_worse_than_the_one_before_by_more_than_chance_warns(trained_home, heart):
    now = utc_now()
    limits = get_limits(trained_home, HEART)
    feed(trained_home, ask(trained_home, cleveland(trained_home, 200), now - timedelta(days=10)), 0.9, now)
    assert quality_checks.check_drop(trained_home, HEART, heart, limits, now=now).state == "unknown"
    outputs = ask(trained_home, cleveland(trained_home, 200), now - timedelta(days=1))
    feed(trained_home, outputs, 0.88, now)
    chance = quality_checks.check_drop(trained_home, HEART, heart, limits, now=now)
    assert (chance.state, chance.value) == ("ok", pytest.approx(0.02 / 0.9))
    feed(trained_home, outputs, 0.7, now)
    found = quality_checks.check_drop(trained_home, HEART, heart, limits, now=now)
    assert (found.state, found.value, found.rows) == ("warning", pytest.approx(0.2 / 0.9), 200)


def test_quality_below_that_of_training_is_drift_of_the_model(trained_home):
    now = utc_now()
    feed(trained_home, ask(trained_home, cleveland(trained_home, 200), now), 0.5, now)
    found = quality_checks.check_training(trained_home, HEART, "1.0.0", get_limits(trained_home, HEART), now=now + timedelta(minutes=1))
    assert found.state == "warning"
    assert found.value > 0.3


# Data and the live model

BAD = b"age,sex\n1,Male\n"


def test_data_that_fails_its_validation_raises_an_alert_and_good_data_ends_it(trained_home):
    table = cleveland(trained_home)
    bad = table.assign(num=0).to_csv(index=False).encode()
    assert datasets.add_dataset(trained_home, SCIENTIST, HEART, bad, file_name="bad.csv")["ok"] is False
    now = utc_now()
    checks.watch(trained_home, HEART, now=now)
    alert = alerts.list_open(trained_home, HEART)[0]
    assert (alert.kind, alert.subject, alert.severity) == ("data_quality", "training", "warning")
    assert "Dataset 2 failed its validation" in alert.sentence
    datasets.add_dataset(trained_home, SCIENTIST, HEART, table.head(250).to_csv(index=False).encode(), file_name="good.csv")
    checks.watch(trained_home, HEART, now=now + timedelta(minutes=1))
    assert alerts.list_open(trained_home, HEART) == []


def test_a_training_on_data_that_fails_is_refused_and_told_at_once(trained_home):
    bad = cleveland(trained_home).assign(num=0).to_csv(index=False).encode()
    datasets.add_dataset(trained_home, SCIENTIST, HEART, bad, file_name="bad.csv")
    with pytest.raises(Refused, match="cannot be trained on"):
        runs.start_training(trained_home, SCIENTIST, HEART)
    alert = alerts.list_open(trained_home, HEART)[0]
    assert (alert.kind, alert.detail) == ("data_quality", {"dataset": 2, "refused": True})
    assert "Dataset 2 of heart_disease cannot be trained on" in alert.sentence


def test_who_may_not_train_raises_no_alert_by_trying(trained_home):
    bad = cleveland(trained_home).assign(num=0).to_csv(index=False).encode()
    datasets.add_dataset(trained_home, SCIENTIST, HEART, bad, file_name="bad.csv")
    with pytest.raises(Refused, match="may not train"):
        runs.start_training(trained_home, Actor("developer"), HEART)
    assert alerts.list_open(trained_home) == []


def outcome(minute, status, route="file", requests=1):
    return {"bucket": f"2026-11-21T12:{minute:02d}", "route": route, "status": status, "requests": requests}


def test_a_file_that_could_not_be_scored_warns_until_one_could():
    assert data_checks.judge_files([]).state == "ok"
    assert data_checks.judge_files([outcome(1, 422)]).state == "warning"
    assert data_checks.judge_files([outcome(1, 422), outcome(2, 200)]).state == "ok"
    assert data_checks.judge_files([outcome(1, 200), outcome(2, 422)]).state == "warning"


@pytest.mark.parametrize(("refused", "state"), [(9, "ok"), (10, "warning")])
def test_requests_that_do_not_fit_the_schema_warn_from_ten_percent(refused, state):
    asked = [outcome(1, 422, "predict", refused), outcome(1, 200, "predict", 100 - refused), outcome(1, 422, "schema", 500)]
    assert data_checks.judge_refusals(asked, Limits()).state == state


def test_a_file_without_a_column_raises_an_alert_through_the_log_of_requests(trained_home, tmp_path):
    (tmp_path / "in.csv").write_bytes(BAD)
    with pytest.raises(BadInput, match="are absent"):
        files.predict_file(trained_home, SCIENTIST, HEART, tmp_path / "in.csv", tmp_path / "out.csv", source="test")
    traffic.flush(trained_home)
    checks.watch(trained_home, HEART, now=utc_now())
    assert [(a.kind, a.subject) for a in alerts.list_open(trained_home)] == [("data_quality", "files")]


def test_a_model_whose_file_was_changed_is_critical_and_health_says_failed(trained_home):
    path = trained_home.models / HEART / "1.0.0" / "model.pkl"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))
    now = utc_now()
    found = states(checks.watch(trained_home, HEART, now=now))
    assert found[("model", "")] == "critical"
    assert [a.kind for a in alerts.list_open(trained_home)] == ["model"]
    part = next(h for h in health.check_health(trained_home, now=now) if (h.name, h.project) == ("model", HEART))
    assert part.state == "failed"


# The turn of the clock


def test_answers_are_kept_and_read_again_as_they_were(trained_home):
    now = utc_now()
    found = checks.watch(trained_home, HEART, now=now)
    kept = checks.find_last(trained_home, HEART)
    assert [w.kind for w in kept] == [g.kind for g in checks.GROUPS]
    assert [f for w in kept for f in w.findings] == found


def test_checks_wait_for_their_beat_and_run_once_for_all_processes(trained_home):
    now = utc_now()
    assert checks.watch(trained_home, HEART, now=now)
    assert checks.watch(trained_home, HEART, now=now + timedelta(seconds=30)) == []
    soon = {f.kind for f in checks.watch(trained_home, HEART, now=now + timedelta(seconds=60))}
    assert {"latency", "data_quality"} <= soon
    assert "drift" not in soon
    assert "drift" in {f.kind for f in checks.watch(trained_home, HEART, now=now + timedelta(minutes=11))}


def test_a_check_that_breaks_is_unknown_and_the_others_still_run(trained_home, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(stats, "window", broken)
    found = states(checks.watch(trained_home, HEART, now=utc_now()))
    assert found[("watching", "traffic")] == "unknown"
    assert found[("model", "")] == "ok"


def test_slow_requests_raise_a_critical_alert_by_the_clock_and_a_changed_limit_holds_at_once(trained_home):
    now = utc_now()
    for n in range(30):
        traffic.record(trained_home, Request(f"r{n}", now, HEART, "predict", "api", 200, 1, "1.0.0", "app", 6000.0))
    traffic.flush(trained_home)
    assert clock.turn(trained_home, now=now + timedelta(seconds=1)) == []
    alert = next(a for a in alerts.list_open(trained_home) if a.kind == "latency")
    assert (alert.severity, alert.threshold, alert.unit) == ("critical", 5000.0, "ms")
    assert alert.value == pytest.approx(6000, rel=0.011)
    asked = proposals.propose(
        trained_home, SCIENTIST, HEART, {"latency_warning_ms": 8000, "latency_critical_ms": 9000}, reason="Large rows", now=now
    )  # fmt: skip
    proposals.decide(trained_home, DIRECTOR, asked["id"], "approved", reason="Agreed", now=now)
    clock.turn(trained_home, now=now + timedelta(minutes=2))
    assert not any(a.kind == "latency" for a in alerts.list_open(trained_home))


def test_an_alert_that_nothing_measures_any_more_stays_open_and_says_since_when_nobody_asked(trained_home):
    now = utc_now()
    for n in range(30):
        traffic.record(trained_home, Request(f"r{n}", now, HEART, "predict", "api", 200, 1, "1.0.0", "app", 6000.0))
    traffic.flush(trained_home)
    checks.watch(trained_home, HEART, now=now + timedelta(seconds=1))
    (slow,) = (a for a in alerts.list_open(trained_home) if a.kind == "latency")
    assert checks.find_unmeasured(trained_home, HEART, [slow]) == {}
    checks.watch(trained_home, HEART, now=now + timedelta(hours=3))
    assert alerts.get_alert(trained_home, slow.id) == slow
    silent = checks.find_unmeasured(trained_home, HEART, [slow])
    assert silent == {slow.id: checks.Unmeasured("0 requests in 60 minutes; 20 are needed to say.", stamp(now))}


def test_a_turn_of_the_clock_notes_its_tick_and_a_broken_step_stops_no_other(trained_home, monkeypatch):
    now = utc_now()

    def breaks(home, *, now):
        raise RuntimeError("no")

    monkeypatch.setattr(clock, "STEPS", (breaks, *clock.STEPS))
    assert clock.turn(trained_home, now=now) == ["breaks"]
    assert next(h for h in health.check_health(trained_home, now=now) if h.name == "scheduler").state == "ok"
    assert checks.find_last(trained_home, HEART)


def test_a_finding_without_a_state_of_alarm_opens_nothing(trained_home):
    checks.note_findings(trained_home, HEART, [Finding("latency", "Time", "unknown", "Too few."), Finding("x", "X", "ok", "Fine.")], now=NOW)
    assert alerts.list_alerts(trained_home) == []


def test_what_its_own_counting_explains_is_no_anomaly():
    def judged(error):
        return traffic_checks.judge_series("x", "X", [*[10.0, 12.0] * 20, 30.0], WATCHING, say=str, errors=[0.0] * 40 + [error]).state

    assert judged(4.5) == "warning"  # 18.5 above the mean, more than four standard errors
    assert judged(4.7) == "ok"


def test_steady_traffic_by_chance_raises_next_to_no_alert():
    import numpy as np

    rng = np.random.default_rng(7)
    counts = rng.poisson(200, 288 * 2)
    flow = []
    for n in counts:
        took = rng.lognormal(4.4, 1.0, size=50)
        flow.append(Point(NOW, int(n), int(n), int(rng.binomial(n, 0.002)), 0, n / 300, Latency(50, took.mean(), took.std(), 1, 1, 1, 1), {}))
    found = [f for i in range(48, len(flow)) for f in traffic_checks.judge_anomalies(flow[i - 47 : i + 1], WATCHING)]
    assert sum(f.state == "unknown" for f in found) == 0
    assert sum(f.state == "warning" for f in found) == 0  # of 1,584; by Z-scores alone it would be 16
