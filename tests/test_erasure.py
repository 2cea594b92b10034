"""One person's rows leave the installation: nothing of them is in its databases, logs or work files, and the audit stays whole."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from core import audit, clock, erasure, logs
from core.acts import Actor
from core.cli.app import main
from core.datasets import versions as datasets
from core.drift import checks
from core.errors import BadInput, NotFound, Refused
from core.jobs import jobs, worker
from core.projects import projects
from core.projects.definition import from_dict
from core.scoring import job as scoring
from core.scoring import labels, log, tables
from core.scoring.compact import compact
from core.scoring.log import Group
from core.scoring.predict import predict_rows
from storage.connection import writing

CASES, HEART = "cases", "heart_disease"
ADMIN, SCIENTIST = Actor("admin"), Actor("scientist")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEY = "person-planted-7351"
VALUE = "very-special-planted-7351"  # a value of a feature that nobody else has
HEART_ROW = {
    "age": 63, "sex": "Male", "cp": "asymptomatic", "trestbps": 145, "chol": 233, "fbs": "True", "restecg": "normal", "thalch": 150,
    "exang": "False", "oldpeak": 2.3, "slope": "flat", "ca": 0, "thal": VALUE,
}  # fmt: skip


@pytest.fixture
def cases(demo_home):
    """A project with a business key, predictions of three persons in its log, one of them twice."""
    columns = [{"name": "case_no", "kind": "text", "role": "key"}, {"name": "x"}, {"name": "colour", "kind": "category"}]
    made = {
        "name": CASES, "title": "Cases", "task": "binary", "target": "y", "positive": "yes", "classes": ["0", "1"], "columns": columns,
        "key": "case_no",
    }  # fmt: skip
    projects.create_project(demo_home, SCIENTIST, from_dict(made))
    write(demo_home, "g1", [KEY, "other-1"], [VALUE, "red"], NOW - timedelta(hours=3))
    write(demo_home, "g2", [KEY], [VALUE], NOW - timedelta(hours=2))
    write(demo_home, "g3", ["other-2"], ["blue"], NOW - timedelta(hours=1))
    return demo_home


def write(home, uid, keys, colours, at):
    rows = [
        {"case_no": key, "x": 1.0, "colour": colour, "out:prediction": "1", "out:score": 70.0, "out:confidence": 0.7,
         "out:problems": f"colour: {colour!r} is unknown", "out:probability:0": 0.3, "out:probability:1": 0.7}
        for key, colour in zip(keys, colours, strict=True)
    ]  # fmt: skip
    payload = {"columns": list(rows[0]), "numbers": [int(isinstance(v, float)) for v in rows[0].values()], "rows": [list(r.values()) for r in rows]}
    log.append(home, Group(
        uid=uid, project=CASES, version="1.0.0", request_id=f"r-{uid}", at=at, caller="shop", source="test", latency_ms=1.0, stages={},
        rows=len(rows), payload=json.dumps(payload).encode(), labels={"1": (len(rows), len(rows), 0)}, profile=None, keys=keys,
    ))  # fmt: skip


def erase(home, project=CASES, who=ADMIN, **more):
    named = {} if "prediction_ids" in more else {"key_value": KEY}
    return erasure.erase(home, who, project, **{"confirm": project, "reason": "the person asked", **named, **more}, now=NOW)


def places_of(home, *words):
    """Files of the installation, the datasets' aside, in which one of some words stands."""
    found = []
    for path in sorted(home.root.rglob("*")):
        if path.is_file() and home.datasets not in path.parents:
            content = path.read_bytes()
            found += [path.name for word in words if word.encode() in content]
    return found


def test_nothing_of_the_person_is_left_but_a_name_that_nobody_can_turn_back(cases):
    handler = logs.keep_logs(cases, "debug")
    ids = log.find_by_key(cases, CASES, KEY)
    labels.feed_label_rows(cases, SCIENTIST, CASES, [{"case_no": KEY, "label": "yes"}], source="api")
    # its answer names the row that it could not keep, and is kept for a second click
    labels.feed_label_rows(cases, SCIENTIST, CASES, [{"prediction_id": KEY, "label": "yes"}], source="api", key="once")
    assert "greenlight.db-wal" in places_of(cases, KEY)
    done = erase(cases, key="k1")
    assert {k: done[k] for k in ("rows", "before", "labels", "keys", "folders", "samples", "datasets", "clean")} == {
        "rows": 2, "before": 0, "labels": 1, "keys": 2, "folders": 0, "samples": 0, "datasets": [], "clean": True,
    }  # fmt: skip
    assert erase(cases, key="k1") == done  # a second click
    logs.drop_logs(handler)
    assert places_of(cases, KEY, VALUE) == []
    (ordered,), (ended,) = (audit.search(cases, action=action)[0] for action in ("erase_person", "person_erased"))
    assert (ordered["outcome"], ordered["after"]["rows"], ordered["after"]["person"]) == ("done", 2, erasure.name_person(cases, CASES, KEY))
    assert (ended["outcome"], ended["after"]["rows"], ended["after"]["labels"], ended["actor"]) == ("done", 2, 1, "admin")
    assert ended["correlation_id"] == ordered["correlation_id"]
    assert audit.verify(cases).intact
    assert places_of(cases, "other-1", "blue") != []
    frame = log.read(cases, CASES)
    assert sorted(frame["prediction_id"]) == ["g1-2", "g3-1"]  # ids of the others stay right
    for gone in ids:
        with pytest.raises(NotFound, match="were erased"):
            log.get_prediction(cases, CASES, gone)


def test_an_erasure_that_was_interrupted_is_finished_by_the_clock_with_the_same_counts(cases, monkeypatch):
    labels.feed_label_rows(cases, SCIENTIST, CASES, [{"case_no": KEY, "label": "yes"}], source="api")
    with monkeypatch.context() as patch:
        patch.setattr(erasure.orders, "end", lambda *a, **k: 1 / 0)  # the rows are gone, and nobody has said so
        with pytest.raises(ZeroDivisionError):
            erase(cases, key="k1")
    assert audit.search(cases, action="person_erased")[0] == []
    clock.turn(cases, now=NOW + timedelta(seconds=30))
    assert audit.search(cases, action="person_erased")[0] == []  # it may still be in hand
    assert clock.turn(cases, now=NOW + timedelta(minutes=2)) == []
    assert clock.turn(cases, now=NOW + timedelta(minutes=3)) == []
    (ended,) = audit.search(cases, action="person_erased")[0]
    assert {k: ended["after"][k] for k in ("rows", "before", "labels", "keys")} == {"rows": 2, "before": 0, "labels": 1, "keys": 2}
    assert erase(cases, key="k1")["rows"] == 2  # a second click after all
    assert places_of(cases, KEY, VALUE) == []
    assert audit.verify(cases).intact


def test_rows_that_were_packed_before_leave_nothing_in_free_pages_either(cases):
    compact(cases, now=NOW + timedelta(days=2))
    assert erase(cases)["rows"] == 2
    assert places_of(cases, KEY, VALUE) == []


def test_erased_rows_are_left_out_of_the_export(cases, tmp_path):
    erase(cases)
    out = tmp_path / "predictions_monitoring.jsonl"
    assert tables.export_log_file(cases, SCIENTIST, CASES, out) == 2
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["features"]["case_no"] for line in lines] == ["other-1", "other-2"]


def test_dataset_versions_that_hold_the_key_are_named_and_left_as_they_are(cases):
    rows = "".join(f"c{n},{n},red,{'yes' if n % 3 else 'no'}\n" for n in range(120))
    content = f"case_no,x,colour,y\n{KEY},5,green,yes\n{rows}{KEY},6,green,no\n".encode()
    datasets.add_dataset(cases, SCIENTIST, CASES, content, file_name="a.csv")
    datasets.add_dataset(cases, SCIENTIST, CASES, f"case_no,x,colour,y\n{rows}".encode(), file_name="b.csv")
    found = erasure.find_traces(cases, CASES, key_value=KEY)
    assert found.datasets == (erasure.InDataset(1, 2, ()),)
    assert erase(cases)["datasets"] == [1]
    assert datasets.load(cases, datasets.get_version(cases, CASES, 1)).features.shape[0] == 122


def test_files_of_scorings_go_with_the_person_and_those_of_others_stay(cases):
    header = "case_no,x,colour\n"
    mine = scoring.start_scoring(cases, SCIENTIST, CASES, f"{header}{KEY},1,red\n".encode(), file_name="in.csv")["id"]
    theirs = scoring.start_scoring(cases, SCIENTIST, CASES, f"{header}other,1,red\n".encode(), file_name="in.csv")["id"]
    result = scoring.start_scoring(cases, SCIENTIST, CASES, b"not,a\ntable", file_name="in.csv")["id"]
    scoring.result_path(cases, result).write_text("prediction_id,prediction\ng2-1,1\n")
    with pytest.raises(Refused, match=f"Job {result} is working on rows of this person"):
        erase(cases)
    assert len(log.find_by_key(cases, CASES, KEY)) == 2
    for job_id in (mine, theirs, result):
        jobs.cancel(cases, SCIENTIST, job_id)
    assert erase(cases)["folders"] == 2
    assert sorted(p.name for p in cases.work.glob("job_*")) == [f"job_{theirs}"]


def test_a_sample_that_was_drawn_from_the_log_and_its_report_are_removed(trained_home):
    found = predict_rows(trained_home, SCIENTIST, HEART, [HEART_ROW] * 40, source="test")
    one = str(found.outputs["prediction_id"].iloc[0])
    check = checks.run_check(trained_home, SCIENTIST, HEART, current=checks.Period(), owner="cli")
    with pytest.raises(Refused, match=f"Job {check['job']} is making a report"):
        erase(trained_home, HEART, prediction_ids=(one,))
    done = worker.wait_for(trained_home, check["job"], worker.start_process(trained_home, check["job"]))
    assert done.state == "done"
    folder = checks.report_folder(trained_home, check["id"])
    assert (folder / "current.parquet").exists()
    others = [str(i) for i in found.outputs["prediction_id"]]
    done = erase(trained_home, HEART, prediction_ids=tuple(others))
    assert (done["rows"], done["samples"]) == (40, 1)
    assert not folder.exists()
    assert checks.get_check(trained_home, check["id"]).report is None
    assert places_of(trained_home, VALUE) == []


def test_the_person_is_named_by_key_or_by_ids_and_the_reason_must_not_name_it(cases):
    for wrong in (
        {"key_value": ""}, {"key_value": KEY, "prediction_ids": ("g1-1",)}, {"reason": f"{KEY.upper()} asked"},
        {"key_value": "", "prediction_ids": tuple(f"g1-{n}" for n in range(10_001))},
    ):  # fmt: skip
        with pytest.raises(BadInput):
            erase(cases, **wrong)
    with pytest.raises(BadInput, match="no key column; name the ids"):
        erasure.find_traces(cases, HEART, key_value=KEY)
    assert audit.search(cases, action="erase_person")[0] == []  # so that no refusal keeps the key


def test_it_is_refused_without_the_typed_name_and_where_nothing_is_kept(cases):
    with pytest.raises(Refused, match="typing cases exactly"):
        erase(cases, confirm="case")
    with pytest.raises(NotFound, match="Nothing of this person is kept"):
        erase(cases, key_value="nobody-planted-7351")
    with pytest.raises(Refused, match="may not delete data"):
        erase(cases, who=SCIENTIST)
    assert len(log.find_by_key(cases, CASES, KEY)) == 2
    assert [e["outcome"] for e in audit.search(cases, action="erase_person")[0]] == ["refused"] * 3
    assert places_of(cases, "nobody-planted-7351") == []


def test_an_archived_project_can_be_erased_from(cases):
    projects.archive_project(cases, SCIENTIST, CASES)
    assert erase(cases)["rows"] == 2


def test_the_command_reads_the_key_from_a_file(cases, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(cases.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    (tmp_path / "key").write_text(KEY + "\n")
    order = ["purge", "person", CASES, "--key-file", str(tmp_path / "key")]
    assert main([*order, "--look", "--as", "developer"]) == 1
    assert "may not delete data" in capsys.readouterr().err
    assert main([*order, "--look", "--as", "admin"]) == 0
    assert capsys.readouterr().out.startswith("2 predictions, 0 folders")
    assert main([*order, "--confirm", CASES, "--reason", "asked", "--as", "admin", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    assert places_of(cases, KEY, VALUE) == []


def test_answers_that_came_while_it_looked_are_erased_too(cases, monkeypatch):
    look = erasure.find_traces

    def look_slowly(*values, **named):
        found = look(*values, **named)
        write(cases, "g4", [KEY], [VALUE], NOW)
        return found

    monkeypatch.setattr(erasure, "find_traces", look_slowly)
    assert erase(cases)["rows"] == 3


def test_a_rewrite_that_has_to_wait_is_done_by_the_clock(cases, monkeypatch):
    from core import retention

    with monkeypatch.context() as patch:
        patch.setattr(retention.store, "rewrite", lambda path: False)
        assert erase(cases)["clean"] is False
    assert clock.turn(cases, now=NOW) == []
    assert places_of(cases, KEY, VALUE) == []
    with writing(cases.db) as db:
        assert retention.settings_store.find_setting(db, retention.REWRITE_DUE) is None
