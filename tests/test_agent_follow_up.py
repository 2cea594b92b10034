"""What became of a retraining that a person approved is read once, and told as it was."""

from datetime import timedelta

import pytest

from core import agent
from core.acts import Actor
from core.agent import agent_requests, incidents
from core.retraining import retraining
from storage import retrainings as store
from storage.connection import writing
from tests.agent_cases import HEART, NOW, SCIENTIST, asked_to_retrain

LATER = NOW + timedelta(hours=1)
AGENT = Actor("agent", via="job", errand=1)


@pytest.fixture
def started(trained_home):
    """Incident 1, whose request 1 to retrain was approved: retraining 1 is under way."""
    asked_to_retrain(trained_home)
    agent_requests.approve(trained_home, SCIENTIST, 1, reason="Yes", now=NOW)
    assert retraining.get(trained_home, 1).params["approval"] == 1
    return trained_home


def end(home, outcome, sentence, version=None, request=None):
    """As the job writes it when all its steps are done."""
    with writing(home.db) as db:
        steps = store.find_retraining(db, 1)["steps"]
        judged = [{**s, "state": "done", "sentence": sentence if s["name"] == "judgement" else ""} for s in steps]
        store.update_retraining(db, 1, steps=judged, version=version, request_id=request)
    retraining.finish(home, AGENT, retraining.get(home, 1), outcome=outcome, sentence=sentence, now=LATER)


def effects(home, incident=1):
    return [(e.status, e.sentence, e.detail) for e in incidents.list_events(home, incident) if e.kind == "effect"]


def test_nothing_is_told_of_a_retraining_that_is_under_way(started):
    agent.turn(started, now=LATER)
    assert effects(started) == []
    assert incidents.get_incident(started, 1).state == "watching"


def test_a_better_version_is_told_once_with_the_request_for_its_release_and_is_watched(started):
    end(started, "better", "Version 1.1.0 is better.", "1.1.0", None)
    for minutes in (1, 2, 3):
        agent.turn(started, now=LATER + timedelta(minutes=minutes))
    assert effects(started) == [
        ("better", "Retraining 1: Version 1.1.0 is better.", {"retraining": 1, "outcome": "better", "version": "1.1.0", "request": None})
    ]
    assert incidents.get_incident(started, 1).state == "watching"


@pytest.mark.parametrize("outcome", ["worse", "unclear"])
def test_one_that_is_not_better_is_told_and_escalated_with_its_reason(started, outcome):
    end(started, outcome, "Version 1.1.0 is not better.", "1.1.0")
    for minutes in (1, 2):
        agent.turn(started, now=LATER + timedelta(minutes=minutes))
    assert [e[0] for e in effects(started)] == [outcome]
    assert incidents.get_incident(started, 1).state == "escalated"
    said = [e.sentence for e in incidents.list_events(started, 1) if e.status == "escalated"]
    assert said == ["Escalated: The retraining did not help: Version 1.1.0 is not better."]


def test_one_that_failed_is_told_and_escalated_with_the_step_that_failed(started):
    retraining.note_step(started, 1, "training", "running", at=LATER)
    retraining.fail(started, 1, state="failed", sentence="The disk is full.", now=LATER)
    agent.turn(started, now=LATER + timedelta(minutes=1))
    assert [(status, said) for status, said, _ in effects(started)] == [("failed", "Retraining 1: Training failed: The disk is full.")]
    assert incidents.get_incident(started, 1).state == "escalated"


def test_a_retraining_that_somebody_else_began_is_not_taken_for_the_agents(started):
    retraining.fail(started, 1, state="cancelled", sentence="Cancelled.", now=LATER)
    agent.turn(started, now=LATER)
    other = retraining.start(started, SCIENTIST, HEART, reason="My own", now=LATER)["id"]
    retraining.fail(started, other, state="failed", sentence="It broke.", now=LATER)
    agent.turn(started, now=LATER + timedelta(minutes=1))
    assert [detail["retraining"] for _, _, detail in effects(started)] == [1]
