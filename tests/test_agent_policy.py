"""The policy: a table that can only plan typed actions, each in its tier, for every issue and band, as far as the project allows."""

from dataclasses import replace

import pytest

from core.agent import policy
from core.agent.actions import ACTIONS
from core.agent.diagnosis import CAUSES, ISSUES
from core.errors import BadInput
from core.projects import limits, proposals
from core.projects.limits import Agency, Limits
from tests.agent_cases import DIRECTOR, HEART, SCIENTIST

LIMITS = Limits()
# Written from the documented tiers, independently of the code.
SAFE = {"log", "alert", "scale", "clear_cache", "collect_diagnostics", "validate_data", "report"}
RISKY = {"retrain": "medium", "deploy": "high", "rollback": "low", "change_setting": "medium"}


def test_every_action_has_the_documented_tier_and_risk():
    assert {a.name for a in ACTIONS.values() if a.tier == "safe"} == SAFE
    assert {a.name: a.risk for a in ACTIONS.values() if a.tier == "risky"} == RISKY
    assert ACTIONS["delete_data"].tier == "person"
    approves = {name: ACTIONS[name].permission for name in RISKY}
    assert approves == {
        "retrain": "approve_retraining", "deploy": "approve_release", "rollback": "approve_rollback", "change_setting": "approve_settings",
    }  # fmt: skip


def test_every_issue_has_a_rule_for_any_cause_and_low_severity_only_logs():
    for issue in ISSUES:
        for cause in CAUSES:
            plan = policy.plan(issue, cause, 0.49, LIMITS)
            assert plan.band == "low"
            assert plan.advise == ()
            assert plan.actions == ("log",), (issue, cause)
            medium = policy.plan(issue, cause, 0.6, LIMITS)
            assert set(medium.actions) - SAFE <= {"change_setting"}
            assert "log" in medium.actions


def test_no_rule_asks_to_retrain_on_a_broken_source():
    for issue in ("data_drift", "data_quality"):
        plan = policy.plan(issue, "broken_source", 1.0, LIMITS)
        assert set(plan.actions) <= SAFE
        assert plan.advise == ("repair_source",)


@pytest.mark.parametrize(("severity", "band"), [(0.0, "low"), (0.4999, "low"), (0.5, "medium"), (0.6999, "medium"), (0.7, "high"), (1.0, "high")])
def test_the_bands_begin_where_the_documents_say(severity, band):
    assert policy.band_of(severity, LIMITS) == band


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issue": "gremlins"}, "names the issue 'gremlins'"),
        ({"cause": "gremlins"}, "names the cause 'gremlins'"),
        ({"low": ["delete_data"]}, "plans 'delete_data'"),
        ({"high": ["rm -rf"]}, "plans 'rm -rf'"),
        ({"advise": ["retrain"]}, "plans 'retrain'"),
    ],
)
def test_a_table_that_names_what_there_is_not_is_refused_by_row(change, said):
    row = {"issue": "data_drift", "cause": "any", "low": ["log"], "medium": [], "high": [], **change}
    with pytest.raises(BadInput, match=f"Rule 1 of the policy {said}"):
        policy.parse({"rules": [row]})


@pytest.mark.parametrize(("reach", "allowed"), [(0, {"log"}), (1, SAFE), (2, SAFE | set(RISKY))])
def test_a_project_decides_how_far_the_agent_goes(reach, allowed):
    own = replace(LIMITS, agent=Agency(agent_data_drift=reach))
    plan = policy.plan("data_drift", "population", 0.9, own)
    assert set(plan.actions) <= allowed
    assert set(plan.actions) | set(plan.left_out) == set(policy.plan("data_drift", "population", 0.9, LIMITS).actions)


def test_the_policy_of_a_project_changes_by_an_approved_request_alone(trained_home):
    asked = proposals.propose(trained_home, SCIENTIST, HEART, {"agent_data_drift": 1, "agent_high": 0.8}, reason="We retrain by hand")
    assert limits.get_limits(trained_home, HEART).agent == Agency()
    assert "The agent, on data drift: also asks for risky actions now, runs safe actions afterwards." in proposals.get_request(
        trained_home, asked["id"]
    ).lines
    proposals.decide(trained_home, DIRECTOR, asked["id"], "approved", reason="Agreed")
    assert limits.get_limits(trained_home, HEART).agent == Agency(agent_data_drift=1, agent_high=0.8)
    with pytest.raises(BadInput, match="agent_medium"):
        proposals.propose(trained_home, SCIENTIST, HEART, {"agent_medium": 0.9}, reason="too high")


def test_the_page_about_the_agent_holds_the_table_and_every_action():
    from pathlib import Path

    text = (Path(__file__).parents[1] / "docs" / "agent.md").read_text(encoding="utf-8")
    for rule in policy.read():
        cause = "any other" if rule.cause == policy.ANY else rule.cause.replace("_", " ")
        plans = [", ".join(rule.plans[band]) or "-" for band in policy.BANDS]
        line = " | ".join([rule.issue.replace("_", " "), cause, *plans, ", ".join(rule.advise) or "-"])
        assert f"| {line} |" in text
    assert [name for name in ACTIONS if name not in text] == []
