"""The automatic choice, the criteria beside it, and the gates, on results made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.projects.definition import from_dict
from core.training.intervals import Answers, Interval
from core.training.metrics import classification_metrics
from core.training.results import CandidateResult, Importance
from core.training.selection import _span, beats_baseline, best_baseline, choose, criteria, gate, is_open

ROWS = 400
TRUTH = np.arange(ROWS) % 2


def definition(**more):
    base = {"name": "t", "title": "T", "task": "binary", "target": "y", "columns": [{"name": "x"}]}
    return from_dict({**base, "classes": ["0", "1"], "positive": ">0", **more})


def words(values):
    return np.where(values == 1, "1", "0").astype(object)


def candidate(name, wrong, simplicity, shift=0, mean=None, **more):
    """A candidate that answers ``wrong`` of 400 rows wrongly, beginning at row ``shift``."""
    said = TRUTH.copy()
    said[shift : shift + wrong] = 1 - said[shift : shift + wrong]
    answers = Answers(words(TRUTH), words(said))
    metrics = classification_metrics(answers.target, answers.prediction, None, ("0", "1"), "binary")
    mean = metrics["f1"] if mean is None else mean
    cv = {"f1": {"mean": mean, "std": 0.005, "folds": [mean] * 5}}
    return CandidateResult(
        name, name, name.title(), {}, 42, simplicity=simplicity, cv=cv, out_of_fold=metrics, answers=answers,
        **{"fit_seconds": 1.0, "importances": (Importance("x", 0.1, 0.01),), **more},
    )  # fmt: skip


def dummy(wrong=200):
    return candidate("dummy", wrong, 0, baseline=True)


def chosen(*results, d=None):
    return choose(SimpleNamespace(results=results, seed=42), d or definition())


def test_a_clear_leader_is_taken():
    found = chosen(dummy(), candidate("simple", 100, 2), candidate("deep", 20, 9))
    assert (found.name, found.leader) == ("deep", "deep")
    assert found.interval.low > 0
    assert found.sentence.endswith("and no simpler one is as good.")
    assert "chance" not in found.sentence


def test_a_simpler_runner_up_within_chance_is_taken_instead():
    found = chosen(dummy(), candidate("simple", 40, 2), candidate("deep", 38, 9, shift=100))
    assert (found.name, found.leader) == ("simple", "deep")
    assert found.difference == pytest.approx(0.005)
    assert found.interval.low < 0 < found.interval.high
    assert found.sentence.startswith("Deep leads Simple by 0.005 F1; the interval -0.0")
    assert found.sentence.endswith("covers 0, so the simpler one is taken: Simple.")


def test_the_simplest_of_several_ties_is_taken():
    ties = [candidate("deep", 38, 9, shift=100), candidate("middle", 39, 5, shift=50), candidate("simple", 40, 2)]
    assert chosen(dummy(), *ties).name == "simple"


def test_a_simpler_leader_stays_and_its_lead_is_said_to_be_chance_perhaps():
    found = chosen(dummy(), candidate("simple", 38, 2), candidate("deep", 40, 9, shift=100))
    assert (found.name, found.leader) == ("simple", "simple")
    span = f"{found.interval.low:.3f} .. {found.interval.high:.3f}"
    assert found.sentence.endswith(
        f"it leads Deep by 0.005; the interval {span} covers 0, so the lead may be chance; it is also the simpler of the two."
    )


def test_of_two_equally_simple_ones_neither_is_called_simpler():
    found = chosen(dummy(), candidate("one", 38, 2), candidate("other", 40, 2, shift=100))
    assert (found.name, found.leader) == ("one", "one")
    assert found.sentence.endswith("so the lead may be chance; neither of the two is simpler.")


def test_an_interval_that_rounds_to_nothing_has_no_minus_before_its_zero():
    assert _span(Interval(-0.0001, 0.0004, 0.95, 100)) == "0.000 .. 0.000"
    assert _span(Interval(-0.0361, 0.042, 0.95, 100)) == "-0.036 .. 0.042"


def test_an_interval_below_zero_is_not_said_to_cover_it():
    found = chosen(dummy(), candidate("simple", 20, 2, mean=0.8), candidate("deep", 100, 9, mean=0.9))
    assert (found.name, found.leader) == ("simple", "deep")
    assert found.interval.high < 0
    assert found.sentence.endswith("lies below 0, so the simpler one is taken: Simple.")


def test_a_baseline_is_never_chosen_even_when_it_leads():
    rules = candidate("rules_engine", 0, 1, baseline=True)
    assert chosen(dummy(), rules, candidate("simple", 50, 2)).name == "simple"


def test_nothing_is_chosen_when_everything_failed():
    assert chosen(dummy(), CandidateResult("mlp", "mlp", "Network", {}, 42, error="ValueError: no")) is None


def test_the_only_candidate_is_chosen_and_said_to_be_the_only_one():
    found = chosen(dummy(), candidate("simple", 50, 2))
    assert found.sentence == "Simple is the only candidate beside the baselines (F1 0.875)."
    assert found.interval is None


def test_the_strongest_baseline_is_the_one_to_beat():
    rules = candidate("rules_engine", 100, 1, baseline=True)
    assert best_baseline([dummy(), rules], "f1").name == "rules_engine"
    assert best_baseline([], "f1") is None


def test_a_baseline_is_beaten_only_with_its_whole_interval():
    assert beats_baseline(candidate("simple", 40, 2), dummy(), definition()).beats is True
    near = beats_baseline(candidate("simple", 40, 2), candidate("dummy", 42, 0, shift=100, baseline=True), definition())
    assert near.beats is False
    assert near.sentence.endswith("not clearly above the baseline.")


def test_criteria_are_computed_from_the_result():
    d = definition(criteria={"metric_target": 0.85, "cv_std_target": 0.001, "training_seconds": 60})
    found = {c.name: c for c in criteria(candidate("simple", 40, 2, needs="xgboost", reading="coefficients"), d)}
    assert (found["metric"].value, found["metric"].met) == (0.9, True)
    assert (found["cv_std"].value, found["cv_std"].met) == (0.005, False)
    assert (found["interpretability"].value, found["interpretability"].met) == ("coefficients", True)
    assert found["training_time"].met is True
    assert (found["dependency"].value, found["dependency"].met) == ("xgboost", False)


def test_a_criterion_without_a_target_is_neither_met_nor_missed():
    assert criteria(candidate("simple", 40, 2), definition())[0].met is None


def test_register_asks_for_the_threshold_only():
    d = definition(gates={"register": 0.75, "production": 0.95})
    (check,) = gate(candidate("simple", 40, 2), d, "register", baseline=dummy())
    assert (check.name, check.passed, check.value, check.threshold) == ("metric", True, 0.9, 0.75)
    assert check.sentence == "F1 0.900 (mean of the folds) reaches 0.75, set for register."


def production(result, d=None, **more):
    checks = gate(result, d or definition(gates={"production": 0.8}), "production", baseline=dummy(), **more)
    return {check.name: check for check in checks}, is_open(checks)


def test_production_is_open_when_all_that_is_asked_is_met():
    checks, open_ = production(candidate("simple", 40, 2), known_cases=(10, 10), against_live=Interval(-0.01, 0.03))
    assert open_
    assert [c.passed for c in checks.values()] == [True] * 5


def test_without_threshold_known_cases_and_live_version_nothing_was_asked():
    checks, open_ = production(candidate("simple", 40, 2), definition())
    assert open_
    assert [name for name, c in checks.items() if c.passed is None] == ["metric", "known_cases", "live"]
    assert checks["metric"].sentence == "No threshold is set for production; F1 is 0.900."


@pytest.mark.parametrize(
    ("change", "closed"),
    [
        ({"known_cases": (9, 10)}, "known_cases"),
        ({"against_live": Interval(-0.09, -0.02)}, "live"),
        ({"against_live": Interval(None, None)}, "live"),
    ],
)
def test_one_failed_condition_closes_production(change, closed):
    checks, open_ = production(candidate("simple", 40, 2), **change)
    assert not open_
    assert [name for name, c in checks.items() if c.passed is False] == [closed]


def test_a_mean_below_the_threshold_closes_production():
    checks, open_ = production(candidate("simple", 40, 2, mean=0.79))
    assert (checks["metric"].passed, open_) == (False, False)
    assert checks["metric"].sentence == "F1 0.790 (mean of the folds) is below 0.8, set for production."


def test_low_recall_of_a_large_class_closes_production_and_a_small_class_is_not_judged():
    result = candidate("simple", 40, 2)
    result.out_of_fold["per_class"]["1"].update(recall=0.4, support=21)
    checks, open_ = production(result)
    assert (checks["class_recall"].passed, open_) == (False, False)
    assert checks["class_recall"].sentence == "The lowest recall, of class 1, is 0.400 and is below 0.6."
    result.out_of_fold["per_class"]["1"].update(support=20)
    checks, open_ = production(result)
    assert (checks["class_recall"].passed, open_) == (True, True)
    assert checks["class_recall"].sentence.endswith("Not judged, with 20 rows or fewer: 1.")


def test_a_baseline_that_is_missing_or_not_beaten_closes_production():
    checks = gate(candidate("simple", 40, 2), definition(), "production", baseline=None)
    assert not is_open(checks)
    checks, open_ = production(candidate("simple", 200, 2))
    assert (checks["baseline"].passed, open_) == (False, False)
