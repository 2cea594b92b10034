"""Bootstrap intervals: the same as resampling rows one by one, seeded, and honest about what is undefined."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.projects.definition import from_dict
from core.training.intervals import Answers, metric_intervals, paired_difference, resample_sums
from core.training.metrics import area_under_roc

BASE = {"name": "t", "title": "T", "target": "y", "columns": [{"name": "x"}]}
BINARY = from_dict({**BASE, "task": "binary", "classes": ["0", "1"], "positive": ">0"})
NUMBER = from_dict({**BASE, "task": "regression", "metric": "r2"})
RANK = from_dict({**BASE, "task": "ranking", "metric": "ndcg", "group": "q"})


def labels(values):
    return np.where(np.asarray(values) > 0, "1", "0").astype(object)


def coin(rows, accuracy, seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, rows)
    right = rng.random(rows) < accuracy
    answers = np.where(right, truth, 1 - truth)
    proba = np.clip(answers * 0.4 + 0.3 + rng.normal(0, 0.1, rows), 0.01, 0.99)
    return Answers(labels(truth), labels(answers), np.column_stack([1 - proba, proba]))


def test_accuracy_interval_is_the_binomial_one():
    answers = coin(400, 0.8, seed=1)
    share = (answers.target == answers.prediction).mean()
    found = metric_intervals(BINARY, answers, seed=1)["accuracy"]
    half = 1.96 * np.sqrt(share * (1 - share) / 400)
    assert found.low == pytest.approx(share - half, abs=0.008)
    assert found.high == pytest.approx(share + half, abs=0.008)


def test_cells_drawn_at_once_agree_with_rows_drawn_one_by_one():
    answers = coin(300, 0.75, seed=2)
    rng = np.random.default_rng(5)
    truth, said = answers.target == "1", answers.prediction == "1"
    f1, areas = [], []
    for _ in range(1000):
        rows = rng.integers(300, size=300)
        t, s = truth[rows], said[rows]
        f1.append(2 * (t & s).sum() / (t.sum() + s.sum()))
        areas.append(area_under_roc(t, answers.proba[rows, 1]))
    found = metric_intervals(BINARY, answers, seed=7)
    assert [found["f1"].low, found["f1"].high] == pytest.approx(np.quantile(f1, [0.025, 0.975]), abs=0.012)
    assert [found["auc"].low, found["auc"].high] == pytest.approx(np.quantile(areas, [0.025, 0.975]), abs=0.012)


def test_the_same_seed_gives_the_same_interval():
    answers = coin(200, 0.7, seed=3)
    assert metric_intervals(BINARY, answers, seed=9) == metric_intervals(BINARY, answers, seed=9)
    assert metric_intervals(BINARY, answers, seed=9) != metric_intervals(BINARY, answers, seed=10)


def test_intervals_of_classes_do_not_slow_down_with_rows():
    answers = coin(50_000, 0.8, seed=4)
    found = metric_intervals(BINARY, answers, seed=1)
    assert found["f1"].high - found["f1"].low < 0.01


def test_recall_of_a_class_without_rows_is_unknown():
    answers = Answers(labels([0, 0, 0, 0]), labels([0, 0, 0, 1]))
    found = metric_intervals(BINARY, answers, seed=1)
    assert (found["recall:1"].low, found["recall:1"].high) == (None, None)
    assert found["recall:1"].covers(0.5) is None
    assert found["recall"].low is None


def test_equal_answers_differ_by_exactly_nothing():
    answers = coin(100, 0.7, seed=5)
    found = paired_difference(BINARY, answers, answers, seed=1)
    assert (found.low, found.high) == (0.0, 0.0)


def test_a_clearly_better_candidate_has_an_interval_above_zero():
    better, worse = coin(1000, 0.9, seed=6), coin(1000, 0.6, seed=6)
    found = paired_difference(BINARY, better, worse, seed=1)
    assert found.low > 0.2
    assert paired_difference(BINARY, worse, better, seed=1).high < -0.2


def test_pairing_makes_the_interval_narrower_than_two_apart():
    one = coin(500, 0.8, seed=7)
    changed = one.prediction.copy()
    changed[:10] = labels(1 - (changed[:10] == "1").astype(int))
    paired = paired_difference(BINARY, one, Answers(one.target, changed), seed=1)
    alone = metric_intervals(BINARY, one, seed=1)["f1"]
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_candidates_on_other_rows_cannot_be_compared():
    with pytest.raises(ValueError, match="same rows"):
        paired_difference(BINARY, coin(100, 0.7, seed=1), coin(100, 0.7, seed=2), seed=1)


def test_mean_error_interval_is_the_normal_one():
    rng = np.random.default_rng(8)
    target = rng.normal(50, 5, 500)
    error = rng.normal(0, 2, 500)
    found = metric_intervals(NUMBER, Answers(target, target + error), seed=1)
    middle, half = np.abs(error).mean(), 1.96 * np.abs(error).std() / np.sqrt(500)
    assert [found["mae"].low, found["mae"].high] == pytest.approx([middle - half, middle + half], abs=0.02)
    assert found["r2"].low < 1 - (error**2).mean() / target.var() < found["r2"].high


def test_more_rows_than_units_are_resampled_in_blocks_with_the_same_spread():
    values = np.random.default_rng(9).normal(0, 1, (40_000, 1))
    sums = resample_sums(values, np.random.default_rng(1), 400)
    assert (sums / 40_000).std() == pytest.approx(1 / 200, rel=0.12)


def test_ranking_resamples_whole_groups():
    rng = np.random.default_rng(10)
    group = np.repeat(np.arange(40), 10)
    grade = rng.integers(0, 5, 400).astype(float)
    found = metric_intervals(RANK, Answers(grade, grade + rng.normal(0, 2, 400), None, group), seed=1)
    assert 0.7 < found["ndcg"].low < found["ndcg"].high < 1
    alone = metric_intervals(RANK, Answers(grade[:10], grade[:10], None, group[:10]), seed=1)["ndcg"]
    assert (alone.low, alone.high) == (1.0, 1.0)  # one group: nothing to resample, and its order is perfect


def test_probabilities_may_be_absent():
    answers = SimpleNamespace(target=labels([0, 1, 1]), prediction=labels([0, 1, 0]), proba=None, group=None)
    assert "auc" not in metric_intervals(BINARY, answers, seed=1)
