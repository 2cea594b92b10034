"""Deploy, roll back, undeploy: the gate is in the act, one version is live, and the files are the approved ones."""

import json
import pickle
import shutil
import sqlite3

import pytest

from core import approvals, audit, deployment
from core.acts import Actor
from core.errors import NotFound, Refused
from core.registry import artifacts, versions
from core.scoring import scorer as scorers
from core.scoring.predict import predict_rows
from core.training import runs
from storage.connection import writing

PROJECT = "heart_disease"
SCIENTIST, DIRECTOR, DEVOPS = Actor("scientist"), Actor("director"), Actor("devops")
ROW = {
    "age": 63, "sex": "Male", "cp": "asymptomatic", "trestbps": 145, "chol": 233, "fbs": "True", "restecg": "normal", "thalch": 150,
    "exang": "False", "oldpeak": 2.3, "slope": "flat", "ca": 0, "thal": "normal",
}  # fmt: skip


@pytest.fixture
def approved(trained_home):
    """1.0.0 live, 1.1.0 approved."""
    run = runs.list_runs(trained_home, PROJECT)[0]
    forest = next(c for c in runs.list_candidates(trained_home, run.id) if c.name == "random_forest")
    versions.register(trained_home, SCIENTIST, forest.id, version="1.1.0")
    request = approvals.request_release(trained_home, SCIENTIST, PROJECT, "1.1.0", reason="try")["id"]
    approvals.approve(trained_home, DIRECTOR, request, reason="ok", despite_gates=True)
    return trained_home


def live(home):
    found = deployment.find_live(home, PROJECT)
    return found.version if found else None


def answering(home):
    return predict_rows(home, DEVOPS, PROJECT, [ROW], source="test").version


def test_from_the_next_prediction_on_the_new_version_answers(approved):
    assert answering(approved) == "1.0.0"
    result = deployment.deploy(approved, DEVOPS, PROJECT, "1.1.0")
    assert result == {"project": PROJECT, "version": "1.1.0", "before": "1.0.0"}
    assert answering(approved) == "1.1.0"
    old = versions.get_version(approved, PROJECT, "1.0.0")
    assert (old.stage, old.stage_reason) == ("archived", "superseded by 1.1.0")


@pytest.mark.parametrize("who", ["scientist", "director", "developer", "admin"])
def test_only_devops_deploys_rolls_back_and_undeploys(approved, who):
    for act in (
        lambda a: deployment.deploy(approved, a, PROJECT, "1.1.0"),
        lambda a: deployment.rollback(approved, a, PROJECT),
        lambda a: deployment.undeploy(approved, a, PROJECT),
    ):
        with pytest.raises(Refused, match="who may: DevOps"):
            act(Actor(who))
        assert audit.search(approved, limit=1)[0][0]["outcome"] == "refused"
    assert live(approved) == "1.0.0"


def test_rollback_goes_back_in_one_act_and_the_table_says_who_was_live_when(approved):
    deployment.deploy(approved, DEVOPS, PROJECT, "1.1.0", reason="better")
    assert deployment.find_rollback_target(approved, PROJECT) == "1.0.0"
    assert deployment.rollback(approved, DEVOPS, PROJECT, reason="worse after all")["before"] == "1.1.0"
    assert answering(approved) == "1.0.0"
    spans = [(d.version, d.kind, d.live_until is None, d.deployed_by, d.reason) for d in deployment.list_deployments(approved, PROJECT)]
    assert spans == [
        ("1.0.0", "rollback", True, "devops", "worse after all"),
        ("1.1.0", "deploy", False, "devops", "better"),
        ("1.0.0", "deploy", False, "devops", "First model"),
    ]
    deployment.rollback(approved, DEVOPS, PROJECT, to="1.1.0")
    assert live(approved) == "1.1.0"


def test_rollback_only_to_what_was_live_before(approved):
    with pytest.raises(Refused, match="no earlier version"):
        deployment.rollback(approved, DEVOPS, PROJECT)
    with pytest.raises(Refused, match="never live"):
        deployment.rollback(approved, DEVOPS, PROJECT, to="1.1.0")
    with pytest.raises(Refused, match="live already"):
        deployment.rollback(approved, DEVOPS, PROJECT, to="1.0.0")
    with pytest.raises(NotFound):
        deployment.rollback(approved, DEVOPS, PROJECT, to="7.7.7")
    assert live(approved) == "1.0.0"


def test_undeploy_leaves_nothing_answering_until_rollback(approved):
    deployment.undeploy(approved, DEVOPS, PROJECT, reason="holiday")
    assert live(approved) is None
    with pytest.raises(NotFound, match="no live version"):
        answering(approved)
    with pytest.raises(Refused, match="no live version"):
        deployment.undeploy(approved, DEVOPS, PROJECT)
    deployment.rollback(approved, DEVOPS, PROJECT)
    assert answering(approved) == "1.0.0"


def test_the_database_allows_one_live_version_and_no_skipped_stage(approved):
    with pytest.raises(sqlite3.IntegrityError), writing(approved.db) as db:
        db.conn.execute("UPDATE versions SET stage = 'production' WHERE version = '1.1.0'")
    connection = sqlite3.connect(approved.db)
    with pytest.raises(sqlite3.IntegrityError, match="stage is not allowed"):
        connection.execute("UPDATE versions SET stage = 'training' WHERE version = '1.1.0'")
    with pytest.raises(sqlite3.IntegrityError, match="does not change"):
        connection.execute("UPDATE versions SET sha256 = 'x' WHERE version = '1.1.0'")
    with pytest.raises(sqlite3.IntegrityError, match="does not change"):
        connection.execute("UPDATE versions SET threshold = 0.1 WHERE version = '1.1.0'")
    connection.close()


def test_one_flipped_byte_is_refused_before_unpickling_and_audited(approved):
    path = versions.version_folder(approved, PROJECT, "1.1.0") / "model.pkl"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refused, match="not the one that was registered"):
        deployment.deploy(approved, DEVOPS, PROJECT, "1.1.0")
    event = audit.search(approved, limit=1)[0][0]
    assert (event["action"], event["outcome"]) == ("deploy", "refused")
    assert live(approved) == "1.0.0"


class Bomb:
    """A pickle that would leave a file behind if it were opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_foreign_pickle_with_a_forged_manifest_is_never_opened(approved, tmp_path):
    folder = versions.version_folder(approved, PROJECT, "1.1.0")
    proof = tmp_path / "opened"
    content = pickle.dumps(Bomb(str(proof)))
    (folder / "model.pkl").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    sha, mac = artifacts.sign(approved, content)  # even with the right key: the database knows another sha256
    manifest["files"]["model.pkl"] = {"sha256": sha, "hmac": mac, "bytes": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Refused):
        deployment.deploy(approved, DEVOPS, PROJECT, "1.1.0")
    assert not proof.exists()


def test_an_artifact_swapped_for_another_versions_is_refused(approved):
    folder = versions.version_folder(approved, PROJECT, "1.1.0")
    shutil.rmtree(folder)
    shutil.copytree(versions.version_folder(approved, PROJECT, "1.0.0"), folder)
    with pytest.raises(Refused, match="not the one that was registered"):
        deployment.deploy(approved, DEVOPS, PROJECT, "1.1.0")


def test_golden_answers_that_differ_keep_a_version_from_serving(approved):
    folder = versions.version_folder(approved, PROJECT, "1.1.0")
    golden = json.loads((folder / "golden.json").read_text())
    golden["answers"]["score"][0] += 1e-12
    content = json.dumps(golden).encode()
    (folder / "golden.json").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    sha, mac = artifacts.sign(approved, content)
    manifest["files"]["golden.json"] = {"sha256": sha, "hmac": mac, "bytes": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Refused, match="golden answers"):
        deployment.deploy(approved, DEVOPS, PROJECT, "1.1.0")


def test_a_live_version_whose_file_is_gone_says_so_instead_of_answering(approved):
    scorers.clear_cache()
    (versions.version_folder(approved, PROJECT, "1.0.0") / "model.pkl").unlink()
    with pytest.raises(Refused, match="cannot be read"):
        answering(approved)


def test_an_approval_of_another_projects_version_opens_nothing(approved):
    with pytest.raises(NotFound):
        deployment.deploy(approved, DEVOPS, "future_skills", "1.1.0")


def test_deploying_twice_with_one_key_is_one_deployment(approved):
    first = deployment.deploy(approved, DEVOPS, PROJECT, "1.1.0", key="click")
    assert deployment.deploy(approved, DEVOPS, PROJECT, "1.1.0", key="click") == first
    assert len(deployment.list_deployments(approved, PROJECT)) == 2
