"""How bad an alert is, 0..1, from what was measured against its thresholds.

The scale has two fixed points that mean the same for every measure: 0.5 where it begins to warn, 0.7 where it becomes critical.
Between and beyond them it is a straight line, up to 1 at the worst value that the measure can take:

    value from 0 to warning         0    to 0.5
    value from warning to critical  0.5  to 0.7
    value from critical to worst    0.7  to 1

Where a measure has one threshold only, the line goes straight from 0.5 at the threshold to 1 at the worst. So a drift score keeps
its own value with the customary thresholds (0.5 and 0.7 of 1). A critical alert is never below 0.7, an alert that measured nothing
is 0.5 or 0.7 by its word. Every line rises, so a worse value never gets a lower severity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from core.projects.limits import Limits

WARNS, CRITICAL = 0.5, 0.7
# The worst value of measures without a natural one, in multiples of the threshold that decides.
WORST_LATENCY = 5.0  # times the critical latency
WORST_RELATIVE = 5.0  # times the relative drop or rise that warns
WORST_ANOMALY = 5.0  # times the standard deviations that warn
WORST_ERRORS = 0.5  # every second request fails


def scale(value: float, warning: float, worst: float, critical: float | None = None) -> float:
    """A measured value on the scale of severity.

    Parameters
    ----------
    value, warning, worst : float
        In one unit; a higher value is worse.
    critical : float, optional
        Between warning and worst.

    Returns
    -------
    float
        0..1, never lower for a worse value.
    """
    points = [(0.0, 0.0), (warning, WARNS), *([] if critical is None else [(critical, CRITICAL)]), (worst, 1.0)]
    if value <= 0:
        return WARNS if warning <= 0 else 0.0
    for (low, at_low), (high, at_high) in pairwise(points):
        if value <= high:
            return at_high if high <= low else at_low + (at_high - at_low) * (value - low) / (high - low)
    return 1.0


def measure(alert: Mapping[str, Any], limits: Limits) -> float:
    """The severity of one alert (a row of the table of alerts)."""
    by_word = CRITICAL if alert["severity"] == "critical" else WARNS
    value, threshold = alert["value"], alert["threshold"]
    found = None if value is None else _measure(alert["kind"], float(value), threshold, limits)
    if found is None:
        return by_word
    return round(max(found, by_word) if alert["severity"] == "critical" else found, 4)


def worst(alerts: Iterable[Mapping[str, Any]], limits: Limits) -> float:
    """The severity of an incident: that of its worst alert; 0 without any."""
    return max((measure(a, limits) for a in alerts), default=0.0)


def _measure(kind: str, value: float, threshold: float | None, limits: Limits) -> float | None:
    watching, thresholds = limits.watching, limits.thresholds
    if kind in ("drift", "prediction_drift"):
        return scale(value, thresholds.drift_warning, 1.0, thresholds.drift)
    if kind == "latency":
        critical = watching.latency_critical_ms
        return scale(value, watching.latency_warning_ms, WORST_LATENCY * critical, critical)
    if kind == "errors":
        return scale(value, watching.error_warning, max(WORST_ERRORS, 2 * watching.error_critical), watching.error_critical)
    if threshold is None:
        return None
    if kind == "accuracy":  # a floor: what counts is how far below it; a quarter below is the worst
        return scale(WARNS + max(threshold - value, 0.0), WARNS, WARNS + 0.25)
    if kind == "minority":  # a floor as well: at none of the answers nothing is left to fall
        return scale(WARNS + (max(threshold - value, 0.0) / threshold if threshold else 0.0), WARNS, WARNS + 1.0)
    if kind in ("missing_values", "problem_rows", "unsure") or (kind == "data_quality" and threshold > 0):
        return scale(value, threshold, max(1.0, threshold))
    if kind in ("performance", "quality_drift", "slower", "failing"):
        return scale(value, threshold, WORST_RELATIVE * threshold)
    if kind == "anomaly":
        return scale(value, threshold, WORST_ANOMALY * threshold)
    return None
