"""The mirror: MLflow is told everything once, catches up, never holds anything up, and hears nothing that is unknown or secret."""

import http.server
import json
import os
import shutil
import threading
import time
from base64 import b64decode
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from core import approvals, clock, deployment
from core.acts import Actor
from core.adapters import optional
from core.adapters.mlflow_mirror import Tracking
from core.cli.app import main
from core.datasets import versions as datasets
from core.drift import checks
from core.errors import Refused
from core.mirror import mirror, plan, process, records, rounds, worker
from core.mirror.address import find_address, read_address
from core.mirror.failures import NotTaken
from core.monitoring import quality, stats, traffic
from core.monitoring.traffic import Request
from core.projects import creation, projects
from core.projects.definition import Column, Definition
from core.registry import versions
from core.scoring import labels, predict
from core.settings import Settings
from core.times import stamp, utc_now
from core.training import runs
from storage import jobs as jobs_store
from storage import mirror as store
from storage.connection import reading, writing
from tests.conftest import chosen_candidate, train_small
from tests.test_drift_checks import upload
from tests.tracking_server import TrackingServer, free_port

PROJECT = "heart_disease"
SCIENTIST, DIRECTOR, DEVOPS = Actor("scientist"), Actor("director"), Actor("devops")
SECRET = "ge%3Aheim-7231"
ROW = {
    "age": 63, "sex": "Male", "cp": "asymptomatic", "trestbps": 145, "chol": 233, "fbs": "True", "restecg": "normal", "thalch": 150,
    "exang": "False", "oldpeak": 2.3, "slope": "flat", "ca": 0, "thal": "normal",
}  # fmt: skip
LAST_HOURS = [stats.floor_to(utc_now(), "hour") - timedelta(hours=n) for n in (5, 4)]


def settings(monkeypatch, uri: str) -> Settings:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return Settings.from_environment()


@pytest.fixture
def without_mlflow(monkeypatch):
    absent = replace(optional.LIBRARIES["mlflow"], module="no_such_module_here")
    monkeypatch.setitem(optional.LIBRARIES, "mlflow", absent)


# the address


def test_name_and_password_of_an_address_go_by_the_environment_and_stand_nowhere_else():
    address = read_address(f"https://ann%40x:{SECRET}@mlflow.example:8443/team/")
    assert (address.uri, address.shown, address.user, address.password) == (
        "https://mlflow.example:8443/team", "https://mlflow.example:8443/team", "ann@x", "ge:heim-7231"
    )  # fmt: skip
    assert "heim" not in repr(address)
    assert address.redact(f"failed: {SECRET} ge:heim-7231 http://a:b@h/") == "failed: *** *** http://***@h/"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"),
        ("postgresql://ann:heim77@db.example/mlflow?sslpassword=heim88", "postgresql://db.example/mlflow"),
        ("http://[::1", "http://[::1"),
        ("http://ann:heim77@[::1", "http://***@[::1"),
    ],
)
def test_a_shown_address_has_no_password(uri, shown):
    address = read_address(uri)
    assert address.shown == shown
    assert "heim" not in address.redact(f"cannot open {uri}")
    assert ("heim88" in uri) == (address.redact("'heim88' is wrong") == "'***' is wrong")


# names and numbers


def test_names_that_mlflow_refuses_are_made_plain_and_stay_apart():
    assert records.name_metric("drift.chol_2 (x)") != records.name_metric("drift.chol_2 [x]")
    assert records.name_metric("drift.évolution du coût") == "drift.évolution du coût"
    assert records.name_metric("importance.<b>/../a:b").startswith("importance._b__.._a_b_")
    assert len(records.name_metric("x" * 5000)) < 250


def test_what_is_unknown_is_left_out_and_zero_is_sent():
    found = records.make_measures({"a": None, "b": float("nan"), "c": float("inf"), "d": 0, "e": True, "f": "1", "g": 0.5}, 7_200_001)
    assert [(m.name, m.value, m.at, m.step) for m in found] == [("d", 0.0, 7_200_001, 2), ("g", 0.5, 7_200_001, 2)]


# without a server, without MLflow


def test_without_an_address_nothing_is_mirrored_and_the_state_says_how_to_begin(trained_home, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    seen = mirror.describe(trained_home, Settings.from_environment(), now=utc_now())
    assert (seen.configured, seen.waiting, seen.last_error) == (False, 0, "")
    assert seen.sentence == "Nothing is mirrored: set MLFLOW_TRACKING_URI to the address of an MLflow server to begin."
    assert not mirror.start_due(trained_home, Settings.from_environment(), now=utc_now())
    assert main(["mirror", "run"]) == 1
    assert "No server is named to mirror to; set MLFLOW_TRACKING_URI" in capsys.readouterr().err


def test_without_mlflow_the_state_is_one_sentence_with_the_line_that_installs_it(trained_home, monkeypatch, capsys, without_mlflow):
    known = settings(monkeypatch, f"http://ann:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    seen = mirror.describe(trained_home, known, now=utc_now())
    sentence = "MLflow is not installed, and the mirror of runs and versions needs it: pip install mlflow -c requirements.txt."
    assert (seen.configured, seen.installed, seen.last_error) == (True, False, sentence)
    assert seen.waiting == 5  # the run, its three candidates, the version
    assert not mirror.start_due(trained_home, known, now=utc_now())
    assert main(["mirror", "run"]) == 1
    assert main(["mirror", "status", "--json"]) == 0
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert json.loads(shown.out)["target"] == "http://127.0.0.1:9"
    assert SECRET not in shown.out + shown.err


def test_what_waits_comes_in_an_order_in_which_nothing_stands_on_what_is_not_there_yet(trained_home):
    waiting = plan.list_waiting(trained_home, "t", now=utc_now())
    assert [(i.kind, i.key) for i in waiting] == [("run", "1"), ("candidate", "1"), ("candidate", "2"), ("candidate", "3"), ("version", "1")]


def test_hours_wait_once_they_have_ended_and_settled(trained_home):
    hour = LAST_HOURS[0]
    keep(trained_home, ask(hour + timedelta(minutes=59)))
    assert plan.list_hours(trained_home, "t", PROJECT, now=hour + timedelta(minutes=61)) == []
    assert plan.list_hours(trained_home, "t", PROJECT, now=hour + timedelta(minutes=62)) == [(stamp(hour)[:13], "1.0.0")]
    with writing(trained_home.db) as db:
        store.set_place(db, "t", PROJECT, {"traffic_until": stamp(hour + timedelta(hours=1))[:13], "labels_until": "", "labels": 0})
    assert plan.list_hours(trained_home, "t", PROJECT, now=hour + timedelta(minutes=62)) == []
    assert plan.list_hours(trained_home, "another server", PROJECT, now=hour + timedelta(minutes=62)) != []
    deployment.undeploy(trained_home, DEVOPS, PROJECT, reason="over")
    projects.archive_project(trained_home, SCIENTIST, PROJECT, reason="over")  # its last hours are told all the same
    assert "traffic" in {item.kind for item in plan.list_waiting(trained_home, "another server", now=hour + timedelta(minutes=62))}


def test_the_waits_after_failures_grow_to_an_hour_and_end_with_a_success(home):
    now = utc_now()
    for minutes in (1, 5, 15, 60, 60):
        rounds.note_round(home, "t", rounds.Round(away="It does not answer."), now=now)
        assert store.find_round(reading(home.db), "t")["next_at"] == stamp(now + timedelta(minutes=minutes))
    rounds.note_round(home, "t", rounds.Round(), now=now)
    seen = store.find_round(reading(home.db), "t")
    assert (seen["failures"], seen["next_at"], seen["error"], seen["success_at"]) == (0, None, "", stamp(now))
    rounds.note_round(home, "t", rounds.Round(away="Away again."), now=now + timedelta(hours=1))
    assert store.find_round(reading(home.db), "t")["success_at"] == stamp(now)


def test_one_refused_thing_does_not_hold_up_the_next_round_for_long(home):
    refused = rounds.Round(refused={plan.Item("candidate", "7", "p"): "MLflow refused it: no."})
    for _ in range(5):
        rounds.note_round(home, "t", refused, now=utc_now())
    seen = store.find_round(reading(home.db), "t")
    assert seen["error"] == "candidate 7 of p: MLflow refused it: no."
    assert seen["next_at"] <= stamp(utc_now() + timedelta(minutes=5))


# against a real server


@pytest.fixture(scope="module")
def built_server(tmp_path_factory):
    server = TrackingServer(tmp_path_factory.mktemp("mlflow")).start()
    yield server
    server.stop()


@pytest.fixture
def server(built_server, trained_home):
    """Each home is another installation to the server: what other tests gave it is not taken for ours."""
    (trained_home.root / "secret.key").unlink()
    resign(trained_home)
    return built_server


def resign(home):
    """Give an installation another key: its candidates and versions are signed with it."""
    from core.registry.artifacts import sign

    with writing(home.db) as db:
        for run in runs.list_runs(home, PROJECT):
            for row in runs.list_candidates(home, run.id):
                mac = sign(home, (runs.run_folder(home, run) / row.artifact).read_bytes())[1]
                db.conn.execute("UPDATE candidates SET hmac = ? WHERE id = ?", (mac, row.id))
    for version in versions.list_versions(home, PROJECT):
        path = versions.version_folder(home, PROJECT, version.version) / "manifest.json"
        manifest = json.loads(path.read_text())
        for name, entry in manifest["files"].items():
            entry["hmac"] = sign(home, (path.parent / name).read_bytes())[1]
        path.write_text(json.dumps(manifest))


def give(home, server, at_once=True):
    done = worker.work(home, read_address(server.uri), at_once=at_once)
    assert done.error == ""
    return done


def client(server):
    from mlflow import MlflowClient

    return MlflowClient(server.uri)


def find_runs(home, server, **tags):
    api = client(server)
    ours = {"greenlight.installation": records.find_installation(home), **{f"greenlight.{k}": v for k, v in tags.items()}}
    query = " and ".join(f"tags.`{k}` = '{v}'" for k, v in ours.items())
    return api.search_runs([e.experiment_id for e in api.search_experiments()], query)


def find_versions(home, server):
    found = client(server).search_model_versions(f"name = '{PROJECT}'")
    return {v.tags["greenlight.version"]: v for v in found if v.tags["greenlight.installation"] == records.find_installation(home)}


def aliases(server):
    return dict(client(server).get_registered_model(PROJECT).aliases)


def history(server, run, name):
    return [(m.timestamp, m.step, m.value) for m in client(server).get_metric_history(run.info.run_id, name)]


def ask(at, ms=10.0, *, status=200, rows=1, version="1.0.0"):
    return Request("r", at, PROJECT, "predict", "api", status, rows, version, "c", ms, {})


def keep(home, *requests):
    with writing(home.predictions_db) as db:
        traffic.write_requests(db, list(requests), traffic.count(list(requests)))


def ms(at):
    return round(at.timestamp() * 1000)


@pytest.mark.extra
def test_a_run_is_told_with_parameters_metrics_intervals_data_and_files(trained_home, server, tmp_path):
    give(trained_home, server)
    run, dataset = runs.get_run(trained_home, 1), datasets.get_dataset(trained_home, 1)
    (whole,) = find_runs(trained_home, server, run_id="1")
    found = {r.info.run_name: r for r in find_runs(trained_home, server, run="1")}
    assert set(found) == {"dummy", "logistic_regression", "random_forest"}
    for row in runs.list_candidates(trained_home, 1):
        told = found[row.name]
        assert (told.info.status, told.data.tags["mlflow.parentRunId"]) == ("FINISHED", whole.info.run_id)
        known = {records.name_metric(k): v for k, v in records.list_measured(row.summary).items()}
        assert told.data.metrics == {k: v for k, v in known.items() if isinstance(v, (int, float))}
        low, high = row.summary["intervals"]["f1"]
        assert (told.data.metrics["holdout.f1.low"], told.data.metrics["holdout.f1.high"]) == (low, high)
        (data,) = told.inputs.dataset_inputs
        assert dataset.sha256.startswith(data.dataset.digest)
        assert len(data.dataset.digest) == 36
        assert json.loads(data.dataset.source)["sha256"] == dataset.sha256
        model = client(server).download_artifacts(told.info.run_id, "model/model.pkl", str(tmp_path))
        assert Path(model).read_bytes() == (runs.run_folder(trained_home, run) / row.artifact).read_bytes()
    assert found["random_forest"].data.params["n_estimators"] == "20"
    assert found["random_forest"].data.params["run.seed"] == "42"
    assert found["dummy"].data.metrics["holdout.f1"] == 0.0  # measured
    assert "holdout.precision" not in found["dummy"].data.metrics  # undefined: it never says yes
    page = client(server).download_artifacts(whole.info.run_id, "MODEL_COMPARISON.md", str(tmp_path))
    assert Path(page).read_text(encoding="utf-8") == (trained_home.models / PROJECT / "MODEL_COMPARISON.md").read_text()


@pytest.mark.extra
def test_a_version_is_told_with_its_files_and_who_approved_it_when_and_why(trained_home, server, tmp_path):
    give(trained_home, server)
    request = approvals.get_request(trained_home, 1)
    told = find_versions(trained_home, server)["1.0.0"]
    tags = {k.removeprefix("greenlight."): v for k, v in told.tags.items()}
    assert (tags["stage"], tags["trained_by"], tags["approval.request"], tags["approval.decision"]) == ("production", "scientist", "1", "approved")
    assert (tags["approval.by"], tags["approval.at"], tags["approval.reason"]) == ("director", request.decided_at, "Better than doing nothing")
    assert (tags["live.by"], tags["live.until"]) == ("devops", "now")
    import mlflow

    folder = mlflow.artifacts.download_artifacts(f"{told.source}", dst_path=str(tmp_path), tracking_uri=server.uri)
    held = sorted(p.name for p in Path(folder).iterdir())
    assert held == ["MODEL_COMPARISON.md", "metadata.json", "model.pkl"]  # golden.json holds rows of data
    ours = versions.version_folder(trained_home, PROJECT, "1.0.0")
    assert (Path(folder) / "model.pkl").read_bytes() == (ours / "model.pkl").read_bytes()


@pytest.mark.extra
def test_aliases_follow_a_deployment_and_a_rollback(trained_home, server):
    give(trained_home, server)
    first = find_versions(trained_home, server)["1.0.0"].version
    assert aliases(server) == {"production": first}
    forest = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    versions.register(trained_home, SCIENTIST, forest.id, version="1.1.0")
    give(trained_home, server)
    second = find_versions(trained_home, server)["1.1.0"].version
    assert aliases(server) == {"production": first, "validation": second}
    approvals.request_release(trained_home, SCIENTIST, PROJECT, "1.1.0", reason="second")
    approvals.approve(trained_home, DIRECTOR, 2, reason="good", despite_gates=True)
    assert give(trained_home, server).given == 2  # its tags, the aliases
    assert aliases(server) == {"production": first, "approved": second}
    deployment.deploy(trained_home, DEVOPS, PROJECT, "1.1.0")
    give(trained_home, server)
    assert aliases(server) == {"production": second}
    told = find_versions(trained_home, server)
    assert (told["1.0.0"].tags["greenlight.stage"], told["1.1.0"].tags["greenlight.stage"]) == ("archived", "production")
    client(server).set_registered_model_alias(PROJECT, "champion", second)  # somebody's own
    deployment.rollback(trained_home, DEVOPS, PROJECT, to="1.0.0", reason="worse")
    give(trained_home, server)
    assert aliases(server) == {"production": first, "champion": second}
    assert find_versions(trained_home, server)["1.0.0"].tags["greenlight.live.kind"] == "rollback"
    assert give(trained_home, server).given == 0
    client(server).delete_registered_model_alias(PROJECT, "champion")


@pytest.mark.extra
def test_hours_of_monitoring_are_those_of_the_monitoring_page(trained_home, server):
    first, second = LAST_HOURS
    keep(trained_home, *[ask(first + timedelta(minutes=n), 10.0 + n) for n in range(40)], ask(first, 900.0, status=503, rows=0))
    keep(trained_home, ask(second, 5.0), ask(second, 7.0, status=422, rows=0), ask(second, 3.0, status=404, rows=0, version=""))
    keep(trained_home, ask(utc_now()))  # this hour has not ended
    give(trained_home, server)
    (told,) = find_runs(trained_home, server, monitoring="1.0.0")
    (other,) = find_runs(trained_home, server, monitoring="none")
    shown = stats.between(trained_home, PROJECT, first, first + timedelta(hours=1), now=utc_now())
    step = ms(first) // records.HOUR_MS
    expected = {
        "requests": 41, "predictions": 40, "errors": 1, "refused": 0, "error_rate": 1 / 41, "latency_ms.p50": shown.p50,
        "latency_ms.p95": shown.p95, "latency_ms.p99": shown.p99, "latency_ms.mean": shown.mean,
    }  # fmt: skip
    for name, value in expected.items():
        assert history(server, told, name)[0] == (ms(first), step, value), name
    assert [(at, v) for at, _, v in history(server, told, "requests")] == [(ms(first), 41), (ms(second), 2)]
    assert [v for *_, v in history(server, told, "refused")] == [0, 1]
    assert history(server, other, "refused") == [(ms(second), step + 1, 1)]
    whole = stats.between(trained_home, PROJECT, second, second + timedelta(hours=1), now=utc_now())
    assert whole.requests == 3  # of all versions, and of none
    keep(trained_home, ask(second + timedelta(minutes=59)))  # what comes later than it may changes nothing
    assert give(trained_home, server).given == 0


@pytest.mark.extra
def test_quality_is_told_by_the_hour_of_the_prediction_and_again_when_later_labels_change_it(trained_home, server):
    first, second = LAST_HOURS
    rows = [{**ROW, "age": 40 + n} for n in range(8)]
    answers = [predict.predict_rows(trained_home, SCIENTIST, PROJECT, rows, source="test", now=at) for at in (first, second)]
    traffic.flush(trained_home)
    give(trained_home, server)
    (told,) = find_runs(trained_home, server, monitoring="1.0.0")
    assert "accuracy" not in told.data.metrics  # no label, no accuracy
    assert told.data.metrics["predictions"] == 8

    def feed(chosen):
        fed = [{"prediction_id": p["prediction_id"], "label": str(label)} for p, label in chosen]
        labels.feed_label_rows(trained_home, SCIENTIST, PROJECT, fed, source="api")

    given = answers[0].outputs.to_dict("records")
    feed([(p, p["prediction"]) for p in given[:4]])
    give(trained_home, server)
    assert history(server, told, "accuracy") == [(ms(first), ms(first) // records.HOUR_MS, 1.0)]
    assert "auc" not in client(server).get_run(told.info.run_id).data.metrics or len({p["prediction"] for p in given[:4]}) == 2
    wrong = [(p, "0" if str(p["prediction"]) == "1" else "1") for p in given[4:]]
    feed(wrong)
    give(trained_home, server)
    shown = quality.over_time(trained_home, PROJECT, since=first, until=first + timedelta(hours=1), step="hour", version="1.0.0").whole
    assert shown.metrics["accuracy"].value == 0.5
    assert [(at, v) for at, _, v in history(server, told, "accuracy")] == [(ms(first), 1.0), (ms(first) + 1, 0.5)]
    latest = client(server).get_run(told.info.run_id).data.metrics
    assert (latest["accuracy"], latest["labels"]) == (0.5, 8)
    assert (latest["accuracy.low"], latest["accuracy.high"]) == (shown.metrics["accuracy"].low, shown.metrics["accuracy"].high)
    assert give(trained_home, server).given == 0


def test_labels_are_looked_at_once_an_hour_by_the_clock_and_at_once_when_asked(trained_home):
    rows = [ROW] * 2
    answer = predict.predict_rows(trained_home, SCIENTIST, PROJECT, rows, source="test", now=LAST_HOURS[0])
    now = utc_now()
    with writing(trained_home.db) as db:
        store.set_place(db, "t", PROJECT, {"traffic_until": "9", "labels_until": plan.last_hour(now), "labels": 0})
    fed = [{"prediction_id": answer.outputs["prediction_id"].iloc[0], "label": "1"}]
    labels.feed_label_rows(trained_home, SCIENTIST, PROJECT, fed, source="api")
    item = plan.Item("quality", PROJECT, PROJECT)
    assert item not in plan.list_waiting(trained_home, "t", now=now)
    assert item in plan.list_waiting(trained_home, "t", now=now, at_once=True)
    assert item in plan.list_waiting(trained_home, "t", now=now + timedelta(hours=1))


@pytest.mark.extra
def test_drift_scores_are_told_at_the_time_of_their_check_and_unknown_ones_are_not(trained_home, server):
    made = checks.run_check(trained_home, SCIENTIST, PROJECT, current=upload("heart_switzerland.csv"), evidently=False)
    check = checks.get_check(trained_home, made["id"])
    give(trained_home, server)
    (told,) = find_runs(trained_home, server, monitoring="1.0.0")
    metrics = told.data.metrics
    assert metrics["drift_of_file_overall"] == check.overall
    columns = [*check.result.columns, check.result.prediction]
    known = {f"drift_of_file.{c.name}": c.counted for c in columns if c is not None and c.counted is not None}
    assert {k: v for k, v in metrics.items() if k.startswith("drift_of_file.")} == known
    assert known["drift_of_file.chol"] > 0.9
    assert history(server, told, "drift_of_file_overall")[0][0] == ms(rounds.parse(check.at))


@pytest.mark.extra
def test_a_server_that_was_away_is_told_later_and_no_act_waits_for_it(trained_home, server, monkeypatch):
    known = settings(monkeypatch, server.uri)
    give(trained_home, server)
    server.stop()
    try:
        run = train_small(trained_home, seed=7)
        versions.register(trained_home, SCIENTIST, chosen_candidate(trained_home, run).id, version="2.0.0")
        done = worker.work(trained_home, read_address(server.uri), at_once=False)
        assert done.error == f"MLflow at {server.uri} does not answer; it is tried again later."
        seen = mirror.describe(trained_home, known, now=utc_now())
        assert (seen.waiting, seen.last_error) == (5, done.error)
        assert seen.last_success is not None
        assert not mirror.start_due(trained_home, known, now=utc_now())  # not before its time
    finally:
        server.start()
    assert mirror.start_due(trained_home, known, now=utc_now() + timedelta(minutes=2))
    wait_until_told(trained_home, known)
    assert set(find_versions(trained_home, server)) == {"1.0.0", "2.0.0"}
    assert len(find_runs(trained_home, server, run=str(run))) == 3
    seen = mirror.describe(trained_home, known, now=utc_now())
    assert (seen.waiting, seen.last_error, seen.next_at) == (0, "", None)


def wait_until_told(home, known, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not process.is_running(home) and not mirror.describe(home, known, now=utc_now()).waiting:
            process.reap(home)
            return
        time.sleep(0.2)
    raise AssertionError(mirror.describe(home, known, now=utc_now()).sentence)


@pytest.mark.extra
def test_a_worker_killed_at_any_moment_makes_nothing_twice(trained_home, server):
    keep(trained_home, *[ask(LAST_HOURS[0] + timedelta(minutes=n)) for n in range(5)])
    address = read_address(server.uri)
    left = []
    for given in (1, 2, 3):  # the moment after a thing was noted lies in the middle of the next one
        started = process.start_process(trained_home, address, at_once=True)
        while count_given(trained_home, address.shown) < given and started.poll() is None:
            time.sleep(0.005)
        time.sleep(0.01 * given)
        started.kill()
        started.wait()
        assert not process.is_running(trained_home)
        left.append(plan.count_waiting(trained_home, address.shown, now=utc_now()))
    assert left[0] > 0
    # the narrowest moment: the server has everything and we have noted nothing
    with writing(trained_home.db) as db:
        store.forget(db, address.shown)
    give(trained_home, server)
    assert len(find_runs(trained_home, server, run_id="1")) == 1
    assert sorted(r.info.run_name for r in find_runs(trained_home, server, run="1")) == ["dummy", "logistic_regression", "random_forest"]
    for run in find_runs(trained_home, server):
        assert {len(history(server, run, name)) for name in run.data.metrics} <= {1}
        assert len(run.inputs.dataset_inputs) == (0 if "greenlight.monitoring" in run.data.tags else 1)
    ours = records.find_installation(trained_home)
    every = [v for v in client(server).search_model_versions(f"name = '{PROJECT}'") if v.tags["greenlight.installation"] == ours]
    assert len(every) == 1


def count_given(home, target):
    return sum(len(store.list_marks(reading(home.db), target, kind)) for kind in ("run", "candidate", "version"))


@pytest.mark.extra
def test_two_workers_at_once_are_one(trained_home, server):
    address = read_address(server.uri)
    with process.only_one(trained_home) as free:
        assert free
        assert process.is_running(trained_home)
        assert process.start_process(trained_home, address).wait() == 3
    assert not process.is_running(trained_home)


@pytest.mark.extra
def test_the_worker_goes_last_and_its_notes_are_written_at_the_priority_of_everybody(trained_home, server):
    started = process.start_process(trained_home, read_address(server.uri))
    seen: dict[int, int] = {}  # thread -> nice, the last that it was seen with
    while started.poll() is None:
        for task in Path(f"/proc/{started.pid}/task").glob("*"):
            with suppress(OSError):  # it ended meanwhile
                seen[int(task.name)] = int((task / "stat").read_text().rpartition(") ")[2].split()[16])
        time.sleep(0.05)
    assert started.returncode == 0
    assert seen.pop(started.pid) == 19
    assert 0 in seen.values()  # the thread that writes


@pytest.mark.extra
def test_names_with_odd_characters_are_told_and_kept_apart(trained_home, server):
    columns = ["évolution du coût %", "a/b", "a:b", "<script>alert(1)</script>", "'; DROP TABLE runs;--", "🙂 ../..", "plain"]
    rows = ["|".join([*columns, "y"])]
    rng = np.random.default_rng(3)
    values = rng.normal(size=(120, len(columns))).round(2)
    answers = (values.sum(axis=1) + rng.normal(size=120) > 0).astype(int)
    rows += ["|".join([*map(str, row), str(answer)]) for row, answer in zip(values, answers, strict=True)]
    definition = Definition(
        "odd_names", "Odd `names` ' \" {{7*7}}", "binary", "y", tuple(Column(c, kind="number") for c in columns), positive="1", classes=("0", "1")
    )
    table = "\n".join(rows).replace("|", ";").replace("'; DROP", '"\'; DROP').replace("runs;--", 'runs;--"')
    creation.create_with_data(trained_home, SCIENTIST, definition, table.encode(), file_name="données ' \" <b>.csv")
    run = train_small(trained_home, "odd_names")
    give(trained_home, server)
    told = next(r for r in find_runs(trained_home, server, run=str(run)) if r.info.run_name == "logistic_regression")
    row = next(c for c in runs.list_candidates(trained_home, run) if c.name == "logistic_regression")
    shown = {k: v for k, v in told.data.metrics.items() if k.startswith("importance.") and ".std" not in k}
    assert sorted(shown.values()) == sorted(v["mean"] for v in row.summary["importances"].values())
    assert "importance.plain" in shown
    assert len(shown) == len(columns)
    assert json.loads(told.inputs.dataset_inputs[0].dataset.source)["file_name"] == "données ' \" <b>.csv"


@pytest.mark.extra
def test_a_model_file_that_was_changed_is_not_told_and_its_numbers_are(trained_home, server):
    row = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "dummy")
    path = runs.run_folder(trained_home, runs.get_run(trained_home, 1)) / row.artifact
    path.write_bytes(path.read_bytes() + b"x")
    give(trained_home, server)
    told = next(r for r in find_runs(trained_home, server, run="1") if r.info.run_name == "dummy")
    assert told.data.tags["greenlight.model_file"].startswith("not mirrored: The file")
    assert [f.path for f in client(server).list_artifacts(told.info.run_id)] == ["candidate.json"]


@pytest.mark.extra
def test_no_server_has_files_written_into_a_folder_of_this_machine(server, tmp_path):
    planted = tmp_path / "planted"
    there = client(server).create_experiment("planted", artifact_location=planted.as_uri())
    run_id = client(server).create_run(there).info.run_id
    with pytest.raises(NotTaken, match=r"wants files in a folder .* start the server with --serve-artifacts"):
        Tracking(read_address(server.uri))._put_files(run_id, "model", {"metadata.json": b"{}"})
    assert not planted.exists()


@pytest.mark.extra
def test_one_thing_that_is_refused_does_not_keep_the_others(trained_home, server, monkeypatch, capsys):
    shutil.rmtree(versions.version_folder(trained_home, PROJECT, "1.0.0"))
    known = settings(monkeypatch, server.uri)
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    keep(trained_home, ask(LAST_HOURS[0]))
    assert main(["mirror", "run"]) == 1
    assert "version 1 of heart_disease: The manifest of heart_disease/1.0.0 cannot be read" in capsys.readouterr().err
    assert len(find_runs(trained_home, server, run="1")) == 3
    assert len(find_runs(trained_home, server, monitoring="1.0.0")) == 1
    assert mirror.describe(trained_home, known, now=utc_now()).waiting == 1


@pytest.mark.extra
def test_what_was_lost_on_the_server_is_said_with_the_cure_which_gives_it_once_more(trained_home, server, monkeypatch):
    give(trained_home, server)
    keep(trained_home, ask(LAST_HOURS[0]))
    give(trained_home, server)
    client(server).delete_run(find_runs(trained_home, server, monitoring="1.0.0")[0].info.run_id)
    client(server).delete_model_version(PROJECT, find_versions(trained_home, server)["1.0.0"].version)
    deployment.undeploy(trained_home, DEVOPS, PROJECT, reason="lost")
    keep(trained_home, ask(LAST_HOURS[1]))
    done = worker.work(trained_home, read_address(server.uri), at_once=True)
    lost = {item.kind: said for item, said in done.refused.items()}
    assert {"version", "traffic"} <= set(lost)
    assert all(s.startswith("MLflow does not have any more what") and s.endswith("python -m core mirror run --again.") for s in lost.values())
    assert mirror.run_now(trained_home, settings(monkeypatch, server.uri), now=utc_now(), again=True).waiting == 0
    assert find_versions(trained_home, server)["1.0.0"].tags["greenlight.stage"] == "archived"
    assert len(find_runs(trained_home, server, monitoring="1.0.0")) == 1


@pytest.mark.extra
def test_the_commands_give_the_rest_and_say_how_the_mirror_stands(trained_home, server, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    assert main(["mirror", "status"]) == 0
    assert capsys.readouterr().out == f"5 things wait for {server.uri}; the console's clock starts the mirror within a minute.\n"
    assert main(["mirror", "run"]) == 0
    assert f"{server.uri} has been given everything." in capsys.readouterr().out
    assert main(["mirror", "run", "--again", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["waiting"] == 0
    assert len(find_runs(trained_home, server, run="1")) == 3


@pytest.mark.extra
def test_the_clock_starts_the_mirror_when_something_waits_and_not_else(trained_home, server, monkeypatch):
    known = settings(monkeypatch, server.uri)
    assert clock.turn(trained_home, now=utc_now(), steps=clock.MIRRORING) == []
    wait_until_told(trained_home, known)
    assert aliases(server)["production"] == find_versions(trained_home, server)["1.0.0"].version
    assert not mirror.start_due(trained_home, known, now=utc_now())


class Foreign(http.server.BaseHTTPRequestHandler):
    """Something else that listens there."""

    def do_GET(self):
        self.send_response({"/missing": 404, "/moved": 302, "/broken": 500}.get(self.path[: self.path.index("/api")], 200))
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.extra
@pytest.mark.parametrize("path", ["", "/missing", "/moved", "/broken"])
def test_what_is_no_mlflow_server_and_one_that_is_out_of_order_are_named_as_such(trained_home, path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{listening.server_port}{path}"
        done = worker.work(trained_home, read_address(uri), at_once=True)
        listening.shutdown()
    broken = f"MLflow at {uri} is out of order (it answers 500); it is tried again later."
    assert done.error == (broken if path == "/broken" else f"What answers at {uri} is no MLflow server; check MLFLOW_TRACKING_URI.")


class Refusing(http.server.BaseHTTPRequestHandler):
    """A server that lets nobody in, and remembers how they knocked."""

    knocked: ClassVar[list[str]] = []

    def do_GET(self):
        self.knocked.append(self.headers.get("Authorization", ""))
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b"You are not authenticated.")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.extra
def test_a_password_reaches_the_server_and_stands_nowhere(trained_home, monkeypatch, capsys):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        known = settings(monkeypatch, f"http://ann:{SECRET}@127.0.0.1:{listening.server_port}")
        monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
        assert main(["mirror", "run"]) == 1
        assert main(["mirror", "status", "--json"]) == 0
        listening.shutdown()
    assert b64decode(Refusing.knocked[0].removeprefix("Basic ")).decode() == "ann:ge:heim-7231"
    shown = capsys.readouterr()
    sentence = f"MLflow at http://127.0.0.1:{listening.server_port} does not let us in (401); check the user and the password."
    assert f"Error: {sentence}" in shown.err
    assert json.loads(shown.out)["last_error"] == sentence
    assert mirror.describe(trained_home, known, now=utc_now()).last_error == sentence
    written = b"".join(p.read_bytes() for p in trained_home.root.rglob("*") if p.is_file()) + (shown.out + shown.err).encode()
    assert b"heim" not in written
    assert "heim" not in repr(known) + repr(find_address(known))


@pytest.mark.extra
def test_an_address_that_mlflow_cannot_read_is_one_sentence(trained_home, monkeypatch):
    done = worker.work(trained_home, read_address(f"gopher://ann:{SECRET}@127.0.0.1:{free_port()}"), at_once=True)
    assert done.given == 0
    assert "heim" not in done.error
    assert len(done.error) < 500
    assert store.find_round(reading(trained_home.db), "gopher://127.0.0.1") is None or done.error


def test_a_run_now_without_a_server_is_refused(home):
    with pytest.raises(Refused, match="MLFLOW_TRACKING_URI"):
        mirror.run_now(home, Settings.model_construct(**Settings().model_dump()), now=utc_now())


def test_the_mirror_waits_for_a_training_that_is_at_work_and_no_longer_than_ten_minutes(trained_home, monkeypatch):
    known, now = settings(monkeypatch, "http://127.0.0.1:9"), utc_now()
    job = runs.start_training(trained_home, Actor("scientist"), "heart_disease", candidates=[("dummy", {})], owner="cli")["id"]
    assert not mirror._gives_way(trained_home, now)  # it waits itself
    with writing(trained_home.db) as db:
        jobs_store.mark_running(db, job, pid=os.getpid(), at=stamp(now))
    assert mirror._gives_way(trained_home, now + timedelta(seconds=5))
    assert not mirror.start_due(trained_home, known, now=now + timedelta(seconds=5))
    with writing(trained_home.db) as db:  # its worker is alive, and has been at it for long
        jobs_store.beat(db, job, at=stamp(now + timedelta(minutes=11)), done=1, total=2, note="", seconds_left=None)
    assert not mirror._gives_way(trained_home, now + timedelta(minutes=11))
