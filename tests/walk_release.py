"""Steps of the journey: register, request, approve, deploy, ask, go back."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from playwright.sync_api import expect

from core import approvals, deployment
from core.registry import versions
from core.scoring import log
from tests.browser import Person
from tests.walk import PROJECT, Walk

# 3 to 5. Release


def register(who: Person, version: str) -> None:
    who.write("Version", version)
    who.main.get_by_role("button", name="Register", exact=True).click()
    who.see(f"version {version}, in stage validation")


def request_release(walk: Walk, version: str, reason: str) -> approvals.Request:
    who = walk.scientist
    who.main.get_by_role("link", name="Open it in the Registry").first.click()
    who.see_title("Registry")
    who.write("Reason", reason)
    who.press(f"Request release of {version}")
    who.see(f"for version {version} waits for a DRH manager.")
    return approvals.list_requests(walk.home, now=datetime.now(UTC))[0]


def register_and_request_the_first(walk: Walk) -> None:
    who = walk.scientist
    register(who, "1.0.0")
    request = request_release(walk, "1.0.0", "First model: better than a guess")
    assert (request.id, request.version, request.state, request.requested_by) == (1, "1.0.0", "pending", "scientist")
    who.shot("08_registry_requested")
    who.open("approvals", "Approvals", request=1)
    who.see("First model: better than a guess")
    assert who.button("Approve").count() == 0
    assert who.button("Reject").count() == 0


def approve(walk: Walk, number: int, reason: str) -> None:
    who = walk.director
    who.go("Home")
    expect(who.page.get_by_test_id("stSidebarNavLink").filter(has_text="Approvals (1)")).to_be_visible()
    who.see("What waits for you")
    who.main.get_by_role("link", name="Decide").first.click()
    who.see_title("Approvals")
    who.see(f"Request {number}, pending")
    who.press("Approve")  # without a reason it is not decided
    who.see(re.compile("reason", re.IGNORECASE))
    who.settle()
    request = approvals.get_request(walk.home, number, now=datetime.now(UTC))
    assert request.state == "pending"
    if request.failed_gates:
        who.main.get_by_test_id("stCheckbox").filter(has_text="Approve although").locator("label").click()
    who.write("Reason", reason)
    who.press("Approve")
    who.see("pending before, approved now")
    assert approvals.get_request(walk.home, number, now=datetime.now(UTC)).decided_by == "director"


def approve_the_first(walk: Walk) -> None:
    who = walk.director
    who.open("approvals", "Approvals", request=1)
    who.see_picture(re.compile("Right answers of 100 on unseen cases: Version 1.0.0"))
    who.shot("09_request")
    approve(walk, 1, "Clearly better than doing nothing")
    who.open("registry", "Registry", project=PROJECT, version="1.0.0")
    assert who.button(re.compile("Deploy")).count() == 0
    assert deployment.find_live(walk.home, PROJECT) is None


def deploy(walk: Walk, version: str, before: str) -> None:
    who = walk.devops
    who.go("Home")
    who.main.get_by_role("link", name="Deploy").first.click()
    who.see_title("Registry")
    who.write("Reason", f"Approved, {version} goes out")
    who.press(f"Deploy {version}")
    who.see(f"Live before: {before}. Live now: {version}.")
    assert deployment.find_live(walk.home, PROJECT).version == version


def ask_one_case(walk: Walk, version: str, age: int) -> None:
    """The form of one case; the answer names the version that gave it."""
    who = walk.developer
    who.open("predict", "Predict", project=PROJECT)
    who.tab("One case")
    who.write("age (years)", str(age))
    who.choose("sex", "Male")
    who.press("Score this case")
    who.see(f"Version {version}, logged as")
    newest = log.list_groups(walk.home, PROJECT)[0]
    assert (newest["version"], newest["caller"], newest["source"], newest["rows"]) == (version, "developer", "form", 1)
    last = log.read_group(walk.home, PROJECT, newest["uid"]).iloc[0]
    assert (last["age"], last["sex"]) == (age, "Male")


def deploy_the_first(walk: Walk) -> None:
    deploy(walk, "1.0.0", "nothing")
    walk.devops.shot("10_deployed")
    ask_one_case(walk, "1.0.0", 63)
    walk.developer.unfold("Why? What each value does")
    walk.developer.settle()
    walk.developer.shot("11_one_case")


def release_a_second_and_go_back(walk: Walk) -> None:
    who = walk.scientist
    who.open("comparison", "Comparison", project=PROJECT)
    first = versions.get_version(walk.home, PROJECT, "1.0.0")
    other = "Logistic regression" if first.summary["title"] != "Logistic regression" else "Random forest"
    who.choose("Candidate to look at", other)
    who.tab("Decision threshold")
    who.press(re.compile("Take the cheapest"))
    who.see_picture("Cost of every threshold; the chosen, the cheapest and 0.5 are marked")
    who.shot("12_threshold")
    register(who, "1.1.0")
    second = versions.get_version(walk.home, PROJECT, "1.1.0")
    assert second.summary["title"] == other
    assert second.threshold not in (None, 0.5)
    request_release(walk, "1.1.0", "Misses fewer patients")
    approve(walk, 2, "Worth a trial")
    walk.director.shot("13_second_request")
    deploy(walk, "1.1.0", "1.0.0")
    ask_one_case(walk, "1.1.0", 64)
    who = walk.devops
    who.open("registry", "Registry", project=PROJECT)
    who.press("Roll back to 1.0.0")
    who.see("Live before: 1.1.0. Live now: 1.0.0.")
    who.unfold("Who was live when, as a table")
    spans = [("1.0.0", "Rollback", "devops"), ("1.1.0", "Deployment", "devops"), ("1.0.0", "Deployment", "devops")]
    rows = who.see_rows(("Version", "How", "By"), spans)
    assert rows[0]["Until"] == "now"
    who.shot("14_rolled_back")
    ask_one_case(walk, "1.0.0", 65)
