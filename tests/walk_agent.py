"""Steps of the agent's story in the browser: what it asks for is reviewed and approved, and what came of it goes live."""

from __future__ import annotations

import re

from core import approvals, deployment
from core.agent import agent_requests
from core.home import Home
from core.retraining import retraining
from core.times import utc_now
from tests.browser import Person, until
from tests.story_future import PROJECT


def review_and_approve(home: Home, who: Person) -> None:
    """From the waiting list on Home to the card with its evidence; without a reason nothing is decided."""
    who.go("Home")
    who.open("approvals", "Approvals", agent=1)
    who.see("Agent's request 1, pending")
    who.see("the world has moved")
    who.unfold("Evidence: what was measured")
    who.see(re.compile("issue performance, cause the world has moved"))
    who.shot("agent_1_request")
    who.press("Approve")
    who.settle()
    assert agent_requests.get_request(home, 1).state == "pending"
    who.write("Reason", "The charts say so")
    who.press("Approve")
    who.see(re.compile("Retraining 1 is on the list of jobs"))
    assert agent_requests.get_request(home, 1).decided_by == "scientist"


def watch_the_steps(home: Home, who: Person) -> None:
    """The console's own supervisor works on it; the page shows the eight steps and how they ended."""
    who.open("training", "Training", project=PROJECT, retraining=1)
    until(lambda: retraining.get(home, 1).state != "open", "the retraining has ended", seconds=240)
    who.open("training", "Training", project=PROJECT, retraining=1)
    who.see(re.compile("8. Handed to monitoring"))
    who.see(re.compile("Better than version 1.0.0"))
    who.shot("agent_2_retraining")
    assert retraining.get(home, 1).outcome == "better"


def approve_the_release(home: Home, who: Person) -> None:
    """The agent filed it; a director decides."""
    number = retraining.get(home, 1).request_id
    who.open("approvals", "Approvals", request=number)
    who.see(f"Request {number}, pending")
    request = approvals.get_request(home, number, now=utc_now())
    assert (request.requested_by, request.version) == ("agent", "1.1.0")
    if request.failed_gates:
        who.main.get_by_test_id("stCheckbox").filter(has_text="Approve although").locator("label").click()
    who.write("Reason", "Clearly better in the world as it is")
    who.press("Approve")
    who.see("pending before, approved now")


def deploy_it(home: Home, who: Person) -> None:
    who.open("registry", "Registry", project=PROJECT, version="1.1.0")
    who.write("Reason", "Approved, 1.1.0 goes out")
    who.press("Deploy 1.1.0")
    who.see("Live before: 1.0.0. Live now: 1.1.0.")
    assert deployment.find_live(home, PROJECT).version == "1.1.0"


def read_the_timeline(who: Person) -> None:
    """Alert, diagnosis, decision, request, approval with its name, and outcome in one list."""
    who.open("agent", "Agent", project=PROJECT, incident=1)
    for words in ("the world has moved", "request 1 waits for a person", "The charts say so", "Retraining 1 is on the list of jobs"):
        who.see(re.compile(words))
    who.shot("agent_3_timeline")


def find_it_in_the_audit(who: Person, correlation_id: str) -> None:
    who.open("audit", "Audit", correlation=correlation_id)
    who.shot("agent_4_audit")
