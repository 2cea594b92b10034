"""The quick scorer answers only where it gives the pipeline's answers; what was found is kept, signed, and not trusted blindly."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core import approvals, deployment
from core.acts import Actor
from core.registry import versions
from core.scoring import parity, scorer
from core.scoring.compiled import compile_pipeline
from core.scoring.rows import score_rows
from core.scoring.scorer import load_scorer
from core.training import runs

PROJECT = "heart_disease"


@pytest.fixture
def loaded(trained_home):
    scorer.clear_cache()
    return load_scorer(trained_home, PROJECT)


def kept_file(home, found):
    return home.work / "parity" / f"{found.sha256}_{found.threshold:.6f}.json"


def compare(home, found, fast):
    return parity.compare(found, fast, *parity.known_rows(home, found))


def shifted(fast, by):
    """A twin that gives class 1 a little more, in both of its ways."""

    def shift(call):
        def more(table):
            positive = np.minimum(call(table)[:, 1] + by, 1.0)
            return np.column_stack([1.0 - positive, positive])

        return more

    return replace(fast, few=shift(fast.few), many=shift(fast.many))


def test_the_held_out_rows_and_the_edges_of_every_column_are_compared(trained_home, loaded):
    known, source = parity.known_rows(trained_home, loaded)
    run = runs.list_runs(trained_home, PROJECT)[0]
    assert (len(known), source) == (len(runs.get_sweep(trained_home, run).holdout_rows), "held-out rows")
    edges = parity.make_edges(known, loaded.definition)
    assert edges.isna().all(axis=1).sum() == 1
    for column in loaded.definition.features:
        tried = edges[column.name]
        assert tried.isna().any()
        if column.kind == "number":
            assert {1e308, -1e308, 0.0, column.low, column.high} <= set(tried)
        else:
            assert {"a value that nobody has seen", *column.allowed} <= set(tried)
    result = compare(trained_home, loaded, loaded.fast)
    assert (result.equal, result.rows, result.edges, result.labels, result.reason) == (True, len(known), len(edges), 0, "")
    assert result.worst <= parity.TOLERANCE
    assert loaded.serving == result.sentence


def test_a_twin_that_differs_in_a_number_may_not_answer(trained_home, loaded):
    small = compare(trained_home, loaded, shifted(loaded.fast, 1e-9))
    assert (small.equal, small.labels) == (True, 0)
    assert small.worst == pytest.approx(1e-9, rel=1e-3)
    large = compare(trained_home, loaded, shifted(loaded.fast, 2e-6))
    assert not large.equal
    assert "differs by 2.0e-06, and 1e-06 is allowed" in large.sentence


def test_a_twin_with_another_label_may_not_answer(trained_home, loaded):
    few_only = replace(loaded.fast, few=lambda table: loaded.fast.few(table)[:, ::-1])
    result = compare(trained_home, loaded, few_only)
    assert not result.equal
    assert result.labels > 100
    assert f"another label on {result.labels:,} of {result.rows + result.edges:,} rows" in result.sentence


def test_a_twin_that_cannot_answer_an_edge_may_not_answer(trained_home, loaded):
    def fail(table):
        raise ValueError("too large")

    result = compare(trained_home, loaded, replace(loaded.fast, many=fail))
    assert (result.equal, result.reason) == (False, "the comparison of both could not be finished (ValueError)")


def test_the_pipeline_answers_and_says_why_where_the_twin_is_not_equal(trained_home, monkeypatch):
    scorer.clear_cache()
    (trained_home.work / "parity").rename(trained_home.work / "gone")
    monkeypatch.setattr("core.scoring.compiled.compile_pipeline", lambda pipeline: shifted(compile_pipeline(pipeline), 0.3))
    found = load_scorer(trained_home, PROJECT)
    assert found.fast is None
    assert found.serving.startswith("The pipeline itself answers, because the compiled scorer gives another label on ")
    assert parity.describe(trained_home, found.sha256, found.threshold) == found.serving
    row = dict.fromkeys(c.name for c in found.definition.features)
    answer = score_rows(trained_home, PROJECT, [row], caller="developer", source="test")
    frame = pd.DataFrame({c.name: pd.Series([np.nan], dtype=object if c.kind == "category" else float) for c in found.definition.features})
    assert list(answer.predictions[0]["probabilities"].values()) == found.pipeline.predict_proba(frame)[0].tolist()


@pytest.mark.parametrize("forge", ["result", "key", "text", "other libraries", "other threshold"])
def test_a_record_that_is_not_ours_or_not_of_today_is_not_believed(trained_home, loaded, monkeypatch, forge):
    path = kept_file(trained_home, loaded)
    assert parity.find_parity(trained_home, loaded.sha256, loaded.threshold) is not None
    record = json.loads(path.read_text())
    threshold = loaded.threshold
    if forge == "result":
        record["body"] = record["body"].replace('"worst": ', '"worst": 1')
    elif forge == "key":
        record["body"] = record["body"].replace(loaded.sha256, "0" * 64)
    elif forge == "other libraries":
        monkeypatch.setattr(parity, "library_versions", lambda: {"scikit-learn": "0.1"})
    elif forge == "other threshold":
        threshold = 0.4
        kept_file(trained_home, replace(loaded, threshold=0.4)).write_text(path.read_text())
    path.write_text("{" if forge == "text" else json.dumps(record))
    assert parity.find_parity(trained_home, loaded.sha256, threshold) is None
    assert parity.describe(trained_home, loaded.sha256, threshold).startswith("Not known yet")


def test_a_record_is_believed_by_the_next_process_and_made_anew_when_it_is_gone(trained_home, loaded, monkeypatch):
    compared = []
    monkeypatch.setattr(parity, "compare", lambda *given: compared.append(given) or parity.Parity(True, 1, 1, "rows", 0, 0.0, "x", ""))
    scorer.clear_cache()
    assert load_scorer(trained_home, PROJECT).serving == loaded.serving
    assert compared == []
    kept_file(trained_home, loaded).unlink()
    scorer.clear_cache()
    load_scorer(trained_home, PROJECT)
    assert len(compared) == 1
    assert kept_file(trained_home, loaded).exists()


@pytest.mark.parametrize("harm", ["gone", "cut short", "overwritten"])
def test_without_the_run_the_training_rows_are_compared(trained_home, loaded, harm):
    runs._load_sweep.cache_clear()
    for path in trained_home.runs.rglob("*"):
        if path.suffix in (".json", ".npz"):
            path.unlink() if harm == "gone" else path.write_bytes(path.read_bytes()[:50] if harm == "cut short" else b"{}")
    known, source = parity.known_rows(trained_home, loaded)
    assert (len(known), source) == (303, "training rows")


def test_a_library_that_is_not_there_is_said_and_the_pipeline_answers(trained_home, loaded, monkeypatch):
    def fail(pipeline):
        raise ModuleNotFoundError("No module named 'treelite'")

    kept_file(trained_home, loaded).unlink()
    scorer.clear_cache()
    monkeypatch.setattr("core.scoring.compiled.compile_pipeline", fail)
    found = load_scorer(trained_home, PROJECT)
    assert found.fast is None
    assert found.serving == "The pipeline itself answers, because it could not be compiled (ModuleNotFoundError)."
    assert parity.describe(trained_home, found.sha256, found.threshold) == found.serving


def test_without_the_data_the_golden_rows_are_compared(trained_home, loaded):
    for path in trained_home.datasets.rglob("*"):
        if path.is_file():
            path.unlink()
    known, source = parity.known_rows(trained_home, loaded)
    assert (len(known), source) == (26, "golden rows")
    assert parity.compare(loaded, loaded.fast, known, source).equal


def test_a_deployment_leaves_a_warm_scorer_and_a_sentence_for_the_card(trained_home):
    row = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    versions.register(trained_home, Actor("scientist"), row.id, version="1.1.0")
    version = versions.get_version(trained_home, PROJECT, "1.1.0")
    assert parity.describe(trained_home, version.sha256, version.threshold).startswith("Not known yet")
    request = approvals.request_release(trained_home, Actor("scientist"), PROJECT, "1.1.0", reason="try")["id"]
    approvals.approve(trained_home, Actor("director"), request, reason="ok", despite_gates=True)
    scorer.clear_cache()
    deployment.deploy(trained_home, Actor("devops"), PROJECT, "1.1.0")
    assert scorer.find_loaded(trained_home, PROJECT).version == "1.1.0"
    sentence = parity.describe(trained_home, version.sha256, version.threshold)
    assert "20 trees through treelite" in sentence
    assert "every label is the same" in sentence


def test_the_card_says_what_answers(trained_home, open_page):
    card = open_page(trained_home, "registry")
    lineage = next(m.value for m in card.markdown if "| Answers |" in m.value)
    assert "A compiled scorer answers: preprocessing as arrays, logistic regression of scikit-learn" in lineage.replace("\\", "")
    row = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    versions.register(trained_home, Actor("scientist"), row.id, version="1.1.0")
    card = open_page(trained_home, "registry", version="1.1.0")
    assert any("| Answers | Not known yet" in m.value for m in card.markdown)
