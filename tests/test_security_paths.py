"""Names that would be paths, and files that are not what they say: nothing outside the installation is touched or opened."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core import accounts, approvals, audit, deployment
from core.acts import Actor
from core.cli.app import main
from core.datasets import versions as datasets
from core.drift import checks
from core.errors import BadInput, GreenlightError, NotFound, Refused
from core.jobs import jobs, worker
from core.projects import projects
from core.registry import versions
from core.scoring import files, labels, log, predict
from core.scoring import job as scoring
from core.training import runs
from tests.conftest import chosen_candidate

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "heart_disease"
SCIENTIST, DEVOPS, ADMIN = Actor("scientist"), Actor("devops"), Actor("admin")
NAMES = {
    "one up": "../evil",
    "far up": "../../../../../../evil",
    "a part of it": "..",
    "absolute": "/evil",
    "a Windows path": "..\\evil",
    "a drive": "C:\\evil",
    "encoded": "..%2fevil",
    "encoded twice": "%252e%252e%252fevil",
    "a NUL": "evil\0.csv",
    "300 characters": "e" * 300,
    "a device": "CON",
    "a device in small letters": "con",
    "a device with an ending": "nul.csv",
    "empty": "",
    "a blank": " ",
    "a dot": ".",
    "a line end": "evil\n",
    "full-width letters": "ｅｖｉｌ",
    "an override": "\u202evil",
    "a half of a character": "\ud800evil",
    "an option": "--help",
    "a home": "~/evil",
    "a variable": "$HOME",
    "a command": "x; touch evil",
}
TABLE = (
    b"age,sex,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak,slope,ca,thal,num\n"
    b"63,Male,asymptomatic,145,233,True,normal,150,False,2.3,flat,0,normal,1\n"
)


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Everything around the installation, which must stay as it is."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def snapshot(folder: Path, home=None) -> list[str]:
    inside = home.root if home else folder / "nowhere"
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if inside not in (p, *p.parents))


def files_of(home) -> list[str]:
    """Files inside, but for those that tell of every refusal: databases with their journals, the audit's head, the logs."""
    found = (p for p in home.root.rglob("*") if ".db" not in p.name and p.name != "audit.head" and home.logs not in p.parents)
    return sorted(str(p.relative_to(home.root)) for p in found)


@pytest.mark.parametrize("kind", NAMES)
def test_no_project_version_or_account_can_be_called_like_a_path(kind, trained_home, outside):
    name, before, inside = NAMES[kind], snapshot(outside, trained_home), files_of(trained_home)
    definition = projects.get_definition(trained_home, PROJECT)
    with pytest.raises(BadInput):
        projects.create_project(trained_home, SCIENTIST, replace(definition, name=name))
    with pytest.raises(BadInput):
        versions.register(trained_home, SCIENTIST, chosen_candidate(trained_home, 1).id, version=name)
    with pytest.raises(BadInput):
        accounts.add_account(trained_home, ADMIN, name, "devops")
    assert snapshot(outside, trained_home) == before
    assert files_of(trained_home) == inside


NO_TEXT = "a half of a character"  # the doors take UTF-8 only, so this reaches core as a name to be checked, never as a question


@pytest.mark.parametrize("kind", [k for k in NAMES if k != NO_TEXT])
def test_asking_for_such_a_name_finds_nothing(kind, trained_home, outside):
    name, before, inside = NAMES[kind], snapshot(outside, trained_home), files_of(trained_home)
    asked = (
        lambda: projects.get_project(trained_home, name),
        lambda: datasets.get_version(trained_home, name),
        lambda: datasets.add_dataset(trained_home, SCIENTIST, name, TABLE, file_name="t.csv"),
        lambda: runs.start_training(trained_home, SCIENTIST, name),
        lambda: versions.get_version(trained_home, PROJECT, name),
        lambda: versions.version_folder(trained_home, PROJECT, name),
        lambda: versions.version_folder(trained_home, name, "1.0.0"),
        lambda: approvals.request_release(trained_home, SCIENTIST, PROJECT, name, reason="x"),
        lambda: deployment.deploy(trained_home, DEVOPS, PROJECT, name),
        lambda: deployment.deploy(trained_home, DEVOPS, name, "1.0.0"),
        lambda: deployment.rollback(trained_home, DEVOPS, PROJECT, to=name or "x"),
        lambda: predict.predict_rows(trained_home, DEVOPS, name, [{}], source="test"),
        lambda: predict.predict_rows(trained_home, DEVOPS, PROJECT, [{}], source="test", version=name or "x"),
        lambda: checks.run_check(trained_home, SCIENTIST, name, current=checks.Period()),
        lambda: labels.feed_labels(trained_home, SCIENTIST, name, b"prediction_id,label\n1,1\n", file_name="l.csv"),
        lambda: log.get_prediction(trained_home, PROJECT, name),
        lambda: log.get_prediction(trained_home, PROJECT, f"{name}-1"),
        lambda: log.read_group(trained_home, PROJECT, name),
        lambda: accounts.reset_code(trained_home, ADMIN, name),
        lambda: projects.archive_project(trained_home, SCIENTIST, name),
        lambda: scoring.start_scoring(trained_home, DEVOPS, name, TABLE, file_name="t.csv"),
    )
    for place, ask in enumerate(asked):
        with pytest.raises(GreenlightError):
            pytest.fail(f"question {place} was answered: {ask()}")
    assert snapshot(outside, trained_home) == before
    assert files_of(trained_home) == inside


@pytest.mark.parametrize("kind", [k for k in NAMES if k not in ("empty", NO_TEXT)])
def test_a_file_may_be_called_anything_and_lies_where_we_want_it(kind, trained_home, outside):
    name, before = NAMES[kind], snapshot(outside, trained_home)
    for file_name in (name, f"{name}.csv", f"table.{name}", f"table.csv/{name}"):
        content = TABLE + b"\n" * (1 + len(file_name.encode("utf-8", "replace")))  # other bytes, so another dataset
        made = datasets.add_dataset(trained_home, SCIENTIST, PROJECT, content, file_name=file_name)
        dataset = datasets.get_dataset(trained_home, made["id"])
        path = datasets.data_path(trained_home, dataset)
        assert path.parent == trained_home.datasets / PROJECT / dataset.sha256
        assert path.stem == "data"
        assert len(datasets.load(trained_home, dataset)) == 1
        assert len(dataset.file_name) <= 200
        job = scoring.start_scoring(trained_home, DEVOPS, PROJECT, content, file_name=file_name, owner="cli")["id"]
        folder = trained_home.work / f"job_{job}"
        assert [p.name for p in folder.iterdir()] == ["in.csv"]
        assert (folder / "in.csv").read_bytes() == content
        assert "/" not in jobs.get_job(trained_home, job).params["file_name"]
    assert worker.run(trained_home, job) == 0
    assert log.list_groups(trained_home, PROJECT)[0]["rows"] == 1
    assert snapshot(outside, trained_home) == before
    assert audit.verify(trained_home).intact


@pytest.mark.parametrize("kind", [k for k in NAMES if k not in ("a NUL", NO_TEXT)])
def test_the_command_line_touches_nothing_for_such_a_name(kind, trained_home, outside, monkeypatch, capsys):
    name = NAMES[kind]
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    table = outside / "table.csv"
    table.write_bytes(TABLE)
    before, inside = snapshot(outside, trained_home), files_of(trained_home)
    commands = (
        ["project", "create", "--data", str(table), "--target", "num", "--as", "scientist", "--", name],
        ["train", "--as", "scientist", "--", name],
        ["train", PROJECT, "--version", name or "x", "--as", "scientist"],
        ["versions", "--", name],
        ["compare", "--", name],
        ["evaluate", PROJECT, "--data", str(table), "--", name],
        ["request", PROJECT, "--reason", "x", "--as", "scientist", "--", name],
        ["deploy", PROJECT, "--as", "devops", "--", name],
        ["predict", "--as", "devops", "--", name, str(table), "out.csv"],
        ["predict", "--as", name or "x", "--", PROJECT, str(table), "out.csv"],
        ["export", "--as", "scientist", "--", name, "out.csv"],
        ["user", "add", "--role", "devops", "--as", "admin", "--", name],
    )
    for words in commands:
        code = main(words)
        printed = capsys.readouterr()
        assert code in (1, 2), words
        assert "unexpected" not in printed.err, (words, printed.err)
        assert "Traceback" not in printed.err
    assert snapshot(outside, trained_home) == before
    assert files_of(trained_home) == inside


def test_the_real_command_refuses_bytes_that_are_no_text_in_one_line(trained_home, outside):
    done = subprocess.run(
        [sys.executable, "-m", "core", "versions", b"\xff\xfe../evil"],
        cwd=ROOT, env={"GREENLIGHT_HOME": str(trained_home.root), "PATH": "/usr/bin", "LANG": "C.UTF-8"},
        capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"no UTF-8 text" in done.stderr


def test_answers_are_never_written_over_the_question(trained_home, outside, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(trained_home.root))
    table = outside / "table.csv"
    table.write_bytes(TABLE)
    for out in (table, outside / "cwd" / ".." / "table.csv", outside / "no folder" / "out.csv", trained_home.root):
        assert main(["predict", PROJECT, str(table), str(out), "--as", "devops"]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    assert table.read_bytes() == TABLE


# Pickles


class Bomb:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["model.pkl", "model.csv", "model.xlsx"])
def test_a_pickle_is_no_table_under_any_name_and_is_never_opened(protocol, name, trained_home, outside):
    content, proof = pickle.dumps(Bomb(outside / "opened"), protocol), outside / "opened"
    before = files_of(trained_home)
    for act in (
        lambda: datasets.add_dataset(trained_home, SCIENTIST, PROJECT, content, file_name=name),
        lambda: labels.feed_labels(trained_home, SCIENTIST, PROJECT, content, file_name=name),
        lambda: checks.run_check(trained_home, SCIENTIST, PROJECT, current=checks.Upload(content, name)),
    ):
        with pytest.raises(BadInput):
            act()
    (outside / name).write_bytes(content)
    with pytest.raises(BadInput):
        files.predict_file(trained_home, DEVOPS, PROJECT, outside / name, outside / "out.csv", source="test")
    assert not proof.exists()
    assert files_of(trained_home) == before


def candidate_file(home):
    row = chosen_candidate(home, 1)
    run = runs.get_run(home, 1)
    return row, runs.run_folder(home, run) / row.artifact


@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_candidate_with_one_flipped_byte_is_not_registered(place, trained_home):
    row, path = candidate_file(trained_home)
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    known = len(versions.list_versions(trained_home, PROJECT))
    with pytest.raises(Refused, match="not opened"):
        versions.register(trained_home, SCIENTIST, row.id, threshold=0.4)
    assert len(versions.list_versions(trained_home, PROJECT)) == known
    event = audit.search(trained_home, limit=1)[0][0]
    assert (event["action"], event["outcome"]) == ("register", "refused")


def test_a_candidate_swapped_for_a_pickle_or_a_link_is_never_opened(trained_home, outside):
    row, path = candidate_file(trained_home)
    path.write_bytes(pickle.dumps(Bomb(outside / "opened")))
    with pytest.raises(Refused, match="not opened"):
        versions.register(trained_home, SCIENTIST, row.id, threshold=0.4)
    path.unlink()
    with pytest.raises(Refused, match="cannot be read"):
        versions.register(trained_home, SCIENTIST, row.id, threshold=0.4)
    path.symlink_to("/dev/null")
    with pytest.raises(Refused):
        versions.register(trained_home, SCIENTIST, row.id, threshold=0.4)
    assert not (outside / "opened").exists()


def test_what_a_run_kept_beside_its_candidates_is_not_a_pickle_that_anybody_could_swap(trained_home):
    """Only files with a signature in the database are unpickled: nothing else under runs/ may be one."""
    signed = {row.artifact for row in runs.list_candidates(trained_home, 1)}
    folder = runs.run_folder(trained_home, runs.get_run(trained_home, 1))
    unsigned = [p for p in folder.rglob("*") if p.is_file() and p.name not in signed]
    assert [p.name for p in unsigned if p.read_bytes()[:1] == b"\x80" or p.suffix in (".pkl", ".joblib")] == []


def test_a_dataset_changed_on_disk_is_neither_trained_on_nor_exported(trained_home):
    dataset = datasets.get_version(trained_home, PROJECT)
    path = datasets.data_path(trained_home, dataset)
    path.write_bytes(path.read_bytes().replace(b"Male", b"male", 1))
    for act in (
        lambda: runs.start_training(trained_home, SCIENTIST, PROJECT, candidates=[("dummy", {})]),
        lambda: datasets.export_dataset(trained_home, SCIENTIST, dataset),
        lambda: checks.run_check(trained_home, SCIENTIST, PROJECT, current=checks.Upload(TABLE, "t.csv")),
    ):
        with pytest.raises(Refused, match="was changed since it was added"):
            act()
    path.unlink()
    with pytest.raises(NotFound, match="restore it from a backup"):
        datasets.load(trained_home, dataset)
