"""Labels that say the answers to unusual rows are right, and versions that replaced another one: what may be called well, and when."""

from datetime import timedelta

import pandas as pd
import pytest

from core import agent, approvals, deployment
from core.agent import agent_requests, incidents
from core.monitoring import alerts, checks, quality_checks
from core.monitoring.findings import Finding
from core.projects.limits import get_limits
from core.projects.projects import get_definition
from core.registry import versions
from core.scoring import labels, predict
from core.times import utc_now
from core.training import runs
from tests.agent_cases import DEVOPS, DIRECTOR, HEART, SCIENTIST, alarm, drifted, steps


def answer(home, rows, share, now):
    """So many rows are predicted, and labels come back by which so large a share of the answers was right."""
    frame = pd.read_csv(home.root / "samples" / HEART / "heart_cleveland.csv").head(rows)
    made = predict.predict_rows(home, DEVOPS, HEART, frame.to_dict("records"), source="test", now=now).outputs
    right, flip = round(len(made) * share), {"0": "1", "1": "0"}
    made = made.sort_values("confidence", ascending=False)  # wrong where it was least sure, as models are
    given = [str(p) if i < right else flip[str(p)] for i, p in enumerate(made["prediction"])]
    text = pd.DataFrame({"prediction_id": made["prediction_id"], "label": given}).to_csv(index=False)
    labels.feed_labels(home, SCIENTIST, HEART, text.encode(), file_name="labels.csv", now=now)


@pytest.fixture
def start():
    return utc_now().replace(minute=5, second=0, microsecond=0) + timedelta(hours=1)


def only(home):
    found = incidents.list_incidents(home)
    assert len(found) == 1
    return found[0]


def test_unusual_rows_that_are_answered_right_are_watched_and_no_retraining_is_asked_for(trained_home, start):
    answer(trained_home, 200, 0.95, start)
    drifted(trained_home, 0.86, now=start + timedelta(minutes=1))
    agent.turn(trained_home, now=start + timedelta(minutes=1))
    incident = only(trained_home)
    assert (incident.kind, incident.diagnosis["cause"], incident.state) == ("data_drift", "labels_right", "watching")
    assert incident.diagnosis["retraining_helps"] is False
    assert "Accuracy is 95.0% (95 %: 91.0% to 97.3%) on 200 labelled answers of version 1.0.0" in incident.diagnosis["sentence"].replace(
        "accuracy is", "Accuracy is"
    )
    assert incident.diagnosis["measured"]["labels_rows"] == 200
    assert incident.diagnosis["measured"]["labels_value"] == pytest.approx(0.95)
    assert set(steps(incident)) == {"log", "alert", "feed_labels"}
    assert agent_requests.list_requests(trained_home, now=start) == []


@pytest.mark.parametrize(
    ("rows", "share", "said"),
    [
        (0, 1.0, "No labels came back for what version 1.0.0 answered since "),
        (29, 1.0, "Only 29 labels came back for what version 1.0.0 answered since "),
        (90, 0.9, "not enough to say whether answers are worse"),  # as right as can be, but too few to be sure
        (100, 0.82, "not enough to say whether answers are worse"),  # below the hold-out by more than the limit, if not surely
    ],
)
def test_labels_that_are_missing_few_or_unsure_are_not_called_right(trained_home, start, rows, share, said):
    if rows:
        answer(trained_home, rows, share, start)
    drifted(trained_home, 0.86, now=start + timedelta(minutes=1))
    agent.turn(trained_home, now=start + timedelta(minutes=1))
    incident = only(trained_home)
    assert incident.diagnosis["cause"] == "population"
    assert said in incident.diagnosis["sentence"]
    assert steps(incident)["retrain"] == "waiting"


def test_labels_that_say_worse_beside_drift_are_a_world_that_moved_before_the_check_has_said_so(trained_home, start):
    answer(trained_home, 150, 0.5, start)
    drifted(trained_home, 0.86, now=start + timedelta(minutes=1))
    agent.turn(trained_home, now=start + timedelta(minutes=1))
    assert only(trained_home).diagnosis["cause"] == "world_moved"


def test_the_diagnosis_and_the_card_of_its_request_say_the_same_of_the_labels(trained_home, start):
    answer(trained_home, 90, 0.7, start)
    drifted(trained_home, 0.86, now=start + timedelta(minutes=1))
    agent.turn(trained_home, now=start + timedelta(minutes=1))
    request = agent_requests.get_request(trained_home, 1, now=start)
    assert "In use 70% of 90 labelled answers are right" in request.impact
    assert "Accuracy is 70.0% (95 %: 59.9% to 78.5%) on 90 labelled answers" in request.reason
    assert "do not say yet" not in request.reason


def test_labels_that_come_later_change_the_diagnosis_and_take_the_request_back(trained_home, start):
    drifted(trained_home, 0.86, now=start)
    agent.turn(trained_home, now=start)
    assert only(trained_home).state == "waiting"
    answer(trained_home, 200, 0.95, start + timedelta(hours=2))
    agent.turn(trained_home, now=start + timedelta(hours=2, minutes=1))
    assert only(trained_home).diagnosis["cause"] == "labels_right"
    assert agent_requests.get_request(trained_home, 1, now=start).state == "withdrawn"
    assert only(trained_home).state == "watching"


def test_missing_values_beside_the_drift_are_not_excused_by_right_answers(trained_home, start):
    answer(trained_home, 200, 0.95, start)
    drifted(trained_home, 0.86, now=start + timedelta(minutes=1))
    alarm(trained_home, "missing_values", 0.3, subject="ca", threshold=0.1, now=start + timedelta(minutes=1))
    agent.turn(trained_home, now=start + timedelta(minutes=1))
    assert only(trained_home).diagnosis["cause"] == "population"


def accepted(home, start):
    answer(home, 200, 0.95, start)
    drifted(home, 0.86, now=start + timedelta(minutes=1))
    agent.turn(home, now=start + timedelta(minutes=1))
    answer(home, 60, 0.95, start + timedelta(hours=20))
    agent.turn(home, now=start + timedelta(hours=24, minutes=2))
    return only(home)


def test_it_closes_a_day_later_when_later_labels_still_say_so_with_both_numbers(trained_home, start):
    closed = accepted(trained_home, start)
    assert closed.state == "closed"
    assert "When it was diagnosed: 0.95 (95 %: 0.91 to 0.973) on 200 labels" in closed.outcome
    assert "Since then: 0.95 (95 %: 0.863 to 0.983) on 60 labels" in closed.outcome
    assert [a.state for a in alerts.list_alerts(trained_home, HEART)] == ["active"]
    drifted(trained_home, 0.84, now=start + timedelta(hours=25))  # the check sees it again, no worse
    agent.turn(trained_home, now=start + timedelta(hours=25))
    assert only(trained_home).state == "closed"


def test_without_later_labels_it_is_neither_closed_nor_called_right_nor_escalated(trained_home, start):
    answer(trained_home, 200, 0.95, start)
    drifted(trained_home, 0.86, now=start + timedelta(minutes=1))
    for hours in (0, 25, 72):
        agent.turn(trained_home, now=start + timedelta(hours=hours, minutes=1))
    assert only(trained_home).state == "watching"
    answer(trained_home, 29, 1.0, start + timedelta(hours=73))
    agent.turn(trained_home, now=start + timedelta(hours=73, minutes=1))
    assert only(trained_home).state == "watching"


@pytest.mark.parametrize(("value", "days"), [(0.95, 2), (0.86, 32)])
def test_accepted_drift_that_grows_or_grows_old_begins_a_new_incident(trained_home, start, value, days):
    first = accepted(trained_home, start)
    later = start + timedelta(days=days)
    drifted(trained_home, value, now=later)
    agent.turn(trained_home, now=later)
    new, old = incidents.list_incidents(trained_home)
    assert (old.id, old.state, new.state) == (first.id, "closed", "watching" if days == 2 else "waiting")
    assert [a.kind for a in incidents.list_alerts(trained_home, new.id)] == ["drift"]


def test_quality_that_falls_after_the_acceptance_is_judged_together_with_the_drift(trained_home, start):
    accepted(trained_home, start)
    later = start + timedelta(days=2)
    alarm(trained_home, "accuracy", 0.5, threshold=0.7, severity="critical", now=later)
    agent.turn(trained_home, now=later)
    new = incidents.list_incidents(trained_home)[0]
    assert new.diagnosis["cause"] == "world_moved"
    assert sorted(a.kind for a in incidents.list_alerts(trained_home, new.id)) == ["accuracy", "drift"]


# A version that replaced another one


def replace_live(home, now):
    other = next(c for c in runs.list_candidates(home, 1) if c.name == "random_forest")
    made = versions.register(home, SCIENTIST, other.id, now=now)["version"]
    request = approvals.request_release(home, SCIENTIST, HEART, made, reason="Another", now=now)["id"]
    approvals.approve(home, DIRECTOR, request, reason="Fine", despite_gates=True, now=now)
    deployment.deploy(home, DEVOPS, HEART, made, now=now)
    return made


def turn(home, now):
    checks.watch(home, HEART, now=now)
    return agent.turn(home, now=now)


def ended_by_replacement(home, start):
    answer(home, 200, 0.4, start)
    turn(home, start + timedelta(minutes=1))
    assert only(home).state != "closed"
    other = replace_live(home, start + timedelta(hours=1))
    for minutes in (1, 12, 30):
        turn(home, start + timedelta(hours=1, minutes=minutes))
    assert alerts.list_open(home, HEART) == []
    return other


def test_alerts_that_ended_with_their_version_cure_nothing_until_the_new_ones_rows_are_measured(trained_home, start):
    other = ended_by_replacement(trained_home, start)
    incident = only(trained_home)
    assert incident.state != "closed"
    said = [e.sentence for e in incidents.list_events(trained_home, incident.id) if e.kind == "effect"]
    assert said == [
        f"Its alerts ended because version 1.0.0 is no longer live. Version {other} is watched until its own rows are measured (accuracy, "
        "quality drift)."
    ]
    answer(trained_home, 200, 0.95, start + timedelta(hours=2))
    turn(trained_home, start + timedelta(hours=2, minutes=20))
    closed = only(trained_home)
    assert closed.state == "closed"
    assert "accuracy 0.4 before, 0.95 now" in closed.outcome


def test_what_was_not_measured_within_a_day_is_called_unknown(trained_home, start):
    other = ended_by_replacement(trained_home, start)
    turn(trained_home, start + timedelta(hours=25, minutes=30))
    closed = only(trained_home)
    assert closed.state == "closed"
    assert closed.outcome == (
        f"Its alerts ended because version 1.0.0 is no longer live. Whether version {other} does better is unknown: of it, accuracy, "
        "quality drift have not been measured within a day."
    )


def test_a_week_of_another_version_is_called_a_change_of_versions_and_points_at_the_release(trained_home, start):
    before = start - timedelta(hours=1)
    answer(trained_home, 200, 0.9, before)
    other = replace_live(trained_home, start)
    heart, limits = get_definition(trained_home, HEART), get_limits(trained_home, HEART)
    now = start + timedelta(hours=2)
    assert quality_checks.check_drop(trained_home, HEART, heart, limits, now=now).state == "unknown"
    answer(trained_home, 200, 0.6, start + timedelta(hours=1))
    found = quality_checks.check_drop(trained_home, HEART, heart, limits, now=now)
    assert (found.state, found.version, found.detail) == ("warning", other, {"before": "1.0.0"})
    assert found.value == pytest.approx(0.3 / 0.9)
    assert found.sentence.endswith("The version has changed, so a difference is that of the versions, not a drift of answers.")
    checks.note_findings(trained_home, HEART, [found], now=now)
    drifted(trained_home, 0.75, now=now)
    agent.turn(trained_home, now=now)
    assert only(trained_home).diagnosis["cause"] == "bad_release"


def test_a_better_version_is_no_fall_of_quality(trained_home, start):
    answer(trained_home, 200, 0.5, start - timedelta(hours=1))
    replace_live(trained_home, start)
    answer(trained_home, 200, 0.9, start + timedelta(hours=1))
    heart, limits = get_definition(trained_home, HEART), get_limits(trained_home, HEART)
    found = quality_checks.check_drop(trained_home, HEART, heart, limits, now=start + timedelta(hours=2))
    assert isinstance(found, Finding)
    assert (found.state, found.value) == ("ok", pytest.approx(-0.4 / 0.5))
