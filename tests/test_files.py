"""Files of any length: the pipeline's answers, bounded memory, and nothing lost or counted twice whatever stops them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.acts import Actor
from core.datasets.prepare import prepare, prepare_columns, problem_texts
from core.datasets.read import stream_columns, stream_table
from core.errors import BadInput, Cancelled, NotFound, Refused
from core.jobs import jobs, worker
from core.monitoring import traffic
from core.scoring import chunks, files, log, part, profiles
from core.scoring import job as scoring_job
from core.scoring.files import predict_file
from core.scoring.forest import make_forest
from core.scoring.scorer import load_scorer, score_with
from core.times import utc_now

PROJECT = "heart_disease"
DEVELOPER = Actor("developer")
ROOT = Path(__file__).resolve().parents[1]
HUNGARY = ROOT / "samples" / "heart_disease" / "data" / "heart_hungary.csv"


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(files, "CHUNK_ROWS", 50)


def write_long_table(path: Path) -> Path:
    """2,940 rows: Hungary ten times over, with one strange row in the middle."""
    lines = HUNGARY.read_text().splitlines()
    body = lines[1:] * 10
    body[1500] = body[1500].replace("Male", "Robot").replace("Female", "Robot")
    path.write_text("\n".join([lines[0], *body]) + "\n")
    return path


@pytest.fixture
def table(tmp_path) -> Path:
    return write_long_table(tmp_path / "in.csv")


def rows_of(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def without_ids(path: Path) -> list[list[str]]:
    return rows_of(path).drop(columns="prediction_id").to_numpy().tolist()


def stop_after(rows: int):
    """A progress function that stops the scoring as Ctrl-C does."""

    def progress(done, total):
        if done >= rows:
            raise KeyboardInterrupt

    return progress


def assert_each_row_once(home, out: Path) -> None:
    """What is in the file is in the log, once each, in order, and every count agrees."""
    result, logged = rows_of(out), log.read(home, PROJECT)
    assert sorted(logged["prediction_id"]) == sorted(result["prediction_id"])
    assert result["prediction_id"].is_unique
    by_id = logged.set_index("prediction_id").loc[result["prediction_id"]]
    assert by_id["out:prediction"].tolist() == result["prediction"].tolist()
    assert np.array_equal(by_id["age"].to_numpy(), pd.to_numeric(result["age"]).to_numpy())
    assert sum(log.count_by_label(home, PROJECT, now=utc_now()).values()) == len(result)
    counted = profiles.sum_hours(home, PROJECT)
    assert counted is None or counted[1].rows == len(result)


def test_columns_are_the_frames_values_and_problems(trained_home, table):
    definition = load_scorer(trained_home, PROJECT).definition
    (columns,) = (prepare_columns(t, definition) for t in stream_columns(table))
    (prepared,) = (prepare(f, definition, purpose="scoring") for f in stream_table(table))
    pd.testing.assert_frame_equal(chunks.as_frame(columns, definition), prepared.features)
    assert problem_texts(columns) == problem_texts(prepared)
    assert "sex: 'Robot' is not a known category" in problem_texts(columns)[1500]


def test_the_answers_are_the_pipelines(trained_home, table, tmp_path, small_chunks):
    predict_file(trained_home, DEVELOPER, PROJECT, table, tmp_path / "out.csv", source="test")
    scorer = load_scorer(trained_home, PROJECT)
    features = prepare(pd.concat(stream_table(table)), scorer.definition, purpose="scoring").features
    wanted = score_with(scorer.pipeline, features, scorer.definition, scorer.threshold)
    result = rows_of(tmp_path / "out.csv")
    assert result["prediction"].tolist() == list(wanted.prediction)
    assert np.allclose(result["score"].astype(float), wanted.score, rtol=0, atol=1e-6)
    assert np.allclose(result["confidence"].astype(float), wanted.confidence, rtol=0, atol=1e-6)


def test_the_pipeline_itself_answers_the_same_where_nothing_quicker_is_allowed(trained_home, table, tmp_path, monkeypatch):
    predict_file(trained_home, DEVELOPER, PROJECT, table, tmp_path / "fast.csv", source="test")
    from dataclasses import replace

    slow = replace(load_scorer(trained_home, PROJECT), fast=None)
    monkeypatch.setattr(files, "load_scorer", lambda *_: slow)
    predict_file(trained_home, DEVELOPER, PROJECT, table, tmp_path / "slow.csv", source="test")
    fast, exact = rows_of(tmp_path / "fast.csv"), rows_of(tmp_path / "slow.csv")
    for column in ("prediction", "problems", "age", "thal"):
        assert fast[column].tolist() == exact[column].tolist()
    assert np.allclose(fast["score"].astype(float), exact["score"].astype(float), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kind", "classes"), [("RandomForestClassifier", 2), ("ExtraTreesClassifier", 3), ("RandomForestRegressor", 0)])
@pytest.mark.parametrize("trees", [5, 40])
def test_a_forest_in_leaf_order_has_the_bits_of_scikit_learn(kind, classes, trees):
    import sklearn.ensemble

    rng = np.random.default_rng(7)
    features = rng.normal(size=(3000, 6))
    target = rng.integers(0, classes, 500) if classes else features[:500, 0] + rng.normal(size=500)
    model = getattr(sklearn.ensemble, kind)(trees, random_state=0).fit(features[:500], target)
    answer = make_forest([e.tree_ for e in model.estimators_], classes)(features)
    assert np.array_equal(answer, model.predict_proba(features) if classes else model.predict(features))


def test_a_stopped_file_stays_as_a_part_and_goes_on_where_it_stopped(trained_home, table, tmp_path, small_chunks):
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test", progress=stop_after(500))
    assert not out.exists()
    assert len(rows_of(part.part_path(out))) == 500
    summary = predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test")
    assert (summary.rows, summary.resumed_rows) == (2940, 500)
    assert_each_row_once(trained_home, out)
    assert {g["request_id"] for g in log.list_groups(trained_home, PROJECT)} == {summary.request_id}
    again = predict_file(trained_home, DEVELOPER, PROJECT, table, whole, source="test")
    assert without_ids(out) == without_ids(whole)
    assert (summary.problem_rows, summary.by_prediction) == (again.problem_rows, again.by_prediction)
    assert sorted(p.name for p in tmp_path.glob("*out*")) == ["out.csv"]


def test_a_part_that_was_logged_and_not_written_is_not_logged_again(trained_home, table, tmp_path, small_chunks, monkeypatch):
    out = tmp_path / "out.csv"

    def dies(*_):
        raise SystemExit("as a kill between the log and the file would")

    with monkeypatch.context() as patched:
        patched.setattr(part.PartFile, "add", dies)
        with pytest.raises(SystemExit):
            predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test")
    assert log.count_today(trained_home, PROJECT, now=utc_now()) == 50
    assert predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test").resumed_rows == 0
    assert_each_row_once(trained_home, out)


def test_a_file_that_is_refused_before_anything_was_logged_leaves_nothing(trained_home, tmp_path):
    bad = tmp_path / "bad.csv"
    pd.read_csv(HUNGARY).assign(chol="much").to_csv(bad, index=False)
    with pytest.raises(BadInput, match="chol"):
        predict_file(trained_home, DEVELOPER, PROJECT, bad, tmp_path / "out.csv", source="test")
    assert [p.name for p in tmp_path.glob("*.csv*")] == ["bad.csv"]


@pytest.mark.parametrize("what", ["file", "account", "version"])
def test_other_work_with_the_same_name_begins_anew(trained_home, table, tmp_path, small_chunks, what):
    out = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test", progress=stop_after(100))
    account = Actor("devops") if what == "account" else DEVELOPER
    if what == "file":
        table.write_text(table.read_text().replace("\n28,", "\n29,"))
    if what == "version":
        known = json.loads(part.state_path(out).read_text())
        part.state_path(out).write_text(json.dumps({**known, "version": "0.9.0"}))
    summary = predict_file(trained_home, account, PROJECT, table, out, source="test")
    assert (summary.rows, summary.resumed_rows, len(rows_of(out))) == (2940, 0, 2940)
    assert log.count_today(trained_home, PROJECT, now=utc_now()) == 2940 + 100


@pytest.mark.parametrize("damage", ["shorter", "gone", "state"])
def test_a_damaged_part_is_written_anew_without_logging_twice(trained_home, table, tmp_path, small_chunks, damage):
    out = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test", progress=stop_after(500))
    if damage == "shorter":
        with part.part_path(out).open("r+b") as file:
            file.truncate(1000)
    elif damage == "gone":
        part.part_path(out).unlink()
    else:
        part.state_path(out).write_text("{")
    predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test")
    assert len(rows_of(out)) == 2940
    if damage == "state":  # nobody knows any more which request it was: what it had logged stays, as after a stop
        assert log.count_today(trained_home, PROJECT, now=utc_now()) == 2940 + 500
    else:
        assert_each_row_once(trained_home, out)


def test_two_processes_cannot_write_one_result(trained_home, table, tmp_path):
    out = tmp_path / "out.csv"
    with part.PartFile(out, part.Done("a", PROJECT, "1.0.0", "developer", "b", 50)), pytest.raises(Refused, match=r"writing out\.csv"):
        predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test")
    assert log.count_today(trained_home, PROJECT, now=utc_now()) == 0


KILLED = """
import sys
from pathlib import Path
from core.acts import Actor
from core.home import open_home
from core.scoring import files
files.CHUNK_ROWS = 50
home = open_home(sys.argv[1])
files.load_scorer(home, "heart_disease")
print("ready", flush=True)
files.predict_file(home, Actor("developer"), "heart_disease", Path(sys.argv[2]), Path(sys.argv[3]), source="test")
"""


def test_killed_at_any_moment_a_file_is_finished_by_the_next_call(trained_home, table, tmp_path, small_chunks):
    out = tmp_path / "out.csv"
    rng = random.Random(20)
    reached = set()
    for attempt in range(12):
        command = [sys.executable, "-c", KILLED, str(trained_home.root), str(table), str(out)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.02, 0.25) * (1 + attempt / 4))  # a busy machine comes further only with time
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        known = part.read_state(part.state_path(out))
        if out.exists():
            break
        reached.add(known.rows if known else 0)
    if not out.exists():
        summary = predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test")
        assert summary.resumed_rows == max(reached)
    assert max(reached) > 0
    assert len(rows_of(out)) == 2940
    assert_each_row_once(trained_home, out)


def test_a_killed_job_run_again_goes_on_where_it_ended(trained_home, tmp_path, table):
    rows = HUNGARY.read_text().splitlines()
    content = "\n".join([rows[0], *rows[1:] * 500]).encode()  # 147,000 rows: long enough to be killed in the middle
    first = scoring_job.start_scoring(trained_home, DEVELOPER, PROJECT, content, file_name="big.csv", owner="cli")["id"]
    process = worker.start_process(trained_home, first)
    state = part.state_path(scoring_job.result_path(trained_home, first))
    end = time.monotonic() + 60
    while (part.read_state(state) or part.Done("", "", "", "", "", 1)).rows == 0 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    ended = worker.wait_for(trained_home, first, process)
    assert ended.state == "interrupted", ended
    assert "goes on from there" in ended.error
    second = jobs.rerun(trained_home, DEVELOPER, first)["id"]
    done = worker.wait_for(trained_home, second, worker.start_process(trained_home, second))
    assert (done.state, done.outcome["rows"]) == ("done", 147_000), done.error
    assert done.outcome["resumed_rows"] >= files.CHUNK_ROWS
    assert_each_row_once(trained_home, scoring_job.result_path(trained_home, second))


def test_a_cancelled_job_says_what_stays(trained_home, table):
    context = worker.JobContext(trained_home, jobs.get_job(trained_home, _queued(trained_home, table)))
    context._cancelled.set()
    with pytest.raises(Cancelled, match="goes on from there"):
        scoring_job.run(context)


def _queued(home, table) -> int:
    return scoring_job.start_scoring(home, DEVELOPER, PROJECT, table.read_bytes(), file_name="t.csv", owner="cli")["id"]


def test_results_and_uploads_go_after_a_month_and_running_ones_stay(trained_home, table):
    done, waiting = _queued(trained_home, table), _queued(trained_home, table)
    job = worker.wait_for(trained_home, done, worker.start_process(trained_home, done))
    assert job.state == "done", job.error
    now = utc_now()
    assert scoring_job.forget_old(trained_home, now + timedelta(days=29)) == 0
    assert scoring_job.forget_old(trained_home, now + timedelta(days=31)) == 1
    assert not scoring_job.result_path(trained_home, done).parent.exists()
    assert scoring_job.result_path(trained_home, waiting).with_name("in.csv").exists()
    assert len(log.read(trained_home, PROJECT)) == 2940
    again = jobs.rerun(trained_home, DEVELOPER, done)["id"]
    with pytest.raises(NotFound, match="upload it again"):
        scoring_job.run(worker.JobContext(trained_home, jobs.get_job(trained_home, again)))


def test_a_file_is_measured_as_one_request(trained_home, table, tmp_path):
    summary = predict_file(trained_home, Actor("developer", via="cli"), PROJECT, table, tmp_path / "out.csv", source="test")
    traffic.flush(trained_home)
    (request,) = traffic.find_requests(trained_home, summary.request_id)
    assert (request["route"], request["door"], request["status"], request["rows"]) == ("file", "cli", 200, 2940)
    assert request["inference_ms"] > 0


def test_ctrl_c_on_the_command_line_leaves_a_part_and_says_so(trained_home, table, tmp_path, monkeypatch, capsys):
    from core.cli.app import main

    out = tmp_path / "out.csv"
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    monkeypatch.setattr(files, "CHUNK_ROWS", 50)
    add = part.PartFile.add

    def stopped(self, *values):
        add(self, *values)
        if self.done.rows >= 500:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(part.PartFile, "add", stopped)
        assert main(["predict", PROJECT, str(table), str(out), "--as", "developer"]) == 1
    assert "out.csv.part" in capsys.readouterr().err
    assert not out.exists()
    assert main(["predict", PROJECT, str(table), str(out), "--as", "developer"]) == 0
    assert "500 of them before it was stopped" in capsys.readouterr().out
    assert_each_row_once(trained_home, out)
