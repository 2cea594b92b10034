"""Home's facts and its verdict: every state of knowing and not knowing, from real rows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from core import accounts, approvals, clock, deployment, overview
from core.acts import Actor
from core.drift import checks
from core.drift.checks import Check, Period, Upload
from core.monitoring import alerts
from core.monitoring import checks as watching
from core.overview import Headline, judge
from core.projects import proposals
from core.projects.projects import get_definition
from core.registry import versions
from core.retraining.triggers import RetrainCheck
from core.scoring import accuracy, labels, log, predict
from core.times import stamp, utc_now

HEART = "heart_disease"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SCIENTIST, DEVOPS = Actor("scientist"), Actor("devops")


def look(home, name="scientist", now=None, project=HEART):
    return overview.overview(home, project, accounts.find_account(home, name), now or utc_now())


def hungary(home):
    return pd.read_csv(home.root / "samples" / HEART / "heart_hungary.csv")


def predict_hungary(home, rows=60, now=None):
    """Score rows of the Hungarian file; returns ids, answers and the truth."""
    table = hungary(home).head(rows)
    answer = predict.predict_rows(home, SCIENTIST, HEART, table.to_dict("records"), source="test", now=now)
    truth = (table["num"] > 0).astype(int).astype(str)
    return answer.outputs.assign(truth=truth.to_numpy())


def feed(home, outputs, label):
    text = outputs.assign(label=label)[["prediction_id", "label"]].to_csv(index=False)
    return labels.feed_labels(home, SCIENTIST, HEART, text.encode(), file_name="labels.csv")


def test_nothing_live_is_unknown_and_no_number_is_made_up(demo_home):
    view = look(demo_home)
    assert (view.verdict.level, view.verdict.reason) == ("unknown", "Nothing is live, so nothing answers.")
    assert (view.live, view.headline, view.quality, view.check, view.clock) == (None, None, None, None, None)
    assert (view.today, view.daily, view.by_label, view.waiting) == (0, [], {}, ())


def test_a_live_version_that_answered_nothing_is_unknown_beside_its_baseline(trained_home):
    view = look(trained_home)
    summary = view.live.summary
    assert (view.verdict.level, view.verdict.reason) == ("unknown", "Version 1.0.0 is live and has answered nothing yet.")
    assert (view.headline.metric, view.headline.rows) == ("accuracy", 61)
    assert view.headline.value == summary["holdout"]["accuracy"]
    assert view.headline.baseline == summary["baseline"]["holdout"]["accuracy"]
    assert view.headline.low < view.headline.value < view.headline.high


def test_predictions_without_a_drift_check_ask_to_look(trained_home):
    outputs = predict_hungary(trained_home)
    view = look(trained_home)
    assert (view.verdict.level, view.verdict.page) == ("look", "drift")
    assert view.verdict.reason == "Drift was not measured against version 1.0.0 yet."
    counts = outputs["prediction"].value_counts()
    assert view.by_label == {"0": counts["0"], "1": counts["1"]}
    assert view.today == 60


def test_predictions_of_today_and_of_the_whole_day_before_are_told_apart(trained_home):
    predict_hungary(trained_home, 5, now=NOW - timedelta(hours=1))
    predict_hungary(trained_home, 3, now=NOW - timedelta(hours=13))  # 23:00 of the day before
    predict_hungary(trained_home, 2, now=NOW - timedelta(hours=40))  # two days before
    view = look(trained_home, now=NOW)
    assert (view.today, view.yesterday) == (5, 3)


def test_drift_in_what_was_predicted_asks_to_act_and_names_the_column(trained_home):
    predict_hungary(trained_home, 290)
    done = checks.run_check(trained_home, SCIENTIST, HEART, current=Period(), evidently=False)
    view = look(trained_home)
    assert view.verdict.level == "act"
    assert view.verdict.reason.startswith("Column ca has drifted (0.99)")
    assert (view.check.id, view.since_check) == (done["id"], 0)
    predict_hungary(trained_home, 4)
    assert look(trained_home).since_check == 4


def test_a_check_of_a_file_does_not_hide_what_was_predicted(trained_home):
    predict_hungary(trained_home, 290)
    logged = checks.run_check(trained_home, SCIENTIST, HEART, current=Period(), evidently=False)
    same = (trained_home.root / "samples" / HEART / "heart_cleveland.csv").read_bytes()
    checks.run_check(trained_home, SCIENTIST, HEART, current=Upload(same, "same.csv"), evidently=False)
    assert look(trained_home).check.id == logged["id"]


def test_a_check_of_a_file_alone_is_shown_as_one_of_a_file(trained_home):
    switzerland = (trained_home.root / "samples" / HEART / "heart_switzerland.csv").read_bytes()
    checks.run_check(trained_home, SCIENTIST, HEART, current=Upload(switzerland, "swiss.csv"), evidently=False)
    view = look(trained_home)
    assert view.verdict.level == "act"
    assert view.verdict.reason.endswith("(in file swiss.csv).")


def test_real_accuracy_is_counted_a_day_and_for_the_live_version_only(trained_home):
    now = utc_now()
    first = predict_hungary(trained_home, 40, now=now - timedelta(days=2))
    second = predict_hungary(trained_home, 10, now=now)
    feed(trained_home, first, first["prediction"])  # all right
    feed(trained_home, second, [{"0": "1", "1": "0"}[p] for p in second["prediction"]])  # all wrong
    view = look(trained_home, now=now + timedelta(seconds=1))
    assert (view.quality["rows"], view.quality["accuracy"]) == (50, 0.8)
    assert [(d["day"], d["rows"], d["accuracy"]) for d in view.daily] == [
        (stamp(now - timedelta(days=2))[:10], 40, 1.0),
        (stamp(now)[:10], 10, 0.0),
    ]
    assert accuracy.live_quality(trained_home, HEART, now=now, version="9.9.9") is None
    assert accuracy.daily_accuracy(trained_home, HEART, now=now + timedelta(days=40)) == []


def test_an_accuracy_surely_below_the_floor_asks_to_act(trained_home):
    outputs = predict_hungary(trained_home, 60)
    feed(trained_home, outputs, [{"0": "1", "1": "0"}[p] for p in outputs["prediction"]])
    verdict = look(trained_home).verdict
    assert (verdict.level, verdict.reason) == ("act", "Of 60 labelled predictions 0% were right; the floor is 70%.")


def test_what_waits_depends_on_who_looks(trained_home):
    forest = next(c for c in versions.runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    versions.register(trained_home, SCIENTIST, forest.id)
    approvals.request_release(trained_home, SCIENTIST, HEART, "1.1.0", reason="A forest")
    assert [(w.what, w.sentence) for w in look(trained_home, "director").waiting] == [
        ("decide", "scientist asks to release version 1.1.0 of Heart disease.")
    ]
    assert [(w.what, w.sentence) for w in look(trained_home).waiting] == [
        ("mine", "Your request for version 1.1.0 of Heart disease waits for a decision.")
    ]
    assert look(trained_home, "devops").waiting == ()
    approvals.approve(trained_home, Actor("director"), 2, reason="Worth a trial", despite_gates=True)
    assert [w.what for w in look(trained_home, "devops").waiting] == ["deploy"]
    assert look(trained_home, "director").waiting == ()
    deployment.deploy(trained_home, DEVOPS, HEART, "1.1.0")
    assert look(trained_home, "devops").waiting == ()


def test_the_clocks_last_answer_is_shown_and_a_due_retraining_asks_to_look(trained_home):
    assert look(trained_home).clock is None
    outputs = predict_hungary(trained_home, 120)
    feed(trained_home, outputs, outputs["prediction"])
    clock.tick(trained_home, now=utc_now())
    view = look(trained_home)
    assert view.clock.due
    assert view.verdict.level == "look"
    assert view.verdict.reason.startswith("A retraining is due: 120 labels arrived since version 1.0.0; due from 100.")


def test_predictions_since_a_moment_are_counted_to_the_millisecond(trained_home):
    for minute in (1, 2, 3, 64):
        predict_hungary(trained_home, minute, now=NOW + timedelta(minutes=minute))
    assert log.count_since(trained_home, HEART, NOW + timedelta(minutes=2)) == 2 + 3 + 64
    assert log.count_since(trained_home, HEART, NOW + timedelta(minutes=2, milliseconds=1)) == 3 + 64
    assert log.count_since(trained_home, HEART, NOW + timedelta(minutes=65)) == 0


# The verdict's rules, one by one


LIVE = deployment.LiveVersion(HEART, "1.0.0", 1, stamp(NOW), "devops", {}, 0.5)
GOOD = {"rows": 200, "accuracy": 0.9, "low": 0.85, "high": 0.93, "baseline_accuracy": 0.6}
HEAD = Headline("accuracy", 0.87, 0.77, 0.95, 0.54, 61)


def check(level, sentence="Said.", at=NOW):
    alert = {"level": level, "severity": None, "columns": [], "sentence": sentence}
    label = {"kind": "log", "label": "logged predictions", "rows": 100}
    return Check(1, HEART, 1, stamp(at), "x", label, label, 0.1, "ok", None, alert, None, None, None, None, None)


@pytest.fixture(scope="module")
def definition(built_demo):
    from core.home import open_home

    return get_definition(open_home(built_demo), HEART)


def rule(definition, **given):
    facts = {
        "live": LIVE, "headline": HEAD, "quality": GOOD, "check": check("none"), "since_check": 0, "answered": 10, "clock": None,
        "now": NOW,
    }  # fmt: skip
    return judge(definition.thresholds, **{**facts, **given})


def test_all_is_well_only_with_a_check_and_says_how_often_it_is_right(definition):
    verdict = rule(definition)
    assert verdict.level == "ok"
    assert verdict.reason == (
        "Version 1.0.0 answers, no drift that matters was found, and 90% of 200 labelled predictions were right."
    )
    unknown = rule(definition, quality=None)
    assert (unknown.level, "not known, because no labels came back" in unknown.reason) == ("ok", True)
    few = rule(definition, quality={**GOOD, "rows": 29})
    assert "29 labels are too few" in few.reason


@pytest.mark.parametrize(
    ("given", "level", "words"),
    [
        ({"quality": {**GOOD, "accuracy": 0.6, "high": 0.69}}, "act", "60% were right; the floor is 70%"),
        ({"quality": {**GOOD, "accuracy": 0.6, "high": 0.70}}, "look", "60% were right; the floor is 70%"),
        ({"quality": {**GOOD, "rows": 29, "accuracy": 0.1, "high": 0.2}}, "ok", "too few"),
        ({"quality": {**GOOD, "accuracy": 0.9, "baseline_accuracy": 0.9}}, "look", "most frequent answer would be right in 90%"),
        ({"quality": {"rows": 50, "mae": 2.0, "baseline_mae": 1.5}}, "look", "Always answering the mean"),
        ({"check": check("high", "thalach drifted.")}, "act", "thalach drifted."),
        ({"check": check("medium", "A warning.")}, "look", "A warning."),
        ({"check": check("unknown", "12 rows.")}, "look", "12 rows."),
        ({"check": check("none", at=NOW - timedelta(days=8)), "since_check": 5}, "look", "8 days old, and 5 predictions"),
        ({"check": check("none", at=NOW - timedelta(days=8)), "since_check": 0}, "ok", "no drift"),
        ({"headline": replace(HEAD, baseline=0.87)}, "look", "no better than its baseline"),
        ({"clock": RetrainCheck(HEART, "", "", True, "Old.", ())}, "look", "A retraining is due: Old."),
        ({"check": None}, "look", "Drift was not measured"),
        ({"check": None, "answered": 0}, "unknown", "has answered nothing yet"),
        ({"live": None}, "unknown", "Nothing is live"),
    ],
)  # fmt: skip
def test_each_finding_has_its_level_and_its_sentence(definition, given, level, words):
    verdict = rule(definition, **given)
    assert verdict.level == level
    assert words in verdict.reason


def raised(home, severity="critical", kind="latency", sentence="Slow.", now=NOW, **more):
    return alerts.raise_alert(home, HEART, kind, severity=severity, sentence=sentence, now=now, **more)


def test_a_critical_alert_asks_to_act_until_somebody_looks_after_it(trained_home):
    alert = raised(trained_home)
    view = look(trained_home)
    assert (view.verdict.level, view.verdict.reason, view.verdict.page) == ("act", "Latency: Slow.", "monitoring")
    assert [a.id for a in view.alerts] == [alert.id]
    alerts.acknowledge(trained_home, DEVOPS, alert.id)
    view = look(trained_home)
    assert (view.verdict.level, view.verdict.reason) == ("look", "Latency: Slow. (devops looks after it)")
    alerts.resolve(trained_home, DEVOPS, alert.id, reason="Faster now")
    assert look(trained_home).alerts == ()


def test_a_warning_asks_to_look_and_a_critical_alert_without_a_live_version_still_to_act(trained_home):
    raised(trained_home, "warning")
    assert look(trained_home).verdict.level == "look"
    raised(trained_home)
    deployment.undeploy(trained_home, DEVOPS, HEART)
    assert look(trained_home).verdict.level == "act"


def test_drift_that_the_clock_measured_counts_as_measured(trained_home):
    table = pd.read_csv(trained_home.root / "samples" / HEART / "heart_cleveland.csv")
    predict.predict_rows(trained_home, SCIENTIST, HEART, table.to_dict("records"), source="test")
    assert look(trained_home).verdict.reason == "Drift was not measured against version 1.0.0 yet."
    watching.watch(trained_home, HEART, now=utc_now())
    view = look(trained_home)
    assert (view.drift.state, view.drift.version, view.check.by, view.check.band) == ("ok", "1.0.0", "clock", "ok")
    assert view.verdict.level == "ok"
    assert "no drift that matters was found" in view.verdict.reason


def test_a_request_to_change_limits_waits_for_the_one_who_decides(trained_home):
    asked = proposals.propose(trained_home, SCIENTIST, HEART, {"drift": 0.8, "retrain_days": 14}, reason="Less noise")
    waiting = [(w.what, w.sentence, w.request.id) for w in look(trained_home, "director").waiting]
    assert waiting == [("decide", "scientist asks to change 2 values of Heart disease.", asked["id"])]
    assert [w.what for w in look(trained_home).waiting] == ["mine"]
    assert look(trained_home, "devops").waiting == ()
