"""A class of an installed library as a candidate: found by its name, fitted in a worker process, given our interface.

Whether it may be used at all is decided elsewhere (core.projects.limits); importing a class runs its package's code.
Saved models name this module: keep the names.
"""

from __future__ import annotations

import inspect
import json
import sys
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from core.errors import BadInput
from core.text import shorten
from core.training.named import check_class_path

CERTAIN = "it gives no probabilities, so each answer counts as certain (probability 1)"
CALIBRATED = "it gives no probabilities of its own; they are calibrated from its distances over three folds"


@lru_cache(maxsize=32)
def load_class(path: str) -> type:
    """Import a class of an installed package. Runs the package's code: call it in a worker process only.

    Raises
    ------
    BadInput
        It is not there, belongs to no installed package, or has no fit and predict.
    """
    module_name, _, name = check_class_path(path).rpartition(".")
    if not find_distributions(path):
        raise BadInput(f"{path} belongs to no installed package; install the package that holds it, then ask again.")
    try:
        found = getattr(import_module(module_name), name, None)
    except ImportError as error:
        raise BadInput(f"{path} cannot be imported here: {shorten(error, 200)}.") from error
    if not inspect.isclass(found):
        raise BadInput(f"{path} is no class{'' if found is None else f' but a {type(found).__name__}'}; name one with fit and predict.")
    # A package's module holds what it imported itself, too: pandas.io.common.subprocess is no class of pandas.
    if not find_distributions(check_class_path(f"{found.__module__}.{name}")):
        raise BadInput(f"{path} comes from {found.__module__}, which belongs to no installed package.")
    lacking = [method for method in ("fit", "predict") if not callable(getattr(found, method, None))]
    if lacking:
        raise BadInput(f"{path} has no {' and no '.join(lacking)}; only a class with fit and predict can be a candidate.")
    return found


@lru_cache(maxsize=32)
def find_distributions(path: str) -> tuple[str, ...]:
    """``name version`` of the installed distributions that a dotted name's first part belongs to."""
    names = _packages().get(path.split(".")[0], [])
    return tuple(f"{n} {metadata.version(n)}" for n in dict.fromkeys(names))


@lru_cache(maxsize=1)
def _packages() -> dict[str, list[str]]:
    return {name: list(of) for name, of in metadata.packages_distributions().items()}


def describe_class(path: str) -> dict[str, Any]:
    """What a class is: its distributions, what it does with probabilities, its hyperparameters."""
    found = load_class(path)
    probabilities = "own" if hasattr(found, "predict_proba") else "calibrated" if hasattr(found, "decision_function") else "none"
    return {"class": path, "packages": list(find_distributions(path)), "probabilities": probabilities, "params": sorted(_accepts(found))}


def _accepts(found: type) -> set[str]:
    try:
        return {p.name for p in inspect.signature(found).parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    except (TypeError, ValueError):
        return set()


class _Imported(BaseEstimator):
    """What both share.

    Parameters
    ----------
    path : str
        package.module.Class
    params : dict
        Given to the class as they are; random_state as well, where it has one and none is named.
    """

    def __init__(self, path: str, params: dict[str, Any], seed: int) -> None:
        self.path, self.params, self.seed = path, params, seed

    def _make(self) -> Any:
        found = load_class(self.path)
        given = dict(self.params)
        if "random_state" in _accepts(found):
            given.setdefault("random_state", self.seed)
        try:
            made = found(**given)
        except TypeError as error:
            raise BadInput(f"{self.path} cannot be made with these hyperparameters: {shorten(error, 200)}.") from error
        if "random_state" not in given and "random_state" in getattr(made, "get_params", dict)():  # behind **kwargs, as in XGBoost
            made.set_params(random_state=self.seed)
        return made

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")


class ImportedClassifier(ClassifierMixin, _Imported):
    """A library's classifier, fitted on codes 0..K-1.

    Its own probabilities where it has them; else its distances calibrated over three folds (Platt); else 1 for its answer.
    """

    def fit(self, X: Any, y: Any) -> ImportedClassifier:
        from sklearn.calibration import CalibratedClassifierCV

        table = np.asarray(X, dtype=np.float64)
        self.classes_, codes = np.unique(y, return_inverse=True)
        made = self._make()
        self.probabilities_ = "own" if hasattr(made, "predict_proba") else "calibrated" if hasattr(made, "decision_function") else "none"
        self.estimator_ = CalibratedClassifierCV(made, cv=3) if self.probabilities_ == "calibrated" else made
        self.estimator_.fit(table, codes)
        self.n_features_in_ = table.shape[1]
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        table = np.asarray(X, dtype=np.float64)
        if self.probabilities_ == "none":
            codes = np.asarray(self.estimator_.predict(table)).reshape(-1).astype(int)
            if len(codes) and not (codes.min() >= 0 and codes.max() < len(self.classes_)):
                raise BadInput(f"{self.path} answers {codes.min()} to {codes.max()} where it was taught 0 to {len(self.classes_) - 1}.")
            return np.eye(len(self.classes_))[codes]
        found = np.asarray(self.estimator_.predict_proba(table), dtype=np.float64)
        if found.shape != (len(table), len(self.classes_)):
            raise BadInput(f"{self.path} answers probabilities of the shape {found.shape}, not one for each of {len(self.classes_)} classes.")
        return found

    def predict(self, X: Any) -> np.ndarray:
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    @property
    def warning(self) -> str:
        """What a person must know of its probabilities; empty where they are its own."""
        why = {"calibrated": CALIBRATED, "none": CERTAIN}.get(self.probabilities_, "")
        return f"{self.path}: {why}." if why else ""


class ImportedRegressor(RegressorMixin, _Imported):
    """A library's regressor; also what ranks, by the value that it predicts."""

    def fit(self, X: Any, y: Any) -> ImportedRegressor:
        table = np.asarray(X, dtype=np.float64)
        self.estimator_ = self._make()
        self.estimator_.fit(table, np.asarray(y, dtype=np.float64))
        self.n_features_in_ = table.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict(np.asarray(X, dtype=np.float64)), dtype=np.float64).reshape(-1)


if __name__ == "__main__":
    try:
        print(json.dumps(describe_class(sys.argv[1])))
    except BadInput as refusal:
        print(json.dumps({"error": str(refusal)}))
    except Exception as unknown:  # the boundary: whatever a package raises while it is imported
        print(json.dumps({"error": f"{sys.argv[1]} cannot be imported here ({type(unknown).__name__})."}))
