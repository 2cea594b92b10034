"""What one check of the watching found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STATES = ("ok", "unknown", "warning", "critical")  # from well to ill


@dataclass(frozen=True)
class Finding:
    """One thing that was measured against its limit.

    Attributes
    ----------
    kind, subject : str
        What is watched, and of what: "" for the whole project, else a column or a measure. Alerts are opened by both.
    state : "ok", "warning", "critical" or "unknown"
        Unknown is never shown as well; ``sentence`` says what is missing.
    value, threshold : float or None
        In ``unit``; shares are 0..1 and have the unit "share".
    rows : int or None
        Requests, predictions or labels that were looked at.
    """

    kind: str
    title: str
    state: str
    sentence: str
    subject: str = ""
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    rows: int | None = None
    version: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def percent(share: float) -> str:
    """A share in words, with three figures: "2.5 %", "40 %"."""
    return f"{100 * share:.3g} %"
