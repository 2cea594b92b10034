"""A project's own plan in place of a shipped one: proposed, approved by a DRH manager, and never a way around an approval."""

import json

import pytest

from core import agent, audit
from core.agent import agent_requests, incidents, plans, policy
from core.errors import BadInput, Refused
from core.projects import proposals
from core.projects.limits import get_limits, sources
from storage import settings as store
from storage.connection import writing
from tests.agent_cases import DEVELOPER, DEVOPS, DIRECTOR, HEART, NOW, SCIENTIST, drifted, steps

HIGH = "plan:data_drift/any/high"


def approved(home, value, name=HIGH):
    asked = proposals.propose(home, SCIENTIST, HEART, {name: value}, reason="Ours is better", now=NOW)["id"]
    proposals.decide(home, DIRECTOR, asked, "approved", reason="Agreed", now=NOW)
    return asked


def test_an_approved_plan_holds_for_its_rule_band_and_project_and_says_so(trained_home):
    asked = approved(trained_home, "log,alert, scale")
    drifted(trained_home, 0.8)
    incident = agent.turn(trained_home, now=NOW)[0]
    assert list(steps(incident)) == ["log", "alert", "scale"]
    assert "The project's own plan, approved in the place of the shipped one." in incident.diagnosis["plan"]["rule"]
    limits = get_limits(trained_home, HEART)
    assert [(r.issue, r.cause, r.own) for r in policy.read_for(limits) if r.own] == [("data_drift", "any", ("high",))]
    assert policy.plan("data_drift", "population", 0.6, limits).actions == ("log", "alert", "collect_diagnostics")
    assert "retrain" in policy.plan("data_drift", "population", 0.9, get_limits(trained_home, "future_skills")).actions
    known = next(s for s in sources(trained_home, HEART) if s.setting.name == HIGH)
    assert (known.value, known.own, known.request_id, known.by) == ("log, alert, scale", None, asked, "director")


def test_a_risky_action_in_any_plan_is_asked_for_and_never_runs_by_itself(trained_home):
    approved(trained_home, "log, retrain", "plan:data_drift/any/medium")
    drifted(trained_home, 0.6)
    incident = agent.turn(trained_home, now=NOW)[0]
    assert steps(incident) == {"log": "done", "retrain": "waiting"}
    assert [r.state for r in agent_requests.list_requests(trained_home, now=NOW)] == ["pending"]
    assert audit.search(trained_home, action="start_retraining")[1] == 0


def test_the_request_shows_before_and_after_and_nothing_holds_before_it_is_approved(trained_home):
    asked = proposals.propose(trained_home, DEVOPS, HEART, {HIGH: "log,alert"}, reason="Quieter", now=NOW)["id"]
    request = proposals.get_request(trained_home, asked, now=NOW)
    assert request.lines == [
        "Plan of the agent for data drift, any other cause, high severity: as shipped: log; tell people; collect diagnostics; validate data; "
        "make a report; retrain (asks first) now, log; tell people afterwards."
    ]
    assert get_limits(trained_home, HEART).plans == ()
    proposals.decide(trained_home, DIRECTOR, asked, "rejected", reason="No", now=NOW)
    assert get_limits(trained_home, HEART).plans == ()


def test_none_brings_the_shipped_plan_back(trained_home):
    approved(trained_home, "log,alert")
    approved(trained_home, None)
    assert get_limits(trained_home, HEART).plans == ()
    with pytest.raises(BadInput, match="already"):
        proposals.propose(trained_home, SCIENTIST, HEART, {HIGH: None}, reason="x", now=NOW)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (HIGH, "log,delete_data", "“Delete data” .delete_data. is for people only"),
        (HIGH, "log,repair_source", "is for people only"),
        (HIGH, "log,launch", "There is no action 'launch'"),
        (HIGH, "alert,log", "begins with log"),
        (HIGH, "", "begins with log"),
        (HIGH, "log,alert,alert", "stands twice"),
        (HIGH, 3.0, "a list of actions"),
        (HIGH, "log,alert,collect_diagnostics,validate_data,report,retrain,deploy; rm -rf", "There is no action"),
        ("plan:data_drift/any/extreme", "log", "names no plan"),
        ("plan:data_drift/slow/high", "log", "names no plan"),
        ("plan:", "log", "names no plan"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_a_sentence_and_audited(trained_home, name, value, said):
    with pytest.raises(BadInput, match=said):
        proposals.propose(trained_home, SCIENTIST, HEART, {name: value}, reason="x", now=NOW)
    assert [e["outcome"] for e in audit.search(trained_home, action="propose_settings")[0]] == ["refused"]


def test_the_shipped_plan_is_no_change_and_is_not_asked_for(trained_home):
    shipped = ", ".join(plans.find_shipped(HIGH))
    with pytest.raises(BadInput, match="already, as shipped; name other actions or another order"):
        proposals.propose(trained_home, SCIENTIST, HEART, {HIGH: shipped}, reason="x", now=NOW)
    approved(trained_home, "log,alert")
    assert proposals.propose(trained_home, SCIENTIST, HEART, {HIGH: shipped}, reason="Back, and held", now=NOW)["id"]


def test_only_those_who_build_propose_and_only_a_manager_approves(trained_home):
    with pytest.raises(Refused):
        proposals.propose(trained_home, DEVELOPER, HEART, {HIGH: "log"}, reason="x", now=NOW)
    asked = proposals.propose(trained_home, SCIENTIST, HEART, {HIGH: "log"}, reason="x", now=NOW)["id"]
    with pytest.raises(Refused):
        proposals.decide(trained_home, DEVOPS, asked, "approved", reason="x", now=NOW)


def test_what_was_written_into_the_database_by_hand_cannot_make_the_agent_do_what_only_people_do(trained_home):
    asked = approved(trained_home, "log,alert")
    with writing(trained_home.db) as db:
        store.set_setting(db, project=HEART, name=HIGH, value="log, delete_data, alert", at="x", by="y", request_id=asked)
        store.set_setting(db, project=HEART, name="plan:gone/rule/high", value="log", at="x", by="y", request_id=asked)
    drifted(trained_home, 0.8)
    agent.turn(trained_home, now=NOW)
    assert list(steps(incidents.list_incidents(trained_home)[0])) == ["log", "alert"]
    assert any(s.setting.title == "plan:gone/rule/high" for s in sources(trained_home, HEART))


def test_the_command_proposes_a_plan_and_shows_the_policy_of_a_project(trained_home, monkeypatch):
    from typer.testing import CliRunner

    from core.cli.app import app

    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    run = CliRunner().invoke
    asked = run(app, ["limits", "propose", HEART, f"{HIGH}=log,alert", "--reason", "Quieter", "--as", "scientist", "--json"])
    assert asked.exit_code == 0, asked.output
    run(app, ["limits", "approve", str(json.loads(asked.stdout)["id"]), "--reason", "Fine", "--as", "director"])
    rules = json.loads(run(app, ["agent", "policy", HEART, "--json"]).stdout)["rules"]
    changed = next(r for r in rules if r["own"])
    assert (changed["issue"], changed["cause"], changed["own"], changed["plans"]["high"]) == ("data_drift", "any", ["high"], ["log", "alert"])
    assert "* log, alert" in run(app, ["agent", "policy", HEART]).stdout


def test_the_page_proposes_a_plan_and_the_card_shows_before_and_after(trained_home, open_page):
    page = open_page(trained_home, "settings", "scientist", tab="thresholds")
    assert not page.exception
    rule = next(s for s in page.selectbox if s.label == "Issue and cause")
    rule.select(next(r.number for r in policy.read() if (r.issue, r.cause) == ("data_drift", "any"))).run()
    actions = next(m for m in page.multiselect if m.label.startswith("Actions after the log"))
    assert actions.value == ["alert", "collect_diagnostics", "validate_data", "report", "retrain"]
    actions.set_value(["alert", "retrain"])
    next(t for t in page.text_area if t.key and "plan-reason" in t.key).input("Fewer steps")
    [b for b in page.button if b.label == "Ask for approval"][-1].click().run()
    assert not page.exception
    request = proposals.list_requests(trained_home, states=("pending",))[0]
    assert request.changes == {HIGH: {"from": None, "to": "log, alert, retrain"}}
    card = open_page(trained_home, "approvals", "director", settings=str(request.id))
    assert not card.exception
    (shown,) = [{name: text.replace("\\", "") for name, text in row.items()} for row in card.table[0].value.to_dict("records")]
    assert shown["Before"].startswith("as shipped: log; tell people")
    assert shown["After"] == "log; tell people; retrain (asks first)"
    assert any("needs an approval of its own" in m.value for m in card.markdown)
