"""Dataset versions: immutable, named by their bytes, compared with the one before, refused for training when wrong."""

import json
import threading
from pathlib import Path

import pytest

from core import audit, deployment
from core.acts import Actor
from core.datasets import versions as datasets
from core.drift.compute import result_from_json
from core.errors import BadInput, NotFound, Refused
from core.projects import projects
from core.training import runs

PROJECT = "heart_disease"
SCIENTIST = Actor("scientist")
DATA = Path(__file__).resolve().parents[1] / "samples" / "heart_disease" / "data"


def add(home, name, **kwargs):
    return datasets.add_dataset(home, SCIENTIST, PROJECT, DATA / name, file_name=name, **kwargs)


def test_the_same_bytes_again_are_the_same_version(demo_home):
    again = add(demo_home, "heart_cleveland.csv")
    assert (again["version"], again["fresh"]) == (1, False)
    assert len(datasets.list_datasets(demo_home, PROJECT)) == 1


def test_new_bytes_are_a_new_version_with_profile_report_and_comparison(demo_home):
    made = add(demo_home, "heart_hungary.csv")
    assert (made["version"], made["rows"], made["fresh"]) == (2, 294, True)
    dataset = datasets.get_version(demo_home, PROJECT, 2)
    assert dataset.comparison["against"] == 1
    result = result_from_json(json.dumps(dataset.comparison["result"]))
    assert result.overall == pytest.approx(0.69, abs=0.01)
    assert dataset.created_by == "scientist"
    assert datasets.get_version(demo_home, PROJECT).version == 2


def test_switzerland_is_kept_with_its_errors_and_refused_for_training(demo_home):
    made = add(demo_home, "heart_switzerland.csv")
    assert made["ok"] is False
    report = datasets.get_version(demo_home, PROJECT).validation
    chol = [f for f in report["findings"] if f["column"] == "chol" and f["level"] == "error"]
    assert chol
    assert max(f["count"] for f in chol) == 123
    with pytest.raises(Refused, match="cannot be trained on"):
        runs.start_training(demo_home, SCIENTIST, PROJECT, dataset_version=made["version"])
    assert [e["outcome"] for e in audit.search(demo_home, action="start_training")[0]] == ["refused"]


def test_labels_that_a_model_made_are_refused_for_training(demo_home):
    content = (DATA / "heart_cleveland.csv").read_bytes() + b"\n"
    made = datasets.add_dataset(demo_home, SCIENTIST, PROJECT, content, file_name="x.csv", label_provenance="model")
    with pytest.raises(Refused, match="made by a model"):
        runs.start_training(demo_home, SCIENTIST, PROJECT, dataset_version=made["version"])
    with pytest.raises(BadInput, match="provenance"):
        datasets.add_dataset(demo_home, SCIENTIST, PROJECT, b"a,b\n1,2\n", file_name="x.csv", label_provenance="guess")


def test_a_file_that_was_changed_on_disk_is_not_trained_on(demo_home):
    path = datasets.data_path(demo_home, datasets.get_version(demo_home, PROJECT))
    path.write_bytes(path.read_bytes().replace(b"63,Male", b"64,Male", 1))
    with pytest.raises(Refused, match="changed since"):
        runs.start_training(demo_home, SCIENTIST, PROJECT)
    path.unlink()
    with pytest.raises(NotFound, match="is gone"):
        runs.start_training(demo_home, SCIENTIST, PROJECT)


def test_export_returns_every_row_as_it_came_and_is_audited(demo_home):
    content = datasets.export_dataset(demo_home, Actor("director"), datasets.get_version(demo_home, PROJECT))
    lines = content.decode().splitlines()
    assert lines[0].replace('"', "").split(",")[:3] == ["age", "sex", "cp"]
    assert len(lines) == 304
    assert audit.search(demo_home, action="export_dataset", outcome="done")[1] == 1
    with pytest.raises(Refused):
        datasets.export_dataset(demo_home, Actor("developer"), datasets.get_version(demo_home, PROJECT))


def test_who_may_not_upload_adds_nothing(demo_home):
    with pytest.raises(Refused):
        datasets.add_dataset(demo_home, Actor("director"), PROJECT, DATA / "heart_hungary.csv", file_name="h.csv")
    assert len(datasets.list_datasets(demo_home, PROJECT)) == 1


def test_the_difference_between_any_two_versions(demo_home):
    add(demo_home, "heart_hungary.csv")
    one, two = (datasets.get_version(demo_home, PROJECT, n) for n in (1, 2))
    forward = datasets.compare_versions(demo_home, one, two)
    assert forward["result"]["current_rows"] == 294
    assert datasets.compare_versions(demo_home, one, one)["result"]["overall"] == 0.0


def test_what_does_not_exist_is_named(demo_home):
    with pytest.raises(NotFound, match="dataset version 9"):
        datasets.get_version(demo_home, PROJECT, 9)
    with pytest.raises(NotFound, match="no project 'nix'"):
        datasets.add_dataset(demo_home, SCIENTIST, "nix", b"a\n1\n", file_name="a.csv")


def test_nothing_goes_live_in_an_archived_project(trained_home):
    deployment.undeploy(trained_home, Actor("devops"), PROJECT)
    projects.archive_project(trained_home, SCIENTIST, PROJECT, reason="done with it")
    with pytest.raises(Refused, match=f"Project {PROJECT} is archived; restore it first"):
        deployment.rollback(trained_home, Actor("devops"), PROJECT, to="1.0.0")
    newest = audit.search(trained_home, limit=1)[0][0]
    assert (newest["action"], newest["outcome"]) == ("rollback", "refused")
    assert deployment.find_live(trained_home, PROJECT) is None


def test_projects_are_archived_and_restored_without_losing_anything(trained_home):
    with pytest.raises(Refused, match="live version"):
        projects.archive_project(trained_home, SCIENTIST, PROJECT, reason="done with it")
    projects.archive_project(trained_home, Actor("admin"), "recipe_ranking", reason="unused")
    assert "recipe_ranking" not in [p.name for p in projects.list_projects(trained_home)]
    assert projects.get_project(trained_home, "recipe_ranking").archived
    with pytest.raises(Refused, match="archived"):
        runs.start_training(trained_home, SCIENTIST, "recipe_ranking")
    with pytest.raises(Refused):
        projects.restore_project(trained_home, Actor("director"), "recipe_ranking")
    projects.restore_project(trained_home, SCIENTIST, "recipe_ranking")
    assert len(projects.list_projects(trained_home)) == 3
    with pytest.raises(Refused, match="already"):
        projects.create_project(trained_home, SCIENTIST, projects.get_definition(trained_home, PROJECT))


def test_the_same_table_from_several_sides_at_once_is_kept_once_and_whole(tmp_path):
    failures, content = [], b"x" * 200_000

    def keep(path, gate):
        gate.wait()
        try:
            datasets._keep_file(path, content)
        except OSError as error:
            failures.append(error)

    for k in range(20):
        path, gate = tmp_path / str(k) / "data.csv", threading.Barrier(4)
        threads = [threading.Thread(target=keep, args=(path, gate)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [(p.name, p.read_bytes() == content) for p in path.parent.iterdir()] == [("data.csv", True)]
    assert failures == []
