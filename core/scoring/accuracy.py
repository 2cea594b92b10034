"""How right the logged answers were, where labels came back; quick enough for every page."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from core.home import Home
from core.projects.projects import get_definition
from core.times import stamp
from storage import labels as store
from storage.connection import reading


def live_quality(home: Home, project: str, *, now: datetime, days: int = 30, version: str | None = None) -> dict[str, Any] | None:
    """How good the predictions of the last ``days`` days were, where labels came back; None without labels.

    Returns
    -------
    dict
        rows, accuracy with its 95 % Wilson interval and ``baseline_accuracy`` (always saying the majority of these labels)
        for classes; mae and rmse with ``baseline_mae`` (always saying their mean) for numbers.
    """
    return recent_quality(home, project, now=now, days=days, version=version)[0]


def daily_accuracy(
    home: Home, project: str, *, now: datetime, days: int = 30, version: str | None = None
) -> list[dict[str, Any]]:
    """Accuracy a day (UTC) of the predictions made that day, where labels came back: day, rows, accuracy, low, high.

    For classes only: an answer in numbers is never exactly right, so there the list is empty.
    """
    return recent_quality(home, project, now=now, days=days, version=version)[1]


def recent_quality(
    home: Home, project: str, *, now: datetime, days: int = 30, version: str | None = None
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Both :func:`live_quality` and :func:`daily_accuracy`, from the hourly counts: no label is looked at twice.

    The period begins with the whole hour in which it would begin.
    """
    since = stamp(now - timedelta(days=days))
    if not get_definition(home, project).is_classifier:
        return _quality_of_numbers(home, project, since, version), []
    outcomes = store.count_outcomes(reading(home.predictions_db), project, since=since, version=version)
    if not outcomes:
        return None, []
    by_label: dict[str, int] = defaultdict(int)
    by_day: dict[str, list[int]] = {}
    for hour, _, label, predicted, rows in outcomes:
        by_label[label] += rows
        hits_rows = by_day.setdefault(hour[:10], [0, 0])
        hits_rows[0] += rows if label == predicted else 0
        hits_rows[1] += rows
    series = []
    for day, (hits, rows) in sorted(by_day.items()):
        low, high = wilson(hits, rows)
        series.append({"day": day, "rows": rows, "accuracy": hits / rows, "low": low, "high": high})
    n, right = sum(by_label.values()), sum(hits for hits, _ in by_day.values())
    low, high = wilson(right, n)
    quality = {"rows": n, "accuracy": right / n, "low": low, "high": high, "baseline_accuracy": max(by_label.values()) / n}
    return quality, series


def _quality_of_numbers(home: Home, project: str, since: str, version: str | None) -> dict[str, Any] | None:
    rows = store.read_answers(
        reading(home.predictions_db), project, ("label", "predicted"), since=since, until="9999", version=version
    )
    if not rows:
        return None
    n = len(rows)
    truth = [float(label) for label, _ in rows]
    errors = [float(predicted) - t for (_, predicted), t in zip(rows, truth, strict=True)]
    mean = sum(truth) / n
    return {
        "rows": n, "mae": sum(map(abs, errors)) / n, "rmse": (sum(e * e for e in errors) / n) ** 0.5,
        "baseline_mae": sum(abs(t - mean) for t in truth) / n,
    }


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z = 1.959963984540054
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
