"""The Approvals page: plain words for everybody, buttons for who may decide, one effect a decision."""

from datetime import timedelta

import pytest

from core import agent, approvals, deployment
from core.acts import Actor
from core.projects import proposals
from core.registry import versions
from core.times import utc_now
from core.training import runs
from pages import charts_registry, parts
from tests.agent_cases import drifted

SCIENTIST = Actor("scientist")


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def button(test, label):
    return next(b for b in test.button if b.label == label)


def labels(test):
    return {b.label for b in test.button}


@pytest.fixture
def waiting(trained_home):
    """Request 2 for the random forest, which fails the production gate, waits beside the live 1.0.0."""
    row = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    versions.register(trained_home, SCIENTIST, row.id)
    approvals.request_release(trained_home, SCIENTIST, "heart_disease", "1.1.0", reason="It reads *gaps* better.")
    return trained_home


def state(home, request_id=2):
    return approvals.get_request(home, request_id).state


def test_nothing_waiting_is_said_with_the_next_step(trained_home, open_page):
    test = open_page(trained_home, "approvals", "director")
    assert "No request waits for a decision" in texts(test)
    assert [t.label for t in test.tabs] == ["Waiting (0)", "To deploy (0)", "Decided and expired (1)"]


def test_the_card_says_in_words_what_the_evidence_holds(waiting, open_page):
    said = texts(open_page(waiting, "approvals", "director"))
    evidence = approvals.get_request(waiting, 2).evidence
    hits = round(evidence["metrics"]["accuracy"] * 61)
    assert parts.plain(f"It answered {hits} of 61 cases right that it had never seen") in said
    assert r"in place of version 1\.0\.0\." in said
    assert r"It reads \*gaps\* better\." in said
    assert ":red[:material/cancel: Failed] · **Good enough**" in said


def test_what_waits_for_the_person_who_looks_comes_first_and_is_listed_with_a_link_to_each(waiting, open_page):
    drifted(waiting, now=utc_now())
    agent.turn(waiting, now=utc_now())  # asks for a retraining
    proposals.propose(waiting, Actor("devops"), "heart_disease", {"drift": 0.8}, reason="Later", now=utc_now() - timedelta(hours=2))
    test = open_page(waiting, "approvals", "director")
    assert "3 requests wait, all of them for you" in texts(test)
    order = [s.value.split("badge[")[1].partition("] ")[0].partition(" ")[2] for s in test.header]
    assert order == ["Settings request 1, pending]", "Request 2, pending]", "Agent's request 1, pending]"]  # the first to expire is the first
    assert "**Heart disease**: Version 1\\.1\\.0" in texts(test)
    other = open_page(waiting, "approvals", "scientist")
    assert "3 requests wait, 1 for you" in texts(other)
    assert "Agent's request 1" in other.header[0].value
    assert "requests wait" not in texts(open_page(waiting, "approvals", "director", request="2"))


def test_a_failed_condition_needs_its_tick_and_then_one_approval_is_kept(waiting, open_page):
    test = open_page(waiting, "approvals", "director")
    button(test, "Approve").click().run()
    assert "A reason is needed" in test.error[0].value
    test.text_area[0].input("Worth a trial.")
    button(test, "Approve").click().run()
    assert "say so expressly" in test.error[0].value
    assert state(waiting) == "pending"
    test.checkbox[0].check()
    button(test, "Approve").click().run()
    request = approvals.get_request(waiting, 2)
    assert (request.state, request.decided_by, request.decision_reason, request.despite_gates) == (
        "approved", "director", "Worth a trial.", True,
    )  # fmt: skip
    assert test.success[0].value.startswith("Request 2: **pending** before, **approved** now.")
    assert deployment.find_live(waiting, "heart_disease").version == "1.0.0"


def test_the_badge_goes_when_the_decision_is_made(waiting, open_page):
    from core.accounts import Account

    director = Account("director", "drh_manager")
    assert approvals.count_waiting_for(waiting, director) == 1
    test = open_page(waiting, "approvals", "director")
    test.text_area[0].input("Too weak.")
    button(test, "Reject").click().run()
    assert state(waiting) == "rejected"
    assert approvals.count_waiting_for(waiting, director) == 0
    assert versions.get_version(waiting, "heart_disease", "1.1.0").stage == "archived"
    assert test.tabs[0].label == "Waiting (0)"


def test_the_second_of_two_directors_is_told_who_was_first(waiting, open_page):
    first, second = (open_page(waiting, "approvals", "director") for _ in range(2))
    for test in (first, second):
        test.text_area[0].input("My reason.")
    button(first, "Reject").click().run()
    button(second, "Reject").click().run()
    assert state(waiting) == "rejected"
    assert "Nothing was decided" not in texts(second)
    assert not {"Approve", "Reject"} & labels(second)


@pytest.mark.parametrize(("name", "why"), [
    ("scientist", "Deciding is for: DRH manager."),
    ("devops", "Deciding is for: DRH manager."),
    ("developer", "Deciding is for: DRH manager."),
    ("admin", "Deciding is for: DRH manager."),
])  # fmt: skip
def test_others_see_the_card_and_who_decides_but_no_button(waiting, open_page, name, why):
    test = open_page(waiting, "approvals", name)
    assert not {"Approve", "Reject"} & labels(test)
    assert parts.plain(why) in texts(test)
    assert "What would change" in texts(test)


def test_a_link_opens_one_request_in_any_state_and_nonsense_is_named(waiting, open_page):
    test = open_page(waiting, "approvals", "developer", request="1")
    assert any("Request 1, used" in s.value for s in test.header)
    assert "**director** approved it" in texts(test)
    assert "is no request" in open_page(waiting, "approvals", request="x<b>").warning[0].value
    assert r"There is no request 99\." in open_page(waiting, "approvals", request="99").error[0].value


def test_devops_is_led_from_an_approval_to_the_deployment(waiting, open_page):
    approvals.approve(waiting, Actor("director"), 2, reason="Worth a trial", despite_gates=True)
    test = open_page(waiting, "approvals", "devops")
    assert test.tabs[1].label == "To deploy (1)"
    assert "It can be deployed until" in texts(test)
    assert "DevOps can deploy it until" in texts(open_page(waiting, "approvals", "scientist"))


def test_an_expired_request_is_among_the_decided_ones_and_cannot_be_approved(waiting, open_page, monkeypatch):
    later = utc_now() + timedelta(hours=25)
    monkeypatch.setattr("core.times.utc_now", lambda: later)
    monkeypatch.setattr("core.approvals.utc_now", lambda: later)
    test = open_page(waiting, "approvals", "director", request="2")
    assert any("Request 2, expired" in s.value for s in test.header)
    assert not {"Approve", "Reject"} & labels(test)


def test_the_picture_shows_this_version_live_and_no_model():
    figure = charts_registry.right_of_100([("Version 2", 0.87, (0.77, 0.95)), ("Live 1", 0.85, None), ("No model", 0.54, None)])
    assert [bar.text[0] for bar in figure.data] == ["87", "85", "54"]
    assert [round(v) for v in (figure.data[0].error_x.array[0], figure.data[0].error_x.arrayminus[0])] == [8, 10]
    assert figure.data[1].error_x.array is None
