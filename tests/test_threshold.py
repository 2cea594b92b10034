"""The decision threshold: its costs counted on six rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadInput
from core.training.threshold import cheapest, cost_curve, metrics_at, predict_at

TRUTH = np.array(["1", "1", "0", "1", "0", "0"], dtype=object)
PROBA = np.array([0.9, 0.7, 0.6, 0.4, 0.3, 0.1])


def test_the_curve_counts_misses_and_false_alarms_at_each_threshold():
    curve = cost_curve(TRUTH, PROBA, cost_fn=5, cost_fp=1)
    rows = {round(p.threshold, 3): (p.fn, p.fp, p.cost) for p in curve}
    assert rows == {
        0.05: (0, 3, 3), 0.2: (0, 2, 2), 0.35: (0, 1, 1), 0.5: (1, 1, 6),
        0.65: (1, 0, 5), 0.8: (2, 0, 10), 0.95: (3, 0, 15),
    }  # fmt: skip


def test_missing_a_patient_five_times_as_bad_lowers_the_threshold():
    assert cheapest(TRUTH, PROBA, cost_fn=5, cost_fp=1).threshold == pytest.approx(0.35)
    assert cheapest(TRUTH, PROBA, cost_fn=1, cost_fp=5).threshold == pytest.approx(0.65)


def test_half_is_kept_when_nothing_is_cheaper():
    point = cheapest(np.array(["1", "0"], dtype=object), np.array([0.8, 0.1]), 1, 1)
    assert (point.threshold, point.cost) == (0.5, 0.0)


def test_nobody_called_positive_has_no_precision():
    top = cost_curve(TRUTH, PROBA, 1, 1)[-1]
    assert (top.fn, top.precision, top.recall) == (3, None, 0.0)


def test_a_threshold_changes_answers_and_metrics_but_not_the_ranking():
    at_half, low = metrics_at(TRUTH, PROBA, 0.5), metrics_at(TRUTH, PROBA, 0.35)
    assert (at_half["tp"], at_half["fp"], at_half["fn"]) == (2, 1, 1)
    assert (low["tp"], low["fp"], low["fn"]) == (3, 1, 0)
    assert low["recall"] == 1.0
    assert low["auc"] == at_half["auc"] == pytest.approx(8 / 9)


def test_a_probability_on_the_threshold_is_positive():
    assert predict_at(np.array([0.5, 0.49]), 0.5).tolist() == ["1", "0"]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_impossible_thresholds_are_refused(threshold):
    with pytest.raises(BadInput, match="between 0 and 1"):
        predict_at(PROBA, threshold)


@pytest.mark.parametrize("costs", [(-1, 1), (0, 0), (float("inf"), 1), (1, float("nan"))])
def test_impossible_costs_are_refused(costs):
    with pytest.raises(BadInput, match="not negative"):
        cheapest(TRUTH, PROBA, *costs)


def test_no_rows_are_refused():
    with pytest.raises(BadInput, match="no rows"):
        cheapest(np.zeros(0, dtype=object), np.zeros(0), 1, 1)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 10), st.floats(0.1, 10))
def test_every_point_counts_what_its_threshold_answers_and_none_is_cheaper_than_the_cheapest(seed, cost_fn, cost_fp):
    rng = np.random.default_rng(seed)
    truth, proba = np.where(rng.random(60) < 0.4, "1", "0").astype(object), np.round(rng.random(60), 1)
    best = cheapest(truth, proba, cost_fn, cost_fp)
    curve = cost_curve(truth, proba, cost_fn, cost_fp)
    for point in [best, *curve]:
        answers = predict_at(proba, point.threshold)
        misses, alarms = ((truth == "1") & (answers == "0")).sum(), ((truth == "0") & (answers == "1")).sum()
        assert (point.fn, point.fp) == (misses, alarms)
    assert min(p.cost for p in curve) == pytest.approx(best.cost)
    assert len(curve) <= 200
