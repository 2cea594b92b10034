"""The command line of the watching: health, checks, alerts and limits, as text and as one JSON document."""

import json

import pytest

from core.cli.app import main
from core.monitoring import alerts, checks
from core.projects import limits, proposals
from core.times import utc_now

HEART = "heart_disease"


@pytest.fixture
def run(demo_home, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    monkeypatch.delenv("GREENLIGHT_AS", raising=False)

    def call(*words, code=0):
        assert main(list(words)) == code
        printed = capsys.readouterr()
        return (json.loads(printed.out) if "--json" in words else printed.out) if code == 0 else printed.err

    return call


def test_health_names_each_part_with_its_state_and_reason(run):
    found = run("health", "--json")
    assert found["state"] == "unknown"
    assert {"name": "database", "state": "ok", "reason": "Both databases can be read and written.", "project": ""} in found["parts"]
    assert "model of heart_disease" in run("health")


def test_checks_say_that_the_clock_has_not_looked_and_then_what_it_found(demo_home, run):
    assert "has not looked at this project yet" in run("checks", HEART)
    checks.watch(demo_home, HEART, now=utc_now())
    groups = {g["kind"] for g in run("checks", HEART, "--json")["groups"]}
    assert groups == {g.kind for g in checks.GROUPS}
    assert "Dataset 1 passed its validation." in run("checks", HEART)


def test_an_alert_is_listed_acknowledged_and_resolved_by_command(demo_home, run):
    assert run("alerts") == "No alert is open.\n"
    alert = alerts.raise_alert(demo_home, HEART, "latency", severity="critical", sentence="Slow.", now=utc_now())
    assert run("alerts", HEART, "--json")["alerts"][0]["id"] == alert.id
    run("alert", "acknowledge", str(alert.id), "--as", "devops")
    assert alerts.get_alert(demo_home, alert.id).acknowledged_by == "devops"
    run("alert", "resolve", str(alert.id), "--reason", "Faster", "--as", "devops")
    assert run("alerts") == "No alert is open.\n"
    assert run("alerts", "--all", "--json")["alerts"][0]["state"] == "resolved"


def test_limits_are_shown_proposed_and_decided_by_command(demo_home, run):
    shown = {v["name"]: v for v in run("limits", "show", HEART, "--json")["limits"]}
    assert (shown["accuracy_floor"]["value"], shown["accuracy_floor"]["origin"]) == (0.7, "definition")
    done = run("limits", "propose", HEART, "accuracy_floor=0.8", "production=none", "--reason", "Better", "--as", "scientist", "--json")
    assert done["changes"] == {"accuracy_floor": {"from": 0.7, "to": 0.8}, "production": {"from": 0.8, "to": None}}
    assert "Settings request 1 by scientist waits: Accuracy in use: at least 0.7 now, at least 0.8 afterwards." in run("limits", "show", HEART)
    run("limits", "approve", "1", "--reason", "Agreed", "--as", "director")
    assert limits.get_limits(demo_home, HEART).thresholds.accuracy_floor == 0.8
    run("limits", "propose", HEART, "retrain_days=14", "--reason", "Sooner", "--as", "devops")
    run("limits", "reject", "2", "--reason", "No", "--as", "director")
    run("limits", "propose", HEART, "retrain_days=14", "--reason", "Sooner", "--as", "devops")
    run("limits", "withdraw", "3", "--as", "devops")
    assert [r.state for r in proposals.list_requests(demo_home)] == ["withdrawn", "rejected", "approved"]


@pytest.mark.parametrize(
    ("change", "words"),
    [("accuracy_floor", "is no change; write NAME=VALUE"), ("accuracy_floor=much", "'much' is none"), ("drift=nan", "'nan' is none"),
     ("luck=1", "There is no setting 'luck'")],
)  # fmt: skip
def test_a_change_that_cannot_be_is_one_line_and_exit_1(run, change, words):
    said = run("limits", "propose", HEART, change, "--reason", "Why not", "--as", "scientist", code=1)
    assert words in said
    assert said.count("\n") == 1
