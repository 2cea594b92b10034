"""Requests: who may decide what, exactly what was approved, and what time does to a request."""

import threading
from datetime import timedelta

import pytest

from core import accounts, approvals, audit, deployment, roles
from core.accounts import Account
from core.acts import Actor
from core.errors import BadInput, NotFound, Refused
from core.registry import versions
from core.times import utc_now
from core.training import runs
from storage import accounts as accounts_store
from storage import versions as versions_store
from storage.connection import reading, writing

PROJECT = "heart_disease"
SCIENTIST, DIRECTOR, DEVOPS = Actor("scientist"), Actor("director"), Actor("devops")


@pytest.fixture
def second(trained_home):
    """The trained installation with a second version, 1.1.0, waiting in stage validation."""
    run = runs.list_runs(trained_home, PROJECT)[0]
    forest = next(c for c in runs.list_candidates(trained_home, run.id) if c.name == "random_forest")
    versions.register(trained_home, SCIENTIST, forest.id, version="1.1.0")
    return trained_home


def ask(home, version="1.1.0", **kwargs):
    return approvals.request_release(home, SCIENTIST, PROJECT, version, reason="It may be better", **kwargs)["id"]


def stage(home, version="1.1.0"):
    return versions.get_version(home, PROJECT, version).stage


def last_event(home):
    return audit.search(home, limit=1)[0][0]


def test_a_request_keeps_what_it_is_for_and_its_evidence(second):
    request = approvals.get_request(second, ask(second))
    version = versions.get_version(second, PROJECT, "1.1.0")
    assert (request.state, request.artifact_sha256, request.threshold) == ("pending", version.sha256, version.threshold)
    names = {g["name"]: g["passed"] for g in request.evidence["gates"]}
    assert set(names) == {"metric", "baseline", "class_recall", "known_cases", "live"}
    assert request.evidence["live"]["version"] == "1.0.0"
    assert request.evidence["live"]["low"] <= request.evidence["live"]["difference"] <= request.evidence["live"]["high"]
    assert request.evidence["baseline"]["holdout"]["accuracy"] == pytest.approx(33 / 61)


@pytest.mark.parametrize("who", ["scientist", "devops", "developer", "admin"])
def test_only_a_drh_manager_decides_and_the_attempt_is_audited(second, who):
    request = ask(second)
    for decide in (approvals.approve, approvals.reject):
        with pytest.raises(Refused):
            decide(second, Actor(who), request, reason="I say so")
        assert (last_event(second)["outcome"], last_event(second)["actor"]) == ("refused", who)
    assert approvals.get_request(second, request).state == "pending"
    assert stage(second) == "validation"


def test_nobody_decides_their_own_request(second):
    # a person who asked as a data scientist and was made a DRH manager since
    request = ask(second)
    accounts.change_role(second, Actor("admin"), "scientist", roles.DRH)
    with pytest.raises(Refused, match="own request"):
        approvals.approve(second, SCIENTIST, request, reason="mine")
    assert approvals.get_request(second, request).state == "pending"


def test_whoever_trained_a_version_does_not_decide_its_release(second):
    with writing(second.db) as db:
        accounts_store.insert_account(
            db, name="zoe", role=roles.DEVOPS, password_hash=None, demo=False, at="2026-01-01T00:00:00.000Z", by="test"
        )
    request = approvals.request_release(second, Actor("zoe"), PROJECT, "1.1.0", reason="please")["id"]
    accounts.change_role(second, Actor("admin"), "scientist", roles.DRH)
    with pytest.raises(Refused, match="trained"):
        approvals.approve(second, SCIENTIST, request, reason="good work of mine")


def test_approval_moves_the_version_and_says_who_and_why(second):
    request = ask(second)
    approvals.approve(second, DIRECTOR, request, reason="Convincing", despite_gates=True)
    assert stage(second) == "approved"
    seen = approvals.get_request(second, request)
    assert (seen.state, seen.decided_by, seen.decision_reason) == ("approved", "director", "Convincing")
    event = last_event(second)
    assert (event["action"], event["approver"], event["reason"]) == ("approve_release", "director", "Convincing")
    assert event["before"] == {"state": "pending"}
    assert event["after"]["artifact_sha256"] == seen.artifact_sha256


def test_failed_gates_need_an_express_word(second):
    request = ask(second)
    row = versions_store.find_request(reading(second.db), request)
    evidence = {**row["evidence"], "gates": [{**g, "passed": False} for g in row["evidence"]["gates"]]}
    with writing(second.db) as db:
        import json

        versions_store.update_request(db, request, evidence=json.dumps(evidence))
    with pytest.raises(Refused, match="fails these gates: metric, baseline"):
        approvals.approve(second, DIRECTOR, request, reason="whatever")
    approvals.approve(second, DIRECTOR, request, reason="The committee wants a trial", despite_gates=True)
    assert approvals.get_request(second, request).despite_gates
    assert "metric" in last_event(second)["after"]["despite_gates"]


def test_rejection_archives_the_version_with_the_reason(second):
    request = ask(second)
    approvals.reject(second, DIRECTOR, request, reason="Too uncertain")
    version = versions.get_version(second, PROJECT, "1.1.0")
    assert (version.stage, version.stage_reason) == ("archived", "rejected by director: Too uncertain")
    with pytest.raises(Refused, match="no approval"):
        deployment.deploy(second, DEVOPS, PROJECT, "1.1.0")


@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_a_reason_is_needed(second, reason):
    with pytest.raises(BadInput, match="reason is needed"):
        approvals.request_release(second, SCIENTIST, PROJECT, "1.1.0", reason=reason)
    request = ask(second)
    with pytest.raises(BadInput, match="reason is needed"):
        approvals.approve(second, DIRECTOR, request, reason=reason)


def test_one_open_request_per_version(second):
    ask(second)
    with pytest.raises(Refused, match="pending already"):
        ask(second)


def test_only_a_version_in_validation_can_be_requested(second):
    with pytest.raises(Refused, match="stage production"):
        ask(second, "1.0.0")
    with pytest.raises(NotFound, match=r"9\.9\.9"):
        ask(second, "9.9.9")


def test_withdrawing_is_the_requesters_and_brings_the_version_back(second):
    request = ask(second)
    with pytest.raises(Refused, match="only they"):
        approvals.withdraw(second, DEVOPS, request)
    approvals.approve(second, DIRECTOR, request, reason="ok", despite_gates=True)
    approvals.withdraw(second, SCIENTIST, request, reason="found a mistake")
    assert approvals.get_request(second, request).state == "withdrawn"
    assert stage(second) == "validation"
    with pytest.raises(Refused, match="withdrawn already"):
        approvals.withdraw(second, SCIENTIST, request)
    with pytest.raises(Refused, match="no approval"):
        deployment.deploy(second, DEVOPS, PROJECT, "1.1.0")


def test_a_request_expires_after_24_hours(second):
    now = utc_now()
    request = ask(second, now=now)
    assert approvals.get_request(second, request, now=now + timedelta(hours=23)).state == "pending"
    assert approvals.get_request(second, request, now=now + timedelta(hours=25)).state == "expired"
    with pytest.raises(Refused, match="expired"):
        approvals.approve(second, DIRECTOR, request, reason="late", now=now + timedelta(hours=25))
    event = audit.search(second, action="request_expired")[0][0]
    assert (event["actor"], event["trigger"], event["subject"]) == ("clock", "schedule", f"request {request}")
    again = ask(second, now=now + timedelta(hours=25))
    assert again != request
    assert audit.verify(second).intact


def test_an_unused_approval_lapses_after_7_days(second):
    now = utc_now()
    request = ask(second, now=now)
    approvals.approve(second, DIRECTOR, request, reason="ok", despite_gates=True, now=now)
    with pytest.raises(Refused, match="no approval"):
        deployment.deploy(second, DEVOPS, PROJECT, "1.1.0", now=now + timedelta(days=8))
    assert approvals.get_request(second, request, now=now + timedelta(days=8)).state == "lapsed"
    assert stage(second) == "validation"


def test_the_registrys_page_follows_each_change_of_stage(second):
    page = second.models / PROJECT / "MODEL_REGISTRY.md"

    def said(version):
        line = next(line for line in page.read_text().splitlines() if line.startswith(f"| {version} "))
        return line.split("|")[3].strip()

    assert (said("1.0.0"), said("1.1.0")) == ("production", "validation")
    approvals.approve(second, DIRECTOR, ask(second), reason="ok", despite_gates=True)
    assert said("1.1.0") == "approved"
    deployment.deploy(second, DEVOPS, PROJECT, "1.1.0")
    assert (said("1.0.0"), said("1.1.0")) == ("archived", "production")
    deployment.rollback(second, DEVOPS, PROJECT)
    assert (said("1.0.0"), said("1.1.0")) == ("production", "archived")
    deployment.undeploy(second, DEVOPS, PROJECT)
    assert said("1.0.0") == "archived"


def test_an_approval_is_good_for_one_deployment(second):
    request = ask(second)
    approvals.approve(second, DIRECTOR, request, reason="ok", despite_gates=True)
    deployment.deploy(second, DEVOPS, PROJECT, "1.1.0")
    assert approvals.get_request(second, request).state == "used"
    with pytest.raises(Refused, match="no approval"):
        deployment.deploy(second, DEVOPS, PROJECT, "1.1.0")


def test_two_approvers_at_once_one_decides_and_the_other_is_told(second):
    with writing(second.db) as db:
        accounts_store.insert_account(
            db, name="vera", role=roles.DRH, password_hash=None, demo=False, at="2026-01-01T00:00:00.000Z", by="test"
        )
    request = ask(second)
    done, told = [], []
    barrier = threading.Barrier(2)

    def decide(name, act):
        barrier.wait()
        try:
            done.append(act(second, Actor(name), request, reason=f"{name} decides"))
        except Refused as refusal:
            told.append(str(refusal))

    threads = [
        threading.Thread(target=decide, args=("director", lambda *a, **k: approvals.approve(*a, despite_gates=True, **k))),
        threading.Thread(target=decide, args=("vera", approvals.reject)),
    ]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert (len(done), len(told)) == (1, 1)
    assert "already" in told[0]
    assert "decided it at" in told[0]


def test_the_badge_counts_what_waits_for_each_role(second):
    def waiting(name, role):
        return approvals.count_waiting_for(second, Account(name, role))

    request = ask(second)
    assert [waiting("director", roles.DRH), waiting("devops", roles.DEVOPS), waiting("scientist", roles.SCIENTIST)] == [1, 0, 0]
    approvals.approve(second, DIRECTOR, request, reason="ok", despite_gates=True)
    assert [waiting("director", roles.DRH), waiting("devops", roles.DEVOPS), waiting("scientist", roles.SCIENTIST)] == [0, 1, 0]


def test_a_request_that_does_not_exist_is_named(second):
    with pytest.raises(NotFound, match="999"):
        approvals.approve(second, DIRECTOR, 999, reason="x")
    with pytest.raises(NotFound, match="999"):
        approvals.get_request(second, 999)
