"""The Agent page and the agent's cards on Approvals: what is shown, what the filters leave, who may switch and decide."""

import re
from datetime import timedelta

import pytest

from core import agent
from core.agent import agent_requests, control, incidents
from core.monitoring import alerts
from core.times import utc_now
from pages import parts
from tests.agent_cases import DIRECTOR, HEART, alarm, asked_to_retrain, drifted


@pytest.fixture
def home(trained_home):
    asked_to_retrain(trained_home, now=utc_now())
    return trained_home


def text(page) -> str:
    return " ".join(m.value for m in [*page.markdown, *page.header, *page.caption, *page.title])


def test_a_calm_installation_says_so_and_shows_the_policy(trained_home, open_page):
    page = open_page(trained_home, "agent", "director")
    assert not page.exception
    assert "No incident is open" in text(page)
    assert "The agent is at work; it may run 60 actions an hour" in text(page).replace("\\", "")
    policy = page.dataframe[-1].value
    assert list(policy.columns) == ["Issue", "Cause", "Low", "Medium", "High", "Advice", "Why"]
    rules = policy[policy["Issue"] == "data drift"].set_index("Cause")
    assert "Retrain" in rules.loc["any other", "High"]
    assert rules.loc["Inputs differ from the training data, but labels say the answers are right", "High"] == "Log, Tell people"


def test_an_incident_is_a_card_with_its_steps_and_opens_as_a_timeline(home, open_page):
    page = open_page(home, "agent", "developer")
    assert not page.exception
    shown = text(page)
    assert "Data drift: other rows than in training" in shown.replace("\\", "")
    assert "Retrain: waiting" in shown.replace("\\", "")
    one = open_page(home, "agent", "developer", incident="1")
    assert not one.exception
    timeline = text(one).replace("\\", "")
    order = [timeline.index(word) for word in ("**Alert**", "**Diagnosis**", "**Decision**", "**Log**", "**Tell people**", "**Retrain**")]
    assert order == sorted(order)
    assert "request 1 waits for a person" in timeline
    assert "Alert 1: Drift" in [e.proto.label.replace("\\", "") for e in one.get("page_link")]


def test_one_incident_says_how_bad_and_since_when_in_words_with_one_time_for_what_was_done_at_once(home, open_page):
    one = open_page(home, "agent", "developer", incident="1")
    since = incidents.get_incident(home, 1).opened_at
    assert {m.label: m.value for m in one.metric} == {
        "Severity": "0.80, high", "Alerts": "1", "Retraining": "helps", "Open since": parts.short_time(since),
    }  # fmt: skip
    times = [m for m in one.markdown if m.value == f":gray[{parts.plain(parts.local_time(since))}]"]
    assert len(times) == 1
    assert times[0].help == parts.plain(parts.utc_time(since))
    shown = text(one).replace("\\", "")
    assert "**Alert** :gray[Act]" in shown
    assert "**Decision** :gray[high severity]" in shown


@pytest.mark.parametrize(("account", "link"), [("director", "Decide"), ("devops", "Look at it")])
def test_the_link_to_a_waiting_request_promises_a_decision_only_to_whoever_may_take_it(home, open_page, account, link):
    page = open_page(home, "agent", account, incident="1")
    assert [e.proto.label for e in page.get("page_link") if e.proto.page.endswith("approvals")] == [link]


@pytest.mark.parametrize(("wanted", "said"), [("99", "There is no incident 99"), ("1; drop", "is no incident"), ("²", "is no incident")])
def test_a_link_to_no_incident_says_so(home, open_page, wanted, said):
    page = open_page(home, "agent", "director", incident=wanted)
    assert not page.exception
    assert any(said in e.value.replace("\\", "") for e in [*page.error, *page.warning])


def test_the_filters_of_the_activity_filter(home, open_page):
    page = open_page(home, "agent", "director")

    def table():
        return next(d.value for d in page.dataframe if "Approver" in d.value.columns)

    assert list(table().columns)[:4] == ["Timestamp", "Action", "Status", "Approver"]
    assert set(table()["Action"]) == {"Log", "Tell people", "Collect diagnostics", "Validate data", "Make a report", "Retrain"}
    page.selectbox(key="activity-action").select("retrain").run()
    assert list(table()["Status"]) == ["◷ Waiting"]
    page.selectbox(key="activity-status").select("rejected").run()
    assert not any("Approver" in d.value.columns for d in page.dataframe)
    assert "The agent did nothing that fits" in text(page)


def test_devops_pauses_with_a_reason_and_a_developer_sees_no_switch(home, open_page):
    assert not [b for b in open_page(home, "agent", "developer").button if "Pause" in b.label]
    page = open_page(home, "agent", "devops")
    page.text_area(key="agent-pause--reason").input("Maintenance until noon")
    next(b for b in page.button if b.label == "Pause the agent").click().run()
    assert not page.exception
    assert control.read_control(home).paused
    assert "The agent is paused by devops: Maintenance until noon" in text(page).replace("\\", "")


def test_the_card_on_approvals_says_why_how_risky_and_what_if_nobody_answers(home, open_page):
    page = open_page(home, "approvals", "director")
    assert not page.exception
    shown = text(page).replace("\\", "")
    for words in ("Agent's request 1, pending", "Medium risk", "Nothing goes live by it", "expires after 24 hours", "Waiting (1)"):
        assert words in shown or any(words in t.label for t in page.tabs), words


def test_a_scientist_approves_the_retraining_and_devops_cannot(home, open_page):
    other = open_page(home, "approvals", "devops")
    assert not [b for b in other.button if b.label == "Approve"]
    assert "Deciding is for: Data scientist, DRH manager" in text(other).replace("\\", "")
    page = open_page(home, "approvals", "scientist", agent="1")
    page.text_area(key="agent-decide-1-reason").input("The rows are new")
    next(b for b in page.button if b.label == "Approve").click().run()
    assert not page.exception
    request = agent_requests.get_request(home, 1)
    assert (request.state, request.decided_by, request.outcome[:21]) == ("used", "scientist", "done: Retraining 1 is")
    events = [(e.action, e.status, e.approver) for e in incidents.list_events(home, 1) if e.action == "retrain"]
    assert events == [("retrain", "waiting", ""), ("retrain", "approved", "scientist"), ("retrain", "done", "scientist")]


def test_a_decided_request_is_listed_with_its_reason(home, open_page):
    agent_requests.reject(home, DIRECTOR, 1, reason="Not this week")
    page = open_page(home, "approvals", "director")
    assert not page.exception
    decided = next(d.value for d in page.dataframe if "Asked for" in d.value.columns)
    assert decided[["Request", "Asked for", "Project", "Outcome", "Decided by", "Reason"]].values.tolist()[0] == [
        "Agent 1", "Retrain", "Heart disease", "✕ Rejected", "director", "Not this week",
    ]  # fmt: skip
    assert "Escalated" in text(open_page(home, "agent", "director"))


def test_what_waits_stands_on_home_and_leads_to_the_card(home, open_page):
    page = open_page(home, "home", "director")
    assert not page.exception
    assert "The agent asks in Heart disease: Retrain (medium risk)." in text(page).replace("\\", "")


def test_hostile_names_are_shown_as_text(trained_home, open_page):
    now = utc_now()
    said = "<script>alert(1)</script> **ignore the rules** :red[deploy v9]"
    alarm(trained_home, "external", subject="<b>deploy</b>", sentence=said, severity="critical", now=now)
    drifted(trained_home, columns=("<img src=x>", "`rm`"), now=now)
    agent.turn(trained_home, now=now)
    for incident in ("1", "2", ""):
        page = open_page(trained_home, "agent", "director", incident=incident)
        assert not page.exception
        assert not re.search(r"(?<!\\)<(script|img|b)>?", text(page))  # every sign of Markdown and HTML stands behind a backslash


def test_a_closed_incident_is_folded_away_with_its_outcome(home, open_page):
    now = utc_now()
    alerts.settle(home, HEART, "drift", now=now)
    agent.turn(home, now=now + timedelta(minutes=16))
    page = open_page(home, "agent", "director")
    assert "No incident is open" in text(page)
    assert "Its alert has ended" in text(page)


def test_an_agent_without_work_is_not_blamed_on_the_filters(trained_home, open_page):
    assert "The agent has had nothing to do in this project" in text(open_page(trained_home, "agent", "director"))
