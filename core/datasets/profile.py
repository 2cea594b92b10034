"""What a dataset looks like: per column its spread, per class its share. Plain data for pages and metadata."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.datasets.prepare import Prepared
from core.projects.definition import Column, Definition

MAX_BINS = 20
MAX_CATEGORIES = 20


def profile(prepared: Prepared, definition: Definition) -> dict[str, Any]:
    """Describe prepared data.

    Returns
    -------
    dict, ready for JSON
        ``rows``; ``columns``: name -> kind, unit, missing, missing_share and, for numbers, min, max, mean,
        std (sample), quantiles (5, 25, 50, 75, 95 %), histogram (edges, counts; at most 20 bins), or, for
        categories, distinct, top (value, count), other; ``target``: the same for the target;
        classifiers also ``classes`` (class -> count) and ``imbalance_ratio`` (largest / smallest class
        that has rows). Unknown values are None.
    """
    found: dict[str, Any] = {
        "rows": len(prepared),
        "columns": {c.name: _describe(prepared.features[c.name].to_numpy(), c) for c in definition.features},
        "target": None,
    }
    if prepared.target is None:
        return found
    kind = "category" if definition.is_classifier else "number"
    values = prepared.target
    if definition.is_classifier:
        values = np.array([np.nan if t is None else t for t in values.tolist()], dtype=object)
        counts = {c: int((prepared.target == c).sum()) for c in definition.classes}
        present = [n for n in counts.values() if n]
        found["classes"] = counts
        found["imbalance_ratio"] = max(present) / min(present) if len(present) > 1 else None
    found["target"] = _describe(values, Column(definition.target, kind))
    return found


def _describe(values: np.ndarray, column: Column) -> dict[str, Any]:
    import pandas as pd

    missing = int(pd.isna(values).sum())
    found: dict[str, Any] = {
        "kind": column.kind,
        "unit": column.unit,
        "missing": missing,
        "missing_share": missing / len(values) if len(values) else None,
    }
    present = values[~pd.isna(values)]
    if column.kind == "number":
        return found | _describe_numbers(present.astype(np.float64))
    counts = pd.Series(present, dtype=object).value_counts()
    # Equal counts in alphabetical order, so that the same data always gives the same profile.
    ordered = sorted(((str(v), int(n)) for v, n in counts.items()), key=lambda pair: (-pair[1], pair[0]))
    top = [{"value": v, "count": n} for v, n in ordered[:MAX_CATEGORIES]]
    return found | {"distinct": len(ordered), "top": top, "other": sum(n for _, n in ordered[MAX_CATEGORIES:])}


def _describe_numbers(numbers: np.ndarray) -> dict[str, Any]:
    if not len(numbers):
        return {"min": None, "max": None, "mean": None, "std": None, "quantiles": None, "histogram": None}
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    low, high = float(numbers.min()), float(numbers.max())
    distinct = np.unique(numbers)
    with np.errstate(over="ignore"):
        width = high - low
    if len(distinct) <= MAX_BINS and (distinct == np.floor(distinct)).all() and width < MAX_BINS:
        edges = np.arange(low, high + 2) - 0.5  # one bar for each whole number
    elif np.isfinite(width) and width > 0:
        edges = np.linspace(low, high, min(MAX_BINS, max(5, int(np.sqrt(len(numbers))))) + 1)
    else:
        edges = np.array([low, high])
    counts = np.histogram(numbers, edges)[0] if len(edges) > 2 else np.array([len(numbers)])
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near the limit of a float have no such summary
        mean, std = numbers.mean(), numbers.std(ddof=1) if len(numbers) > 1 else np.nan
        quantiles = np.quantile(numbers, shares)
    return {
        "min": low,
        "max": high,
        "mean": _finite(mean),
        "std": _finite(std),
        "quantiles": {f"{s:.2f}": _finite(q) for s, q in zip(shares, quantiles, strict=True)},
        "histogram": {"edges": [float(e) for e in edges], "counts": [int(c) for c in counts]},
    }


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
