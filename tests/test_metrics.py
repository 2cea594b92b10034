"""Metrics against hand-counted tables, and against scikit-learn where it defines the same thing."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.training.curves import calibration_curve, precision_recall_curve, roc_curve
from core.training.metrics import (
    area_under_roc,
    classification_metrics,
    confusion_matrix,
    encode,
    ndcg_by_group,
    ranking_metrics,
    reciprocal_rank_by_group,
    regression_metrics,
)


def names(text):
    return np.array(list(text), dtype=object)


def binary(truth, answers, proba=None):
    columns = None if proba is None else np.column_stack([1 - np.array(proba), proba])
    return classification_metrics(names(truth), names(answers), columns, ("0", "1"), "binary")


def test_binary_counts_and_rates_of_ten_rows():
    found = binary("1111000000", "1110110000")  # 3 hits, 1 miss, 2 false alarms, 4 right refusals
    assert (found["tp"], found["fn"], found["fp"], found["tn"]) == (3, 1, 2, 4)
    assert found["accuracy"] == 0.7
    assert found["precision"] == 0.6
    assert found["recall"] == 0.75
    assert found["specificity"] == pytest.approx(4 / 6)
    assert found["f1"] == pytest.approx(6 / 9)
    assert found["balanced_accuracy"] == pytest.approx((0.75 + 4 / 6) / 2)
    assert found["confusion"] == [[4, 2], [1, 3]]
    refusals = {"precision": 0.8, "recall": pytest.approx(4 / 6), "f1": pytest.approx(8 / 11), "support": 6}
    assert found["per_class"]["0"] == refusals


def test_precision_without_any_positive_answer_is_none_with_its_reason():
    found = binary("0011", "0000")
    assert found["precision"] is None
    assert found["undefined"]["precision"] == "class 1 was never predicted"
    assert (found["f1"], found["recall"]) == (0.0, 0.0)  # defined: both positives were missed


def test_one_class_only_has_no_auc_and_no_recall():
    found = binary("000", "000", [0.1, 0.2, 0.3])
    assert found["auc"] is None
    assert found["recall"] is None
    assert found["undefined"]["auc"] == "only one class has rows"
    assert found["undefined"]["recall"] == "class 1 has no rows"
    assert found["curves"]["1"]["roc"] is None


def test_no_rows_leave_everything_undefined():
    found = binary("", "", [])
    assert found["accuracy"] is None
    assert found["log_loss"] is None
    assert found["undefined"]["f1"] == "there are no rows"


def test_without_probabilities_auc_is_none_and_says_so():
    assert binary("01", "01")["undefined"]["auc"] == "the model gives no probabilities"


def test_auc_counts_pairs_and_half_of_the_ties():
    # positives 0.8, 0.5; negatives 0.5, 0.2: 3 pairs won, one tie
    assert area_under_roc(np.array([1, 1, 0, 0]), np.array([0.8, 0.5, 0.5, 0.2])) == 3.5 / 4


def test_log_loss_and_brier_of_two_rows():
    found = binary("10", "10", [0.8, 0.4])
    assert found["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)
    assert found["brier"] == pytest.approx((0.04 + 0.16) / 2)


def test_multiclass_scores_are_macro_means():
    found = classification_metrics(names("LLLLMMHH"), names("LLLMMMHM"), None, ("L", "M", "H"), "multiclass")
    assert found["recall"] == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    assert found["precision"] == pytest.approx((1 + 2 / 4 + 1) / 3)
    assert found["f1"] == pytest.approx((6 / 7 + 4 / 6 + 2 / 3) / 3)
    assert "tp" not in found


def test_a_class_that_is_never_predicted_leaves_macro_precision_undefined_not_higher():
    found = classification_metrics(names("LLMM"), names("LLLL"), None, ("L", "M", "H"), "multiclass")
    assert found["precision"] is None
    assert found["undefined"]["precision"] == "class M was never predicted"
    assert found["f1"] == pytest.approx((4 / 6 + 0) / 2)  # H neither occurs nor is predicted: left out
    assert found["per_class"]["H"] == {"precision": None, "recall": None, "f1": None, "support": 0}


def test_a_value_outside_the_classes_is_named():
    with pytest.raises(ValueError, match="'X' is not among"):
        encode(names("LX"), ("L", "M"))


def test_confusion_rows_are_truth_and_columns_are_answers():
    assert confusion_matrix(names("ab"), names("bb"), ("a", "b")).tolist() == [[0, 1], [0, 1]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(10, 200))
def test_scores_equal_scikit_learn_where_it_defines_them(seed, size, rows):
    from sklearn import metrics as theirs

    rng = np.random.default_rng(seed)
    classes = tuple("abcde"[:size])
    truth, proba = rng.integers(0, size, rows), np.round(rng.dirichlet(np.ones(size), rows), 2) + 1e-9
    truth[:size] = np.arange(size)
    proba /= proba.sum(1, keepdims=True)
    answers = proba.argmax(1)
    named = np.array(classes, dtype=object)
    found = classification_metrics(named[truth], named[answers], proba, classes, "multiclass")
    assert found["f1"] == pytest.approx(theirs.f1_score(truth, answers, average="macro"))
    assert found["balanced_accuracy"] == pytest.approx(theirs.balanced_accuracy_score(truth, answers))
    assert found["log_loss"] == pytest.approx(theirs.log_loss(truth, proba))
    areas = [theirs.roc_auc_score(truth == k, proba[:, k]) for k in range(size)]
    assert found["auc"] == pytest.approx(np.mean(areas))
    json.dumps(found, allow_nan=False)


def test_roc_of_four_rows_point_by_point():
    curve = roc_curve(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.4, 0.1]))
    assert curve["fpr"] == [0, 0, 0.5, 0.5, 1]
    assert curve["tpr"] == [0, 0.5, 0.5, 1, 1]
    assert curve["threshold"] == [0.9, 0.9, 0.8, 0.4, 0.1]


def test_long_curves_are_thinned_to_200_points_with_both_ends():
    rng = np.random.default_rng(0)
    truth, score = rng.integers(0, 2, 5000), rng.random(5000)
    roc, recall = roc_curve(truth, score), precision_recall_curve(truth, score)
    assert len(roc["fpr"]) == len(recall["recall"]) == 200
    assert (roc["fpr"][0], roc["tpr"][-1], recall["recall"][-1]) == (0, 1, 1)


def test_calibration_counts_tenths_and_leaves_empty_ones_out():
    found = calibration_curve(np.array([1, 0, 1]), np.array([0.91, 0.99, 0.05]))
    assert found == {"predicted": [0.05, pytest.approx(0.95)], "observed": [1.0, 0.5], "rows": [1, 2]}


def test_regression_of_four_rows():
    found = regression_metrics(np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 3, 6]))
    assert (found["mse"], found["mae"], found["rmse"], found["r2"]) == (1.0, 0.5, 1.0, pytest.approx(1 - 4 / 5))


def test_r2_of_a_constant_target_is_undefined():
    found = regression_metrics(np.array([2.0, 2]), np.array([1.0, 3]))
    assert found["r2"] is None
    assert found["undefined"] == {"r2": "the target does not vary"}


def test_infinite_predictions_are_said_not_averaged():
    found = regression_metrics(np.array([1.0, 2]), np.array([1.0, np.inf]))
    assert found["mae"] is None
    assert found["undefined"]["mae"] == "1 predictions are not finite"


def test_ndcg_of_one_group_by_hand():
    # order by score: grades 0, 3, 1
    gained, best = 3 / np.log2(3) + 1 / 2, 3 + 1 / np.log2(3)
    assert ndcg_by_group(np.array([3, 0, 1]), np.array([2, 3, 1]), np.zeros(3)).tolist() == [pytest.approx(gained / best)]


def test_ndcg_equals_scikit_learn_with_ties_and_cut_off():
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(3)
    grade, score = rng.integers(0, 5, (20, 15)).astype(float), np.round(rng.random((20, 15)), 1)
    group = np.repeat(np.arange(20), 15)
    for k in (None, 10):
        assert ndcg_by_group(grade.ravel(), score.ravel(), group, k).mean() == pytest.approx(ndcg_score(grade, score, k=k))


def test_a_group_without_grades_is_left_out_and_counted():
    found = ranking_metrics(np.array([3.0, 0, 0, 0]), np.array([2.0, 1, 2, 1]), np.array(["q1", "q1", "q2", "q2"]))
    assert (found["ndcg"], found["mrr"]) == (1.0, 1.0)
    assert found["groups"] == {"all": 2, "with_grades": 1, "with_relevant": 1}


def test_reciprocal_rank_of_the_first_relevant_item():
    group = np.array(["b", "b", "b", "a", "a"])
    found = reciprocal_rank_by_group(np.array([0, 1, 1, 0, 1]), np.array([3, 2, 1, 2, 1]), group)
    assert found.tolist() == [0.5, 0.5]


def test_reciprocal_rank_of_ties_is_the_mean_over_all_orders():
    from itertools import permutations

    relevant = [0, 0, 1, 1]
    expected = np.mean([1 / (order.index(1) + 1) for order in permutations(relevant)])
    assert reciprocal_rank_by_group(np.array(relevant), np.ones(4), np.zeros(4))[0] == pytest.approx(expected)


def test_retrieval_counts_at_the_cut_off():
    found = ranking_metrics(np.array([4.0, 0, 3, 1]), np.array([4.0, 3, 2, 1]), np.zeros(4), cutoff=2)
    assert (found["tp"], found["fp"], found["fn"], found["tn"]) == (1, 1, 1, 1)
    assert found["retrieval_specificity"] == 0.5


def test_shuffling_rows_does_not_change_ranking_metrics():
    rng = np.random.default_rng(1)
    grade, score, group = rng.integers(0, 5, 100).astype(float), rng.random(100), rng.integers(0, 9, 100)
    order = rng.permutation(100)
    one, two = ranking_metrics(grade, score, group), ranking_metrics(grade[order], score[order], group[order])
    assert {k: pytest.approx(v) for k, v in one.items() if isinstance(v, float)} == {
        k: v for k, v in two.items() if isinstance(v, float)
    }
