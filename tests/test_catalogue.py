"""The candidates: what can be trained, with which settings, and what a fitted pipeline bears."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from core.errors import BadInput, NotFound
from core.projects.definition import TASKS, from_dict
from core.training.catalogue import (
    check_params,
    default_candidates,
    get_candidate,
    is_applicable,
    list_candidates,
)
from core.training.estimators import EncodedClassifier, RulesEngine
from core.training.pipeline import build_pipeline

RULES_COLUMNS = [{"name": "trend_score"}, {"name": "internal_usage"}, {"name": "training_requests"}]


def binary_definition():
    columns = [{"name": "x"}, {"name": "empty"}, {"name": "colour", "kind": "category"}]
    data = {"name": "t", "title": "T", "task": "binary", "target": "y", "columns": columns}
    return from_dict({**data, "classes": ["0", "1"], "positive": ">0"})


def levels_definition(columns=RULES_COLUMNS):
    data = {"name": "t", "title": "T", "task": "multiclass", "target": "y", "columns": columns}
    return from_dict({**data, "classes": ["LOW", "MEDIUM", "HIGH"]})


def test_importing_the_catalogue_does_not_import_scikit_learn():
    code = "import sys, core.training.catalogue; print([m for m in ('sklearn', 'pandas', 'xgboost') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_candidate_has_a_different_name_and_simplicity():
    everything = list_candidates()
    assert len({c.name for c in everything}) == len({c.simplicity for c in everything}) == len(everything) == 15


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_baseline_first(task):
    assert list_candidates(task)[0].name == "dummy"


@pytest.mark.parametrize("task", TASKS)
def test_every_available_candidate_is_built_with_its_defaults(task):
    for candidate in list_candidates(task):
        if candidate.available:
            assert hasattr(candidate.build(task, {}, 1), "fit")


def test_an_absent_library_is_listed_with_its_install_line():
    from dataclasses import replace

    absent = replace(get_candidate("xgboost"), needs="library_that_is_not_there")
    assert not absent.available
    with pytest.raises(BadInput, match="pip install xgboost-cpu"):
        absent.build("binary")


def test_an_unknown_candidate_is_refused_with_the_known_names():
    with pytest.raises(NotFound, match="random_forest"):
        get_candidate("magic")


def test_the_default_forest_is_the_documented_one():
    forest = get_candidate("random_forest").build("binary", {}, 42)
    assert (forest.n_estimators, forest.class_weight, forest.random_state, forest.n_jobs) == (200, "balanced", 42, None)


def test_the_default_logistic_regression_is_the_documented_one():
    model = get_candidate("logistic_regression").build("binary")
    assert (model.C, model.class_weight) == (1.0, "balanced")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"n_estimators": 0}, "between 1 and 2000"),
        ({"n_estimators": 1.5}, "whole number"),
        ({"n_estimators": True}, "whole number"),
        ({"class_weight": "heavy"}, "balanced, none"),
        ({"trees": 3}, "no hyperparameter 'trees'"),
        ({"max_depth": float("nan")}, "whole number"),
    ],
)
def test_a_wrong_hyperparameter_is_refused_by_name(params, said):
    with pytest.raises(BadInput, match=said):
        check_params(get_candidate("random_forest"), params, "binary")


def test_class_weights_are_no_hyperparameter_of_a_regression():
    assert "class_weight" not in get_candidate("random_forest").defaults("regression")
    with pytest.raises(BadInput, match="for regression"):
        check_params(get_candidate("random_forest"), {"class_weight": "balanced"}, "regression")


def test_rules_engine_is_offered_only_where_its_columns_and_classes_are():
    assert is_applicable(get_candidate("rules_engine"), levels_definition())
    assert not is_applicable(get_candidate("rules_engine"), levels_definition(RULES_COLUMNS[:2]))
    assert default_candidates(levels_definition())[:2] == ["dummy", "rules_engine"]
    assert "rules_engine" not in default_candidates(binary_definition())


def test_rules_engine_answers_at_its_limits():
    rows = pd.DataFrame(
        {
            "trend_score": [0.8, 0.8, 0.8, np.nan],
            "internal_usage": [1.0, 0.0, 0.99, np.nan],
            "training_requests": [0.0, 0.0, 0.0, 500.0],
        }
    )
    engine = RulesEngine().fit(rows, None)
    assert engine.predict(rows).tolist() == ["HIGH", "MEDIUM", "MEDIUM", "LOW"]  # 0.70, 0.40, 0.697, 0.20
    assert engine.predict_proba(rows).sum(axis=1).tolist() == [1, 1, 1, 1]


def test_encoded_classifier_gives_the_names_of_the_classes_back():
    from sklearn.tree import DecisionTreeClassifier

    model = EncodedClassifier(DecisionTreeClassifier()).fit(np.array([[0.0], [1.0], [2.0]]), np.array(["c", "a", "b"]))
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict(np.array([[2.0], [0.0]])).tolist() == ["b", "c"]


def fitted(name):
    features = pd.DataFrame(
        {
            "x": [0.0, 1.0, 2.0, 3.0, np.nan, 5.0] * 5,
            "empty": np.nan,
            "colour": np.array(["red", "blue", np.nan] * 10, dtype=object),
        }
    )
    labels = np.array([0, 0, 0, 1, 1, 1] * 5)
    definition = binary_definition()
    return build_pipeline(get_candidate(name), {}, 1, definition).fit(features, labels)


@pytest.mark.parametrize("name", ["dummy", "logistic_regression", "random_forest", "hist_gradient_boosting"])
def test_unknown_categories_and_all_missing_columns_are_predicted(name):
    rows = pd.DataFrame({"x": [np.nan] * 2, "empty": [7.0, np.nan], "colour": np.array(["mauve", np.nan], dtype=object)})
    proba = fitted(name).predict_proba(rows)
    assert proba.shape == (2, 2)
    assert np.isfinite(proba).all()


def test_missing_number_becomes_the_training_median():
    pipeline = fitted("random_forest")
    rows = pd.DataFrame({"x": [np.nan, 2.0], "empty": [np.nan] * 2, "colour": np.array(["red"] * 2, dtype=object)})
    columns = pipeline.named_steps["columns"].transform(rows)
    assert columns[0].tolist() == columns[1].tolist()
    assert columns[0][0] == 2.0


def test_columns_are_found_by_name_whatever_their_order():
    pipeline = fitted("logistic_regression")
    rows = pd.DataFrame({"x": [4.0], "empty": [np.nan], "colour": np.array(["blue"], dtype=object)})
    assert pipeline.predict_proba(rows[["colour", "empty", "x"]]).tolist() == pipeline.predict_proba(rows).tolist()
