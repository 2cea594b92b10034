"""Tables as people really send them, through every door: read right, or refused in one sentence with nothing kept."""

import csv
import io
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import audit
from core.acts import Actor
from core.cli.app import main
from core.datasets import versions
from core.errors import BadInput, GreenlightError
from core.projects import projects
from core.projects.definition import Column, check
from core.scoring import files, labels, log
from core.scoring import job as scoring
from core.scoring.payload import make_table, write_parquet
from core.times import utc_now
from storage.connection import close_all
from tests.conftest import copy_home

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "heart_disease"
SCIENTIST, DEVOPS = Actor("scientist"), Actor("devops")
FEATURES = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalch", "exang", "oldpeak", "slope", "ca", "thal"]
HEADER = ["id", *FEATURES, "num"]
ROWS = [
    "1,63,Male,typical angina,145,233,True,lv hypertrophy,150,False,2.3,downsloping,0,fixed defect,0",
    "2,67,Male,asymptomatic,160,286,False,lv hypertrophy,108,True,1.5,flat,3,normal,2",
    "3,37,Male,non-anginal,130,250,False,normal,187,False,3.5,downsloping,0,normal,0",
    "4,41,Female,atypical angina,130,204,False,lv hypertrophy,172,False,1.4,upsloping,0,normal,0",
]
PLAIN = "\n".join([",".join(HEADER), *ROWS]) + "\n"
CELLS = [line.split(",") for line in PLAIN.splitlines()]


def table(cells, delimiter=",", end="\n"):
    return end.join(delimiter.join(row) for row in cells) + end


def without(name):
    place = HEADER.index(name)
    return table([row[:place] + row[place + 1 :] for row in CELLS])


def with_column(name, value):
    return table([[*row, name if n == 0 else value] for n, row in enumerate(CELLS)])


READ_RIGHT = {
    "plain": PLAIN.encode(),
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 big-endian": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "latin-1": with_column("médecin", "Müller").encode("latin-1"),
    "semicolons": table(CELLS, ";").encode(),
    "tabs": table(CELLS, "\t").encode(),
    "decimal commas": table(CELLS, ";").replace(".", ",").encode(),
    "Windows line ends": table(CELLS, end="\r\n").encode(),
    "no line end at the end": PLAIN.encode().rstrip(),
    "every cell quoted": table([[f'"{c}"' for c in row] for row in CELLS]).encode(),
    "blank lines at the end": PLAIN.encode() + b"\n\n",
    "columns in another order": table([row[::-1] for row in CELLS]).encode(),
    "an extra column": with_column("remark", '"two\nlines, and a comma"').encode(),
    "an alias for a column": PLAIN.replace("trestbps", "resting_bp").encode(),
}
REFUSED = {  # what comes in, and what the sentence must name
    "empty": (b"", "empty"),
    "blank lines only": (b"\n \n\n", "empty"),
    "a header only": (",".join(HEADER).encode() + b"\n", "no rows"),
    "a missing column": (without("chol").encode(), "'chol'"),
    "several missing columns": (b"id,num\n1,0\n2,1\n", "age"),
    "a repeated header": (PLAIN.replace("sex", "age", 1).encode(), "age"),
    "two headers for one column": (with_column("Resting-BP", "1").replace("trestbps", "RESTING_BP").encode(), "trestbps"),
    "an unclosed quote": (PLAIN.replace("asymptomatic", '"asymptomatic').encode(), "line 3"),
    "a NUL byte": (PLAIN.replace("non-anginal", "non\0anginal").encode(), "line 4"),
    "a short line": (PLAIN.encode() + b"5,63,Male\n", "line 6"),
    "a long line": (PLAIN.encode() + ROWS[0].encode() + b",1,2,3\n", "line 6"),
    "an unclosed quote before 2 MB": (PLAIN.encode() + b'5,"' + b"x\n" * 1_000_000, "line 6"),
    "3,000 columns": (table([row + [f"c{i}" for i in range(3000)] for row in CELLS]).encode(), "2,000"),
    "broken UTF-8 in the middle": (PLAIN.encode() + "6,63,Mäle,".encode() + b"\xff\xfe\x81,1\n", "line 6"),
    "UTF-16 cut in half": (PLAIN.encode("utf-16")[:-3], "UTF-16"),
    "a pickle": (pickle.dumps([1, 2]), "pickle"),
    "an old pickle": (pickle.dumps({"a": 1}, protocol=2), "pickle"),
    "a gzip archive": (b"\x1f\x8b\x08" + bytes(40), "gzip"),
    "a SQLite database": (b"SQLite format 3\0" + bytes(100), "SQLite"),
    "a web page": (b"<!doctype html><script>alert(1)</script>", "web page"),
    "a damaged workbook": (b"PK\x03\x04" + bytes(60), "table.csv"),
    "a program": (b"\x7fELF" + bytes(60), "program"),
}
ONLY_SCORING = {
    "a number column of words": (table([CELLS[0], *([row[0], "old", *row[2:]] for row in CELLS[1:])]).encode(), "'age'"),
    "an output column": (with_column("prediction", "1").encode(), "prediction"),
    "an output column in another case": (with_column("Prediction_ID", "1").encode(), "Prediction_ID"),
    "its own answers once more": (with_column("problems", "").encode(), "problems"),
}


@pytest.fixture(scope="module")
def shared(built_trained, tmp_path_factory):
    """One installation for all tables: what is refused leaves nothing, what is read is counted as a difference."""
    return copy_home(built_trained, tmp_path_factory.mktemp("csv") / "home")


def kept(home):
    """What a refused table must leave as it was: the log, the datasets and their files, jobs, labels, leftovers."""
    files = sorted(str(p) for folder in (home.datasets, home.work) for p in folder.rglob("*"))
    return len(log.read(home, PROJECT)), len(versions.list_datasets(home, PROJECT)), files


def answers(path):
    return [
        [row[c] for c in ("id", "prediction", "score", "confidence", "problems")]
        for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.parametrize("kind", READ_RIGHT)
def test_a_table_in_any_spelling_gets_the_same_answers(kind, shared, tmp_path):
    (tmp_path / "table.csv").write_bytes(READ_RIGHT[kind])
    (tmp_path / "plain.csv").write_bytes(PLAIN.encode())
    before = kept(shared)[0]
    summary = files.predict_file(shared, DEVOPS, PROJECT, tmp_path / "table.csv", tmp_path / "out.csv", source="test")
    files.predict_file(shared, DEVOPS, PROJECT, tmp_path / "plain.csv", tmp_path / "expected.csv", source="test")
    assert answers(tmp_path / "out.csv") == answers(tmp_path / "expected.csv")
    assert [a[0] for a in answers(tmp_path / "out.csv")] == ["1", "2", "3", "4"]
    assert (summary.rows, summary.problem_rows) == (4, 0)
    assert kept(shared)[0] == before + 8


@pytest.mark.parametrize("kind", READ_RIGHT)
def test_a_dataset_in_any_spelling_is_kept_with_the_same_values(kind, shared):
    made = versions.add_dataset(shared, SCIENTIST, PROJECT, READ_RIGHT[kind], file_name="table.csv")
    assert (made["rows"], made["ok"]) == (4, False)  # four rows are too few to train on, and that is what the report says
    prepared = versions.load(shared, versions.get_dataset(shared, made["id"]))
    assert prepared.features["oldpeak"].tolist() == [2.3, 1.5, 3.5, 1.4]
    assert prepared.features["sex"].tolist() == ["Male", "Male", "Male", "Female"]
    assert prepared.target.tolist() == ["0", "1", "0", "0"]
    assert prepared.problems == ()


@pytest.mark.parametrize("kind", {**REFUSED, **ONLY_SCORING})
def test_a_table_that_cannot_be_predicted_is_refused_with_nothing_logged(kind, shared, tmp_path):
    content, named = {**REFUSED, **ONLY_SCORING}[kind]
    (tmp_path / "table.csv").write_bytes(content)
    before = kept(shared)
    with pytest.raises(BadInput) as refusal:
        files.predict_file(shared, DEVOPS, PROJECT, tmp_path / "table.csv", tmp_path / "out.csv", source="test")
    _is_one_clear_sentence(str(refusal.value), named)
    assert kept(shared) == before
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_table_that_is_no_dataset_is_refused_with_nothing_kept(kind, shared):
    content, named = REFUSED[kind]
    before = kept(shared)
    with pytest.raises(BadInput) as refusal:
        versions.add_dataset(shared, SCIENTIST, PROJECT, content, file_name="table.csv")
    _is_one_clear_sentence(str(refusal.value), named)
    assert kept(shared) == before


@pytest.mark.parametrize("kind", {**REFUSED, **ONLY_SCORING})
def test_the_command_line_says_it_in_one_line_with_exit_1(kind, shared, tmp_path, monkeypatch, capsys):
    content, named = {**REFUSED, **ONLY_SCORING}[kind]
    _use(monkeypatch, shared)
    (tmp_path / "table.csv").write_bytes(content)
    before = kept(shared)
    assert main(["predict", PROJECT, str(tmp_path / "table.csv"), str(tmp_path / "out.csv"), "--as", "devops"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert named in printed.err
    assert "unexpected" not in printed.err
    assert kept(shared) == before
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("command", ["train", "feedback", "drift", "evaluate", "project create"])
@pytest.mark.parametrize("kind", ["empty", "an unclosed quote", "a NUL byte", "a pickle", "an unclosed quote before 2 MB"])
def test_every_command_that_reads_a_table_refuses_it_in_one_line(command, kind, shared, tmp_path, monkeypatch, capsys):
    _use(monkeypatch, shared)
    file = tmp_path / "table.csv"
    file.write_bytes(REFUSED[kind][0])
    arguments = {
        "train": ["train", PROJECT, "--data", str(file), "--as", "scientist"],
        "feedback": ["feedback", PROJECT, str(file), "--as", "scientist"],
        "drift": ["drift", PROJECT, "--current", str(file), "--as", "scientist"],
        "evaluate": ["evaluate", PROJECT, "1.0.0", "--data", str(file)],
        "project create": ["project", "create", "fresh", "--data", str(file), "--target", "num", "--as", "scientist"],
    }[command]
    before = kept(shared)
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "table.csv" in printed.err
    assert "unexpected" not in printed.err
    assert kept(shared) == before


def test_the_real_command_prints_no_trace_for_a_broken_table(shared, tmp_path):
    (tmp_path / "table.csv").write_bytes(REFUSED["an unclosed quote"][0])
    done = subprocess.run(
        [sys.executable, "-m", "core", "predict", PROJECT, tmp_path / "table.csv", tmp_path / "out.csv", "--as", "devops"],
        cwd=ROOT, env={**_environment(), "GREENLIGHT_HOME": str(shared.root)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "line 3" in done.stderr


def test_json_on_stdout_stays_one_document_when_a_table_is_odd(shared, tmp_path, monkeypatch, capsys):
    _use(monkeypatch, shared)
    (tmp_path / "table.csv").write_bytes(with_column("\u202ereversed\x1b[31m", '"{{7*7}}\n<script>"').encode())
    assert main(["predict", PROJECT, str(tmp_path / "table.csv"), str(tmp_path / "out.csv"), "--as", "devops", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 4


def test_51_mb_are_refused_as_a_dataset_before_they_are_read(shared):
    before = kept(shared)
    content = PLAIN.encode() + (ROWS[0].encode() + b"\n") * (51 * 1024 * 1024 // (len(ROWS[0]) + 1))
    with pytest.raises(BadInput, match="the limit is 50 MB"):
        versions.add_dataset(shared, SCIENTIST, PROJECT, content, file_name="table.csv")
    with pytest.raises(BadInput, match="the limit is 50 MB"):
        labels.feed_labels(shared, SCIENTIST, PROJECT, content, file_name="table.csv")
    assert kept(shared) == before


def test_an_unknown_category_a_missing_and_a_strange_value_are_predicted_and_listed(shared, tmp_path):
    (tmp_path / "table.csv").write_text(PLAIN.replace("Female", "<script>").replace("67,", ",", 1).replace("250", "many"))
    summary = files.predict_file(shared, DEVOPS, PROJECT, tmp_path / "table.csv", tmp_path / "out.csv", source="test")
    found = [a[4] for a in answers(tmp_path / "out.csv")]
    assert (summary.rows, summary.problem_rows) == (4, 3)
    assert found[0] == ""
    assert "age" in found[1]
    assert "chol" in found[2]
    assert "sex" in found[3]
    assert "<script>" in found[3]


def test_formulas_come_out_as_text_and_numbers_as_numbers(shared, tmp_path):
    for cell in ('=HYPERLINK("http://x")', "+1+1", "-cmd", "@SUM(A1)", "\tx", "=1"):
        quoted = '"' + cell.replace('"', '""') + '"'
        (tmp_path / "table.csv").write_text(with_column("=remark", quoted))
        files.predict_file(shared, DEVOPS, PROJECT, tmp_path / "table.csv", tmp_path / "out.csv", source="test")
        header, first, *_ = csv.reader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8")))
        assert header[len(HEADER)] == "'=remark"
        assert first[len(HEADER)] == "'" + cell
    (tmp_path / "table.csv").write_text(PLAIN.replace("2.3", "-3.5"))
    files.predict_file(shared, DEVOPS, PROJECT, tmp_path / "table.csv", tmp_path / "out.csv", source="test")
    assert next(csv.DictReader((tmp_path / "out.csv").open()))["oldpeak"] == "-3.5"
    made = versions.add_dataset(shared, SCIENTIST, PROJECT, with_column("remark", "@x").encode(), file_name="t.csv")
    assert b"'@x" in versions.export_dataset(shared, SCIENTIST, versions.get_dataset(shared, made["id"]))


def test_labels_that_are_no_labels_change_nothing(shared):
    for content in (b"a,b\n1,2\n", PLAIN.encode()[: len(PLAIN) // 3] + b'"', b"prediction_id,label\n"):
        with pytest.raises(BadInput):
            labels.feed_labels(shared, SCIENTIST, PROJECT, content, file_name="labels.csv")
    known = log.read(shared, PROJECT)
    assert labels.labels_by_prediction(shared, PROJECT) == {}
    odd = [f"{i},1" for i in ("x", "../1", "-1", "a-0", "a--1", "1-1 OR 1=1", "٣-٣")]
    odd.append(f"{known['prediction_id'].iloc[0]},maybe")
    counts = labels.feed_labels(
        shared, SCIENTIST, PROJECT, ("prediction_id,label\n" + "\n".join(odd) + "\n").encode(), file_name="labels.csv"
    )
    assert (counts["new"], counts["unknown"], counts["unreadable"]) == (0, 7, 1)
    assert labels.labels_by_prediction(shared, PROJECT) == {}


def test_a_scoring_job_with_a_broken_table_ends_with_the_sentence(shared):
    from core.jobs import jobs, worker

    before = kept(shared)[0]
    content = REFUSED["an unclosed quote"][0]
    job = scoring.start_scoring(shared, DEVOPS, PROJECT, content, file_name="ward 7.csv", owner="cli")["id"]
    assert worker.run(shared, job) == 1
    ended = jobs.get_job(shared, job)
    assert ended.state == "failed"
    assert "line 3 is never closed" in ended.error
    assert kept(shared)[0] == before
    assert not scoring.result_path(shared, job).exists()


def test_a_feature_called_like_a_column_of_the_log_keeps_its_values(shared):
    import pandas as pd

    uid = log.new_uid()
    features = pd.DataFrame({"version": ["A", "B"], "at": [1.5, 2.5], "caller": ["c", "d"], "request_id": ["r", "s"]})
    features = features.astype(dict.fromkeys(("version", "caller", "request_id"), object))  # as the feature path makes them
    outputs = pd.DataFrame({"prediction": ["1", "0"], "score": [1.0, 2.0], "confidence": [0.5, 0.5], "problems": ["", ""]})
    columns = {**features, **{f"out:{name}": outputs[name] for name in outputs}}
    log.append(
        shared,
        log.Group(
            uid, "names", "1.0.0", "q", utc_now(), "devops", "test", None, {}, 2, write_parquet(make_table(columns)),
            {"1": (1, 0, 0), "0": (1, 0, 0)},
        ),
    )  # fmt: skip
    seen = log.read(shared, "names")
    assert seen[list(features.columns)].equals(features)
    assert seen["out:prediction"].tolist() == ["1", "0"]


@pytest.mark.parametrize("name", ["prediction", "problems", "out:prediction", "out:probability:1"])
def test_no_feature_may_be_called_like_an_output(name, shared):
    definition = projects.get_definition(shared, PROJECT)
    with pytest.raises(BadInput, match="output column"):
        check(replace(definition, columns=(*definition.columns, Column(name))))


PIECES = st.sampled_from(
    [b'"', b",", b"\n", b"\r", b"\0", b";", b"\t", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"'", b"=1+1", b"-", b"1e999", b"NaN",
     b"inf", b"\xe2\x80\xae", b"\xf0\x9f\x98\x80", b"9" * 400, b"1,5", b"0x10", b"?",
     b"<script>", b"\x1a", b"\x0b", b"\x85", b"\xc2\xa0",
     b"prediction", b'""', b"\\", b"sep=;\n", b"#", b"\xd9\xa3"]
)  # fmt: skip
HOW = st.sampled_from(["insert", "replace", "cut", "double", "end"])
EDIT = st.tuples(HOW, st.integers(0, 10_000), st.integers(0, 60), PIECES)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(edits=st.lists(EDIT, min_size=1, max_size=5), encoding=st.sampled_from(["utf-8", "utf-8", "utf-16", "latin-1"]))
def test_a_damaged_table_is_read_or_refused_and_the_log_agrees(shared, tmp_path_factory, edits, encoding):
    content = bytearray(PLAIN.encode(encoding))
    for what, place, length, piece in edits:
        at = place % (len(content) + 1)
        if what == "insert":
            content[at:at] = piece
        elif what == "replace":
            content[at : at + len(piece)] = piece
        elif what == "cut":
            del content[at : at + length]
        elif what == "double":
            content[at:at] = content[at : at + length]
        else:
            del content[at:]
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    (folder / "table.csv").write_bytes(bytes(content))
    (folder / "out.csv").unlink(missing_ok=True)
    before = log.count_since(shared, PROJECT, utc_now().replace(year=2000))
    rows, said = 0, ""
    try:
        rows = files.predict_file(shared, DEVOPS, PROJECT, folder / "table.csv", folder / "out.csv", source="test").rows
    except GreenlightError as error:
        said = str(error)
    assert bool(said) == (rows == 0)
    assert "\n" not in said
    assert log.count_since(shared, PROJECT, utc_now().replace(year=2000)) - before == rows
    assert (folder / "out.csv").exists() == (rows > 0)
    if rows:
        with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
            assert len(list(csv.reader(file))) == rows + 1


def test_after_all_that_the_audit_is_whole(shared):
    close_all()
    assert audit.verify(shared).intact


def _is_one_clear_sentence(text, named):
    assert named in text
    assert "\n" not in text
    assert "Traceback" not in text
    assert len(text) < 700
    assert text.endswith(".")


def _use(monkeypatch, home):
    monkeypatch.setenv("GREENLIGHT_HOME", str(home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)


def _environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("GREENLIGHT_")}
