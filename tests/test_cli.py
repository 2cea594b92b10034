"""The command line as scripts see it: exit codes, one line on stderr, one JSON document on stdout."""

import csv
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core import accounts, approvals, audit, deployment
from core.acts import Actor
from core.cli import console
from core.cli.app import app, main
from core.datasets.versions import add_dataset
from core.jobs import jobs
from core.projects import samples
from core.projects.projects import create_project
from core.registry import versions
from core.training import runs

ROOT = Path(__file__).parent.parent


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command on an installation in this process; returns (exit code, stdout, stderr)."""
    monkeypatch.delenv("GREENLIGHT_AS", raising=False)
    monkeypatch.delenv("GREENLIGHT_TRACE", raising=False)

    def run(home, *arguments):
        monkeypatch.setenv("GREENLIGHT_HOME", str(home.root))
        monkeypatch.setenv("GREENLIGHT_MODELS", str(home.models))
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def one_line(err):
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    return err


# ---- the frame ----


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom core.cli.app import main\nassert main(['--help']) == 0\n"
        "heavy = {'sklearn', 'pandas', 'numpy', 'streamlit', 'evidently', 'pydantic_settings', 'sqlite_utils'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.rstrip().endswith("[]")


def test_every_promised_command_is_there():
    import typer

    tree = typer.main.get_command(app).commands
    assert {
        "demo", "train", "register", "versions", "compare", "evaluate", "request", "approve", "reject", "withdraw",
        "deploy", "rollback", "undeploy", "predict", "feedback", "drift", "monitor", "retrain", "export", "export-log", "jobs", "project",
        "audit", "user", "key", "health", "checks", "alerts", "alert", "limits", "logs", "purge", "agent",
    } <= set(tree)  # fmt: skip
    assert set(tree["project"].commands) >= {"create", "list", "archive", "restore", "connect", "source", "import"}
    assert set(tree["audit"].commands) == {"verify", "export", "list"}
    assert set(tree["user"].commands) == {"add", "list", "role", "email", "close", "reopen", "reset"}
    assert set(tree["notify"].commands) == {"channels", "test", "list", "send", "redeliver", "choose", "switch", "secret"}
    assert set(tree["key"].commands) == {"add", "list", "revoke", "webhook"}
    assert set(tree["purge"].commands) == {"predictions", "dataset", "person", "keep", "rules"}
    assert set(tree["alert"].commands) == {"acknowledge", "resolve"}
    assert set(tree["agent"].commands) == {
        "list", "show", "policy", "approve", "reject", "pause", "resume", "dry-run", "limit", "turn",
    }  # fmt: skip
    assert set(tree["limits"].commands) == {"show", "propose", "approve", "reject", "withdraw"}


def test_an_act_without_an_account_is_wrong_usage_that_names_the_accounts(command, demo_home):
    code, out, err = command(demo_home, "train", "heart_disease")
    assert (code, out) == (2, "")
    assert "admin, developer, devops, director, scientist" in err


def test_the_environment_may_name_the_account(command, demo_home, monkeypatch):
    monkeypatch.setenv("GREENLIGHT_AS", "director")
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    assert main(["train", "heart_disease"]) == 1
    events, _ = audit.search(demo_home, action="start_training")
    assert [(e["actor"], e["outcome"], e["via"]) for e in events] == [("director", "refused", "cli")]


def test_reading_needs_no_account_but_a_named_one_must_exist(command, demo_home):
    for arguments in (("versions", "heart_disease"), ("retrain", "heart_disease", "--check")):
        assert command(demo_home, *arguments)[0] == 0
        assert command(demo_home, *arguments, "--as", "developer")[0] == 0
        assert "'nobody'" in one_line(command(demo_home, *arguments, "--as", "nobody")[2])


def test_an_unknown_account_is_refused_in_one_line(command, demo_home):
    code, out, err = command(demo_home, "undeploy", "heart_disease", "--as", "nobody")
    assert (code, out) == (1, "")
    assert "'nobody'" in one_line(err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("versions", "nothing"),
        ("compare", "heart_disease"),
        ("evaluate", "heart_disease", "1.0.0", "--data", "absent.csv"),
        ("predict", "heart_disease", "absent.csv", "out.csv", "--as", "scientist"),
        ("feedback", "heart_disease", "absent.csv", "--as", "scientist"),
        ("drift", "heart_disease", "--no-evidently", "--as", "scientist"),
        ("approve", "99", "--reason", "x", "--as", "director"),
        ("register", "heart_disease", "99", "--as", "scientist"),
        ("train", "heart_disease", "--candidates", "wizard", "--as", "scientist"),
        ("train", "heart_disease", "--param", "random_forest.trees=1", "--as", "scientist"),
        ("train", "heart_disease", "--candidates", "dummy", "--param", "mlp.alpha=1", "--as", "scientist"),
        ("train", "heart_disease", "--version", "one", "--as", "scientist"),
        ("train", "heart_disease", "--as", "developer"),
        ("project", "create", "Bad Name", "--data", "pyproject.toml", "--target", "x", "--as", "scientist"),
        ("retrain", "heart_disease", "--as", "developer"),
        ("rollback", "heart_disease", "--as", "devops"),
        ("user", "add", "x", "--role", "king", "--as", "admin"),
        ("export-log", "nothing", "out.jsonl", "--as", "scientist"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_exit_1(command, demo_home, arguments):
    code, out, err = command(demo_home, *arguments)
    assert (code, out) == (1, "")
    one_line(err)


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("train",), ("train", "heart_disease", "--folds", "1"), ("approve", "one", "--reason", "x"),
     ("request", "heart_disease", "1.0.0", "--as", "scientist"),
     ("train", "heart_disease", "--param", "mlp", "--candidates", "mlp", "--as", "scientist")],
)  # fmt: skip
def test_wrong_usage_is_exit_2(command, demo_home, arguments):
    code, out, err = command(demo_home, *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_an_unexpected_error_is_one_sentence_and_its_trace_is_in_the_log(command, demo_home, monkeypatch):
    monkeypatch.setattr(audit, "verify", lambda home: 1 / 0)
    try:
        code, out, err = command(demo_home, "audit", "verify")
        assert (code, out) == (1, "")
        assert "ZeroDivisionError" in one_line(err)
        (log,) = demo_home.logs.glob("app_*.log")
        assert "division by zero" in json.loads(log.read_text().splitlines()[-1])["trace"]
        monkeypatch.setenv("GREENLIGHT_TRACE", "1")
        assert "Traceback" in command(demo_home, "audit", "verify")[2]
    finally:
        for handler in list(logging.getLogger("greenlight").handlers):
            logging.getLogger("greenlight").removeHandler(handler)
            handler.close()


def test_a_place_that_cannot_be_written_is_named(command, trained_home, tmp_path):
    code, _, err = command(trained_home, "compare", "heart_disease", "--out", "/proc/nowhere/x.md")
    assert code == 1
    assert "/proc/nowhere" in one_line(err)
    source = trained_home.root / "samples/heart_disease/heart_hungary.csv"
    code, _, err = command(trained_home, "predict", "heart_disease", source, tmp_path / "no" / "out.csv", "--as", "developer")
    assert "no folder" in one_line(err)
    assert command(trained_home, "export-log", "heart_disease", tmp_path / "l.jsonl", "--as", "devops")[1].startswith(
        "0 predictions"
    )


def test_control_characters_of_a_file_do_not_reach_the_terminal(capsys):
    console.answer({}, False, "red \x1b[31m and \u202e back")
    assert capsys.readouterr().out == "red \N{REPLACEMENT CHARACTER}[31m and \N{REPLACEMENT CHARACTER} back\n"


def test_a_table_puts_numbers_to_the_right_and_dashes_for_unknown():
    assert console.table(["name", "f1"], [["a", 0.5], ["bcdef", None]]) == [
        "name      f1",
        "-----  -----",
        "a      0.500",
        "bcdef      -",
    ]


def test_what_is_no_number_is_null_in_json():
    assert console.plain({"a": float("nan"), "b": (1, 2.5), "c": {3: None}}) == {"a": None, "b": [1, 2.5], "c": {"3": None}}


# ---- training ----


def test_below_the_gate_the_leaderboard_is_printed_and_nothing_is_registered(command, home):
    accounts.add_demo_accounts(home)
    definition = samples.load_sample("heart_disease")
    definition = replace(definition, name="strict", gates=replace(definition.gates, register=0.99))
    create_project(home, Actor("scientist"), definition)
    path = samples.make_sample_data("heart_disease", home.root / "samples")
    add_dataset(home, Actor("scientist"), "strict", path, file_name=path.name)
    code, out, err = command(
        home, "train", "strict", "--candidates", "logistic_regression", "--folds", "2", "--as", "scientist", "--json"
    )
    report = json.loads(out)
    assert code == 1
    assert (report["version"], report["registered"], report["choice"]) == (None, None, "logistic_regression")
    assert "below 0.99" in report["refusal"]
    assert err.splitlines()[-1].startswith("Error: ")
    assert versions.list_versions(home, "strict") == []
    assert len(runs.list_runs(home, "strict")) == 1


def test_ctrl_c_cancels_the_job_and_keeps_nothing(demo_home):
    environment = {
        **os.environ,
        "GREENLIGHT_HOME": str(demo_home.root),
        "GREENLIGHT_MODELS": str(demo_home.models),
        "GREENLIGHT_WORKERS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "core", "train", "future_skills", "--candidates", "random_forest,gradient_boosting", "--param",
         "random_forest.n_estimators=1000", "--as", "scientist"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in process.stderr:
        if "fold" in line or "validating" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out == ""
    assert "cancelled" in err.splitlines()[-1].lower()
    assert "Traceback" not in err
    (job,) = jobs.list_jobs(demo_home, kind="train")
    assert (job.state, job.cancel_by) == ("cancelled", "scientist")
    assert runs.list_runs(demo_home, "future_skills") == []
    assert list(demo_home.runs.iterdir()) == []


# ---- registry and release ----


def test_another_candidate_of_a_run_is_registered_with_its_own_threshold(command, trained_home):
    code, out, _ = command(
        trained_home,
        "register",
        "heart_disease",
        1,
        "--candidate",
        "random_forest",
        "--threshold",
        0.4,
        "--as",
        "devops",
        "--json",
    )
    assert code == 0
    made = json.loads(out)
    assert (made["version"], made["candidate"], made["run"]) == ("1.1.0", "random_forest", 1)
    assert versions.get_version(trained_home, "heart_disease", "1.1.0").threshold == 0.4
    code, _, err = command(trained_home, "register", "heart_disease", 1, "--candidate", "oak", "--as", "devops")
    assert "dummy, logistic_regression, random_forest" in one_line(err)
    assert "baseline" in one_line(
        command(trained_home, "register", "heart_disease", 1, "--candidate", "dummy", "--as", "devops")[2]
    )


def test_requests_are_withdrawn_and_rejected_by_command(command, trained_home):
    command(trained_home, "register", "heart_disease", 1, "--candidate", "random_forest", "--as", "devops")
    assert command(trained_home, "request", "heart_disease", "1.1.0", "--reason", "Try", "--as", "devops")[0] == 0
    assert command(trained_home, "withdraw", 2, "--as", "devops")[0] == 0
    assert approvals.get_request(trained_home, 2).state == "withdrawn"
    assert command(trained_home, "request", "heart_disease", "1.1.0", "--reason", "Again", "--as", "devops")[0] == 0
    code, out, _ = command(trained_home, "reject", 3, "--reason", "Not now", "--as", "director", "--json")
    assert (code, json.loads(out)) == (0, {"id": 3, "state": "rejected", "version": "1.1.0"})
    stage = versions.get_version(trained_home, "heart_disease", "1.1.0")
    assert (stage.stage, stage.stage_reason) == ("archived", "rejected by director: Not now")


def test_undeploy_and_roll_back(command, trained_home):
    code, out, _ = command(trained_home, "undeploy", "heart_disease", "--reason", "Pause", "--as", "devops")
    assert (code, out) == (0, "heart_disease: version 1.0.0 is out of service; nothing is live.\n")
    assert deployment.find_live(trained_home, "heart_disease") is None
    code, out, _ = command(trained_home, "rollback", "heart_disease", "--to", "1.0.0", "--as", "devops", "--json")
    assert json.loads(out) == {"project": "heart_disease", "version": "1.0.0", "before": None}


def test_evaluating_agrees_with_predicting_and_changes_nothing(command, trained_home, tmp_path):
    source = trained_home.root / "samples/heart_disease/heart_hungary.csv"
    before = audit.verify(trained_home).count
    report = json.loads(command(trained_home, "evaluate", "heart_disease", "1.0.0", "--data", source, "--json")[1])
    assert audit.verify(trained_home).count == before
    out = tmp_path / "out.csv"
    assert command(trained_home, "predict", "heart_disease", source, out, "--as", "developer")[0] == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth, said = [r["num"] != "0" for r in rows], [r["prediction"] == "1" for r in rows]
    assert report["metrics"]["accuracy"] == sum(t == s for t, s in zip(truth, said, strict=True)) / 294
    hits = sum(t and s for t, s in zip(truth, said, strict=True))
    assert report["metrics"]["recall"] == pytest.approx(hits / sum(truth))
    assert report["data"]["class_rows"] == {"0": 188, "1": 106}
    assert report["baseline"]["metrics"]["accuracy"] == pytest.approx(188 / 294)
    low, high = report["intervals"]["accuracy"]
    assert low < report["metrics"]["accuracy"] < high
    assert report["difference"]["low"] > 0


def test_a_table_without_answers_cannot_evaluate(command, trained_home, tmp_path):
    source = (trained_home.root / "samples/heart_disease/heart_hungary.csv").read_text().splitlines()
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line.rsplit(",", 1)[0] for line in source))
    assert "'num'" in one_line(command(trained_home, "evaluate", "heart_disease", "1.0.0", "--data", bare)[2])


def test_the_answers_never_overwrite_the_question(command, trained_home, tmp_path):
    table = tmp_path / "in.csv"
    table.write_bytes((trained_home.root / "samples/heart_disease/heart_hungary.csv").read_bytes())
    content = table.read_bytes()
    assert "another file" in one_line(command(trained_home, "predict", "heart_disease", table, table, "--as", "developer")[2])
    assert table.read_bytes() == content


# ---- audit, accounts, data ----


def test_exporting_the_audit_is_for_some_roles_and_is_itself_an_event(command, demo_home, tmp_path):
    out = tmp_path / "audit.jsonl"
    assert "Developer may not export audit" in one_line(command(demo_home, "audit", "export", out, "--as", "developer")[2])
    assert not out.exists()
    code, _, _ = command(demo_home, "audit", "export", out, "--as", "director")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert code == 0
    assert [(e["event"]["action"], e["event"]["outcome"]) for e in lines[-2:]] == [
        ("export_audit", "refused"),
        ("export_audit", "done"),
    ]
    assert "exists already" in one_line(command(demo_home, "audit", "export", out, "--as", "director")[2])


def test_the_first_account_needs_nobody_and_must_be_an_administrator(command, home):
    assert "must be an administrator" in one_line(command(home, "user", "add", "ada", "--role", "devops")[2])
    code, out, _ = command(home, "user", "add", "ada", "--role", "admin", "--json")
    made = json.loads(out)
    assert (code, made["id"], made["role"]) == (0, "ada", "admin")
    accounts.use_reset_code(home, "ada", made["code"], "a long enough password", address="127.0.0.1")
    assert command(home, "user", "add", "eve", "--role", "admin")[0] == 2
    assert command(home, "user", "add", "dora", "--role", "director", "--as", "ada")[0] == 0
    assert command(home, "user", "role", "dora", "devops", "--as", "ada")[0] == 0
    assert command(home, "user", "close", "dora", "--as", "ada")[0] == 0
    listed = json.loads(command(home, "user", "list", "--json")[1])
    assert [(a["id"], a["role"], a["active"]) for a in listed] == [("ada", "admin", True), ("dora", "devops", False)]
    assert command(home, "user", "reopen", "dora", "--as", "ada")[0] == 0
    assert len(json.loads(command(home, "user", "reset", "dora", "--as", "ada", "--json")[1])["code"]) == 19
    assert "only administrator" in one_line(command(home, "user", "close", "ada", "--as", "ada")[2])


def test_a_fresh_export_of_the_hr_database_holds_the_judged_pairs(command, demo_home, tmp_path):
    folder = demo_home.root / "samples" / "future_skills"
    out = tmp_path / "fresh.csv"
    code, _, _ = command(
        demo_home,
        "export",
        "future_skills",
        out,
        "--source",
        folder / "future_skills_hr.db",
        "--as-of",
        "2026-06-30",
        "--as",
        "scientist",
    )
    assert code == 0
    with out.open(newline="") as fresh, (folder / "future_skills.csv").open(newline="") as made:
        exported, wanted = list(csv.DictReader(fresh)), list(csv.DictReader(made))
    assert [r["role_skill"] for r in exported] == [r["role_skill"] for r in wanted]
    assert [float(r["scarcity_index"]) for r in exported[:50]] == [float(r["scarcity_index"]) for r in wanted[:50]]
    assert [r["future_need_level"] for r in exported] == [r["future_need_level"] for r in wanted]
    code, _, err = command(demo_home, "export", "future_skills", out, "--source", ROOT / "pyproject.toml", "--as", "scientist")
    assert code == 1
    one_line(err)
    assert "may not export dataset" in one_line(command(demo_home, "export", "future_skills", out, "--as", "developer")[2])


@pytest.mark.extra
def test_optional_estimators_train_by_command(command, demo_home):
    code, out, _ = command(
        demo_home,
        "train",
        "heart_disease",
        "--candidates",
        "xgboost,lightgbm",
        "--folds",
        "2",
        "--no-register",
        "--as",
        "scientist",
        "--json",
    )
    assert code == 0
    board = json.loads(out)["leaderboard"]
    assert {r["candidate"] for r in board} == {"dummy", "xgboost", "lightgbm"}
    assert [r["error"] for r in board] == [None, None, None]
