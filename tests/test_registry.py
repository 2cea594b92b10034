"""Versions: numbers, stages, files, cards, and what is never registered."""

import json
from pathlib import Path

import pytest

from core import approvals
from core.acts import Actor
from core.datasets.versions import add_dataset
from core.errors import BadInput, NotFound, Refused
from core.projects.definition import from_json, to_json
from core.projects.projects import get_definition
from core.registry import cards, versions
from core.training import runs
from tests.conftest import train_small

PROJECT = "heart_disease"
SCIENTIST = Actor("scientist")


def candidate(home, name, run=1):
    return next(c for c in runs.list_candidates(home, run) if c.name == name)


def test_metadata_has_every_field_of_the_contract(trained_home):
    version = versions.get_version(trained_home, PROJECT, "1.0.0")
    metadata = versions.read_metadata(trained_home, version)
    assert metadata["version"] == "1.0.0"
    assert metadata["dataset"]["rows"] == 303
    assert metadata["dataset"]["class_distribution"] == {"0": 164, "1": 139}
    assert metadata["dataset"]["imbalance_ratio"] == pytest.approx(164 / 139)
    assert metadata["features"]["numeric"] == ["age", "trestbps", "chol", "thalch", "oldpeak", "ca"]
    assert metadata["target"] == "num"
    assert metadata["classes"] == ["0", "1"]
    assert metadata["artifact_sha256"] == version.sha256
    filled = (
        "date", "duration_seconds", "hyperparameters", "seed", "metrics", "per_class", "baseline", "feature_importance", "environment", "ran_on",
    )  # fmt: skip
    for name in filled:
        assert metadata[name] not in (None, {}, []), name
    assert {"recall", "precision", "support"} <= set(metadata["per_class"]["1"])
    assert set(versions.list_files(trained_home, version)) == {"model.pkl", "metadata.json", "golden.json"}


def test_the_registry_page_is_written_by_the_product(trained_home):
    text = (trained_home.models / PROJECT / "MODEL_REGISTRY.md").read_text()
    assert "| Version | Date | Stage | Dataset | Samples | Accuracy | F1 | Estimator | Notes |" in text
    assert "| 1.0.0 |" in text
    assert "Logistic regression" in text
    assert "| production |" in cards.registry_page(trained_home, PROJECT)


def test_the_comparison_page_ranks_and_says_the_choice(trained_home, tmp_path):
    run = runs.get_run(trained_home, 1)
    path = cards.write_comparison_page(trained_home, run, tmp_path / "MODEL_COMPARISON.md")
    text = path.read_text()
    assert text.index("Logistic regression") < text.index("(baseline)")
    assert "## Choice" in text
    assert run.choice["sentence"] in text
    assert (trained_home.models / PROJECT / "MODEL_COMPARISON.md").read_text() == text  # the training wrote it by itself


def test_numbers_rise_as_the_rules_say(trained_home):
    forest = versions.register(trained_home, SCIENTIST, candidate(trained_home, "random_forest").id)
    assert forest["version"] == "1.1.0"  # same schema, another model
    again = train_small(trained_home)
    same = versions.register(trained_home, SCIENTIST, candidate(trained_home, "random_forest", again).id)
    assert same["version"] == "1.1.1"  # the same data and settings
    by_hand = versions.register(trained_home, SCIENTIST, candidate(trained_home, "logistic_regression", again).id, version="3.0.0")
    assert by_hand["version"] == "3.0.0"
    with pytest.raises(Refused, match=r"3\.0\.0 already"):
        versions.register(trained_home, SCIENTIST, candidate(trained_home, "random_forest", again).id, threshold=0.4, version="3.0.0")


def test_another_schema_raises_the_major(trained_home):
    definition = get_definition(trained_home, PROJECT)
    data = json.loads(to_json(definition))
    data["columns"] = [c for c in data["columns"] if c["name"] != "chol"]
    narrower = from_json(json.dumps({**data, "known_cases": []}))
    listed = versions.list_versions(trained_home, PROJECT)
    number = versions.next_version(
        listed, definition=narrower, dataset_id=1, candidate=candidate(trained_home, "logistic_regression"), seed=42, home=trained_home
    )
    assert number == "2.0.0"


@pytest.mark.parametrize("bad", ["1", "1.0", "v1.0.0", "1.0.0-rc", "01.0.0", "../1.0.0", "1.0.0\n", ""])
def test_a_version_that_is_none_is_refused(trained_home, bad):
    with pytest.raises(BadInput, match="no version"):
        versions.register(trained_home, SCIENTIST, candidate(trained_home, "random_forest").id, version=bad or " ")


def test_the_same_candidate_is_registered_once_per_threshold(trained_home):
    with pytest.raises(Refused, match=r"as version 1\.0\.0 already"):
        versions.register(trained_home, SCIENTIST, candidate(trained_home, "logistic_regression").id)
    made = versions.register(trained_home, SCIENTIST, candidate(trained_home, "logistic_regression").id, threshold=0.3)
    version = versions.get_version(trained_home, PROJECT, made["version"])
    assert version.threshold == 0.3
    assert version.summary["at_threshold"]["recall"] >= version.summary["holdout"]["recall"]
    request = approvals.request_release(trained_home, SCIENTIST, PROJECT, made["version"], reason="fewer missed")["id"]
    assert approvals.get_request(trained_home, request).threshold == 0.3


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, float("nan")])
def test_a_threshold_lies_between_0_and_1(trained_home, threshold):
    with pytest.raises(BadInput, match="between 0 and 1"):
        versions.register(trained_home, SCIENTIST, candidate(trained_home, "random_forest").id, threshold=threshold)


def test_a_baseline_is_never_registered(trained_home):
    with pytest.raises(Refused, match="baseline"):
        versions.register(trained_home, SCIENTIST, candidate(trained_home, "dummy").id)


def test_below_the_register_gate_nothing_is_registered(home):
    from core import accounts
    from core.projects.projects import create_project

    accounts.add_demo_accounts(home)
    data = json.loads(to_json(from_json(to_json(_heart()))))
    data["gates"]["register"] = 0.99
    create_project(home, SCIENTIST, from_json(json.dumps(data)))
    path = Path(__file__).resolve().parents[1] / "samples/heart_disease/data/heart_cleveland.csv"
    add_dataset(home, SCIENTIST, PROJECT, path, file_name=path.name)
    run = train_small(home)
    with pytest.raises(Refused, match="below the register gate"):
        versions.register(home, SCIENTIST, candidate(home, "logistic_regression", run).id)
    assert versions.list_versions(home, PROJECT) == []
    assert not (home.models / PROJECT / "1.0.0").exists()
    assert runs.get_run(home, run).choice["name"] == "logistic_regression"


def _heart():
    from core.projects.samples import load_sample

    return load_sample(PROJECT)


def test_a_candidate_file_with_a_flipped_byte_is_not_registered(trained_home):
    row = candidate(trained_home, "random_forest")
    path = runs.run_folder(trained_home, runs.get_run(trained_home, 1)) / row.artifact
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refused, match="was not opened"):
        versions.register(trained_home, SCIENTIST, row.id)


@pytest.mark.parametrize("who", ["director", "developer", "admin"])
def test_who_may_not_register_leaves_no_file(trained_home, who):
    with pytest.raises(Refused):
        versions.register(trained_home, Actor(who), candidate(trained_home, "random_forest").id)
    assert sorted(p.name for p in (trained_home.models / PROJECT).iterdir()) == ["1.0.0", "MODEL_COMPARISON.md", "MODEL_REGISTRY.md"]


def test_what_does_not_exist_is_named(trained_home):
    with pytest.raises(NotFound, match=r"9\.9\.9"):
        versions.get_version(trained_home, PROJECT, "9.9.9")
    with pytest.raises(NotFound, match="candidate 999"):
        versions.register(trained_home, SCIENTIST, 999)


def test_text_in_cards_cannot_break_the_table():
    assert cards._cell("a|b\n<script>[x](y)`") == "a\\|b &lt;script>\\[x](y)\\`"
