"""How long things are kept: rules that the clock carries out, purges by order, and who may do either."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from core import audit, clock, retention
from core.acts import Actor
from core.cli.app import main
from core.datasets import versions as datasets
from core.errors import BadInput, NotFound, Refused
from core.scoring import log
from core.scoring.predict import predict_rows
from core.times import stamp
from core.training import runs
from storage import retention as store
from storage import traffic
from storage.connection import reading, writing

HEART = "heart_disease"
ADMIN, SCIENTIST = Actor("admin"), Actor("scientist")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ROW = {
    "age": 63, "sex": "Male", "cp": "asymptomatic", "trestbps": 145, "chol": 233, "fbs": "True", "restecg": "normal", "thalch": 150,
    "exang": "False", "oldpeak": 2.3, "slope": "flat", "ca": 0, "thal": "normal",
}  # fmt: skip


def predict_on(home, days_ago, rows=1):
    return predict_rows(home, SCIENTIST, HEART, [ROW] * rows, source="test", now=NOW - timedelta(days=days_ago))


def set_rule(home, kind, days, project=HEART, who=ADMIN, **more):
    return retention.set_rule(home, who, kind, days, project=project, **{"confirm": project or kind, "reason": "the law", **more}, now=NOW)


def rules(home):
    return {r.kind: r.days for r in retention.list_rules(home, HEART)}


def rows_left(home):
    return len(log.read(home, HEART))


def newest(home):
    return audit.search(home, limit=1)[0][0]


def test_everything_is_kept_for_ever_until_somebody_says_otherwise(demo_home):
    assert rules(demo_home) == {"predictions": None, "requests": None, "logs": None}
    assert retention.enforce(demo_home, now=NOW) == []


def test_a_rule_is_an_act_with_before_and_after(demo_home):
    assert set_rule(demo_home, "predictions", 365) == {"kind": "predictions", "project": HEART, "days": 365}
    set_rule(demo_home, "predictions", 200)
    event = newest(demo_home)
    assert (event["action"], event["before"], event["after"], event["reason"]) == ("set_retention", {"days": 365}, {"days": 200}, "the law")
    set_rule(demo_home, "logs", 30, project="")
    assert rules(demo_home) == {"predictions": 200, "requests": None, "logs": 30}
    set_rule(demo_home, "predictions", None)
    assert rules(demo_home) == {"predictions": None, "requests": None, "logs": 30}


def test_a_rule_needs_its_words_and_a_sensible_number(demo_home):
    with pytest.raises(Refused, match="typing heart_disease exactly"):
        set_rule(demo_home, "predictions", 30, confirm="heart")
    with pytest.raises(Refused, match="typing logs exactly"):
        set_rule(demo_home, "logs", 30, project="", confirm="")
    for kind, days, project in (("predictions", 0, HEART), ("predictions", 36_501, HEART), ("audit", 9, ""), ("logs", 9, HEART), ("requests", 9, "")):
        with pytest.raises(BadInput):
            set_rule(demo_home, kind, days, project=project)
    with pytest.raises(NotFound):
        set_rule(demo_home, "predictions", 30, project="nothing")
    assert rules(demo_home) == {"predictions": None, "requests": None, "logs": None}
    assert [e["outcome"] for e in audit.search(demo_home, action="set_retention")[0]] == ["refused", "refused"]


def test_predictions_that_are_too_old_go_and_the_audit_counts_them(trained_home):
    for days_ago in (11, 9):
        predict_on(trained_home, days_ago, rows=3)
    set_rule(trained_home, "predictions", 10)
    assert retention.count_due(trained_home, "predictions", 10, project=HEART, now=NOW) == 3
    assert retention.enforce(trained_home, now=NOW) == [{"project": HEART, "kind": "predictions", "days": 10, "groups": 1, "rows": 3, "labels": 0}]
    assert rows_left(trained_home) == 3
    event = newest(trained_home)
    assert (event["actor"], event["trigger"], event["after"]) == ("retention", "schedule", {"groups": 1, "rows": 3, "labels": 0})
    assert audit.verify(trained_home).intact


def test_a_rule_is_carried_out_once_a_day_and_at_once_when_it_was_changed(trained_home):
    predict_on(trained_home, 9.5, rows=2)
    set_rule(trained_home, "predictions", 10)
    assert retention.enforce(trained_home, now=NOW) == []
    assert retention.enforce(trained_home, now=NOW + timedelta(hours=23)) == []  # two are too old by now
    set_rule(trained_home, "predictions", 9)
    assert [c["rows"] for c in retention.enforce(trained_home, now=NOW)] == [2]
    assert retention.enforce(trained_home, now=NOW + timedelta(days=2)) == []
    assert len(audit.search(trained_home, action="enforce_retention")[0]) == 1


def test_single_requests_and_posted_values_go_and_their_counts_stay(demo_home):
    def request(days_ago, project):
        return ("r", stamp(NOW - timedelta(days=days_ago)), project, "predict", "api", 200, 1, "1.0.0", "x", 1.0, None, None, None, None)

    old, young = stamp(NOW - timedelta(days=40)), stamp(NOW - timedelta(days=1))
    with writing(demo_home.predictions_db) as db:
        traffic.insert_requests(db, [request(40, HEART), request(31, HEART), request(29, HEART), request(40, "future_skills")])
        traffic.insert_observations(db, [(HEART, "n", 1.0, old, "x"), (HEART, "n", 2.0, young, "x")])
    set_rule(demo_home, "requests", 30)
    assert retention.count_due(demo_home, "requests", 30, project=HEART, now=NOW) == 3
    assert retention.enforce(demo_home, now=NOW) == [{"project": HEART, "kind": "requests", "days": 30, "requests": 3}]
    left = reading(demo_home.predictions_db).conn.execute("SELECT project, at FROM requests ORDER BY project, at").fetchall()
    assert [tuple(r) for r in left] == [("future_skills", stamp(NOW - timedelta(days=40))), (HEART, stamp(NOW - timedelta(days=29)))]


def test_log_files_of_days_that_are_too_old_go(demo_home):
    for name in ("app_20261001.log", "app_20261001.log.3", "mlops_20261021.log", "app_20261022.log", "app_20261121.log", "job_1.log", "job_2.log"):
        (demo_home.logs / name).write_text("x" * 10)
    old = (NOW - timedelta(days=31)).timestamp()
    os.utime(demo_home.logs / "job_1.log", (old, old))
    set_rule(demo_home, "logs", 30, project="")
    assert retention.count_due(demo_home, "logs", 30, now=NOW) == 4
    assert retention.enforce(demo_home, now=NOW) == [{"project": "", "kind": "logs", "days": 30, "files": 4, "bytes": 40}]
    assert sorted(p.name for p in demo_home.logs.glob("*.log*")) == ["app_20261022.log", "app_20261121.log", "job_2.log"]


def test_the_clock_carries_rules_out(trained_home):
    predict_on(trained_home, 11)
    set_rule(trained_home, "predictions", 10)
    assert clock.turn(trained_home, now=NOW) == []
    assert rows_left(trained_home) == 0


# ---- purges ----


def test_predictions_are_purged_by_order_up_to_a_day(trained_home):
    predict_on(trained_home, 5, rows=2)
    predict_on(trained_home, 1)
    day = NOW - timedelta(days=2)
    done = retention.purge_predictions(trained_home, ADMIN, HEART, before=day, confirm=HEART, reason="no longer needed", now=NOW)
    assert done == {"project": HEART, "before": stamp(day), "groups": 1, "rows": 2, "labels": 0}
    assert rows_left(trained_home) == 1
    events = {e["action"]: e for e in audit.search(trained_home, limit=2)[0]}
    assert events["purge_predictions"]["after"] == {"before": stamp(day), "rows": 2}
    assert events["predictions_purged"]["after"] == {"groups": 1, "rows": 2, "labels": 0}
    assert events["predictions_purged"]["correlation_id"] == events["purge_predictions"]["correlation_id"]
    retention.purge_predictions(trained_home, ADMIN, HEART, confirm=HEART, reason="all of them", now=NOW)
    assert rows_left(trained_home) == 0


def test_a_purge_that_was_interrupted_is_finished_by_the_clock(trained_home, monkeypatch):
    predict_on(trained_home, 5)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retention.predictions, "purge_before", killed)
        with pytest.raises(KeyboardInterrupt):
            retention.purge_predictions(trained_home, ADMIN, HEART, confirm=HEART, reason="all", now=NOW)
    assert (newest(trained_home)["action"], rows_left(trained_home)) == ("purge_predictions", 1)
    retention.enforce(trained_home, now=NOW)
    assert (newest(trained_home)["action"], rows_left(trained_home)) == ("predictions_purged", 0)
    assert store.list_purges(reading(trained_home.db)) == []


def purge_dataset(home, version, who=ADMIN, **more):
    return retention.purge_dataset(home, who, HEART, version, **{"confirm": HEART, "reason": "asked to", **more}, now=NOW)


def test_a_dataset_that_a_living_version_was_trained_from_stays(trained_home):
    with pytest.raises(Refused, match=r"version 1\.0\.0 was trained from; it can be purged once they are archived"):
        purge_dataset(trained_home, 1)
    assert datasets.data_path(trained_home, datasets.get_version(trained_home, HEART, 1)).exists()


def test_a_purged_dataset_says_so_wherever_its_rows_are_asked_for_and_the_same_bytes_bring_it_back(demo_home):
    dataset = datasets.get_version(demo_home, HEART, 1)
    path = datasets.data_path(demo_home, dataset)
    content = path.read_bytes()
    with pytest.raises(Refused, match="typing heart_disease exactly"):
        purge_dataset(demo_home, 1, confirm="")
    assert purge_dataset(demo_home, 1) == {"project": HEART, "version": 1, "sha256": dataset.sha256}
    assert not path.exists()
    for ask in (datasets.load, datasets.preview, lambda h, d: datasets.export_dataset(h, SCIENTIST, d)):
        with pytest.raises(NotFound, match=r"Dataset 1 of heart_disease was purged by admin on 2026-11-21; only its report is kept\."):
            ask(demo_home, dataset)
    assert datasets.get_version(demo_home, HEART, 1) == dataset  # what it was stays known
    with pytest.raises(Refused, match="was purged before"):
        purge_dataset(demo_home, 1)
    again = datasets.add_dataset(demo_home, SCIENTIST, HEART, content, file_name=dataset.file_name)
    assert (again["version"], again["fresh"], path.read_bytes()) == (1, False, content)
    assert datasets.find_purged(demo_home, HEART) == {}
    assert retention.enforce(demo_home, now=NOW) == []
    assert path.exists()


def test_a_dataset_that_a_job_is_training_on_stays(demo_home):
    runs.start_training(demo_home, SCIENTIST, HEART, candidates=[("dummy", {})])
    with pytest.raises(Refused, match="Job 1 is training on dataset 1"):
        purge_dataset(demo_home, 1)


def test_the_file_of_a_purged_dataset_that_was_left_is_removed_by_the_clock(demo_home):
    path = datasets.data_path(demo_home, datasets.get_version(demo_home, HEART, 1))
    purge_dataset(demo_home, 1)
    path.write_text("left by a kill")
    retention.enforce(demo_home, now=NOW)
    assert not path.exists()


# ---- the rewriting ----


def test_a_large_database_is_rewritten_in_the_quiet_hours(trained_home, monkeypatch):
    monkeypatch.setattr(retention, "REWRITE_AT_ONCE", 1)
    retention.purge_predictions(trained_home, ADMIN, HEART, confirm=HEART, reason="all", now=NOW)
    assert not retention.rewrite_due(trained_home, now=NOW)
    assert retention.rewrite_due(trained_home, now=NOW.replace(hour=2))
    assert retention.rewrite_due(trained_home, now=NOW)  # nothing is left to do


def test_a_database_in_use_is_rewritten_later(trained_home, monkeypatch):
    import sqlite3
    from contextlib import closing

    monkeypatch.setattr(store, "_WAIT_MS", 10)
    with closing(sqlite3.connect(trained_home.predictions_db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with writing(trained_home.db) as db:
            retention.settings_store.set_setting(db, retention.REWRITE_DUE, stamp(NOW))
        assert not retention.rewrite_due(trained_home, now=NOW)
        other.execute("ROLLBACK")
    assert retention.rewrite_due(trained_home, now=NOW)


# ---- the commands ----


@pytest.fixture
def command(trained_home, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    monkeypatch.delenv("GREENLIGHT_AS", raising=False)

    def run(*arguments):
        code = main(["purge", *arguments])
        return code, *capsys.readouterr()

    return run


def test_the_command_purges_predictions_only_when_the_name_is_typed(command, trained_home):
    predict_on(trained_home, 5)
    order = ("predictions", HEART, "--before", "2026-11-20", "--reason", "old", "--as", "admin")
    code, out, err = command(*order)
    assert (code, out, "typing heart_disease" in err, rows_left(trained_home)) == (1, "", True, 1)
    code, out, _ = command(*order, "--confirm", HEART, "--json")
    assert (code, json.loads(out)["rows"], rows_left(trained_home)) == (0, 1, 0)


def test_the_command_purges_a_dataset_and_sets_rules(command, trained_home):
    code, _, err = command("dataset", HEART, "1", "--confirm", HEART, "--reason", "old", "--as", "admin")
    assert (code, "1.0.0 was trained from" in err) == (1, True)
    assert command("keep", "predictions", HEART, "--days", "180", "--confirm", HEART, "--reason", "law", "--as", "admin")[0] == 0
    assert command("keep", "logs", "--days", "30", "--confirm", "logs", "--reason", "law", "--as", "admin")[0] == 0
    assert rules(trained_home) == {"predictions": 180, "requests": None, "logs": 30}
    assert command("keep", "logs", "--for-ever", "--confirm", "logs", "--reason", "law", "--as", "admin")[0] == 0
    code, out, _ = command("rules", HEART, "--json")
    assert {r["kind"]: r["days"] for r in json.loads(out)} == {"predictions": 180, "requests": None, "logs": None}
    assert command("keep", "logs", "--confirm", "logs", "--as", "admin")[0] == 2
