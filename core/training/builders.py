"""How each candidate's estimator is made: one function (task, all hyperparameters, seed) -> unfitted estimator.

Every library is imported inside its function: the catalogue, which pages read, must load without them.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("binary", "multiclass")


def dummy(task: str, params: dict[str, Any], seed: int) -> Any:
    from sklearn.dummy import DummyClassifier, DummyRegressor

    return DummyClassifier(strategy="prior") if task in CLASSES else DummyRegressor(strategy="mean")


def rules_engine(task: str, params: dict[str, Any], seed: int) -> Any:
    from core.training.estimators import RulesEngine

    return RulesEngine()


def logistic_regression(task: str, params: dict[str, Any], seed: int) -> Any:
    return _logistic(params, seed)


def _logistic(params: dict[str, Any], seed: int, **solver: Any) -> Any:
    from sklearn.linear_model import LogisticRegression

    # saga stops at 1e-3: a third fewer passes over the rows, and the answers no longer change by then.
    return LogisticRegression(C=params["C"], class_weight=_weight(params), max_iter=1000, random_state=seed, **solver)


def ridge(task: str, params: dict[str, Any], seed: int) -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.linear_model import Ridge, RidgeClassifier

    if task in CLASSES:
        # RidgeClassifier has no probabilities of its own; Platt scaling over three folds gives them.
        return CalibratedClassifierCV(RidgeClassifier(alpha=params["alpha"], class_weight="balanced"), cv=3)
    return Ridge(alpha=params["alpha"])


def lasso(task: str, params: dict[str, Any], seed: int) -> Any:
    from sklearn.linear_model import Lasso

    if task in CLASSES:
        return _logistic(params, seed, l1_ratio=1.0, solver="saga", tol=1e-3)
    return Lasso(alpha=params["alpha"], max_iter=5000, random_state=seed)


def elastic_net(task: str, params: dict[str, Any], seed: int) -> Any:
    from sklearn.linear_model import ElasticNet

    if task in CLASSES:
        return _logistic(params, seed, l1_ratio=params["l1_ratio"], solver="saga", tol=1e-3)
    return ElasticNet(alpha=params["alpha"], l1_ratio=params["l1_ratio"], max_iter=5000, random_state=seed)


def random_forest(task: str, params: dict[str, Any], seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    shape = {
        "n_estimators": params["n_estimators"],
        "max_depth": params["max_depth"] or None,
        "min_samples_leaf": params["min_samples_leaf"],
        "random_state": seed,
    }
    if task in CLASSES:
        return RandomForestClassifier(class_weight=_weight(params), **shape)
    return RandomForestRegressor(**shape)


def gradient_boosting(task: str, params: dict[str, Any], seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    kind = GradientBoostingClassifier if task in CLASSES else GradientBoostingRegressor
    return kind(**_pick(params, "n_estimators", "learning_rate", "max_depth"), random_state=seed)


def hist_gradient_boosting(task: str, params: dict[str, Any], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    shape = {**_pick(params, "max_iter", "learning_rate", "max_leaf_nodes"), "random_state": seed}
    # Early stopping would switch itself on above 10,000 rows: a silent change of method with the size of the data.
    shape["early_stopping"] = False
    if task in CLASSES:
        return HistGradientBoostingClassifier(class_weight=_weight(params), **shape)
    return HistGradientBoostingRegressor(**shape)


def mlp(task: str, params: dict[str, Any], seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if task in CLASSES else MLPRegressor
    return kind(
        hidden_layer_sizes=(params["hidden_units"],), alpha=params["alpha"], max_iter=params["max_iter"],
        random_state=seed,
    )  # fmt: skip


def usual_members(task: str) -> tuple[str, ...]:
    """Three of different nature: what votes and stacks unless somebody chooses."""
    return ("logistic_regression" if task in CLASSES else "ridge", "random_forest", "hist_gradient_boosting")


# Small enough to be fitted together, and again in every inner fold.
_MEMBER_PARAMS: dict[str, dict[str, Any]] = {"random_forest": {"n_estimators": 100}}


def _members(task: str, seed: int, names: tuple[str, ...]) -> list[tuple[str, Any]]:
    from core.training.catalogue import get_candidate

    return [(n, get_candidate(n).build(task, _MEMBER_PARAMS.get(n, {}), seed)) for n in names or usual_members(task)]


def voting(task: str, params: dict[str, Any], seed: int, *, members: tuple[str, ...] = ()) -> Any:
    from sklearn.ensemble import VotingClassifier, VotingRegressor

    chosen = _members(task, seed, members)
    return VotingClassifier(chosen, voting="soft") if task in CLASSES else VotingRegressor(chosen)


def stacking(task: str, params: dict[str, Any], seed: int, *, members: tuple[str, ...] = ()) -> Any:
    from sklearn.ensemble import StackingClassifier, StackingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    chosen = _members(task, seed, members)
    if task in CLASSES:
        return StackingClassifier(chosen, LogisticRegression(max_iter=1000, random_state=seed), cv=params["cv"])
    return StackingRegressor(chosen, Ridge(), cv=params["cv"])


def keras(task: str, params: dict[str, Any], seed: int) -> Any:
    from core.adapters.keras_estimator import KerasClassifier, KerasRegressor

    shape = {**_pick(params, "hidden_units", "layers", "dropout", "learning_rate", "epochs", "batch_size"), "seed": seed}
    return KerasClassifier(class_weight=_weight(params), **shape) if task in CLASSES else KerasRegressor(**shape)


def imported_class(task: str, params: dict[str, Any], seed: int, *, path: str) -> Any:
    from core.training.imported import ImportedClassifier, ImportedRegressor

    return (ImportedClassifier if task in CLASSES else ImportedRegressor)(path, params, seed)


def xgboost(task: str, params: dict[str, Any], seed: int) -> Any:
    from xgboost import XGBClassifier, XGBRegressor

    from core.training.estimators import EncodedClassifier

    shape = {**_pick(params, "n_estimators", "learning_rate", "max_depth"), "random_state": seed, "n_jobs": 1}
    return EncodedClassifier(XGBClassifier(**shape)) if task in CLASSES else XGBRegressor(**shape)


def lightgbm(task: str, params: dict[str, Any], seed: int) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor

    from core.training.estimators import EncodedClassifier

    shape = {**_pick(params, "n_estimators", "learning_rate", "num_leaves"), "random_state": seed, "n_jobs": 1, "verbose": -1}
    if task in CLASSES:
        return EncodedClassifier(LGBMClassifier(class_weight=_weight(params), **shape))
    return LGBMRegressor(**shape)


def _pick(params: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: params[name] for name in names}


def _weight(params: dict[str, Any]) -> str | None:
    return "balanced" if params["class_weight"] == "balanced" else None
