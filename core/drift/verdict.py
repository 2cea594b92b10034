"""When drift becomes an alert, and the sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.drift.compute import ColumnDrift, DriftResult


@dataclass(frozen=True)
class Verdict:
    """What a drift check asks for.

    Attributes
    ----------
    level : "none", "medium", "high" or "unknown"
        Medium is a warning; high asks for a retraining. Unknown is never shown as healthy.
    severity : float or None
        0..1, the worst of the overall score and of the columns that alert.
    columns : tuple of str
        The columns that alert by themselves, the worst first.
    sentence : str
        For the alert, naming the column.
    """

    level: str
    severity: float | None
    columns: tuple[str, ...]
    sentence: str


def judge(result: DriftResult, *, importances: Mapping[str, float] | None = None) -> Verdict:
    """Judge a drift check: the overall bands, or any one significant column that the model uses in the drift band.

    One broken column among many moves the overall score little, so columns are looked at as well.

    Parameters
    ----------
    importances : mapping of str to float, optional
        Permutation importance per column. A column with exactly 0 is one that the model does not use; a column
        that is not listed, or every column without importances, counts as used.
    """
    if result.overall is None:
        return Verdict("unknown", None, (), result.sentence)
    drifted = [c for c in result.worst_first if c.status == "drift"]
    used = [c for c in drifted if importances is None or importances.get(c.name) != 0.0]
    unused = [c for c in drifted if c not in used]
    severity = max([result.overall, *(_counted(c) for c in used)])
    level = "high" if used or result.overall >= result.drift else "medium" if result.overall >= result.warning else "none"
    return Verdict(level, severity, tuple(c.name for c in used), _sentence(result, used, unused, level))


def _sentence(result: DriftResult, used: list[ColumnDrift], unused: list[ColumnDrift], level: str) -> str:
    overall = f"{result.overall:.2f}"
    if used:
        worst = used[0]
        others = len(used) - 1
        more = "" if not others else f", and {others} more {'column' if others == 1 else 'columns'} with it"
        text = f"Column {worst.name} has drifted ({_counted(worst):.2f}){more}; overall drift is {overall}."
        now, before = worst.current_missing or 0.0, worst.reference_missing or 0.0
        if now - before >= 0.1:
            text += f" {worst.name} is missing in {now:.0%} of the rows, in {before:.0%} of the reference."
    elif level == "none":
        text = f"Overall drift is {overall}; no column that the model uses has drifted."
    else:
        worst = result.worst_first[0]
        text = f"Overall drift is {overall}; most changed is {worst.name} ({_counted(worst):.2f})."
    if unused:
        text += f" Drifted, but not used by the model: {', '.join(c.name for c in unused)}."
    unknown = [c.name for c in result.columns if c.status == "unknown"]
    if unknown:
        text += f" Unknown: {', '.join(unknown)}."
    return text


def _counted(column: ColumnDrift) -> float:
    return column.counted or 0.0
