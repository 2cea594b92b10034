"""The full report by Evidently, a second opinion beside our own score.

The only file that imports Evidently, and only inside functions: the import takes seconds and hundreds
of megabytes, so workers call this and pages never do.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import BadInput
from core.projects.definition import Definition
from core.text import shorten

FORMAT = 1
PREDICTION = "prediction"
_QUALITY_NAMES = {
    "Accuracy": "accuracy", "Precision": "precision", "Recall": "recall", "F1Score": "f1", "RocAuc": "auc", "LogLoss": "log_loss",
    "MeanError": "mean_error", "RMSE": "rmse", "MAE": "mae", "R2Score": "r2", "AbsMaxError": "max_error",
}  # fmt: skip


@dataclass(frozen=True)
class ColumnVerdict:
    """Evidently's opinion on one column.

    Attributes
    ----------
    status : "drift", "ok" or "unknown"
    reason : str
        Why it is unknown, or "".
    score, threshold : float or None
        On the scale of ``method``: a p value drifts below its threshold, a distance above it.
    """

    name: str
    status: str
    reason: str = ""
    score: float | None = None
    method: str = ""
    threshold: float | None = None


@dataclass(frozen=True)
class EvidentlyVerdict:
    """Evidently's opinion on a period.

    Attributes
    ----------
    drifted_share : float or None
        Drifted columns / columns that could be measured, features only.
    target, prediction : ColumnVerdict or None
        None if they were not given.
    quality, reference_quality : dict
        Metrics on the labelled rows that have a prediction; empty without labels.
    quality_reason : str
        Why there is no quality although labels came, or "".
    html, quality_html : str or None
        File names, beside each other; None if nothing could be drawn.
    """

    version: str
    reference_rows: int
    current_rows: int
    sampled: bool
    columns: tuple[ColumnVerdict, ...]
    drifted_share: float | None
    target: ColumnVerdict | None = None
    prediction: ColumnVerdict | None = None
    quality: dict[str, float] = field(default_factory=dict)
    reference_quality: dict[str, float] = field(default_factory=dict)
    quality_reason: str = ""
    html: str | None = None
    quality_html: str | None = None


def full_report(
    reference_features: pd.DataFrame,
    current_features: pd.DataFrame,
    *,
    definition: Definition,
    html_path: Path,
    reference_target: Any = None,
    current_target: Any = None,
    reference_predictions: Any = None,
    current_predictions: Any = None,
    sample: int = 5_000,
    min_rows: int | None = None,
    seed: int = 42,
) -> EvidentlyVerdict:
    """Run Evidently's drift and quality presets and write its report.

    Each column stands by itself: one that is absent, empty or breaks Evidently is unknown with its
    reason and left out of the report.

    Parameters
    ----------
    reference_features, current_features : DataFrame, shape (rows, features)
    html_path : Path
        Where the report is written (about 4 MB); the quality report stands beside it as ``<stem>_quality.html``.
    reference_target, current_target, reference_predictions, current_predictions : array-like, shape (rows,), optional
        Classes as the definition names them, or numbers. Missing labels are left out of the quality.
    sample : int
        Rows of each side at most, drawn with ``seed``: a million rows of 20 columns take 83 s and 1.6 GB.

    Raises
    ------
    BadInput
        One side has fewer rows than ``min_rows`` (the definition's ``drift_min_rows`` unless given).
    """
    least = definition.thresholds.drift_min_rows if min_rows is None else min_rows
    reference = _table(reference_features, definition, reference_target, reference_predictions)
    current = _table(current_features, definition, current_target, current_predictions)
    for table, what in ((reference, "reference"), (current, "current period")):
        if len(table) < least:
            raise BadInput(f"The full report needs at least {least} rows; the {what} has {len(table)}.")
    sampled = max(len(reference), len(current)) > sample
    # Two seeds: with one, equal lengths would draw the same positions from both sides.
    reference, current = (
        t.sample(sample, random_state=seed + i) if len(t) > sample else t for i, t in enumerate((reference, current))
    )

    numbers = _number_columns(definition)
    names = [c.name for c in definition.features]
    beside = [n for n, given in ((definition.target, current_target), (PREDICTION, current_predictions)) if given is not None]
    verdicts = {n: reason for n in (*names, *beside) if (reason := _unmeasurable(n, reference, current)) is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # divisions by zero inside Evidently and its libraries; they show as unknown here
        _import_quietly()
        verdicts |= _drift(reference, current, [n for n in (*names, *beside) if n not in verdicts], numbers, names, html_path)
        quality = _quality(reference, current, definition, html_path.with_name(f"{html_path.stem}_quality.html"))
    columns = tuple(verdicts[n] for n in names)
    measured = [c for c in columns if c.status != "unknown"]
    return EvidentlyVerdict(
        version=_version(),
        reference_rows=len(reference),
        current_rows=len(current),
        sampled=sampled,
        columns=columns,
        drifted_share=sum(c.status == "drift" for c in measured) / len(measured) if measured else None,
        target=verdicts.get(definition.target),
        prediction=verdicts.get(PREDICTION),
        html=html_path.name if any(v.status != "unknown" for v in verdicts.values()) else None,
        **quality,
    )


def verdict_to_json(verdict: EvidentlyVerdict) -> str:
    data = {"format": FORMAT, **asdict(verdict)}
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def verdict_from_json(text: str) -> EvidentlyVerdict:
    data = json.loads(text)
    if data.pop("format", None) != FORMAT:
        raise BadInput(f"An Evidently verdict in an unknown format cannot be read; this program reads format {FORMAT}.")
    verdict = EvidentlyVerdict(**data)
    return replace(
        verdict,
        columns=tuple(ColumnVerdict(**c) for c in data["columns"]),
        target=None if data["target"] is None else ColumnVerdict(**data["target"]),
        prediction=None if data["prediction"] is None else ColumnVerdict(**data["prediction"]),
    )


def _import_quietly() -> None:
    os.environ["DO_NOT_TRACK"] = "1"  # read at import: no usage statistics leave this machine
    import evidently  # noqa: F401


def _version() -> str:
    import evidently

    return str(evidently.__version__)


def _number_columns(definition: Definition) -> set[str]:
    numbers = {c.name for c in definition.features if c.kind == "number"}
    return numbers if definition.is_classifier else {*numbers, definition.target, PREDICTION}


def _table(features: pd.DataFrame, definition: Definition, target: Any, predictions: Any) -> pd.DataFrame:
    """Features, target and prediction in the types that Evidently expects: float64, or text with None."""
    numbers = _number_columns(definition)
    given = {c.name: features[c.name] for c in definition.features if c.name in features.columns}
    for name, values in ((definition.target, target), (PREDICTION, predictions)):
        if values is not None:
            given[name] = pd.Series(np.asarray(values))
    columns: dict[str, Any] = {}
    for name, values in given.items():
        if name in numbers:
            read = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
            columns[name] = np.where(np.isfinite(read), read, np.nan)
        else:
            columns[name] = np.array([None if pd.isna(v) else _plain(str(v)) for v in values], dtype=object)
    return pd.DataFrame(columns)


def _plain(text: str) -> str:
    """Text that cannot become markup: Evidently writes values into a script element as they are."""
    return text.replace("<", "‹").replace(">", "›")


def _unmeasurable(name: str, reference: pd.DataFrame, current: pd.DataFrame) -> ColumnVerdict | None:
    for table, what in ((reference, "reference"), (current, "current period")):
        if name not in table.columns:
            return ColumnVerdict(name, "unknown", f"The {what} has no {name}.")
        if table[name].isna().all():
            return ColumnVerdict(name, "unknown", f"The {what} holds no value of {name}.")
    return None


def _drift(
    reference: pd.DataFrame, current: pd.DataFrame, names: list[str], numbers: set[str], features: list[str], html_path: Path
) -> dict[str, ColumnVerdict]:
    """Verdicts on the columns, and the report. Broken columns are found one by one only if the whole breaks."""
    if not names:
        return {}
    try:
        return _run_drift(reference, current, names, numbers, features, html_path)
    except Exception as whole:  # a boundary: any error of a foreign library becomes the column's reason
        broken: dict[str, ColumnVerdict] = {}
        for name in names:
            try:
                _run_drift(reference, current, [name], numbers, features, None)
            except Exception as error:
                broken[name] = ColumnVerdict(name, "unknown", f"Evidently cannot measure {name}: {shorten(str(error) or type(error).__name__)}")
        if not broken:
            raise BadInput(f"Evidently cannot draw its report: {shorten(str(whole) or type(whole).__name__)}") from whole
    return broken | _drift(reference, current, [n for n in names if n not in broken], numbers, features, html_path)


def _run_drift(
    reference: pd.DataFrame, current: pd.DataFrame, names: list[str], numbers: set[str], features: list[str], path: Path | None
) -> dict[str, ColumnVerdict]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift
    from evidently.presets import DataDriftPreset

    shown = {name: _plain(name) for name in names}
    back = {label: name for name, label in shown.items()}
    kinds = DataDefinition(
        numerical_columns=[shown[n] for n in names if n in numbers],
        categorical_columns=[shown[n] for n in names if n not in numbers],
    )
    inside = [shown[n] for n in names if n in features]
    metrics: list[Any] = [DataDriftPreset(columns=inside)] if inside else []
    metrics += [ValueDrift(column=shown[n]) for n in names if n not in features]
    now, before = (Dataset.from_pandas(t[names].rename(columns=shown), data_definition=kinds) for t in (current, reference))
    snapshot = Report(metrics, include_tests=True).run(now, before)
    told = snapshot.dict()
    # Whether a column drifted is the outcome of its test: p values alarm when low, distances when high.
    tests = ((test["metric_config"]["params"], test["status"].value) for test in told["tests"])
    drifted = {params["column"]: status == "FAIL" for params, status in tests if params["type"].endswith("ValueDrift")}
    verdicts = {}
    for metric in told["metrics"]:
        config = metric["config"]
        if not config["type"].endswith("ValueDrift"):
            continue
        name, score, method = back[config["column"]], float(metric["value"]), config["method"]
        if not math.isfinite(score):
            verdicts[name] = ColumnVerdict(name, "unknown", f"Evidently's score of {name} is not a number.", method=method)
        else:
            status = "drift" if drifted[config["column"]] else "ok"
            verdicts[name] = ColumnVerdict(name, status, "", score, method, float(config["threshold"]))
    if path is not None:
        _save(snapshot, path)
    return verdicts


def _quality(reference: pd.DataFrame, current: pd.DataFrame, definition: Definition, html_path: Path) -> dict[str, Any]:
    """Model quality on the rows that have both a label and a prediction; a failure is told, the drift stands."""
    pair = [definition.target, PREDICTION]
    shown = {definition.target: "label"}  # a name of a target is free text, and Evidently writes it as it is
    labelled = [
        t[pair].dropna().rename(columns=shown) if set(pair) <= set(t.columns) else t.iloc[:0] for t in (reference, current)
    ]
    before, now = labelled
    if now.empty:
        return {}
    reason = _unjudgeable(now, definition)
    if reason:
        return {"quality_reason": reason}
    comparable = not before.empty and not _unjudgeable(before, definition)
    try:
        snapshot = _run_quality(now, before if comparable else None, definition)
        found = {"quality": _metrics(snapshot), "quality_html": html_path.name}
        if comparable:
            found["reference_quality"] = _metrics(_run_quality(before, None, definition))
        _save(snapshot, html_path)
        return found
    except Exception as error:  # a boundary, as above
        return {"quality_reason": f"Evidently cannot measure the quality: {shorten(str(error) or type(error).__name__)}"}


def _unjudgeable(pairs: pd.DataFrame, definition: Definition) -> str:
    """Why Evidently 0.7.23 cannot measure these labels and predictions, or "".

    It reads exactly two labels as a binary task with the classes 0 and 1, and one label as none.
    """
    if not definition.is_classifier:
        return ""
    occurring = sorted(set(pairs["label"]) | set(pairs[PREDICTION]))
    if definition.task == "binary" and len(occurring) < 2:
        return f"Evidently needs both classes to measure the quality; only {occurring[0]} occurs."
    if definition.task == "multiclass" and len(occurring) == 2:
        return f"Evidently needs three classes to measure the quality; only {' and '.join(occurring)} occur."
    return ""


def _run_quality(now: pd.DataFrame, before: pd.DataFrame | None, definition: Definition) -> Any:
    from evidently import BinaryClassification, DataDefinition, Dataset, MulticlassClassification, Regression, Report
    from evidently.presets import ClassificationPreset, RegressionPreset

    pair = ["label", PREDICTION]
    if definition.is_classifier:
        task: Any = MulticlassClassification(target="label", prediction_labels=PREDICTION)
        if definition.task == "binary":
            task = BinaryClassification(target="label", prediction_labels=PREDICTION, pos_label="1")
        kinds, preset = DataDefinition(categorical_columns=pair, classification=[task]), ClassificationPreset()
    else:
        task = Regression(target="label", prediction=PREDICTION)
        kinds, preset = DataDefinition(numerical_columns=pair, regression=[task]), RegressionPreset()
    compared = None if before is None else Dataset.from_pandas(before, data_definition=kinds)
    return Report([preset]).run(Dataset.from_pandas(now, data_definition=kinds), compared)


def _metrics(snapshot: Any) -> dict[str, float]:
    """Single numbers only; means stand for their mean and deviation. What is not finite is left out."""
    found = {}
    for metric in snapshot.dict()["metrics"]:
        name = _QUALITY_NAMES.get(metric["config"]["type"].rsplit(":", 1)[-1])
        value = metric["value"]["mean"] if isinstance(metric["value"], dict) and "mean" in metric["value"] else metric["value"]
        if name and isinstance(value, (int, float)) and math.isfinite(value):
            found[name] = float(value)
    return found


def _save(snapshot: Any, html_path: Path) -> None:
    """Write beside, then move: a reader never sees half a report."""
    html_path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = html_path.with_name(f".{html_path.name}.{os.getpid()}")
    snapshot.save_html(str(unfinished))
    os.replace(unfinished, html_path)
