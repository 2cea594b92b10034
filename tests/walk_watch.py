"""Steps of the journey: predict, watch, and account for it."""

from __future__ import annotations

import csv
import re
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from playwright.sync_api import expect

from core import audit, deployment
from core.drift import checks
from core.projects.projects import get_definition
from core.registry import comparison
from core.scoring import log
from tests.browser import SLOW, Person, until
from tests.walk import OUTPUTS, PROJECT, Walk

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


def newest_check(walk: Walk) -> checks.Check:
    """The newest check of a person; the clock makes its own between them."""
    made = next(c for c in checks.list_checks(walk.home, PROJECT) if c["by"] != checks.CLOCK)
    return checks.get_check(walk.home, made["id"])


def check_the_logged_predictions(walk: Walk) -> None:
    who = walk.scientist
    who.go("Drift")
    if any(c["by"] == checks.CLOCK for c in checks.list_checks(walk.home, PROJECT)):
        who.unfold("Run a check")
    who.tick("Also make Evidently's full report (some seconds, in the background)", False)
    who.press("Run check")
    who.see(re.compile(r"Check \d+ is done: overall drift"))
    check = newest_check(walk)
    assert (check.current["kind"], check.current["rows"]) == ("log", 294 * 21 + 3)
    who.see(check.alert["sentence"])
    who.see_picture(re.compile("Shares of the predictions"))
    assert [row["Metric"] for row in who.table("Metric", "Training", "Verdict")] == ["Accuracy", "F1", "AUC"]
    who.part("header").get_by_test_id("stTooltipIcon").first.hover()
    expect(who.page.get_by_test_id("stTooltipContent")).to_have_text(re.compile(r"^Since .*\b\d+ \w+ \d{4}, \d\d:\d\d UTC$"))
    who.shot("16_drift_logged")


def check_another_hospital(walk: Walk) -> None:
    who = walk.scientist
    who.open("drift", "Drift", project=PROJECT)
    who.unfold("Run a check")
    who.choose("Current: what came lately", "A file")
    who.upload(who.main, walk.samples / "heart_switzerland.csv")
    who.press("Run check")
    until(lambda: newest_check(walk).current["kind"] == "file", "the file is checked")
    check = newest_check(walk)
    who.see(re.compile(f"Check {check.id} is done"))
    score = check.result.column("chol").score

    def broken() -> bool:
        chol = next(r for r in who.table("Column", "Score", "Status") if r["Column"] == "chol")
        return chol["Status"] == "◆ Drift" and abs(float(chol["Score"]) - score) < 6e-3

    until(broken, "the table shows chol as drifted")
    assert score > get_definition(walk.home, PROJECT).thresholds.drift
    who.choose("Column", "chol")
    who.see_picture(re.compile("Shares of the values of chol"))
    who.see(re.compile(r"finds drift in \d+ of \d+ columns"))
    who.see_picture(re.compile("Shares of the predictions"))
    report = who.download("Full report by Evidently (HTML)", walk.folder / "evidently.html")
    assert "chol" in report.read_text()
    assert checks.get_check(walk.home, check.id).evidently is not None
    who.shot("17_drift_switzerland")


def validate_another_hospital(walk: Walk) -> None:
    who = walk.scientist
    who.open("data", "Data", project=PROJECT)
    who.unfold("Add a version")
    who.upload(who.part("data-file"), walk.samples / "heart_switzerland.csv")
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
    shown = checks.find_latest(walk.home, PROJECT, kind="log")
    assert who.metric("Drift") == f"{shown.overall:.2f}"
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
    who.see_rows(("Event",), [(str(e["seq"]),) for e in found])
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
