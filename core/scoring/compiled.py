"""One version made quick: preprocessing as arrays instead of frames, trees through treelite where rows are few.

What is built here gives the pipeline's answers or is not built: a pipeline that is not recognised part by part raises
``NotCompiled``, and what is recognised still has to pass core.scoring.parity before it may answer anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from core.adapters.keras_estimator import KerasClassifier, KerasRegressor
from core.scoring.columns import Columns, NotCompiled, compile_columns
from core.scoring.forest import make_forest
from core.training.estimators import EncodedClassifier
from core.training.imported import ImportedClassifier, ImportedRegressor

ROWS_PER_THREAD = 2_000  # below this, a second thread costs more than it saves

# Up to so many rows treelite is quicker than scikit-learn on the same arrays (measured with 100 to 200 trees; a call of
# scikit-learn costs 3 us a tree in a forest, 0.2 ms in gradient boosting, 1 ms in histogram boosting, 0.3 ms elsewhere).
# treelite goes through all trees for each row, so a large forest leaves the processor's cache each time: on an idle machine
# both are even at 20 rows, on a busy one at 10.
FEW_FOREST, FEW_BOOSTED, FEW_HISTOGRAM, FEW_XGBOOST = 12, 12, 64, 16

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Fast:
    """A version's pipeline on arrays.

    Attributes
    ----------
    few, many : callable
        Estimator's table -> probabilities (n, classes) in the order of ``classes``, or values (n,).
    few_rows : int
        Up to so many rows ``few`` is called.
    threads_itself : bool
        The estimator uses several threads for many rows; splitting them as well would only make the threads wait.
    how : str
        What does the work, for a person.
    """

    columns: Columns
    few: Predict
    many: Predict
    few_rows: int
    classes: tuple[str, ...]
    threads_itself: bool
    how: str

    def predict(self, table: np.ndarray, *, threads: int = 1) -> np.ndarray:
        """Raw answers of the estimator's table; rows, never trees, are split over threads, so that bits stay equal."""
        rows = len(table)
        if rows <= self.few_rows:
            return self.few(table)
        if threads == 1 or self.threads_itself or rows < 2 * ROWS_PER_THREAD:
            return self.many(table)
        bounds = np.linspace(0, rows, threads + 1).astype(int)
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(lambda b: self.many(table[b[0] : b[1]]), pairwise(bounds))))


def compile_pipeline(pipeline: Any) -> Fast:
    """Build the quick twin of a fitted pipeline.

    Raises
    ------
    NotCompiled
        A part of it is not of the kinds that core.training.pipeline builds.
    """
    if not isinstance(pipeline, Pipeline) or [name for name, _ in pipeline.steps] != ["columns", "estimator"]:
        raise NotCompiled("it is not made of columns and an estimator")
    transformer, estimator = (step for _, step in pipeline.steps)
    columns = compile_columns(transformer)
    parts = _compile_estimator(estimator)
    classes = tuple(str(c) for c in estimator.classes_) if hasattr(estimator, "classes_") else ()
    return Fast(columns, parts.few, parts.many, parts.few_rows, classes, parts.threads_itself, f"preprocessing as arrays, {parts.how}")


# Estimators


@dataclass(frozen=True)
class _Parts:
    few: Predict
    many: Predict
    few_rows: int
    how: str
    threads_itself: bool = False


def _compile_estimator(estimator: Any) -> _Parts:
    """The quick twin of a fitted estimator; one that is not known here is called on the array, which spares the frame."""
    kind = type(estimator).__name__
    inner = estimator.estimator_ if isinstance(estimator, EncodedClassifier) else estimator
    home = type(inner).__module__.split(".")[0]
    if home in ("xgboost", "lightgbm"):
        return _compile_library(estimator, inner, home)
    if isinstance(inner, (KerasClassifier, KerasRegressor)):
        call = _call_of(inner)
        return _Parts(call, call, 0, inner.how)
    if isinstance(inner, (ImportedClassifier, ImportedRegressor)):
        return _compile_imported(inner)
    if home != "sklearn":
        raise NotCompiled(f"its estimator is a {kind}")
    if kind in ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"):
        return _compile_forest(estimator)
    if kind in ("GradientBoostingClassifier", "GradientBoostingRegressor"):
        return _compile_boosted(estimator, np.float32, FEW_BOOSTED)
    if kind in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"):
        return _compile_boosted(estimator, np.float64, FEW_HISTOGRAM)
    if kind in ("VotingClassifier", "VotingRegressor"):
        return _compile_voting(estimator)
    if kind in ("StackingClassifier", "StackingRegressor"):
        return _compile_stacking(estimator)
    call = _call_of(estimator)
    return _Parts(call, call, 0, f"{_spoken(kind)} of scikit-learn")


def _compile_imported(estimator: Any) -> _Parts:
    """An allowed class whose library is known here is made quick like any other of that library; of the rest nothing is known."""
    inner, library = estimator.estimator_, estimator.path.split(".")[0]
    wanted = list(range(len(getattr(estimator, "classes_", ()))))
    if library != "sklearn" or (wanted and (estimator.probabilities_ != "own" or list(inner.classes_) != wanted)):
        call = _call_of(estimator)
        if library == "sklearn":
            why = f" ({estimator.warning.rstrip('.')})" if wanted and estimator.warning else ""
            return _Parts(call, call, 0, f"{estimator.path}{why}")
        raise NotCompiled(f"nothing quicker is known for the class {getattr(estimator, 'warning', '').rstrip('.') or estimator.path}")
    return _compile_estimator(inner)


def _call_of(estimator: Any) -> Predict:
    """The estimator's own answer as float64."""
    method = getattr(estimator, "predict_proba", None) or estimator.predict
    return lambda table: np.asarray(method(table), dtype=np.float64)


def _treelite(model: Any, kind: Any, classes: int, *, margin: bool = False) -> Predict:
    """Answers of a treelite model in the shape of scikit-learn's; ``kind`` is the type that the estimator itself reads.

    One thread: starting a second one costs 4 ms at one row and gains nothing at a hundred.
    """
    ask = _ask_treelite(model, margin)

    def predict(table: np.ndarray) -> np.ndarray:
        raw = ask(np.ascontiguousarray(table, dtype=kind))
        raw = raw.reshape(len(table), -1).astype(np.float64, copy=False)
        if classes == 0:
            return raw[:, 0]
        if classes == 2 and raw.shape[1] == 1:
            return np.column_stack([1.0 - raw[:, 0], raw[:, 0]])
        if margin:  # treelite's own softmax counts in single precision
            shares = np.exp(raw - raw.max(axis=1, keepdims=True))
            return shares / shares.sum(axis=1, keepdims=True)
        return raw

    return predict


def _ask_treelite(model: Any, margin: bool) -> Predict:
    """gtil.predict with what is the same in each call done once: of one row's time it takes as much again as the trees do."""
    import ctypes

    from treelite import gtil
    from treelite.core import _LIB
    from treelite.gtil.gtil import GTILConfig

    width = model.num_feature
    shape = gtil.predict(model, np.zeros((1, width)), nthread=1, pred_margin=margin).shape[1:]
    config = GTILConfig(nthread=1, predict_type="raw" if margin else "default")
    call, handle, settings, given = _LIB.TreeliteGTILPredict, model.handle, config.handle, model.input_type.encode()
    read, written = np.dtype(model.input_type), np.dtype(model.output_type)

    def ask(table: np.ndarray) -> np.ndarray:
        _ = config, model  # their handles live as long as they do
        if table.shape[1] != width:  # it fills up what the last trees never ask for
            return gtil.predict(model, table, nthread=1, pred_margin=margin)
        table = table.astype(read, copy=False)
        out = np.zeros((len(table), *shape), dtype=written)
        rows = ctypes.c_uint64(len(table))
        if call(handle, ctypes.c_void_p(table.ctypes.data), given, rows, ctypes.c_void_p(out.ctypes.data), settings):
            raise RuntimeError("treelite could not answer")
        return out

    return ask


def _compile_forest(forest: Any) -> _Parts:
    import treelite.sklearn

    if forest.n_outputs_ != 1:
        raise NotCompiled("its forest has several outputs")
    trees = [e.tree_ for e in forest.estimators_]
    classes = len(getattr(forest, "classes_", ()))
    few = _treelite(treelite.sklearn.import_model(forest), np.float32, classes)
    return _Parts(few, make_forest(trees, classes), FEW_FOREST, _trees(len(trees), FEW_FOREST))


def _compile_boosted(estimator: Any, kind: Any, few_rows: int) -> _Parts:
    import treelite.sklearn

    classes = len(getattr(estimator, "classes_", ()))
    few = _treelite(treelite.sklearn.import_model(estimator), kind, classes, margin=classes > 2)
    rounds = estimator.n_iter_ if few_rows == FEW_HISTOGRAM else estimator.n_estimators_
    trees = rounds * (classes if classes > 2 else 1)
    return _Parts(few, _call_of(estimator), few_rows, _trees(trees, few_rows), threads_itself=few_rows == FEW_HISTOGRAM)


def _compile_library(estimator: Any, inner: Any, library: str) -> _Parts:
    from treelite import frontend

    classes = len(getattr(estimator, "classes_", ()))
    kind: Any
    if library == "xgboost":
        model, kind, margin = frontend.from_xgboost(inner.get_booster()), np.float32, False
    else:
        model, kind, margin = frontend.from_lightgbm(inner.booster_), np.float64, classes > 2
    few = _treelite(model, kind, classes, margin=margin)
    return _Parts(few, _call_of(estimator), FEW_XGBOOST, _trees(model.num_tree, FEW_XGBOOST, "XGBoost" if library == "xgboost" else "LightGBM"))


def _compile_voting(estimator: Any) -> _Parts:
    if estimator.weights is not None or getattr(estimator, "voting", "soft") != "soft":
        raise NotCompiled("its members vote in another way than by the plain mean of their answers")
    members = [_compile_estimator(e) for e in estimator.estimators_]

    def mean_of(calls: list[Predict]) -> Predict:
        return lambda table: np.asarray(np.mean([call(table) for call in calls], axis=0))

    return _Parts(
        mean_of([m.few for m in members]), mean_of([m.many for m in members]), max(m.few_rows for m in members),
        _together(members), any(m.threads_itself for m in members),
    )


def _compile_stacking(estimator: Any) -> _Parts:
    if estimator.passthrough or any(s not in ("predict_proba", "predict") for s in estimator.stack_method_):
        raise NotCompiled("its members are stacked in another way than by their answers alone")
    members = [_compile_estimator(e) for e in estimator.estimators_]
    final = _call_of(estimator.final_estimator_)
    classes = len(getattr(estimator, "classes_", ()))
    if classes and "predict" in estimator.stack_method_:
        raise NotCompiled("a member of its stack has no probabilities")

    def stack(calls: list[Predict]) -> Predict:
        def predict(table: np.ndarray) -> np.ndarray:
            answers = [call(table) for call in calls]
            if classes == 2:  # the second column says it all
                answers = [a[:, 1:] for a in answers]
            return final(np.column_stack(answers))

        return predict

    return _Parts(
        stack([m.few for m in members]), stack([m.many for m in members]), max(m.few_rows for m in members),
        f"{_together(members)}, {_spoken(type(estimator.final_estimator_).__name__)} of scikit-learn over them",
        any(m.threads_itself for m in members),
    )


def _trees(number: int, few_rows: int, library: str = "scikit-learn") -> str:
    return f"{number:,} trees through treelite up to {few_rows} rows at a time and through {library} above"


def _together(members: list[_Parts]) -> str:
    return " together with ".join(m.how for m in members)


def _spoken(kind: str) -> str:
    return {"LogisticRegression": "logistic regression", "CalibratedClassifierCV": "calibrated classifier"}.get(kind, kind)
