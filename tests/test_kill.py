"""kill -9 at random moments: nothing acknowledged is lost, one version is live, one audit row per act, and it goes on."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from core import audit, deployment
from core.registry import versions
from core.scoring import log
from core.times import parse, utc_now
from storage.connection import close_all, reading

PROJECT = "heart_disease"
ROOT = Path(__file__).resolve().parents[1]
# One loop of everything that must survive. Each acknowledged act is written to a file only after the act returned, so
# what the file names must be there after the kill. The driver imports the libraries once and forks a child for each
# round, so that the random moment falls into the acts and not into the imports.
DRIVER = """
import json, os, random, signal, sys, time, traceback, uuid
from pathlib import Path
import pandas, sklearn.ensemble, sklearn.linear_model, sklearn.compose, sklearn.impute, sklearn.pipeline, pyarrow.parquet
import pandera.pandas
from core import approvals, deployment
from core.acts import Actor
from core.datasets import prepare, read, validation
from core.drift import bins, compute
from core.home import Home
from core.registry import cards, evidence, golden, versions
from core.scoring.predict import predict_rows
from core.training import intervals, metrics, results, runs, selection

home = Home(Path(sys.argv[1]), Path(sys.argv[1]) / "models")
notes, row, times, rng = sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]), random.Random(int(sys.argv[5]))
project = "heart_disease"
scientist, director, devops = Actor("scientist"), Actor("director"), Actor("devops")


def act_for_ever():
    candidate = next(c for c in runs.list_candidates(home, 1) if c.name == "random_forest")
    out = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(kind, value):
        os.write(out, (json.dumps([kind, value]) + "\\n").encode())

    while True:
        # never the same twice: registering equal settings again answers with the version that exists
        threshold = 0.05 + 0.9 * (uuid.uuid4().int / 2**128)
        version = versions.register(home, scientist, candidate.id, threshold=threshold)["version"]
        note("registered", version)
        request = approvals.request_release(home, scientist, project, version, reason="again")["id"]
        note("requested", request)
        approvals.approve(home, director, request, reason="again", despite_gates=True)
        note("approved", request)
        deployment.deploy(home, devops, project, version)
        note("deployed", version)
        note("predicted", predict_rows(home, devops, project, [row], source="kill").outputs["prediction_id"].iloc[0])
        note("rolled back to", deployment.rollback(home, devops, project)["version"])
        note("predicted", predict_rows(home, devops, project, [row], source="kill").outputs["prediction_id"].iloc[0])


for _ in range(times):
    child = os.fork()
    if child == 0:
        try:
            act_for_ever()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    time.sleep(rng.uniform(0.05, 1.5))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        sys.exit("a round ended by itself")
"""
ROW = {
    "age": 63, "sex": "Male", "cp": "asymptomatic", "trestbps": 145, "chol": 233, "fbs": "True", "restecg": "normal", "thalch": 150,
    "exang": "False", "oldpeak": 2.3, "slope": "flat", "ca": 0, "thal": "normal",
}  # fmt: skip


def kill_loop(home, times: int, seed: int) -> list[list]:
    """Begin the loop ``times`` times and kill it each time after a random while; returns what was acknowledged."""
    notes = home.root / "acknowledged.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(home.root), str(notes), json.dumps(ROW), str(times), str(seed)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in notes.read_text().splitlines()]


def check_nothing_lost(home, acknowledged) -> None:
    close_all()
    verdict = audit.verify(home)
    assert verdict.intact, verdict.sentence
    known = {v.version: v for v in versions.list_versions(home, PROJECT)}
    events = {}
    for kind, value in acknowledged:
        events.setdefault(kind, []).append(value)
    assert set(events["registered"]) <= set(known)
    for version in known:  # a version in the database has all its files, and they are its own
        assert versions.read_metadata(home, known[version])["version"] == version
    for prediction in events.get("predicted", []):
        assert log.get_prediction(home, PROJECT, prediction)["prediction_id"] == prediction
    assert sum(v.stage == "production" for v in known.values()) == 1
    assert sum(d.live_until is None for d in deployment.list_deployments(home, PROJECT)) == 1
    live = deployment.find_live(home, PROJECT)
    assert known[live.version].stage == "production"
    # one audit row per act: as many as the tables have rows
    def done(action):
        return audit.search(home, action=action, outcome="done", project=PROJECT)[1]

    db = reading(home.db)
    assert done("register") == len(known)
    assert done("request_release") == db.conn.execute("SELECT count(*) FROM requests").fetchone()[0]
    assert done("deploy") + done("rollback") == len(deployment.list_deployments(home, PROJECT))
    # the hourly counts agree with the log they stand beside
    groups = log.list_groups(home, PROJECT, limit=100_000)
    assert sum(g["rows"] for g in groups) == log.count_between(home, PROJECT, parse("2000-01-01T00:00:00.000Z"))


@pytest.mark.timeout(600)
def test_kill_9_during_register_approve_deploy_rollback_and_predict_loses_nothing(trained_home):
    acknowledged = kill_loop(trained_home, times=100 if os.environ.get("CI") else 15, seed=7)
    assert len(acknowledged) >= 5  # a busy machine does less before it is killed
    check_nothing_lost(trained_home, acknowledged)


# Each child is killed at the very place: when the prediction log has its part, and the database of the audit has not.
PARTS_DRIVER = """
import os, signal, sys
from pathlib import Path
from core import erasure
from core.acts import Actor
from core.home import Home
from core.scoring import labels

home = Home(Path(sys.argv[1]), Path(sys.argv[1]) / "models")
ids = sys.argv[2:]


def die(*values, **named):
    os.kill(os.getpid(), signal.SIGKILL)


def erase():
    erasure.orders.end = die
    erasure.erase(home, Actor("admin"), "heart_disease", prediction_ids=tuple(ids[:2]), confirm="heart_disease", reason="asked", key="erase")


def feed():
    labels.AT_ONCE, keep, parts = 10, labels._keep, []
    labels._keep = lambda *a, **k: die() if len(parts) == 2 else parts.append(keep(*a, **k))
    rows = [{"prediction_id": i, "label": 1} for i in ids[2:]]
    labels.feed_label_rows(home, Actor("scientist"), "heart_disease", rows, source="api", key="feed")


for work in (erase, feed):
    child = os.fork()
    if child == 0:
        work()
        os._exit(1)
    if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        sys.exit("it was not killed")
"""


@pytest.mark.timeout(120)
def test_kill_9_between_the_two_databases_leaves_no_change_without_its_word_in_the_audit(trained_home):
    from core import clock, erasure
    from core.acts import Actor
    from core.scoring import labels
    from core.scoring.predict import predict_rows

    found = predict_rows(trained_home, Actor("devops"), PROJECT, [ROW] * 42, source="kill")
    ids = [str(i) for i in found.outputs["prediction_id"]]
    labels.feed_label_rows(trained_home, Actor("scientist"), PROJECT, [{"prediction_id": ids[0], "label": 1}], source="api")
    close_all()
    command = [sys.executable, "-c", PARTS_DRIVER, str(trained_home.root), *ids]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert log.count_held(trained_home, PROJECT, ids[:2]) == {"rows": 0, "before": 2, "labels": 0, "keys": 0}  # gone, and nobody said so
    assert {len(audit.search(trained_home, action=a)[0]) for a in ("person_erased", "labels_fed")} == {0}
    now = utc_now()
    for minutes in (5, 6):
        assert clock.turn(trained_home, now=now + timedelta(minutes=minutes)) == []
    ((erased,), (fed,)) = (audit.search(trained_home, action=a)[0] for a in ("person_erased", "labels_fed"))
    assert (erased["outcome"], erased["after"]["rows"], erased["after"]["before"], erased["after"]["labels"]) == ("done", 2, 0, 1)
    assert fed["outcome"] == "failed"
    assert fed["error"].startswith("It was interrupted. 30 of 40 labels were kept; feed the same table again")
    assert audit.verify(trained_home).intact
    again = erasure.erase(
        trained_home, Actor("admin"), PROJECT, prediction_ids=tuple(ids[:2]), confirm=PROJECT, reason="asked", key="erase"
    )
    assert (again["rows"], again["labels"]) == (2, 1)  # a second click
    rows = [{"prediction_id": i, "label": 1} for i in ids[2:]]
    counts = labels.feed_label_rows(trained_home, Actor("scientist"), PROJECT, rows, source="api", key="feed")
    assert (counts["new"], counts["same"]) == (10, 30)


@pytest.mark.timeout(600)
def test_kill_9_during_training_is_reported_and_never_left_running(demo_home):
    from core.acts import Actor
    from core.jobs import jobs, worker
    from core.training import runs

    rng = random.Random(3)
    for _ in range(8 if os.environ.get("CI") else 3):
        job_id = runs.start_training(demo_home, Actor("scientist"), PROJECT, candidates=[("random_forest", {})], owner="cli")["id"]
        process = worker.start_process(demo_home, job_id)
        time.sleep(rng.uniform(0.5, 6.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        job = jobs.get_job(demo_home, job_id)
        if job.state == "done":
            assert runs.find_run_of_job(demo_home, job_id) is not None
            continue
        jobs.note_exit(demo_home, job_id, process.returncode)
        job = jobs.get_job(demo_home, job_id)
        assert job.state == "interrupted"
        assert "SIGKILL" in job.error
        assert runs.find_run_of_job(demo_home, job_id) is None
        assert jobs.rerun(demo_home, Actor("scientist"), job_id)["id"] > job_id
    assert audit.verify(demo_home).intact


# Eight threads hand single rows to the journal, one packs what is there, one erases a row now and then.
LOG_DRIVER = """
import os, random, signal, sys, threading, time, traceback
from datetime import timedelta
from pathlib import Path
import pandas, pyarrow.compute, pyarrow.parquet
from core.home import Home
from core.scoring import compact, journal, log
from core.scoring.scorer import load_scorer
from core.times import utc_now
from storage.connection import close_all

home = Home(Path(sys.argv[1]), Path(sys.argv[1]) / "models")
notes, times, rng = sys.argv[2], int(sys.argv[3]), random.Random(int(sys.argv[4]))
scorer = load_scorer(home, "heart_disease")
log.make_small_group(home, scorer, [], [], uid="", request_id="", at=utc_now(), caller="", source="", latency_ms=None)
close_all()
compact.WORTH_GROUPS, compact.BLOCK_GROUPS = 20, 200
definition = scorer.definition
out = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def row(n):
    return {c.name: float(n % 90) if c.kind == "number" else c.allowed[n % len(c.allowed)] for c in definition.features}


def submit_for_ever(n):
    while True:
        n += 1
        answer = {"prediction": str(n % 2), "score": 50.0, "confidence": 0.5, "problems": "", "probability:0": 0.5, "probability:1": 0.5}
        rows = 1 + n % 3
        uid = log.new_uid()
        group = log.make_small_group(
            home, scorer, [row(n)] * rows, [answer] * rows, uid=uid, request_id=uid, at=utc_now() - timedelta(minutes=n % 300),
            caller="kill", source="kill", latency_ms=None, keys=[f"case {n}"] * rows,
        )
        journal.of(home).submit(group).result()
        os.write(out, f"logged {uid}-{rows}\\n".encode())
        told.append(f"{uid}-1")


def pack_for_ever():
    while True:
        compact.compact(home, now=utc_now() + timedelta(days=1))
        time.sleep(0.05)


def erase_for_ever():
    while True:
        time.sleep(0.1)
        if told:
            chosen = random.choice(told)
            log.erase_rows(home, "heart_disease", [chosen])
            os.write(out, f"erased {chosen}\\n".encode())


def guarded(work, *args):
    try:
        work(*args)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


told = []
for _ in range(times):
    child = os.fork()
    if child == 0:
        for n in range(8):
            threading.Thread(target=guarded, args=(submit_for_ever, n * 1000)).start()
        threading.Thread(target=guarded, args=(erase_for_ever,)).start()
        guarded(pack_for_ever)
    time.sleep(rng.uniform(0.05, 0.8))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        sys.exit("a round ended by itself")
"""


def kill_the_log(home, times: int, seed: int) -> None:
    from core.errors import NotFound
    from core.scoring import profiles

    notes = home.root / "acknowledged.txt"
    done = subprocess.run(
        [sys.executable, "-c", LOG_DRIVER, str(home.root), str(notes), str(times), str(seed)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split(" ") for line in notes.read_text().splitlines()]
    erased = {prediction for what, prediction in lines if what == "erased"}
    logged = [prediction for what, prediction in lines if what == "logged"]
    assert len(logged) > 20 * times
    assert erased
    db = reading(home.predictions_db)
    assert db.conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert db.conn.execute("SELECT count(*) FROM blocks").fetchone()[0] > 0
    kept = log.read(home, PROJECT)
    found = set(kept["prediction_id"])
    assert len(found) == len(kept)
    marked = {
        f"{uid}-{place}"
        for uid, places in db.conn.execute("SELECT uid, erased FROM groups WHERE erased IS NOT NULL")
        for place in json.loads(places)
    }
    assert {p for p in logged if p not in found} <= marked
    assert erased <= marked
    assert len(marked) <= len(erased) + times  # one at most was not told of, when a round ended
    assert not marked & found
    for prediction in random.Random(seed).sample(sorted(erased), min(20, len(erased))):
        with pytest.raises(NotFound, match="erased"):
            log.get_prediction(home, PROJECT, prediction)
    groups = log.list_groups(home, PROJECT, limit=10_000_000)
    assert sum(g["rows"] for g in groups) == log.count_between(home, PROJECT, parse("2000-01-01T00:00:00.000Z"))
    assert profiles.compare(home, PROJECT, "1.0.0") == []
    assert profiles.sum_hours(home, PROJECT)[1].rows == len(kept)
    assert db.conn.execute("SELECT count(*) FROM case_keys").fetchone()[0] == len(kept)


@pytest.mark.timeout(600)
def test_kill_9_while_eight_threads_log_loses_no_row_that_was_acknowledged(trained_home):
    kill_the_log(trained_home, times=30 if os.environ.get("CI") else 8, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_kill_9_of_the_log_a_thousand_times(trained_home):
    kill_the_log(trained_home, times=1000, seed=13)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_kill_9_a_thousand_times(trained_home):
    check_nothing_lost(trained_home, kill_loop(trained_home, times=1000, seed=11))
