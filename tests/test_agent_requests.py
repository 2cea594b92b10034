"""What the agent asks for: who may decide, once, in time; nothing risky without an approved request for exactly this."""

from datetime import timedelta

import pytest

from core import accounts, acts, agent, approvals, audit, deployment, roles
from core.acts import Actor, Done
from core.agent import account, agent_requests, carry_out, control, incidents, warrants
from core.agent.account import ACTOR
from core.agent.actions import ACTIONS
from core.errors import BadInput, NotFound, Refused
from core.monitoring import alerts
from core.projects import limits, proposals
from core.registry import versions
from core.retraining import retraining
from core.times import utc_now
from core.training import runs
from storage import agent as store
from storage.connection import writing
from tests.agent_cases import DEVOPS, DIRECTOR, HEART, NOW, SCIENTIST, alarm, asked_to_retrain, drifted, predict, told


@pytest.fixture
def two_versions(trained_home):
    """1.1.0 is live since 11:00, 1.0.0 was live before."""
    forest = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    early = NOW - timedelta(hours=1)
    versions.register(trained_home, SCIENTIST, forest.id, version="1.1.0", now=early)
    approvals.request_release(trained_home, SCIENTIST, HEART, "1.1.0", reason="forest", now=early)
    approvals.approve(trained_home, DIRECTOR, 2, reason="better", despite_gates=True, now=early)
    deployment.deploy(trained_home, DEVOPS, HEART, "1.1.0", now=early)
    return trained_home


def failing_model(home):
    alarm(home, "model", severity="critical", version="1.1.0", sentence="Golden answers differ.")
    return agent.turn(home, now=NOW)[0]


def test_a_request_says_why_how_risky_what_is_expected_and_what_if_nobody_answers(trained_home):
    incident = asked_to_retrain(trained_home)
    request = agent_requests.get_request(trained_home, 1, now=NOW)
    assert (request.action, request.params, request.risk, request.state, request.requested_by) == ("retrain", {}, "medium", "pending", "agent")
    assert request.reason == incident.diagnosis["sentence"]
    assert "No labels came back since version 1.0.0 was registered" in request.impact
    assert "expires after 24 hours" in request.if_nobody
    assert request.expires_at == "2026-11-22T12:00:00.000Z"
    assert request.evidence["evidence"][0]["id"] == 1
    event = audit.search(trained_home, action="file_agent_request")[0][0]
    assert (event["actor"], event["role"], event["trigger"], event["correlation_id"]) == ("agent", "agent", "alert", incident.correlation_id)


def test_approved_it_is_carried_out_once_under_the_same_correlation_id(trained_home):
    incident = asked_to_retrain(trained_home)
    done = agent_requests.approve(trained_home, DIRECTOR, 1, reason="The rows are new", now=NOW)
    assert (done["state"], done["outcome"][:16]) == ("approved", "Retraining 1 is ")
    made = retraining.get(trained_home, 1)
    assert (made.trigger, made.started_by, made.correlation_id, made.params["approval"]) == ("agent", "agent", incident.correlation_id, 1)
    assert agent_requests.get_request(trained_home, 1).state == "used"
    with pytest.raises(Refused, match="used already"):
        agent_requests.approve(trained_home, SCIENTIST, 1, reason="again", now=NOW)
    agent.turn(trained_home, now=NOW + timedelta(minutes=1))
    assert len(retraining.list_retrainings(trained_home, HEART)) == 1
    actions = [e["action"] for e in reversed(audit.search(trained_home, correlation_id=incident.correlation_id)[0])]
    assert actions[:2] == ["raise_alert", "open_incident"]
    first = actions.index("file_agent_request")
    assert actions[first : first + 4] == ["file_agent_request", "approve_agent_request", "start_retraining", "agent_retrain"]
    assert audit.verify(trained_home).intact


@pytest.mark.parametrize("who", ["devops", "developer", "admin", "agent", "nobody"])
def test_who_may_not_decide_is_refused_and_nothing_happens(trained_home, who):
    asked_to_retrain(trained_home)
    for decide in (agent_requests.approve, agent_requests.reject):
        with pytest.raises(Refused):
            decide(trained_home, Actor(who), 1, reason="I want to", now=NOW)
    assert agent_requests.get_request(trained_home, 1, now=NOW).state == "pending"
    assert retraining.list_retrainings(trained_home) == []


def test_the_approvers_of_each_action_are_those_of_the_matrix():
    wanted = {"retrain": {"data_scientist", "drh_manager"}, "rollback": {"drh_manager", "devops"}, "deploy": {"drh_manager"},
              "change_setting": {"drh_manager"}}  # fmt: skip
    for action, who in wanted.items():
        assert {r for r in (*roles.PERSON_ROLES, roles.AGENT) if roles.may(r, ACTIONS[action].permission)} == who


def test_rejected_it_escalates_and_is_not_asked_again(trained_home):
    incident = asked_to_retrain(trained_home)
    agent_requests.reject(trained_home, SCIENTIST, 1, reason="The rows are a test", now=NOW)
    assert incidents.get_incident(trained_home, incident.id).state == "escalated"
    alarm(trained_home, "accuracy", 0.4, threshold=0.7, severity="critical", minutes=2)  # another cause: decided anew
    agent.turn(trained_home, now=NOW + timedelta(minutes=3))
    assert [r.state for r in agent_requests.list_requests(trained_home, now=NOW)] == ["rejected"]
    after = incidents.get_incident(trained_home, incident.id)
    assert (after.state, after.diagnosis["cause"]) == ("escalated", "world_moved")
    assert ("retrain", "skipped", "") in told(trained_home, after, "action")


def test_nobody_answers_for_a_day_and_it_expires_and_escalates(trained_home):
    incident = asked_to_retrain(trained_home)
    late = NOW + timedelta(hours=24)
    agent.turn(trained_home, now=late - timedelta(seconds=1))
    assert agent_requests.get_request(trained_home, 1, now=late - timedelta(seconds=1)).state == "pending"
    with pytest.raises(Refused, match="expired already"):
        agent_requests.approve(trained_home, DIRECTOR, 1, reason="too late", now=late)
    agent.turn(trained_home, now=late)
    assert incidents.get_incident(trained_home, incident.id).state == "escalated"
    assert told(trained_home, incident, "request") == [("retrain", "waiting", ""), ("retrain", "expired", "")]
    assert retraining.list_retrainings(trained_home) == []


def test_a_model_that_is_not_itself_asks_for_the_version_before_and_goes_back_on_approval(two_versions):
    incident = failing_model(two_versions)
    request = agent_requests.get_request(two_versions, 1, now=NOW)
    assert (request.action, request.params, request.risk, request.title) == (
        "rollback", {"to": "1.0.0", "from": "1.1.0"}, "low", "Roll back to version 1.0.0",
    )  # fmt: skip
    assert deployment.find_live(two_versions, HEART).version == "1.1.0"
    done = agent_requests.approve(two_versions, DIRECTOR, 1, reason="At once", now=NOW)
    assert done["outcome"] == "Version 1.0.0 is live again; 1.1.0 was before."
    assert deployment.find_live(two_versions, HEART).version == "1.0.0"
    event = audit.search(two_versions, action="rollback")[0][0]
    assert (event["actor"], event["approver"], event["outcome"], event["correlation_id"]) == ("agent", "director", "done", incident.correlation_id)
    assert (event["before"], event["after"]) == ({"live": "1.1.0"}, {"live": "1.0.0"})


def test_an_approval_is_good_for_exactly_what_it_names_and_once(two_versions):
    failing_model(two_versions)
    account.ensure(two_versions, NOW)
    with pytest.raises(Refused, match="is pending; only an approved one"):
        deployment.rollback(two_versions, ACTOR, HEART, to="1.0.0", warrant=1, now=NOW)
    with writing(two_versions.db) as db:
        store.update_request(db, 1, state="approved", decided_by="director", decided_at="2026-11-21T12:00:00.000Z")
    with pytest.raises(NotFound, match=r"no version '9\.9\.9'"):
        deployment.rollback(two_versions, ACTOR, HEART, to="9.9.9", warrant=1, now=NOW)
    with pytest.raises(Refused, match="No request 1 of the agent asks to deploy"):
        _use(two_versions, "deploy", {"version": "1.1.0"})
    with pytest.raises(Refused, match="approved for something else"):
        _use(two_versions, "rollback", {"to": "1.1.0"})
    with pytest.raises(Refused, match="may not"):
        deployment.rollback(two_versions, ACTOR, HEART, to="1.0.0", now=NOW)  # without the request
    with pytest.raises(Refused, match="may not"):
        deployment.rollback(two_versions, DIRECTOR, HEART, to="1.0.0", warrant=1, now=NOW)  # a person's roles do not act on it
    with pytest.raises(Refused, match="has lapsed"):
        deployment.rollback(two_versions, ACTOR, HEART, to="1.0.0", warrant=1, now=NOW + timedelta(days=7))
    deployment.rollback(two_versions, ACTOR, HEART, to="1.0.0", warrant=1, now=NOW)
    with pytest.raises(Refused, match="is used; only an approved one"):
        _use(two_versions, "rollback", {"to": "1.0.0", "from": "1.1.0"})


def _use(home, action, params):
    def work(tx):
        return Done(approver=warrants.use(tx, 1, HEART, action, params))

    return acts.perform(home, ACTOR, action, work, permission=warrants.PERMISSION, project=HEART, now=NOW)


def test_an_approved_version_that_waits_is_asked_for_before_a_retraining(trained_home):
    forest = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    versions.register(trained_home, SCIENTIST, forest.id, version="1.1.0", now=NOW)
    approvals.request_release(trained_home, SCIENTIST, HEART, "1.1.0", reason="forest", now=NOW)
    approvals.approve(trained_home, DIRECTOR, 2, reason="better", despite_gates=True, now=NOW)
    drifted(trained_home, 0.8)
    alarm(trained_home, "accuracy", 0.5, threshold=0.7, severity="critical")
    agent.turn(trained_home, now=NOW)
    asked = agent_requests.list_requests(trained_home, now=NOW)
    assert [(r.action, r.params, r.risk) for r in asked] == [("deploy", {"version": "1.1.0"}, "high")]
    with pytest.raises(Refused):
        agent_requests.approve(trained_home, DEVOPS, 1, reason="go", now=NOW)
    accounts.change_role(trained_home, Actor("admin"), "scientist", "drh_manager", reason="Another post", now=NOW)
    with pytest.raises(Refused, match="Whoever trained a version does not decide its release"):
        agent_requests.approve(trained_home, SCIENTIST, 1, reason="go", now=NOW)
    done = agent_requests.approve(trained_home, DIRECTOR, 1, reason="go", now=NOW)
    assert done["outcome"] == "Version 1.1.0 is live; 1.0.0 was before."
    assert deployment.find_live(trained_home, HEART).version == "1.1.0"


@pytest.mark.parametrize("since", [None, 4.5])
def test_an_alarm_that_keeps_ending_by_itself_asks_for_a_wider_limit(trained_home, since):
    for n in range(5):
        alarm(trained_home, "anomaly", 4.0, subject="rate", threshold=3.0, minutes=-600 + n)
        alerts.settle(trained_home, HEART, "anomaly", "rate", now=NOW + timedelta(minutes=-599.5 + n))
    alarm(trained_home, "anomaly", 4.0, subject="rate", threshold=3.0)
    agent.turn(trained_home, now=NOW)
    request = agent_requests.get_request(trained_home, 1, now=NOW)
    assert (request.action, request.params, request.title) == (
        "change_setting", {"changes": {"zscore": 4.0}, "from": {"zscore": 3.0}},
        "Change “An anomaly is more than” (zscore) to 4 standard deviations from the mean",
    )  # fmt: skip
    if since:  # somebody has widened it further since
        proposals.propose(trained_home, DEVOPS, HEART, {"zscore": since}, reason="Far too tight", now=NOW)
        proposals.decide(trained_home, DIRECTOR, 1, "approved", reason="Yes", now=NOW)
        done = agent_requests.approve(trained_home, DIRECTOR, 1, reason="It cries wolf", now=NOW)
        assert "nothing was changed" in done["outcome"]
        assert limits.get_limits(trained_home, HEART).watching.zscore == since
        return
    done = agent_requests.approve(trained_home, DIRECTOR, 1, reason="It cries wolf", now=NOW)
    assert done["outcome"] == "Zscore was 3 and is 4."
    assert limits.get_limits(trained_home, HEART).watching.zscore == 4.0
    kept = proposals.list_requests(trained_home)[0]
    assert (kept.state, kept.requested_by, kept.decided_by) == ("approved", "agent", "director")


def test_what_cannot_be_carried_out_says_so_and_escalates(two_versions):
    incident = failing_model(two_versions)
    deployment.rollback(two_versions, DEVOPS, HEART, to="1.0.0", reason="by hand", now=NOW)
    done = agent_requests.approve(two_versions, DIRECTOR, 1, reason="At once", now=NOW)
    said = "Version 1.1.0 was to be taken back, but version 1.0.0 is live now; nothing was changed."
    assert done["outcome"] == said
    assert agent_requests.get_request(two_versions, 1).outcome == f"failed: {said}"
    assert incidents.get_incident(two_versions, incident.id).state == "escalated"


def test_an_approved_way_back_is_not_taken_once_something_else_is_live(two_versions):
    failing_model(two_versions)
    account.ensure(two_versions, NOW)
    deployment.undeploy(two_versions, DEVOPS, HEART, reason="Out of service", now=NOW)
    done = agent_requests.approve(two_versions, DIRECTOR, 1, reason="At once", now=NOW)
    assert done["outcome"] == "Version 1.1.0 was to be taken back, but nothing is live now; nothing was changed."
    assert deployment.find_live(two_versions, HEART) is None
    with writing(two_versions.db) as db:
        store.update_request(db, 1, state="approved")
    with pytest.raises(Refused, match="approved for something else"):  # the act itself looks as well
        deployment.rollback(two_versions, ACTOR, HEART, to="1.0.0", warrant=1, now=NOW)


def test_of_two_processes_that_carry_one_request_out_the_loser_says_nothing_untrue(two_versions, monkeypatch):
    failing_model(two_versions)
    first = carry_out._DO["rollback"]

    def twice(*arguments):
        first(*arguments)  # the other process has done it and has not yet said so
        return first(*arguments)

    monkeypatch.setitem(carry_out._DO, "rollback", twice)
    agent_requests.approve(two_versions, DIRECTOR, 1, reason="At once", now=NOW)
    request = agent_requests.get_request(two_versions, 1, now=NOW)
    assert (request.state, request.outcome) == ("used", "")  # the other one says it
    agent.turn(two_versions, now=NOW + timedelta(seconds=30))
    assert agent_requests.get_request(two_versions, 1, now=NOW).outcome == ""
    agent.turn(two_versions, now=NOW + timedelta(seconds=60))  # it has died
    said = "done: It was carried out; the process that did it ended before it could say so."
    assert agent_requests.get_request(two_versions, 1, now=NOW).outcome == said
    assert incidents.get_incident(two_versions, 1).state == "watching"


@pytest.mark.parametrize("over", ["closed", "other diagnosis"])
def test_what_was_approved_and_waits_is_taken_back_when_its_reason_is_gone(trained_home, tmp_path, over):
    asked_to_retrain(trained_home)
    control.set_dry_run(trained_home, DEVOPS, True, reason="Look first", now=NOW)
    agent_requests.approve(trained_home, DIRECTOR, 1, reason="yes", now=NOW)
    if over == "closed":
        alerts.settle(trained_home, HEART, "drift", now=NOW + timedelta(minutes=1))
    else:
        now = utc_now()
        predict(trained_home, "heart_switzerland.csv", tmp_path)
        drifted(trained_home, 0.95, now=now)
    agent.turn(trained_home, now=NOW + timedelta(minutes=30) if over == "closed" else utc_now())
    control.set_dry_run(trained_home, DEVOPS, False, reason="Go", now=NOW)
    agent.turn(trained_home, now=NOW + timedelta(minutes=31) if over == "closed" else utc_now())
    assert agent_requests.get_request(trained_home, 1, now=NOW).state == "withdrawn"
    assert told(trained_home, incidents.get_incident(trained_home, 1), "request")[-1][1] == "withdrawn"
    assert retraining.list_retrainings(trained_home) == []
    event = audit.search(trained_home, action="close_incident" if over == "closed" else "diagnose_incident")[0][0]
    assert event["after"]["withdrawn_requests"] == [1]
    if over == "closed":
        assert incidents.get_incident(trained_home, 1).state == "closed"


def test_paused_or_in_a_dry_run_an_approval_waits(trained_home):
    asked_to_retrain(trained_home)
    control.pause(trained_home, DEVOPS, reason="maintenance", now=NOW)
    done = agent_requests.approve(trained_home, DIRECTOR, 1, reason="yes", now=NOW)
    assert "carried out afterwards" in done["outcome"]
    assert retraining.list_retrainings(trained_home) == []
    control.resume(trained_home, DEVOPS, reason="over", now=NOW)
    agent.turn(trained_home, now=NOW + timedelta(hours=1))
    assert len(retraining.list_retrainings(trained_home)) == 1


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001])
def test_a_decision_needs_a_reason(trained_home, reason):
    asked_to_retrain(trained_home)
    with pytest.raises(BadInput, match="reason"):
        agent_requests.approve(trained_home, DIRECTOR, 1, reason=reason, now=NOW)


def test_there_is_no_request_of_that_number(trained_home):
    with pytest.raises(NotFound, match="There is no request 7 of the agent"):
        agent_requests.get_request(trained_home, 7)
    with pytest.raises(NotFound):
        agent_requests.approve(trained_home, DIRECTOR, 7, reason="yes", now=NOW)
