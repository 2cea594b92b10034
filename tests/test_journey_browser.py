"""The whole journey in a real browser: four people, one console, from a table to an approved, watched and proven model."""

from __future__ import annotations

import csv
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from core import approvals, audit, deployment
from core.drift import checks
from core.home import Home, open_home
from core.jobs import jobs
from core.projects.projects import get_definition, list_projects
from core.registry import comparison, versions
from core.scoring import log
from core.training import runs
from pages import contents
from tests.browser import CHROMIUM, FLAGS, ROOT, SLOW, Person, serve, until

PROJECT = "heart_disease"
OUTPUTS = ["prediction_id", "prediction", "score", "confidence", "problems"]
HOSTILE = "<script>alert(1)</script> {{7*7}} **x**"


@dataclass
class Walk:
    """What the steps share."""

    home: Home
    folder: Path
    scientist: Person
    director: Person
    devops: Person
    developer: Person

    @property
    def people(self) -> tuple[Person, ...]:
        return (self.scientist, self.director, self.devops, self.developer)

    @property
    def samples(self) -> Path:
        return self.home.root / "samples" / PROJECT


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
        for step in STEPS:
            step(walk)
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


# 2. Data, training, comparison


def read_the_validation_report(walk: Walk) -> None:
    who = walk.scientist
    who.go("Data")
    who.see(re.compile(r"Version 1 \(303 rows\)"))
    who.see("Licence: CC BY 4.0")
    (row,) = who.table("SHA-256", "Verdict")
    assert (row["Version"], row["Rows"], row["File"]) == ("1", "303", "heart_cleveland.csv")
    who.see_picture("Rows of each class")
    who.shot("03_data")


def choose_candidates(who: Person, wanted: set[str], folds: int) -> None:
    for title in [t.strip() for t in who.main.get_by_test_id("stCheckbox").all_inner_texts()]:
        box = who.main.get_by_test_id("stCheckbox").filter(has_text=re.compile(rf"^{re.escape(title)}$")).locator("input")
        if box.is_enabled():
            who.tick(title, title in wanted)
    who.unfold("Folds, hold-out and seed")
    who.write("Folds of the cross-validation", str(folds))


def train_and_leave_the_page(walk: Walk) -> None:
    who = walk.scientist
    who.go("Training")
    choose_candidates(who, {"Logistic regression", "Random forest", "Gradient boosting"}, 5)
    who.press("Start training")
    who.see("Training 1 is on its way")
    who.see(re.compile(r"(regression|forest|boosting|dummy), .*fold \d+.* of \d+ fits; .* so far, about .* left"))
    who.shot("04_training_runs")
    who.go("Home")
    who.go("Training")
    until(lambda: jobs.get_job(walk.home, 1).finished, "the first training ends", 180)
    who.see("Training 1: ✓ Done")
    assert jobs.get_job(walk.home, 1).state == "done"
    assert runs.list_runs(walk.home, PROJECT)[0].settings["folds"] == 5


def cancel_a_second_training(walk: Walk) -> None:
    who = walk.scientist
    choose_candidates(who, {"Neural network", "Voting", "Stacking", "Gradient boosting"}, 10)
    who.press("Start training")
    who.see("Training 2 is on its way")
    who.see(re.compile(r"of \d+ fits; "))
    who.press("Cancel")
    who.see("Training 2: ■ Cancelled")
    found = who.table("Training", "State", "Outcome")
    assert [(r["Training"], r["State"]) for r in found] == [("2", "■ Cancelled"), ("1", "✓ Done")]
    assert len(runs.list_runs(walk.home, PROJECT)) == 1
    who.shot("05_training_history")


def compare_the_candidates(walk: Walk) -> None:
    who = walk.scientist
    who.go("Comparison")
    run = runs.list_runs(walk.home, PROJECT)[0]
    for sentence in comparison.verdict(walk.home, run):
        who.see(sentence)
    found = who.table("Candidate", "Accuracy")
    for column in ("Accuracy", "Balanced", "F1", "AUC", "Precision", "Recall", "F1 95 %", "CV F1", "CV std", "Fit", "Criteria"):
        assert column in found[0], column
    assert len(found) == 4
    assert [r["Candidate"] for r in found if r["Note"] == "baseline"] == ["Baseline"]
    board = comparison.compare_candidates(walk.home, PROJECT, [run.id])
    for row, standing in zip(found, board.standings, strict=True):
        assert row["Candidate"] == standing.title
        assert float(row["Accuracy"]) == pytest.approx(standing.holdout["accuracy"], abs=6e-4)
        assert re.fullmatch(r"\d\.\d\d to \d\.\d\d", row["F1 95 %"])
    who.see_picture("F1 of each candidate with its 95 % interval")
    who.shot("06_comparison")
    for tab, words in (
        ("Confusion matrix", "Counts of true class by answer"), ("ROC", "ROC of 4 candidates"),
        ("Precision and recall", "Precision and recall of 4 candidates"), ("Calibration", "Calibration of 4 candidates"),
        ("Per class", "Precision, recall and F1 of each class"), ("Importances", re.compile("Fall of F1")),
    ):  # fmt: skip
        who.tab(tab)
        who.see_picture(words)
    who.shot("07_importances")


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
    who.main.get_by_role("link", name="Decide").click()
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
    who.main.get_by_role("link", name="Deploy").click()
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
    rows = who.table("Version", "Until", "How")
    assert [(r["Version"], r["How"], r["By"]) for r in rows] == [
        ("1.0.0", "Rollback", "devops"), ("1.1.0", "Deployment", "devops"), ("1.0.0", "Deployment", "devops")]  # fmt: skip
    assert rows[0]["Until"] == "now"
    who.shot("14_rolled_back")
    ask_one_case(walk, "1.0.0", 65)


# 6. Predict


def score_a_file(walk: Walk) -> None:
    who, hungary = walk.developer, walk.samples / "heart_hungary.csv"
    who.open("predict", "Predict", project=PROJECT)
    who.upload(who.main, hungary)
    who.press("Score 294 rows with version 1.0.0")
    until(lambda: log.list_groups(walk.home, PROJECT)[0]["rows"] == 294, "the rows are logged")
    who.see("Rows answered")
    assert (who.metric("Rows answered"), who.metric("Answered by version")) == ("294", "1.0.0")
    shown = who.table("prediction", "score", "confidence")
    assert set(OUTPUTS) - {"prediction_id"} <= set(shown[0]), shown[0]
    assert shown[0]["problems"]  # rows with problems come first
    path = who.download("All rows as CSV", walk.folder / "scored.csv")
    given, answered = read_csv(hungary), read_csv(path)
    assert answered[0] == given[0] + OUTPUTS
    assert [row[: len(given[0])] for row in answered] == given
    assert len({row[-5] for row in answered[1:]}) == 294
    assert all(0 <= float(row[-3]) <= 100 and 0.5 <= float(row[-2]) <= 1 for row in answered[1:])
    assert Counter(row[-4] for row in answered[1:]) == {"0": int(count(who, "0")), "1": int(count(who, "1"))}
    logged = log.read_group(walk.home, PROJECT, log.list_groups(walk.home, PROJECT)[0]["uid"])
    assert {c.name for c in get_definition(walk.home, PROJECT).features} <= set(logged.columns)
    who.shot("15_scored")


def count(who: Person, name: str) -> str:
    return re.search(rf"\b{name}: (\d+)", who.see_picture(re.compile("Predictions per class")))[1]


def score_a_large_file(walk: Walk) -> None:
    """More rows than are scored at once: a job with progress, found again under its link."""
    who = walk.developer
    head, *rows = (walk.samples / "heart_hungary.csv").read_text().splitlines()
    large = walk.folder / "hungary_20_times.csv"
    large.write_text("\n".join([head, *rows * 20]) + "\n")
    who.open("predict", "Predict", project=PROJECT)
    who.upload(who.main, large)
    who.press("Score 5,880 rows with version 1.0.0")
    expect(who.main.get_by_test_id("stProgress")).to_be_visible(timeout=SLOW)
    who.see("It goes on when you leave this page")
    who.see("Rows answered")
    assert who.metric("Rows answered") == "5,880"


def feed_labels_back(walk: Walk) -> None:
    who = walk.scientist
    who.open("predict", "Predict", project=PROJECT)
    who.tab("Labels")
    who.upload(who.main.get_by_role("tabpanel", name="Labels"), walk.folder / "scored.csv")
    who.press("Keep these labels")
    who.see(re.compile("294 new labels, 0 corrected"))


def read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


# 7. Watch


def check_the_logged_predictions(walk: Walk) -> None:
    who = walk.scientist
    who.go("Drift")
    who.tick("Also make Evidently's full report (some seconds, in the background)", False)
    who.press("Run check")
    who.see(re.compile("Check 1 is done: overall drift"))
    check = checks.get_check(walk.home, 1)
    assert (check.current["kind"], check.current["rows"]) == ("log", 294 * 21 + 3)
    who.see(check.alert["sentence"])
    who.see_picture(re.compile("Shares of the predictions"))
    who.shot("16_drift_logged")


def check_another_hospital(walk: Walk) -> None:
    who = walk.scientist
    who.open("drift", "Drift", project=PROJECT)
    who.unfold("Run a check")
    who.choose("Current: what came lately", "A file")
    who.upload(who.main, walk.samples / "heart_switzerland.csv")
    who.press("Run check")
    who.see(re.compile("Check 2 is done"))
    check = checks.get_check(walk.home, 2)
    chol = next(r for r in who.table("Column", "Score", "Status") if r["Column"] == "chol")
    assert chol["Status"] == "◆ Drift"
    assert float(chol["Score"]) == pytest.approx(check.result.column("chol").score, abs=6e-3)
    assert float(chol["Score"]) > get_definition(walk.home, PROJECT).thresholds.drift
    who.choose("Column", "chol")
    who.see_picture(re.compile("Shares of the values of chol"))
    who.see(re.compile(r"finds drift in \d+ of \d+ columns"))
    who.see_picture(re.compile("Shares of the predictions"))
    report = who.download("Full report by Evidently (HTML)", walk.folder / "evidently.html")
    assert "chol" in report.read_text()
    assert checks.get_check(walk.home, 2).evidently is not None
    who.shot("17_drift_switzerland")


def validate_another_hospital(walk: Walk) -> None:
    who = walk.scientist
    who.open("data", "Data", project=PROJECT)
    who.unfold("Add a version")
    who.upload(who.main, walk.samples / "heart_switzerland.csv")
    who.press("Add version")
    who.see("version 2 with 123 rows")
    who.see("chol 0 is outside 100..600: 123 of 123 rows")
    who.shot("18_data_switzerland")


# 8. Home


def compare_home_with_the_rows(walk: Walk) -> None:
    who, now = walk.scientist, datetime.now(UTC)
    who.open("home", "Home", project=PROJECT)
    live = deployment.find_live(walk.home, PROJECT)
    assert who.metric("Live version") == live.version == "1.0.0"
    sweep = comparison.compare_candidates(walk.home, PROJECT, [1])
    chosen = next(s for s in sweep.standings if "1.0.0" in s.versions)
    base = next(s for s in sweep.standings if s.baseline).holdout["accuracy"]
    assert who.metric("Accuracy") == f"{chosen.holdout['accuracy']:.2f}"
    who.see(f"{chosen.holdout['accuracy'] - base:+.2f} over baseline {base:.2f}")
    logged = log.read(walk.home, PROJECT)
    today = pd.to_datetime(logged["at"], utc=True).dt.date == now.date()
    assert who.metric("Predictions today") == f"{today.sum():,}".replace(",", "\u202f")
    assert who.metric("Drift") == f"{checks.get_check(walk.home, 1).overall:.2f}"
    answers = Counter(logged.loc[logged["version"] == "1.0.0", "out:prediction"])
    assert who.see_picture(re.compile("Predictions per class")) == f"Predictions per class: 0: {answers['0']}, 1: {answers['1']}."
    head, *scored = read_csv(walk.folder / "scored.csv")
    right = sum((row[head.index("num")] != "0") == (row[-4] == "1") for row in scored)
    who.see(f"was right in {right / 294:.0%} of 294 labelled predictions")
    who.see_picture(re.compile(f"overall {right / 294:.0%}"))
    who.see_picture(re.compile("Drift score per column"))
    who.see("Nothing waits for you.")
    assert who.main.get_by_text("Heart disease", exact=True).count() >= 1
    who.shot("19_home")


# 9. Account for it


def search_and_verify_the_audit(walk: Walk) -> None:
    who = walk.director
    who.go("Audit")
    events, total = audit.search(walk.home, limit=1000)
    who.see(re.compile(rf"{total} events, newest first"))
    acts = {(e["actor"], e["action"]) for e in events if e["outcome"] == "done"}
    for expected in (("scientist", "register"), ("scientist", "request_release"), ("director", "approve_release"),
                     ("devops", "deploy"), ("devops", "rollback"), ("scientist", "check_drift")):  # fmt: skip
        assert expected in acts, expected
    who.press("Verify the chain")
    verdict = audit.verify(walk.home)
    who.see(verdict.sentence)
    assert verdict.intact
    who.write("Search", "rollback")
    who.page.keyboard.press("Enter")
    found, matching = audit.search(walk.home, text="rollback")
    who.see(re.compile(rf"^{matching} events?, newest first"))
    assert 0 < matching < total
    wanted = [str(e["seq"]) for e in found]
    until(lambda: [r["Event"] for r in who.table("Event", "Who", "What")] == wanted, "the table shows what was found")
    who.open("audit", "Audit", event=found[0]["seq"])
    who.see("Before")
    who.see("After")
    who.see(re.compile(r'"1\.1\.0"'))
    who.shot("20_audit")


def change_a_row_behind_the_consoles_back(walk: Walk) -> None:
    seq = audit.search(walk.home, actor="devops", action="deploy")[0][0]["seq"]
    with sqlite3.connect(walk.home.db) as database:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
        for (name,) in database.execute(triggers).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("UPDATE audit SET body = replace(body, 'devops', 'director') WHERE seq = ?", (seq,))
    who = walk.director
    who.open("audit", "Audit")
    who.press("Verify the chain")
    who.see(re.compile(rf"Event {seq}\b"))
    who.shot("21_audit_changed")


# 10. A table of one's own


def make_penguins(path: Path) -> Path:
    """200 rows that no sample contains: does a pair raise its chick, yes or no."""
    draw = random.Random(11)
    rows = []
    for n in range(200):
        island, mass, bill = draw.choice(["Biscoe", "Dream", "Torgersen"]), draw.gauss(4200, 600), draw.gauss(44, 5)
        likely = 1 / (1 + 2.718 ** (-(mass - 4200) / 300 + (island == "Dream")))
        rows.append({"penguin_id": f"p{n}", "island": island, "bill_length_mm": round(bill, 1), "body_mass_g": round(mass),
                     "raised_chick": "yes" if draw.random() < likely else "no"})  # fmt: skip
    frame = pd.DataFrame(rows)
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


def make_a_project(who: Person, table: Path, title: str, shot: str) -> None:
    who.open("data", "Data")
    who.press("New project")
    who.see_title("New project")
    who.upload(who.main, table)
    who.see(f"{table.name}: 200 rows, 5 columns")
    who.press("On to: Columns")
    who.see("This is what the columns seem to be")
    guessed = {r["Column"]: (r["Kind"], r["Use"]) for r in who.table("Column", "Kind", "Use")}
    assert guessed == {
        "penguin_id": ("category", "key"), "island": ("category", "feature"), "bill_length_mm": ("number", "feature"),
        "body_mass_g": ("number", "feature"), "raised_chick": ("category", "feature"),
    }  # fmt: skip
    who.press("On to: Target")
    who.write("Title", title)
    who.settle()
    who.choose("Target: the column to be predicted", "raised_chick")
    who.choose("Task", "Binary: yes or no")
    who.shot(f"{shot}_target")
    who.press("On to: What will happen")
    who.see("The table as first data")
    who.shot(f"{shot}_plan")
    who.press("Create project")
    who.see("is made, with 200 rows as version 1 of its data")


def bring_a_table_of_ones_own(walk: Walk) -> None:
    who = walk.scientist
    make_a_project(who, make_penguins(walk.folder / "penguins.csv"), "Penguin parents", "22_wizard")
    who.main.get_by_role("link", name="Go on to Training").click()
    who.see_title("Training")
    choose_candidates(who, {"Logistic regression"}, 3)
    who.press("Start training")
    who.see(re.compile("is on its way"))
    who.main.get_by_role("link", name="Compare the candidates").click(timeout=180_000)
    who.see_title("Comparison")
    who.see_picture("F1 of each candidate with its 95 % interval")
    register(who, "1.0.0")
    assert versions.get_version(walk.home, "penguin_parents", "1.0.0").stage == "validation"
    who.shot("23_penguins_registered")


def bring_a_workbook_under_a_hostile_title(walk: Walk) -> None:
    who = walk.scientist
    make_a_project(who, make_penguins(walk.folder / "penguins.xlsx"), HOSTILE, "24_hostile")
    who.page.on("dialog", lambda dialog: who.complaints.append(f"a script in a title ran: {dialog.message}"))
    who.see(f"Project {HOSTILE} is made")
    who.go("Home")
    who.see(HOSTILE)
    assert HOSTILE in [p.title for p in list_projects(walk.home)]
    who.shot("25_home_hostile")


STEPS = (
    sign_everybody_in, read_the_validation_report, train_and_leave_the_page, cancel_a_second_training, compare_the_candidates,
    register_and_request_the_first, approve_the_first, deploy_the_first, release_a_second_and_go_back, score_a_file,
    score_a_large_file, feed_labels_back, check_the_logged_predictions, check_another_hospital, validate_another_hospital,
    compare_home_with_the_rows, search_and_verify_the_audit, change_a_row_behind_the_consoles_back, bring_a_table_of_ones_own,
    bring_a_workbook_under_a_hostile_title,
)  # fmt: skip
