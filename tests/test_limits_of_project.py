"""Gates and thresholds in force: the definition's own until an approved request puts others over them."""

from datetime import UTC, datetime, timedelta

import pytest

from core import accounts, approvals, audit, roles
from core.acts import Actor
from core.errors import BadInput, NotFound, Refused
from core.projects import limits, projects, proposals
from core.registry import comparison, versions
from core.retraining import triggers
from core.training import runs
from storage import accounts as accounts_store
from storage.connection import writing

HEART, SKILLS, RECIPES = "heart_disease", "future_skills", "recipe_ranking"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SCIENTIST, DIRECTOR, DEVOPS = Actor("scientist"), Actor("director"), Actor("devops")


def change(home, project=HEART, now=NOW, **changes):
    """Propose and approve; returns the request's id."""
    asked = proposals.propose(home, SCIENTIST, project, changes, reason="We learned more", now=now)
    proposals.decide(home, DIRECTOR, asked["id"], "approved", reason="Agreed", now=now)
    return asked["id"]


@pytest.mark.parametrize("project", [HEART, SKILLS, RECIPES])
def test_without_a_change_the_definitions_own_values_hold(demo_home, project):
    definition, found = projects.get_definition(demo_home, project), limits.get_limits(demo_home, project)
    assert (found.gates, found.thresholds) == (definition.gates, definition.thresholds)
    assert found.watching == limits.Watching(missing=definition.data_rules.missing_alert)
    assert {s.origin for s in limits.sources(demo_home, project)} == {"definition", "default"}


def test_an_approved_change_holds_at_once_and_leaves_the_definition_as_it_is(demo_home):
    before = projects.get_project(demo_home, HEART).definition_sha
    number = change(demo_home, accuracy_floor=0.8, production=None, latency_warning_ms=500)
    found = limits.get_limits(demo_home, HEART)
    assert (found.thresholds.accuracy_floor, found.gates.production, found.watching.latency_warning_ms) == (0.8, None, 500.0)
    assert found.gates.register == 0.75
    assert projects.get_project(demo_home, HEART).definition_sha == before
    assert limits.get_limits(demo_home, SKILLS).thresholds.accuracy_floor == 0.7
    source = next(s for s in limits.sources(demo_home, HEART) if s.setting.name == "accuracy_floor")
    assert (source.value, source.own, source.origin, source.by, source.request_id) == (0.8, 0.7, "approved change", "director", number)
    assert source.at == "2026-11-21T12:00:00.000Z"


def test_the_audit_holds_what_was_before_and_what_is_after(demo_home):
    change(demo_home, accuracy_floor=0.8, retrain_days=14)
    asked, decided = (audit.search(demo_home, action=a)[0][0] for a in ("propose_settings", "approve_settings"))
    assert (asked["actor"], asked["reason"], asked["subject"]) == ("scientist", "We learned more", "settings request 1")
    assert (decided["actor"], decided["approver"], decided["reason"]) == ("director", "director", "Agreed")
    assert (decided["before"], decided["after"]) == (
        {"accuracy_floor": 0.7, "retrain_days": 30}, {"accuracy_floor": 0.8, "retrain_days": 14},
    )  # fmt: skip


def test_nobody_decides_their_own_request_whatever_their_role_is_now(demo_home):
    asked = proposals.propose(demo_home, SCIENTIST, HEART, {"drift": 0.8}, reason="Less noise", now=NOW)
    with writing(demo_home.db) as db:
        accounts_store.update_account(db, "scientist", role=roles.DRH)
    with pytest.raises(Refused, match="Nobody decides their own request"):
        proposals.decide(demo_home, SCIENTIST, asked["id"], "approved", reason="I like it", now=NOW)
    assert limits.get_limits(demo_home, HEART).thresholds.drift == 0.7


def test_a_rejected_and_a_withdrawn_request_change_nothing(demo_home):
    first = proposals.propose(demo_home, DEVOPS, HEART, {"drift": 0.8}, reason="Less noise", now=NOW)
    proposals.decide(demo_home, DIRECTOR, first["id"], "rejected", reason="No", now=NOW)
    second = proposals.propose(demo_home, DEVOPS, HEART, {"drift": 0.8}, reason="Less noise", now=NOW)
    with pytest.raises(Refused, match="filed by devops; only they can withdraw"):
        proposals.withdraw(demo_home, SCIENTIST, second["id"], now=NOW)
    proposals.withdraw(demo_home, DEVOPS, second["id"], now=NOW)
    assert [r.state for r in proposals.list_requests(demo_home, now=NOW)] == ["withdrawn", "rejected"]
    assert limits.get_limits(demo_home, HEART).thresholds.drift == 0.7
    with pytest.raises(Refused, match=r"is rejected already\. director decided it"):
        proposals.decide(demo_home, DIRECTOR, first["id"], "approved", reason="Yes after all", now=NOW)


def test_a_request_that_nobody_answers_expires_after_24_hours(demo_home):
    asked = proposals.propose(demo_home, SCIENTIST, HEART, {"drift": 0.8}, reason="Less noise", now=NOW)
    late = NOW + timedelta(hours=24)
    assert proposals.get_request(demo_home, asked["id"], now=late - timedelta(seconds=1)).state == "pending"
    assert proposals.get_request(demo_home, asked["id"], now=late).state == "expired"
    assert proposals.list_requests(demo_home, states=("pending",), now=late) == []
    with pytest.raises(Refused, match="This request is expired already"):
        proposals.decide(demo_home, DIRECTOR, asked["id"], "approved", reason="Yes", now=late)
    event = audit.search(demo_home, action="request_expired")[0][0]
    assert (event["actor"], event["subject"]) == ("clock", "settings request 1")
    assert [r.state for r in proposals.list_requests(demo_home, states=("expired",), now=late)] == ["expired"]


def test_what_was_proposed_against_one_value_is_not_approved_over_another(demo_home):
    asked = proposals.propose(demo_home, SCIENTIST, HEART, {"accuracy_floor": 0.8}, reason="Better now", now=NOW)
    from storage import settings as store

    with writing(demo_home.db) as db:
        store.set_setting(db, project=HEART, name="accuracy_floor", value=0.75, at="2026", by="director", request_id=9)
    with pytest.raises(Refused, match=r"“Accuracy in use” \(accuracy_floor\) has changed since request 1 was filed"):
        proposals.decide(demo_home, DIRECTOR, asked["id"], "approved", reason="Yes", now=NOW)
    assert limits.get_limits(demo_home, HEART).thresholds.accuracy_floor == 0.75


def test_two_open_requests_never_name_the_same_value(demo_home):
    proposals.propose(demo_home, SCIENTIST, HEART, {"drift": 0.8, "accuracy_floor": 0.8}, reason="Less noise", now=NOW)
    with pytest.raises(Refused, match=r"Request 1 waits to change “Drift score: drift” \(drift\) already"):
        proposals.propose(demo_home, DEVOPS, HEART, {"drift": 0.9}, reason="Even less", now=NOW)
    proposals.propose(demo_home, DEVOPS, SKILLS, {"drift": 0.9}, reason="Another project", now=NOW)


@pytest.mark.parametrize(
    ("project", "changes", "words"),
    [
        (HEART, {}, "Nothing would change"),
        (HEART, {"luck": 1}, "There is no setting 'luck'"),
        (HEART, {"accuracy_floor": 1.5}, r"“Accuracy in use” \(accuracy_floor\) lies between 0 and 1; 1.5 does not"),
        (HEART, {"accuracy_floor": float("nan")}, r"“Accuracy in use” \(accuracy_floor\) is a number; 'nan' is none"),
        (HEART, {"accuracy_floor": True}, r"“Accuracy in use” \(accuracy_floor\) is a number; 'True' is none"),
        (HEART, {"accuracy_floor": "0.8"}, r"“Accuracy in use” \(accuracy_floor\) is a number; '0.8' is none"),
        (HEART, {"accuracy_floor": None}, r"“Accuracy in use” \(accuracy_floor\) needs a number"),
        (HEART, {"accuracy_floor": 0.7}, r"\(accuracy_floor\) is at least 0.7 already"),
        (HEART, {"retrain_days": 2.5}, r"\(retrain_days\) is a whole number; 2.5 is none"),
        (HEART, {"drift_warning": 0.8}, r"“Drift score: warning” \(drift_warning\), 0.8, must stay below “Drift score: drift” \(drift\)"),
        (HEART, {"latency_critical_ms": 1000}, r"\(latency_warning_ms\), 2000, must stay below"),
        (HEART, {"register": 0.9}, r"“To register: mean F1 .*” \(register\), 0\.9, must not be above “For production: .*\(production\), 0\.8;"),
        (HEART, {"zscore": 5.5}, "Over 30 points no value can be further than 5.29 standard deviations off"),
        (RECIPES, {"accuracy_floor": 0.8}, "means nothing for project recipe_ranking, which predicts numbers"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(demo_home, project, changes, words):
    with pytest.raises(BadInput, match=words):
        proposals.propose(demo_home, SCIENTIST, project, changes, reason="Why not", now=NOW)
    assert proposals.list_requests(demo_home) == []
    assert audit.search(demo_home, action="propose_settings", outcome="refused")[1] == 1


def test_a_reason_and_a_known_project_are_needed(demo_home):
    with pytest.raises(BadInput, match="write in a sentence why the change is wanted"):
        proposals.propose(demo_home, SCIENTIST, HEART, {"drift": 0.8}, reason=" ")
    with pytest.raises(NotFound, match="no project 'nothing'"):
        proposals.propose(demo_home, SCIENTIST, "nothing", {"drift": 0.8}, reason="Why not")
    with pytest.raises(NotFound, match="no request 5 to change settings"):
        proposals.decide(demo_home, DIRECTOR, 5, "approved", reason="Yes")


def test_what_waits_is_counted_for_those_who_may_decide(demo_home):
    proposals.propose(demo_home, SCIENTIST, HEART, {"drift": 0.8}, reason="Less noise", now=NOW)
    counts = {n: proposals.count_waiting_for(demo_home, accounts.find_account(demo_home, n), now=NOW)
              for n in ("scientist", "director", "devops", "developer", "admin")}  # fmt: skip
    assert counts == {"scientist": 0, "director": 1, "devops": 0, "developer": 0, "admin": 0}


# Every place that decides by a limit takes the one in force


def test_the_register_gate_in_force_decides_what_may_be_registered(trained_home):
    forest = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    change(trained_home, now=datetime.now(UTC), register=0.99, production=0.99)
    with pytest.raises(Refused, match=r"below the register gate: .* is below 0\.99, set for register"):
        versions.register(trained_home, SCIENTIST, forest.id)
    board = comparison.compare_candidates(trained_home, HEART, [1])
    assert next(s for s in board.standings if s.candidate_id == forest.id).register.passed is False
    change(trained_home, now=datetime.now(UTC), register=0.5, production=None)
    assert versions.register(trained_home, SCIENTIST, forest.id)["version"] == "1.1.0"


def test_the_production_gate_in_force_stands_in_the_evidence_and_that_of_a_filed_request_stays(trained_home):
    forest = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    versions.register(trained_home, SCIENTIST, forest.id)
    now = datetime.now(UTC)

    def gate(request):
        return next(g for g in approvals.get_request(trained_home, request).evidence["gates"] if g["name"] == "metric")

    approvals.request_release(trained_home, SCIENTIST, HEART, "1.1.0", reason="A forest")
    assert gate(2)["threshold"] == 0.8
    change(trained_home, now=now, production=0.95, class_recall_floor=0.9)
    assert gate(2)["threshold"] == 0.8  # what was asked for stays what it was
    approvals.withdraw(trained_home, SCIENTIST, 2)
    approvals.request_release(trained_home, SCIENTIST, HEART, "1.1.0", reason="A forest")
    assert (gate(3)["threshold"], gate(3)["passed"]) == (0.95, False)
    recall = next(g for g in approvals.get_request(trained_home, 3).evidence["gates"] if g["name"] == "class_recall")
    assert recall["threshold"] == 0.9


def test_the_clock_takes_the_limits_in_force(trained_home):
    now = datetime.now(UTC) + timedelta(days=3)
    assert triggers.check(trained_home, HEART, now=now).due is False
    change(trained_home, now=now, retrain_days=2)
    assert triggers.check(trained_home, HEART, now=now).due is True


def test_the_page_about_watching_names_every_setting():
    from pathlib import Path

    text = (Path(__file__).parents[1] / "docs" / "watching.md").read_text(encoding="utf-8")
    assert [name for name in limits.SETTINGS if f"`{name}`" not in text] == []
