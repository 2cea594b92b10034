"""Steps of the journey: data, training, comparison, and a table of one's own."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pandas as pd
import pytest

from core.jobs import jobs
from core.projects.projects import list_projects
from core.registry import comparison, versions
from core.training import runs
from tests.browser import Person, until
from tests.walk import PROJECT, Walk
from tests.walk_release import register

HOSTILE = "<script>alert(1)</script> {{7*7}} **x**"


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
    who.see_rows(("Training", "State"), [("2", "■ Cancelled"), ("1", "✓ Done")])
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
    who.main.get_by_role("link", name="Go on to Training").first.click()
    who.see_title("Training")
    choose_candidates(who, {"Logistic regression"}, 3)
    who.press("Start training")
    who.see(re.compile("is on its way"))
    who.main.get_by_role("link", name="Compare the candidates").first.click(timeout=180_000)
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
