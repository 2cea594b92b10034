"""The whole journey by command, each command a process of its own, on a folder of its own."""

import csv
import json
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OUTPUTS = ["prediction_id", "prediction", "score", "confidence", "problems"]


class Installation:
    """A folder and the commands that work in it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.samples = self.home / "samples" / "heart_disease"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GREENLIGHT_")}
        self.environment = {**environment, "GREENLIGHT_HOME": str(self.home), "GREENLIGHT_WORKERS": "2"}

    def run(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [sys.executable, "-m", "core", *map(str, arguments)],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def ask(self, *arguments: object) -> dict | list:
        """The JSON document that a command prints."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def refuse(self, *arguments: object) -> str:
        """What a command that is refused says: one line on stderr, nothing on stdout."""
        done = self.run(*arguments, code=1)
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr


@pytest.fixture(scope="module")
def journey(tmp_path_factory) -> Installation:
    """One installation with the demo; the tests here build on one another's folder, not on one another's steps."""
    it = Installation(tmp_path_factory.mktemp("journey"))
    it.run("demo")
    return it


def read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_from_a_sample_to_a_repaired_model_and_its_proof(journey, tmp_path):
    it = journey
    made = it.ask("demo")
    assert [(p["id"], p["fresh"]) for p in made["projects"]] == [
        ("heart_disease", False), ("future_skills", False), ("recipe_ranking", False)]  # fmt: skip

    # train and register
    small = ("--candidates", "logistic_regression,random_forest", "--param", "random_forest.n_estimators=20", "--folds", 3)
    trained = it.ask("train", "heart_disease", *small, "--as", "scientist")
    assert trained["version"] == "1.0.0"
    assert {r["candidate"] for r in trained["leaderboard"]} == {"dummy", "logistic_regression", "random_forest"}
    assert [r["rank"] for r in trained["leaderboard"]] == [1, 2, 3]
    assert trained["leaderboard"][-1]["baseline"] is True
    forest = next(r for r in trained["leaderboard"] if r["candidate"] == "random_forest")
    assert forest["params"]["n_estimators"] == 20
    comparison = tmp_path / "MODEL_COMPARISON.md"
    assert it.ask("compare", "heart_disease", "--out", comparison)["choice"] == trained["choice"]
    assert "| Rank | Model | Accuracy | Precision | Recall | F1 |" in comparison.read_text()

    # request, decide, deploy: each by the role that may
    assert "role" in it.refuse("request", "heart_disease", "1.0.0", "--reason", "First", "--as", "director")
    request = it.ask("request", "heart_disease", "1.0.0", "--reason", "First model", "--as", "scientist")
    assert (request["id"], request["version"], request["state"]) == (1, "1.0.0", "pending")
    assert [g["name"] for g in request["gates"]] == ["metric", "baseline", "class_recall", "known_cases", "live"]
    despite = ("--despite-gates",) if any(g["passed"] is False for g in request["gates"]) else ()
    assert "Data scientist may not approve" in it.refuse("approve", 1, "--reason", "Mine", "--as", "scientist")
    assert "no approval" in it.refuse("deploy", "heart_disease", "1.0.0", "--as", "devops")
    assert it.ask("approve", 1, "--reason", "Good", *despite, "--as", "director")["state"] == "approved"
    assert "DRH manager may not deploy" in it.refuse("deploy", "heart_disease", "1.0.0", "--as", "director")
    live = it.ask("deploy", "heart_disease", "1.0.0", "--as", "devops")
    assert (live["version"], live["before"]) == ("1.0.0", None)

    # predict
    out = tmp_path / "out.csv"
    hungary = it.samples / "heart_hungary.csv"
    summary = it.ask("predict", "heart_disease", hungary, out, "--as", "developer")
    assert (summary["version"], summary["rows"]) == ("1.0.0", 294)
    given, answered = read_csv(hungary), read_csv(out)
    assert answered[0] == given[0] + OUTPUTS
    assert [row[: len(given[0])] for row in answered] == given
    assert len({row[-5] for row in answered[1:]}) == 294
    assert {row[-4] for row in answered[1:]} == {"0", "1"}
    assert all(0 <= float(row[-3]) <= 100 and 0.5 <= float(row[-2]) <= 1 for row in answered[1:])
    assert "ca is missing" in answered[1][-1]

    # labels come back
    target = answered[0].index("num")
    labels = tmp_path / "labels.csv"
    with labels.open("w", newline="") as file:
        csv.writer(file).writerows([["prediction_id", "label"], *([row[-5], row[target]] for row in answered[1:])])
    fed = it.ask("feedback", "heart_disease", labels, "--as", "scientist")
    right = sum((row[target] != "0") == (row[-4] == "1") for row in answered[1:])
    assert (fed["new"], fed["unknown"], fed["unreadable"]) == (294, 0, 0)
    assert fed["quality"]["accuracy"] == right / 294

    # a second version, and back
    second = it.ask("train", "heart_disease", *small, "--seed", 7, "--as", "scientist")
    assert second["version"] == "1.1.0"
    request = it.ask("request", "heart_disease", "1.1.0", "--reason", "Another seed", "--as", "scientist")
    assert request["live"]["version"] == "1.0.0"
    it.run("approve", request["id"], "--reason", "To compare", "--despite-gates", "--as", "director")
    assert it.ask("deploy", "heart_disease", "1.1.0", "--as", "devops")["before"] == "1.0.0"
    back = it.ask("rollback", "heart_disease", "--reason", "The first was fine", "--as", "devops")
    assert (back["version"], back["before"]) == ("1.0.0", "1.1.0")
    listed = it.ask("versions", "heart_disease")
    assert [(v["version"], v["stage"], v["live"]) for v in listed] == [
        ("1.1.0", "archived", False),
        ("1.0.0", "production", True),
    ]
    assert it.ask("predict", "heart_disease", hungary, out, "--as", "devops")["version"] == "1.0.0"

    # another hospital: seen coming by drift, seen happening by evaluation
    switzerland = it.samples / "heart_switzerland.csv"
    check = it.ask("drift", "heart_disease", "--current", switzerland, "--no-evidently", "--as", "scientist")
    columns = {c["name"]: c for c in check["columns"]}
    assert (check["band"], check["alert"]["level"]) == ("drift", "high")
    assert (columns["chol"]["status"], columns["age"]["within_chance"]) == ("drift", True)
    report_file = tmp_path / "report.json"
    report = it.ask("evaluate", "heart_disease", "1.0.0", "--data", switzerland, "--out", report_file)
    assert json.loads(report_file.read_text()) == report
    assert report["data"]["labelled"] == 123
    assert report["metrics"]["accuracy"] < report["baseline"]["metrics"]["accuracy"] == pytest.approx(115 / 123)
    assert any(f["column"] == "chol" and f["count"] == 123 for f in report["findings"])

    # the rest of the loop
    exported = tmp_path / "export.csv"
    assert it.ask("export", "heart_disease", exported, "--as", "scientist")["version"] == 1
    assert exported.read_bytes() == (it.samples / "heart_cleveland.csv").read_bytes()
    due = it.ask("retrain", "heart_disease", "--check")
    assert due["due"] is True
    assert [(t["name"], t["value"], t["fired"]) for t in due["triggers"]][1] == ("new labelled rows", 294, True)
    assert "may not train" in it.refuse("retrain", "heart_disease", "--as", "developer")
    added = it.ask("user", "add", "maria", "--role", "devops", "--as", "admin")
    assert (added["id"], added["role"], len(added["code"])) == ("maria", "devops", 19)
    assert "may not manage accounts" in it.refuse("user", "add", "eve", "--role", "admin", "--as", "maria")
    log = tmp_path / "predictions_monitoring.jsonl"
    assert it.ask("export-log", "heart_disease", log, "--as", "devops")["lines"] == 588
    assert {j["state"] for j in it.ask("jobs", "heart_disease")} == {"done"}

    # proof
    verdict = it.ask("audit", "verify")
    assert verdict["intact"] is True
    refused = it.ask("audit", "list", "--outcome", "refused", "--limit", 100)
    assert refused["total"] == 6
    assert {(e["actor"], e["via"], e["action"]) for e in refused["events"]} == {
        ("director", "cli", "request_release"), ("scientist", "cli", "approve_release"), ("devops", "cli", "deploy"),
        ("director", "cli", "deploy"), ("maria", "cli", "add_account"), ("developer", "cli", "start_retraining"),
    }  # fmt: skip
    events = tmp_path / "audit.jsonl"
    assert (
        it.ask("audit", "export", events, "--as", "director")["events"]
        == len(events.read_text().splitlines())
        == verdict["count"] + 1
    )


def test_a_table_of_ones_own_becomes_a_project_and_trains(journey, tmp_path):
    draw = random.Random(3)
    table = tmp_path / "visits.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["visit_id", "weekday", "distance_km", "waited_min", "came_back"])
        for n in range(240):
            distance, waited, day = draw.uniform(0, 40), draw.uniform(0, 60), draw.choice(["mon", "tue", "wed"])
            likely = 1 / (1 + 2.718 ** (0.12 * distance + 0.06 * waited - 4 + (day == "tue")))
            writer.writerow([f"v{n}", day, f"{distance:.1f}", f"{waited:.0f}", "yes" if draw.random() < likely else "no"])
    it = journey
    made = it.ask(
        "project", "create", "visits", "--data", table, "--target", "came_back", "--positive", "yes", "--as", "scientist"
    )
    assert (made["id"], made["task"], made["classes"]) == ("visits", "binary", ["0", "1"])
    assert made["features"] == ["weekday", "distance_km", "waited_min"]
    assert (made["dataset"]["version"], made["dataset"]["rows"], made["dataset"]["ok"]) == (1, 240, True)
    trained = it.ask("train", "visits", "--candidates", "logistic_regression", "--folds", 3, "--as", "devops")
    assert (trained["choice"], trained["version"]) == ("logistic_regression", "1.0.0")
    assert "already" in it.refuse("project", "create", "visits", "--data", table, "--target", "came_back", "--as", "scientist")
    out = tmp_path / "out.csv"
    assert "no live version" in it.refuse("predict", "visits", table, out, "--as", "scientist")
    assert "never live" in it.refuse("predict", "visits", table, out, "--version", "1.0.0", "--as", "scientist")
    assert it.ask("evaluate", "visits", "1.0.0", "--data", table)["data"]["rows"] == 240
    assert not out.exists()
    assert it.ask("project", "archive", "visits", "--as", "scientist")["id"] == "visits"
    assert "visits" not in [p["id"] for p in it.ask("project", "list")]
    assert "archived" in it.refuse("train", "visits", "--as", "scientist")
    it.run("project", "restore", "visits", "--as", "scientist")
    assert "visits" in [p["id"] for p in it.ask("project", "list")]


def test_a_changed_event_is_named_by_its_row(journey, tmp_path):
    copy = tmp_path / "copy.db"
    with sqlite3.connect(journey.home / "greenlight.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    other = Installation(tmp_path)
    other.home.mkdir()
    copy.rename(other.home / "greenlight.db")
    for name in ("secret.key", "audit.head"):
        (other.home / name).write_bytes((journey.home / name).read_bytes())
    assert other.ask("audit", "verify")["intact"] is True
    with sqlite3.connect(other.home / "greenlight.db") as database:
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
        ).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("UPDATE audit SET body = replace(body, 'scientist', 'director') WHERE seq = 8")
    said = other.refuse("audit", "verify")
    assert "Event 8" in said
    found = json.loads(other.run("audit", "verify", "--json", code=1).stdout)
    assert (found["intact"], found["row"]) == (False, 8)
