"""Estimators of our own, with scikit-learn's interface. Saved models name this module: keep the names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

RULES_HIGH = 0.70
RULES_MEDIUM = 0.40


class RulesEngine(ClassifierMixin, BaseEstimator):
    """The rules that scored future skills before any model; nothing is learned but the names of the classes.

    score = 0.5 trend_score + 0.3 internal_usage + 0.2 min(training_requests / 100, 1); HIGH from 0.70,
    MEDIUM from 0.40, else LOW. A missing number counts 0. Probabilities are 1 for the answer and 0 elsewhere.
    """

    def fit(self, X: pd.DataFrame, y: Any) -> RulesEngine:
        self.classes_ = np.array(["HIGH", "LOW", "MEDIUM"], dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def score_rows(self, X: pd.DataFrame) -> np.ndarray:
        """Return the rules' score of each row, 0..1."""
        trend, usage = (X[c].fillna(0.0).to_numpy(float) for c in ("trend_score", "internal_usage"))
        requests = np.minimum(X["training_requests"].fillna(0.0).to_numpy(float) / 100.0, 1.0)
        # Rounded, because 0.5 * 0.8 + 0.3 must reach 0.70 and does not in binary fractions.
        return np.round(0.5 * trend + 0.3 * usage + 0.2 * requests, 12)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self, "classes_")
        score = self.score_rows(X)
        return np.where(score >= RULES_HIGH, "HIGH", np.where(score >= RULES_MEDIUM, "MEDIUM", "LOW")).astype(object)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        return (self.predict(X)[:, None] == self.classes_[None, :]).astype(float)


class EncodedClassifier(ClassifierMixin, BaseEstimator):
    """Give a classifier that wants classes 0..K-1 (XGBoost) the names of the classes.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        Cloned at ``fit``, fitted on codes in the order of the sorted names.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> EncodedClassifier:
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.estimator_ = clone(self.estimator).fit(X, codes)
        self.n_features_in_ = X.shape[1]
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "estimator_")
        return np.asarray(self.estimator_.predict_proba(X), dtype=float)

    def predict(self, X: Any) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @property
    def feature_importances_(self) -> np.ndarray:
        return np.asarray(self.estimator_.feature_importances_, dtype=float)
