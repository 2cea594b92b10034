"""A Dask cluster: the results of this machine to the last bit, whatever dies on the way, and one sentence where it cannot go on."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.acts import Actor
from core.adapters import dask_cluster, dask_worker, optional
from core.adapters.dask_cluster import ClusterLost, DaskExecutor
from core.adapters.dask_worker import describe_here, find_difference, hash_code
from core.errors import BadInput, Cancelled, Refused
from core.jobs import jobs, worker
from core.scoring import files, log, part, remote
from core.scoring import job as scoring_job
from core.scoring.files import predict_file
from core.scoring.scorer import load_scorer
from core.settings import Settings
from core.training import runs
from core.training.executor import InlineExecutor, LocalExecutor, WorkerLost
from core.training.executors import choose_executor
from tests import cluster as clusters
from tests.conftest import SMALL
from tests.test_files import HUNGARY, assert_each_row_once, rows_of, without_ids, write_long_table
from tests.test_sweep import sweep

extra = pytest.mark.extra
ANYWHERE = "tcp://127.0.0.1:9"  # the port of a service that nobody runs any more
CANDIDATES = [("logistic_regression", {}), ("random_forest", {"n_estimators": 10}), ("hist_gradient_boosting", {"max_iter": 10})]
PROJECT = "heart_disease"
DEVELOPER = Actor("developer")


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory):
    """Two workers for the tests that leave them alive."""
    pytest.importorskip("distributed")
    with clusters.Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def cluster(tmp_path):
    """Two workers of one's own, to be killed."""
    with clusters.Cluster(tmp_path / "cluster") as running:
        yield running


@pytest.fixture
def executor(shared_cluster):
    found = DaskExecutor(shared_cluster.address)
    yield found
    found.close()


@dataclass(frozen=True)
class Folder:
    """A shared value as a sweep has it."""

    artifact_dir: Path
    factor: int = 2


def double(shared, task):
    if task == 13:
        raise ValueError("thirteen is\nnot doubled")
    return 2 * task


def write_name(shared, task):
    (shared.artifact_dir / f"{task}.txt").write_text(f"{task * shared.factor}")
    return str(shared.artifact_dir)


def note_and_wait(folder, task):
    """Say that the task has begun, where the test can see it."""
    Path(folder, f"{task}_{os.getpid()}").touch()
    time.sleep(0.3)
    return task


def wait_long(folder, task):
    Path(folder, f"{task}_{os.getpid()}").touch()
    time.sleep(20)


def die(shared, task):
    os._exit(1)


def threads_here(shared, task):
    from threadpoolctl import threadpool_info

    return {lib["num_threads"] for lib in threadpool_info()}


def in_background(action, *, once):
    """Do something as soon as ``once()`` is true, beside the test."""

    def wait():
        until = time.monotonic() + 60
        while not once() and time.monotonic() < until:
            time.sleep(0.02)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


# ---- where Dask is absent, or the setting is none ----


def test_without_the_setting_fits_are_made_here(tmp_path):
    assert isinstance(choose_executor(Settings(dask="", workers=1), tmp_path), LocalExecutor)


@pytest.mark.skipif(optional.is_installed("distributed"), reason="Dask is installed here")
def test_where_dask_is_absent_the_setting_is_one_sentence_with_the_line_that_installs_it(tmp_path):
    with pytest.raises(Refused) as caught:
        choose_executor(Settings(dask=ANYWHERE), tmp_path)
    assert str(caught.value) == "Dask is not installed, and work on a Dask cluster needs it: pip install dask distributed -c requirements.txt."


@pytest.mark.parametrize("address", ["host:8786", "inproc://here", "tcp://host", "tcp://user:secret@host:1", "tcp://a b:1", "http://host:8786"])
def test_an_address_that_is_none_is_refused_before_anything_is_contacted(tmp_path, address):
    with pytest.raises(BadInput, match="write tcp://host:8786"):
        choose_executor(Settings(dask=address), tmp_path)


def test_the_code_has_another_hash_when_a_file_is_changed_moved_or_added(tmp_path):
    for path, text in (("core/a.py", "1"), ("storage/b.py", "2"), ("pages/c.py", "3")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    first = hash_code(tmp_path)
    (tmp_path / "pages/c.py").write_text("a page says nothing about results")
    assert hash_code(tmp_path) == first
    (tmp_path / "core/a.py").write_text("2")
    changed = hash_code(tmp_path)
    (tmp_path / "core/a.py").rename(tmp_path / "core/aa.py")
    assert len({first, changed, hash_code(tmp_path)}) == 3


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ({"numpy": "2.0.0"}, "Worker w has numpy 2.0.0, and this installation has 1.0.0; results would differ, so bring both to the same"),
        ({"Python": "3.11.1"}, "Worker w has Python 3.11.1, and this installation has 3.11.2"),
        ({"Greenlight": "fff"}, "Worker w runs other code of Greenlight than this installation"),
        ({"scikit-learn": None}, "Worker w has scikit-learn not installed, and this installation has 1.9.0"),
        ({"lightgbm": "4"}, ""),
    ],
)
def test_what_differs_on_a_worker_is_one_sentence_and_a_library_more_is_none(there, sentence):
    here = {"Python": "3.11.2", "Greenlight": "abc", "numpy": "1.0.0", "scikit-learn": "1.9.0"}
    told = {name: version for name, version in {**here, **there}.items() if version is not None}
    found = find_difference("w", here, told)
    assert found.startswith(sentence)
    assert bool(found) is bool(sentence)


def ask(environment, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "core", "cluster", *arguments], cwd=clusters.ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def test_the_command_says_that_this_machine_works_where_no_cluster_is_named():
    assert ask({"GREENLIGHT_DASK": ""})[:2] == (0, "GREENLIGHT_DASK is not set: training and large files are worked on by this machine.")


# ---- a real cluster ----


@extra
def test_the_command_lists_the_workers_and_refuses_a_cluster_with_one_that_does_not_fit(tmp_path):
    with clusters.Cluster(tmp_path, workers=1) as mixed:
        named = {"GREENLIGHT_DASK": mixed.address}
        code, out, _ = ask(named, "--json")
        told = json.loads(out)
        assert (code, told["address"], told["at_once"], [w["differs"] for w in told["workers"]]) == (0, mixed.address, 1, [""])
        mixed.add_worker(path=clusters.libraries())
        mixed.wait_for(2)
        code, out, error = ask(named)
        assert (code, error) == (1, "Error: Not every worker fits; nothing is sent to this cluster until each of them does.")
        assert "cannot run Greenlight" in out
        assert "fits" in out


@extra
def test_a_sweep_on_the_cluster_has_the_bits_of_one_made_here(tmp_path, executor):
    there = sweep(tmp_path / "there", candidates=CANDIDATES, executor=executor)
    here = sweep(tmp_path / "here", candidates=CANDIDATES, executor=LocalExecutor(2))
    assert [r.error for r in there.results] == [None] * 4
    for far, near in zip(there.results, here.results, strict=True):
        assert (far.cv, far.out_of_fold, far.holdout) == (near.cv, near.out_of_fold, near.holdout)
        assert (far.holdout_intervals, far.importances, far.sha256) == (near.holdout_intervals, near.importances, near.sha256)
        assert np.array_equal(far.answers.proba, near.answers.proba)
        assert (tmp_path / "there" / far.artifact).read_bytes() == (tmp_path / "here" / near.artifact).read_bytes()
    assert there.environment["workers"] == 2


@extra
def test_a_task_that_fails_carries_its_one_line_and_is_not_tried_again(executor):
    found = {o.index: o for o in executor.run(double, [1, 13, 3], None)}
    assert (found[0].value, found[2].value) == (2, 6)
    assert found[1].error == "ValueError: thirteen is not doubled"


@extra
def test_files_that_a_worker_writes_arrive_here_and_nothing_of_them_stays_there(tmp_path, executor):
    found = {o.index: o.value for o in executor.run(write_name, [3, 4], Folder(tmp_path / "mine"))}
    assert {p.name: p.read_text() for p in (tmp_path / "mine").iterdir()} == {"3.txt": "6", "4.txt": "8"}
    assert str(tmp_path / "mine") not in found.values()
    assert not any(Path(name).exists() for name in found.values())


@extra
def test_each_task_has_one_thread_even_where_a_worker_has_two(tmp_path):
    with clusters.Cluster(tmp_path, workers=1, threads=2) as wide:
        executor = DaskExecutor(wide.address)
        found = [o.value for o in executor.run(threads_here, range(6), None)]
        executor.close()
    assert found == [{1}] * 6


@extra
def test_the_shared_value_crosses_the_wire_once_for_several_runs(tmp_path, executor):
    shared = Folder(tmp_path)
    list(executor.run(write_name, [1], shared))
    sent = executor._published
    list(executor.run(write_name, [2], shared))
    assert executor._published is sent
    list(executor.run(write_name, [3], replace(shared, factor=3)))
    assert (tmp_path / "3.txt").read_text() == "9"


@extra
def test_a_worker_killed_halfway_costs_nothing_but_time(tmp_path, cluster):
    executor, marks = DaskExecutor(cluster.address), tmp_path / "marks"
    marks.mkdir()
    victim = cluster.workers[0]
    killer = in_background(lambda: cluster.kill(victim), once=lambda: len(list(marks.glob(f"*_{victim.pid}"))) >= 2)
    found = {o.index: o.value for o in executor.run(note_and_wait, range(12), str(marks))}
    killer.join()
    assert found == {n: n for n in range(12)}
    began = [name.name.split("_")[0] for name in marks.iterdir()]
    assert len(began) > 12  # what the victim had in hand was begun again
    executor.close()


@extra
def test_a_sweep_whose_worker_is_killed_has_the_bits_of_one_made_here(tmp_path, cluster):
    executor = DaskExecutor(cluster.address)
    done = []

    def progress(*said):
        done.append(said)
        if len(done) == 5:
            cluster.kill(cluster.workers[1])

    there = sweep(tmp_path / "there", candidates=CANDIDATES, executor=executor, progress=progress)
    here = sweep(tmp_path / "here", candidates=CANDIDATES, executor=InlineExecutor())
    for far, near in zip(there.results, here.results, strict=True):
        assert far.error is None
        assert (far.cv, far.holdout, far.importances) == (near.cv, near.holdout, near.importances)
    executor.close()


@extra
def test_when_all_workers_die_and_a_new_one_comes_the_work_goes_on(tmp_path, cluster):
    executor = DaskExecutor(cluster.address)

    def replace_all():
        for process in cluster.workers:
            cluster.kill(process)
        cluster.add_worker()

    replacing = in_background(replace_all, once=lambda: len(list(tmp_path.glob("*_*"))) >= 3)
    found = {o.index: o.value for o in executor.run(note_and_wait, range(8), str(tmp_path))}
    replacing.join()
    assert found == {n: n for n in range(8)}
    executor.close()


@extra
def test_a_task_that_kills_every_worker_is_given_up_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")  # of Dask's own settings; three unless set
    with clusters.Cluster(tmp_path) as doomed:
        executor = DaskExecutor(doomed.address)
        with pytest.raises(WorkerLost, match="died again and again over the same task"):
            list(executor.run(die, [1], None))
        executor.close()


@extra
def test_cancelling_comes_through_within_a_second_and_what_waits_is_never_begun(tmp_path, cluster):
    executor, asked = DaskExecutor(cluster.address), []

    def cancelled():
        if len(list(tmp_path.glob("*_*"))) == 2:
            asked.append(time.monotonic())
        return bool(asked)

    with pytest.raises(Cancelled):
        list(executor.run(wait_long, range(6), str(tmp_path), cancelled))
    assert time.monotonic() - asked[0] < 1
    time.sleep(1)
    assert len(list(tmp_path.glob("*_*"))) == 2
    executor.close()


@extra
def test_a_scheduler_lost_midway_is_a_truthful_failure(tmp_path, cluster):
    executor = DaskExecutor(cluster.address)
    killing = in_background(lambda: cluster.kill(cluster.scheduler), once=lambda: len(list(tmp_path.glob("*_*"))) >= 2)
    began = time.monotonic()
    with pytest.raises(ClusterLost) as caught:
        list(executor.run(note_and_wait, range(40), str(tmp_path)))
    killing.join()
    assert time.monotonic() - began < 20
    assert str(caught.value) == (
        f"The Dask scheduler {cluster.address} went away during the work; start it and run the job again, "
        "or empty GREENLIGHT_DASK to work on this machine."
    )


@extra
def test_a_scheduler_that_is_away_or_has_no_worker_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 1.0)
    with pytest.raises(ClusterLost, match=r"The Dask scheduler tcp://127.0.0.1:9 did not answer; start it"):
        DaskExecutor(ANYWHERE).prepare()
    with clusters.Cluster(tmp_path, workers=0) as empty, pytest.raises(ClusterLost, match=r"has no worker; start at least one with: dask worker"):
        DaskExecutor(empty.address).prepare()


@extra
def test_a_cluster_behind_tls_is_spoken_to_with_dasks_own_certificates(tmp_path):
    import dask
    from distributed.security import Security

    made = Security.temporary()
    named = {"ca-file": made.tls_ca_file} | {f"{role}.{part}": getattr(made, f"tls_{role}_{part}")
                                            for role in ("scheduler", "worker", "client") for part in ("key", "cert")}  # fmt: skip
    for name, content in named.items():
        (tmp_path / f"{name}.pem").write_text(str(content))
    known = {f"distributed.comm.tls.{name}": str(tmp_path / f"{name}.pem") for name in named}
    environment = {f"DASK_{name.replace('.', '__').replace('-', '_').upper()}": path for name, path in known.items()}

    def complain(address: str, **other: object) -> str:
        settings = {**known, **{f"distributed.comm.{name.replace('__', '.').replace('_', '-')}": value for name, value in other.items()}}
        with dask.config.set(settings), pytest.raises((Refused, ClusterLost)) as told:
            DaskExecutor(address).prepare()
        return str(told.value)

    with dask.config.set(known), clusters.Cluster(tmp_path / "cluster", workers=1, scheme="tls", environment=environment) as running:
        command = [sys.executable, "-m", "core", "cluster"]  # as an installation has them: by the environment
        told = subprocess.run(
            command, cwd=clusters.ROOT, env={**os.environ, **environment, "GREENLIGHT_DASK": running.address}, capture_output=True, text=True
        )
        assert f"{running.address} has 1 workers." in told.stdout, told.stderr
        executor = DaskExecutor(running.address)
        assert sorted(o.value for o in executor.run(double, [1, 2, 3], None)) == [2, 4, 6]
        executor.close()
        stranger = Security.temporary()
        for name in ("ca-file", "client.cert", "client.key"):
            text = getattr(stranger, f"tls_{name.replace('.', '_').replace('-', '_')}")
            (tmp_path / f"other.{name}.pem").write_text(str(text))
        wrong = {f"tls__{n.replace('.', '__').replace('-', '_')}": str(tmp_path / f"other.{n}.pem") for n in ("ca-file", "client.cert", "client.key")}
        assert "do not know each other's certificates" in complain(running.address, **wrong)
        assert "name no certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in complain(running.address, tls__client__cert=None)
        assert "cannot be read (FileNotFoundError)" in complain(running.address, tls__ca_file=str(tmp_path / "nothing.pem"))
        assert "want encryption, and GREENLIGHT_DASK is tcp://" in complain(ANYWHERE, require_encryption=True)


@extra
def test_a_worker_without_greenlight_is_refused_before_anything_is_sent(tmp_path):
    with clusters.Cluster(tmp_path, workers=1) as mixed:
        mixed.add_worker(path=clusters.libraries())
        mixed.wait_for(2)
        executor = DaskExecutor(mixed.address)
        with pytest.raises(Refused, match=r"cannot run Greenlight \(.*\); start it with Greenlight's folder on its PYTHONPATH"):
            executor.prepare()


@extra
def test_a_worker_with_other_code_is_refused_even_if_it_comes_later(executor, monkeypatch, request):
    executor.prepare()
    assert [(w.threads, w.differs) for w in executor.list_workers()] == [(1, ""), (1, "")]
    monkeypatch.setattr(dask_worker, "hash_code", lambda: "another")
    describe_here.cache_clear()
    request.addfinalizer(describe_here.cache_clear)
    with pytest.raises(Refused, match="runs other code of Greenlight than this installation"):
        list(executor.run(double, [1], None))
    executor.close()
    with pytest.raises(Refused, match="runs other code of Greenlight than this installation"):
        executor.prepare()


@extra
def test_importing_the_adapter_does_not_import_dask():
    code = "import sys, core.adapters.dask_cluster, core.scoring.files, core.training.executors; print('distributed' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=clusters.ROOT)
    assert done.stdout.strip() == "False"


# ---- through the job ----


@extra
def test_a_training_job_goes_to_the_cluster_and_registers_what_came_back(demo_home, shared_cluster, monkeypatch, open_page):
    from core.registry import versions

    scientist = Actor("scientist")
    here = runs.get_run(demo_home, _train(demo_home))
    monkeypatch.setenv("GREENLIGHT_DASK", shared_cluster.address)
    there = runs.get_run(demo_home, _train(demo_home))
    assert there.environment["workers"] == 2
    monkeypatch.setenv("GREENLIGHT_DASK", "")  # what is told was noted when it ran
    place = f"cluster {shared_cluster.address}, 2 workers"
    assert (here.settings["ran_on"], there.settings["ran_on"]) == ("2 workers of this machine", place)
    assert jobs.list_jobs(demo_home, kind="train")[0].outcome["ran_on"] == place
    assert [c.summary["holdout"] for c in runs.list_candidates(demo_home, there.id)] == [
        c.summary["holdout"] for c in runs.list_candidates(demo_home, here.id)
    ]
    chosen = next(c for c in runs.list_candidates(demo_home, there.id) if c.name == there.choice["name"])
    made = versions.register(demo_home, scientist, chosen.id)
    assert versions.read_metadata(demo_home, versions.get_version(demo_home, PROJECT, made["version"]))["ran_on"] == place
    page = open_page(demo_home, "training")
    assert page.dataframe[0].value["Ran on"].tolist() == [place, "2 workers of this machine"]
    assert any(f"Fitted on {place}." in c.value.replace("\\", "") for c in page.caption)


def _train(home):
    job = runs.start_training(home, Actor("scientist"), PROJECT, candidates=SMALL, seed=42, owner="cli")
    done = worker.wait_for(home, job["id"], worker.start_process(home, job["id"]))
    assert done.state == "done", done.error
    return done.outcome["run"]


@extra
def test_a_training_job_whose_cluster_is_away_fails_with_the_sentence_and_keeps_nothing(demo_home, monkeypatch):
    monkeypatch.setenv("GREENLIGHT_DASK", ANYWHERE)
    job = runs.start_training(demo_home, Actor("scientist"), PROJECT, candidates=SMALL, seed=42, owner="cli")
    done = worker.wait_for(demo_home, job["id"], worker.start_process(demo_home, job["id"]))
    assert done.state == "failed"
    assert done.error.startswith(f"The Dask scheduler {ANYWHERE} did not answer; start it and run the job again")
    assert list(demo_home.runs.iterdir()) == []


# ---- scoring ----


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(files, "CHUNK_ROWS", 50)
    monkeypatch.setattr(files, "CLUSTER_ROWS", 1000)


@pytest.fixture
def table(tmp_path) -> Path:
    return write_long_table(tmp_path / "in.csv")


@extra
def test_a_file_answered_on_the_cluster_is_the_file_answered_here_and_is_logged_here(trained_home, table, tmp_path, small_parts, shared_cluster):
    near, far = tmp_path / "near.csv", tmp_path / "far.csv"
    there = predict_file(trained_home, DEVELOPER, PROJECT, table, far, source="test", cluster=shared_cluster.address)
    assert_each_row_once(trained_home, far)
    here = predict_file(trained_home, DEVELOPER, PROJECT, table, near, source="test")
    assert without_ids(far) == without_ids(near)
    assert (there.rows, there.problem_rows, there.by_prediction) == (here.rows, here.problem_rows, here.by_prediction)
    assert (there.ran_on, here.ran_on) == (f"cluster {shared_cluster.address}, 2 workers", "this machine")


@extra
def test_where_the_pipeline_itself_answers_it_answers_there_too(trained_home, table, tmp_path, small_parts, shared_cluster, monkeypatch):
    slow = replace(load_scorer(trained_home, PROJECT), fast=None)
    monkeypatch.setattr(files, "load_scorer", lambda *_: slow)
    near, far = tmp_path / "near.csv", tmp_path / "far.csv"
    predict_file(trained_home, DEVELOPER, PROJECT, table, far, source="test", cluster=shared_cluster.address)
    predict_file(trained_home, DEVELOPER, PROJECT, table, near, source="test")
    assert without_ids(far) == without_ids(near)


@extra
def test_a_short_file_is_answered_here_without_asking_the_cluster(trained_home, tmp_path):
    summary = predict_file(trained_home, DEVELOPER, PROJECT, HUNGARY, tmp_path / "out.csv", source="test", cluster=ANYWHERE)
    assert (summary.rows, summary.ran_on) == (294, "this machine")


@extra
def test_a_cluster_that_is_away_is_told_before_anything_is_logged(trained_home, table, tmp_path, small_parts, monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 1.0)
    with pytest.raises(ClusterLost, match="did not answer"):
        predict_file(trained_home, DEVELOPER, PROJECT, table, tmp_path / "out.csv", source="test", cluster=ANYWHERE)
    assert log.list_groups(trained_home, PROJECT) == []
    assert list(tmp_path.glob("out*")) == []


@extra
def test_a_worker_killed_while_a_file_is_scored_loses_and_repeats_no_row(trained_home, table, tmp_path, small_parts, cluster):
    out = tmp_path / "out.csv"

    def progress(done, total):
        if done == 500:
            cluster.kill(cluster.workers[0])

    summary = predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test", cluster=cluster.address, progress=progress)
    assert summary.rows == 2940
    assert_each_row_once(trained_home, out)
    near = tmp_path / "near.csv"
    predict_file(trained_home, DEVELOPER, PROJECT, table, near, source="test")
    assert without_ids(out) == without_ids(near)


@extra
def test_a_file_whose_scheduler_was_lost_goes_on_where_it_stopped(trained_home, table, tmp_path, small_parts, cluster):
    out = tmp_path / "out.csv"

    def progress(done, total):
        if done == 1000:
            cluster.kill(cluster.scheduler)

    with pytest.raises(ClusterLost, match="went away during the work"):
        predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test", cluster=cluster.address, progress=progress)
    kept = len(rows_of(part.part_path(out)))
    assert 1000 <= kept < 2940
    summary = predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test")
    assert summary.resumed_rows == kept
    assert_each_row_once(trained_home, out)


@extra
def test_cancelling_a_file_on_the_cluster_keeps_what_is_done(trained_home, table, tmp_path, small_parts, shared_cluster):
    out = tmp_path / "out.csv"

    def stop():
        if part.part_path(out).exists() and len(part.part_path(out).read_bytes().splitlines()) > 500:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test", cluster=shared_cluster.address, check_cancelled=stop)
    assert predict_file(trained_home, DEVELOPER, PROJECT, table, out, source="test", cluster=shared_cluster.address).resumed_rows >= 500
    assert_each_row_once(trained_home, out)


@extra
def test_a_refusal_of_the_rows_is_the_same_sentence_as_here(trained_home, table, tmp_path, small_parts, shared_cluster):
    frame = rows_of(table)
    frame["age"] = "many"
    frame.to_csv(table, index=False)
    told = []
    for address in ("", shared_cluster.address):
        with pytest.raises(BadInput) as caught:
            predict_file(trained_home, DEVELOPER, PROJECT, table, tmp_path / "out.csv", source="test", cluster=address)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert log.list_groups(trained_home, PROJECT) == []


def test_a_worker_that_gives_other_answers_to_golden_rows_answers_nobody(trained_home):
    from core.scoring.chunks import About
    from core.times import utc_now

    kit = remote.make_kit(trained_home, load_scorer(trained_home, PROJECT), About("r", utc_now(), "developer", "test", "."))
    remote._built.clear()
    score = kit.answers.score.copy()
    score[3] = np.nextafter(score[3], 200)
    found = remote.answer_piece(replace(kit, answers=replace(kit.answers, score=score)), remote.Piece(b"", "u", True))
    assert isinstance(found, Refused)
    assert "does not give version 1.0.0's own answers to its golden rows" in str(found)
    assert remote._built == {}


def test_a_part_answered_without_the_disk_is_the_part_answered_beside_it(trained_home, table):
    from core.datasets.read import stream_columns
    from core.scoring import profiles
    from core.scoring.chunks import About, answer_chunk
    from core.times import utc_now

    scorer, about = load_scorer(trained_home, PROJECT), About("r", utc_now(), "developer", "test", ".")
    (rows,) = stream_columns(table)
    found = remote.answer_piece(remote.make_kit(trained_home, scorer, about), remote.Piece(remote.write_rows(rows), "u", True))
    counter = profiles.counter_of(trained_home, scorer.version_id, scorer.sha256)
    wanted = answer_chunk(scorer, rows, about, counter=counter, uid="u", first=True)
    assert bytes(found.lines) == bytes(wanted.lines)
    assert found.group.labels == wanted.group.labels
    assert np.array_equal(found.group.profile.counts, wanted.group.profile.counts)


@extra
def test_a_scoring_job_of_the_console_goes_to_the_cluster(trained_home, tmp_path, shared_cluster, monkeypatch):
    monkeypatch.setenv("GREENLIGHT_DASK", shared_cluster.address)
    frame = pd.read_csv(HUNGARY, dtype=str, keep_default_na=False)
    many = pd.concat([frame] * (files.CLUSTER_ROWS // len(frame) + 1), ignore_index=True)
    job = scoring_job.start_scoring(
        trained_home, DEVELOPER, PROJECT, many.to_csv(index=False).encode(), file_name="many.csv", owner="cli"
    )
    done = worker.wait_for(trained_home, job["id"], worker.start_process(trained_home, job["id"]))
    assert done.state == "done", done.error
    assert done.outcome["rows"] == len(many)
    assert done.outcome["ran_on"].startswith(f"cluster {shared_cluster.address}, ")
    said = (trained_home.logs / f"job_{job['id']}.log").read_text()
    assert f"work goes to {shared_cluster.address}: 2 workers, 2 at once" in said
