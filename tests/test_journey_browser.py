"""The whole journey in a real browser: four people, one console, from a table to an approved, watched and proven model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from core.home import open_home
from pages import contents
from tests import walk_build, walk_release, walk_watch
from tests.browser import CHROMIUM, FLAGS, ROOT, SLOW, Person, serve
from tests.walk import Walk


@pytest.mark.browser
@pytest.mark.timeout(900)
def test_four_people_walk_from_a_table_to_an_approved_watched_and_proven_model(tmp_path):
    assert Path(CHROMIUM).exists(), f"The journey needs a browser at {CHROMIUM}: install Debian's package chromium."
    shots = Path(os.environ.get("GREENLIGHT_SHOTS") or tmp_path / "shots")
    shots.mkdir(parents=True, exist_ok=True)
    root = tmp_path / "home"
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("GREENLIGHT_")}, "GREENLIGHT_HOME": str(root)}
    demo = [sys.executable, "-m", "core", "demo"]
    subprocess.run(demo, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    with serve(root, tmp_path / "console.log") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        find_only_the_sign_in(browser, address, shots)
        people = [Person(browser, address, name, shots) for name in ("scientist", "director", "devops", "developer")]
        walk = Walk(open_home(root), tmp_path, *people)
        try:
            for step in STEPS:
                step(walk)
        except BaseException:
            for person in walk.people:  # what everybody had before them says more than the trace
                person.page.screenshot(path=shots / f"failed_{person.name}.png")
            raise
        for person in walk.people:
            assert person.complaints == [], person.name
        browser.close()
    assert "Traceback" not in (tmp_path / "console.log").read_text()


# 1. Nobody is in yet


def find_only_the_sign_in(browser: Browser, address: str, shots: Path) -> None:
    nobody = Person(browser, address, "nobody", shots)
    deep = ["/approvals?request=1", "/data?dataset=1", "/audit?event=1", "/registry?version=1.0.0"]
    for link in [*sorted(contents.known_paths()), *deep]:
        nobody.page.goto(address + link)
        expect(nobody.page.get_by_role("heading", name="Sign in", level=1)).to_be_visible(timeout=SLOW)
        assert nobody.page.get_by_test_id("stApp").count() == 0, link
    nobody.page.screenshot(path=shots / "01_sign_in.png")
    nobody.page.locator("button[value=scientist]").click()  # and then the page that was asked for
    nobody.see_title("Registry")
    assert nobody.complaints == []
    nobody.page.context.close()


def sign_everybody_in(walk: Walk) -> None:
    for person in walk.people:
        person.sign_in()
        assert person.metric("Live version") == "none"
        assert person.metric("Accuracy") == "unknown"
        assert person.metric("Predictions today") == "0"
    walk.scientist.shot("02_home_empty")


STEPS = (
    sign_everybody_in,
    walk_build.read_the_validation_report,
    walk_build.train_and_leave_the_page,
    walk_build.cancel_a_second_training,
    walk_build.compare_the_candidates,
    walk_release.register_and_request_the_first,
    walk_release.approve_the_first,
    walk_release.deploy_the_first,
    walk_release.release_a_second_and_go_back,
    walk_watch.score_a_file,
    walk_watch.score_a_large_file,
    walk_watch.feed_labels_back,
    walk_watch.check_the_logged_predictions,
    walk_watch.check_another_hospital,
    walk_watch.validate_another_hospital,
    walk_watch.compare_home_with_the_rows,
    walk_watch.search_and_verify_the_audit,
    walk_watch.change_a_row_behind_the_consoles_back,
    walk_build.bring_a_table_of_ones_own,
    walk_build.bring_a_workbook_under_a_hostile_title,
)
