"""Alerts: one open at a time for a subject, joined while it lasts, ended by a check or by a person, and audited at each turn."""

from datetime import UTC, datetime, timedelta

import pytest

from core import audit
from core.acts import Actor
from core.errors import BadInput, NotFound, Refused
from core.monitoring import alerts

HEART = "heart_disease"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DEVOPS = Actor("devops")


def slow(home, value=2500.0, severity="warning", minutes=0, project=HEART, **more):
    return alerts.raise_alert(
        home, project, "latency", "", severity=severity, value=value, threshold=2000, unit="ms", sentence=f"It took {value:g} ms.",
        detail={"rows": 40}, version="1.0.0", now=NOW + timedelta(minutes=minutes), **more,
    )  # fmt: skip


def events(home, alert):
    found, _ = audit.search(home, correlation_id=alert.correlation_id)
    return [(e["action"], e["actor"], e["outcome"]) for e in reversed(found)]


def test_an_alert_that_is_raised_again_joins_the_open_one_and_is_audited_once(demo_home):
    first = slow(demo_home)
    again = slow(demo_home, 2600.0, minutes=1)
    assert (again.id, again.times, again.value, again.sentence) == (first.id, 2, 2600.0, "It took 2600 ms.")
    assert (again.since, again.last_seen_at) == ("2026-11-21T12:00:00.000Z", "2026-11-21T12:01:00.000Z")
    assert (again.severity, again.state, again.detail, again.version) == ("warning", "active", {"rows": 40}, "1.0.0")
    assert events(demo_home, first) == [("raise_alert", "monitor", "done")]
    assert audit.verify(demo_home).intact


def test_the_worse_severity_stays_and_what_was_acknowledged_as_a_warning_becomes_active_again(demo_home):
    first = slow(demo_home)
    alerts.acknowledge(demo_home, DEVOPS, first.id, reason="On it")
    assert slow(demo_home, minutes=1).state == "acknowledged"
    worse = slow(demo_home, 6000.0, "critical", minutes=2)
    assert (worse.severity, worse.state) == ("critical", "active")
    assert slow(demo_home, 2100.0, minutes=3).severity == "critical"
    assert events(demo_home, first) == [
        ("raise_alert", "monitor", "done"), ("acknowledge_alert", "devops", "done"), ("raise_alert", "monitor", "done"),
    ]  # fmt: skip


def test_other_subjects_and_projects_have_alerts_of_their_own(demo_home):
    slow(demo_home)
    slow(demo_home, project="future_skills")
    alerts.raise_alert(demo_home, HEART, "missing_values", "ca", severity="warning", sentence="ca is missing.", now=NOW)
    alerts.raise_alert(demo_home, HEART, "missing_values", "thal", severity="critical", sentence="thal is missing.", now=NOW)
    assert [(a.kind, a.subject) for a in alerts.list_open(demo_home, HEART)] == [
        ("missing_values", "thal"), ("missing_values", "ca"), ("latency", ""),
    ]  # fmt: skip
    assert len(alerts.list_open(demo_home)) == 4


def test_a_check_that_finds_it_well_again_resolves_and_the_next_one_is_new(demo_home):
    first = slow(demo_home)
    done = alerts.settle(demo_home, HEART, "latency", now=NOW + timedelta(minutes=5))
    assert (done.id, done.state, done.resolved_by, done.resolved_at) == (first.id, "resolved", "monitor", "2026-11-21T12:05:00.000Z")
    assert alerts.settle(demo_home, HEART, "latency", now=NOW) is None
    assert slow(demo_home).id == first.id + 1
    assert events(demo_home, first) == [("raise_alert", "monitor", "done"), ("resolve_alert", "monitor", "done")]


def test_a_person_resolves_with_a_reason_and_only_once(demo_home):
    alert = slow(demo_home)
    with pytest.raises(BadInput, match="A reason is needed"):
        alerts.resolve(demo_home, DEVOPS, alert.id, reason=" ")
    first = alerts.resolve(demo_home, DEVOPS, alert.id, reason="The network was slow", key="k")
    assert first == alerts.resolve(demo_home, DEVOPS, alert.id, reason="The network was slow", key="k")
    with pytest.raises(Refused, match=f"Alert {alert.id} is resolved by devops already"):
        alerts.acknowledge(demo_home, Actor("scientist"), alert.id)
    event = audit.search(demo_home, action="resolve_alert")[0][0]
    assert (event["reason"], event["before"], event["after"]) == ("The network was slow", {"state": "active"}, {"state": "resolved"})


def test_acknowledging_twice_names_who_was_first(demo_home):
    alert = slow(demo_home)
    alerts.acknowledge(demo_home, Actor("scientist"), alert.id)
    with pytest.raises(Refused, match="was acknowledged by scientist already"):
        alerts.acknowledge(demo_home, DEVOPS, alert.id)


@pytest.mark.parametrize("name", ["director", "developer", "admin"])
def test_who_does_not_build_does_not_acknowledge(demo_home, name):
    alert = slow(demo_home)
    with pytest.raises(Refused, match="may not acknowledge alert"):
        alerts.acknowledge(demo_home, Actor(name), alert.id)
    assert alerts.get_alert(demo_home, alert.id).state == "active"


def test_what_cannot_be_an_alert_is_refused_and_writes_nothing(demo_home):
    with pytest.raises(NotFound, match="no project 'nothing'"):
        slow(demo_home, project="nothing")
    with pytest.raises(BadInput, match="Severity 'awful' is unknown"):
        slow(demo_home, severity="awful")
    with pytest.raises(NotFound, match="no alert 7"):
        alerts.acknowledge(demo_home, DEVOPS, 7)
    assert alerts.list_alerts(demo_home) == []


def test_a_value_that_is_no_number_is_unknown(demo_home):
    assert slow(demo_home, float("nan")).value is None


def test_lists_are_cut_by_state_kind_and_time(demo_home):
    alert = slow(demo_home)
    alerts.resolve(demo_home, DEVOPS, alert.id, reason="Over")
    slow(demo_home, minutes=60)
    assert [a.state for a in alerts.list_alerts(demo_home, HEART)] == ["active", "resolved"]
    assert len(alerts.list_alerts(demo_home, states=("resolved",))) == 1
    assert len(alerts.list_alerts(demo_home, since=NOW + timedelta(minutes=30))) == 1
    assert alerts.list_alerts(demo_home, kind="drift") == []
