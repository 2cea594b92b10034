"""The metrics of a version for a report: which are shown, in which order, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.registry.wording import METRICS
from core.reports.charts import Estimate, estimates
from core.reports.document import Chart

SHARES = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "specificity", "auc", "ndcg", "r2")
ERRORS = ("mae", "rmse", "mse", "log_loss", "brier")


def list_names(found: Mapping[str, Any]) -> list[str]:
    """The metrics that were measured, in the order in which they are shown."""
    return [name for name in (*SHARES, *ERRORS) if isinstance(found.get(name), int | float)]


def find_interval(intervals: Mapping[str, Any], name: str) -> tuple[float | None, float | None]:
    low, high = intervals.get(name) or (None, None)
    return low, high


def draw(found: Mapping[str, Any], intervals: Mapping[str, Any], nothing: Mapping[str, Any]) -> tuple[Chart, ...]:
    """The metrics between 0 and 1 on one scale, with intervals and baseline; nothing where there is none."""
    drawn = []
    for name in list_names(found):
        value = float(found[name])
        if name in SHARES and 0 <= value <= 1:
            low, high = find_interval(intervals, name)
            drawn.append(Estimate(METRICS.get(name, name), value, low, high, nothing.get(name)))
    return (Chart(estimates(drawn), "; ".join(f"{e.name} {e.value:.3f}" for e in drawn)),) if drawn else ()
