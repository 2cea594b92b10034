"""What a drift check compares, as tables: files, datasets, and what the version says about their rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.home import Home
from core.projects.definition import Definition

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 5_000  # rows of each side that are kept for the full report
TARGET, PREDICTION = "__target", "__prediction"


@dataclass(frozen=True)
class Upload:
    """A file that a person brings as reference or current set."""

    content: bytes
    file_name: str


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes
    ----------
    predictions, target : array-like of length rows, or None
    label : dict
        What it is: kind, label in words, rows.
    """

    features: pd.DataFrame
    predictions: Any
    target: Any
    label: dict[str, Any]


def read_dataset(home: Home, dataset: Any, definition: Definition, version: dict[str, Any] | None) -> Side:
    """A stored dataset, with what the version says about its rows."""
    from core.datasets import versions as datasets

    prepared = datasets.load(home, dataset, definition)
    predictions = predict(home, definition, version, prepared.features)
    return Side(prepared.features, predictions, prepared.target, label_dataset(dataset))


def label_dataset(dataset: Any) -> dict[str, Any]:
    label = f"training data, dataset {dataset.version}"
    return {"kind": "dataset", "label": label, "version": dataset.version, "rows": dataset.rows}


def read_upload(home: Home, definition: Definition, version: dict[str, Any] | None, upload: Upload, what: str) -> Side:
    """A file, read as rows to be scored; its labels are taken where it has them."""
    from core.datasets.prepare import prepare
    from core.datasets.read import read_table

    table = read_table(upload.content, file_name=upload.file_name)
    prepared = prepare(table, definition, purpose="scoring")
    predictions = predict(home, definition, version, prepared.features)
    label = {"kind": "file", "label": f"file {upload.file_name}"[:200], "rows": len(prepared.features), "what": what}
    target = prepared.target if prepared.target is not None and _has_values(prepared.target) else None
    return Side(prepared.features, predictions, target, label)


def predict(home: Home, definition: Definition, version: dict[str, Any] | None, features: pd.DataFrame) -> Any:
    """What the version says about rows (not logged: nobody asked for an answer); None without a version of this schema."""
    from core.scoring.scorer import load_scorer, score

    if version is None or version["definition_sha"] != definition.sha256:
        return None
    return score(load_scorer(home, definition.name, version["version"]), features).prediction


def measure_quality(definition: Definition, side: Side, version: dict[str, Any] | None) -> dict[str, Any] | None:
    """Metrics of the rows that have both a label and a prediction, with the majority (or the mean) as baseline."""
    import numpy as np
    import pandas as pd

    if side.target is None or side.predictions is None or version is None:
        return None
    have = pd.notna(side.target)
    if not have.any():
        return None
    target, predicted = np.asarray(side.target)[have], np.asarray(side.predictions)[have]
    if not definition.is_classifier:
        target, predicted = target.astype(float), predicted.astype(float)
    now = _simple_metrics(definition, target, predicted)
    return {"rows": int(have.sum()), "now": now, "training": version["summary"].get("holdout", {}), "version": version["version"]}


def keep_sample(folder: Path, name: str, side: Side) -> None:
    """At most SAMPLE rows for the worker that makes the full report (Parquet; drawn with a fixed seed)."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    frame = side.features.reset_index(drop=True).copy()
    if side.predictions is not None:
        frame[PREDICTION] = np.asarray(side.predictions)
    if side.target is not None:
        frame[TARGET] = np.asarray(side.target)
    if len(frame) > SAMPLE:
        frame = frame.sample(SAMPLE, random_state=42)
    frame.to_parquet(folder / f"{name}.parquet")


def _simple_metrics(definition: Definition, target: Any, predicted: Any) -> dict[str, Any]:
    """Metrics that need no probabilities."""
    import numpy as np

    if definition.is_classifier:
        values, counts = np.unique(target.astype(str), return_counts=True)
        hits = target.astype(str) == predicted.astype(str)
        recalls = {str(v): float(hits[target.astype(str) == v].mean()) for v in values}
        return {"accuracy": float(hits.mean()), "baseline_accuracy": float(counts.max() / counts.sum()), "recall_by_class": recalls}
    error = predicted - target
    return {"mae": float(np.abs(error).mean()), "rmse": float((error**2).mean() ** 0.5),
            "baseline_mae": float(np.abs(target - target.mean()).mean())}  # fmt: skip


def _has_values(values: Any) -> bool:
    import pandas as pd

    return bool(pd.notna(values).any())
