"""The drift score: how far current rows have moved from the reference, per column and overall.

The score is a population stability index (Siddiqi, Credit Risk Scorecards, 2006) over the bins that
occur, minus what it is expected to be when nothing changed (Yurdakul, 2018: (B - 1)(1/n + 1/m)), put
on a scale from 0 to 1 on which the customary limits 0.10 and 0.25 fall at 0.50 and 0.71. It counts
only if a chi-square test on the same counts stays significant after the correction of Benjamini and
Hochberg (1995) over the columns; chance alone then raises any column in a few per cent of checks.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from core.drift.bins import Bins, ColumnBins, Profile
from core.errors import BadInput
from core.numbers import count_of
from core.projects.definition import Thresholds

FORMAT = 1
SIGNIFICANCE = 0.05
HALF_SCALE = 0.1  # the PSI at which the score is 0.5


@dataclass(frozen=True)
class ColumnDrift:
    """The drift of one column, or of the predictions.

    Attributes
    ----------
    status : "ok", "warning", "drift" or "unknown"
        Within chance is "ok".
    reason : str
        Why the status is unknown, or "".
    n, m : int
        Rows of the reference and of the current period.
    psi, expected, corrected : float or None
        The raw index, what it would be without any change, and the difference (floored at 0).
    score : float or None
        0..1, of the corrected index; shown also when within chance, though it does not count then.
    p_value, p_adjusted : float or None
        Chi-square test, before and after the correction over the columns.
    labels, reference_shares, current_shares : tuple
        One entry per bin; shares are 0..1 of all rows, without the half count.
    reference_missing, current_missing : float or None
        Shares of missing values, 0..1.
    """

    name: str
    kind: str
    status: str
    reason: str
    n: int
    m: int
    psi: float | None = None
    expected: float | None = None
    corrected: float | None = None
    score: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    within_chance: bool = False
    labels: tuple[str, ...] = ()
    reference_shares: tuple[float, ...] = ()
    current_shares: tuple[float, ...] = ()
    reference_missing: float | None = None
    current_missing: float | None = None

    @property
    def counted(self) -> float | None:
        """The score as it enters the overall score: 0 within chance, None if unknown."""
        return 0.0 if self.within_chance else self.score


@dataclass(frozen=True)
class DriftResult:
    """One comparison of a period with the reference.

    Attributes
    ----------
    overall : float or None
        Mean of the counted scores over the columns that can be measured; None if there is none.
    status : "ok", "warning", "drift" or "unknown"
        The band of the overall score. Single columns can be worse: see ``core.drift.verdict``.
    prediction : ColumnDrift or None
        Drift of the predictions; not part of the overall score.
    """

    bins_id: str
    reference_rows: int
    current_rows: int
    overall: float | None
    status: str
    sentence: str
    warning: float
    drift: float
    columns: tuple[ColumnDrift, ...]
    prediction: ColumnDrift | None = None

    @property
    def worst_first(self) -> tuple[ColumnDrift, ...]:
        """Columns by counted score, the highest first, unknown ones last."""
        return tuple(sorted(self.columns, key=lambda c: (c.counted is None, -(c.counted or 0.0), -(c.score or 0.0), c.name)))

    def column(self, name: str) -> ColumnDrift:
        """The column of that name; "prediction" is the drift of the predictions."""
        for column in self.columns:
            if column.name == name:
                return column
        if self.prediction is not None and name == self.prediction.name:
            return self.prediction
        raise BadInput(f"The drift check has no column {name!r}; it has {', '.join(c.name for c in self.columns)}.")


def compare(reference: Profile, current: Profile, *, bins: Bins, thresholds: Thresholds) -> DriftResult:
    """Compare a period with the reference.

    Parameters
    ----------
    reference, current : Profile
        Both counted with ``bins``.
    thresholds : Thresholds
        The bands of the score, and the rows under which a column stays unknown.

    Raises
    ------
    BadInput
        A profile was counted with other bins.

    Notes
    -----
    Shares are (count + 1/2) / rows, as they stand: with them Cleveland (UCI Heart Disease) against
    Hungary gives 0.69 (8 columns drift, 3 warning), against Switzerland 0.77 (10 and 1).
    """
    bins_id = bins.bins_id
    for profile, what in ((reference, "reference"), (current, "current")):
        if profile.bins_id != bins_id:
            raise BadInput(f"The {what} profile was counted with other bins; count it again with the bins of this version.")
    least = thresholds.drift_min_rows
    columns = _judge([_measure(c, reference.counts[c.name], current.counts[c.name], least) for c in bins.columns], thresholds)
    prediction = None
    if bins.prediction is not None:
        prediction = _judge([_measure(bins.prediction, reference.prediction, current.prediction, least)], thresholds)[0]
    scores = [c.counted for c in columns if c.counted is not None]
    overall = float(np.mean(scores)) if scores else None
    status = _band(overall, thresholds)
    sentence = _sentence(columns, overall, status, reference.rows, current.rows, thresholds)
    return DriftResult(
        bins_id, reference.rows, current.rows, overall, status, sentence,
        thresholds.drift_warning, thresholds.drift, tuple(columns), prediction,
    )


def psi(reference: np.ndarray, current: np.ndarray) -> tuple[float, float]:
    """The raw index over the bins that occur, and its expectation when nothing changed.

    Parameters
    ----------
    reference, current : ndarray of int, shape (bins,)
        Counts.

    Returns
    -------
    tuple of float
        Sum of (c - r) ln(c / r) with shares (count + 1/2) / rows, and (B - 1)(1/n + 1/m).
    """
    occurs = (reference + current) > 0
    r, c = reference[occurs], current[occurs]
    n, m = r.sum(), c.sum()
    r_share, c_share = (r + 0.5) / n, (c + 0.5) / m
    return float(((c_share - r_share) * np.log(c_share / r_share)).sum()), float((len(r) - 1) * (1 / n + 1 / m))


def chi_square_p(reference: np.ndarray, current: np.ndarray) -> float:
    """p value of Pearson's chi-square test that both counts come from one distribution (over the bins that occur)."""
    from scipy.stats import chi2  # slow to import; pages that only show results do without

    occurs = (reference + current) > 0
    if occurs.sum() < 2:
        return 1.0
    table = np.vstack([reference[occurs], current[occurs]]).astype(float)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return float(chi2.sf(((table - expected) ** 2 / expected).sum(), occurs.sum() - 1))


def adjust(p_values: list[float]) -> list[float]:
    """p values after Benjamini and Hochberg (1995), in the order they came in."""
    count = len(p_values)
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * count / np.arange(1, count + 1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return [float(p) for p in adjusted]


def result_to_json(result: DriftResult) -> str:
    return json.dumps({"format": FORMAT, **asdict(result)}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def result_from_json(text: str) -> DriftResult:
    data = json.loads(text)
    if data.pop("format", None) != FORMAT:
        raise BadInput(f"A drift result in an unknown format cannot be read; this program reads format {FORMAT}.")
    prediction = data.pop("prediction")
    columns = tuple(_drift_of(c) for c in data.pop("columns"))
    return DriftResult(columns=columns, prediction=None if prediction is None else _drift_of(prediction), **data)


def _measure(bins: ColumnBins, reference: tuple[int, ...], current: tuple[int, ...], min_rows: int) -> ColumnDrift:
    """Everything but the judgement, which needs the other columns' p values."""
    r, c = np.asarray(reference), np.asarray(current)
    n, m = int(r.sum()), int(c.sum())
    facts: dict[str, Any] = {"name": bins.name, "kind": bins.kind, "n": n, "m": m, "labels": bins.labels}
    if n:
        facts |= {"reference_shares": tuple((r / n).tolist()), "reference_missing": float(r[-1] / n)}
    if m:
        facts |= {"current_shares": tuple((c / m).tolist()), "current_missing": float(c[-1] / m)}
    reason = bins.reason
    if not reason and m == 0:
        reason = f"No current row has {bins.name}."
    for rows, what in ((n, "reference"), (m, "current period")):
        if not reason and rows < min_rows:
            reason = f"The {what} has {rows} rows; at least {min_rows} are needed."
    if reason:
        return ColumnDrift(status="unknown", reason=reason, **facts)
    raw, expected = psi(r, c)
    corrected = max(0.0, raw - expected)
    return ColumnDrift(
        status="ok", reason="", psi=raw, expected=expected, corrected=corrected,
        score=corrected / (corrected + HALF_SCALE), p_value=chi_square_p(r, c), **facts,
    )


def _judge(columns: list[ColumnDrift], thresholds: Thresholds) -> list[ColumnDrift]:
    measured = [c for c in columns if c.p_value is not None]
    adjusted = dict(zip((c.name for c in measured), adjust([c.p_value for c in measured if c.p_value is not None]), strict=True))
    judged = []
    for column in columns:
        if column.name in adjusted:
            p = adjusted[column.name]
            chance = p >= SIGNIFICANCE
            status = "ok" if chance else _band(column.score, thresholds)
            column = replace(column, p_adjusted=p, within_chance=chance, status=status)
        judged.append(column)
    return judged


def _band(score: float | None, thresholds: Thresholds) -> str:
    if score is None:
        return "unknown"
    if score >= thresholds.drift:
        return "drift"
    return "warning" if score >= thresholds.drift_warning else "ok"


def _sentence(
    columns: list[ColumnDrift], overall: float | None, status: str, n: int, m: int, thresholds: Thresholds
) -> str:
    if overall is None:
        if m < thresholds.drift_min_rows:
            return f"Drift is unknown: {count_of(m, 'row')} in this period, at least {thresholds.drift_min_rows} are needed."
        if n < thresholds.drift_min_rows:
            return f"Drift is unknown: {count_of(n, 'row')} in the reference, at least {thresholds.drift_min_rows} are needed."
        return "Drift is unknown: no column could be measured."
    word = {"ok": "no drift overall", "warning": "a warning", "drift": "drift"}[status]
    drifted = sum(c.status == "drift" for c in columns)
    warned = sum(c.status == "warning" for c in columns)
    unknown = sum(c.status == "unknown" for c in columns)
    text = (
        f"Overall drift {overall:.2f}: {word}. {drifted} of {len(columns)} columns drifted and {warned} warn"
        f"{f', {unknown} unknown' if unknown else ''}; {m} rows against {n} of the reference."
    )
    worst = max((c for c in columns if c.counted), key=lambda c: c.counted or 0.0, default=None)
    if worst is not None and worst.status != "ok":
        text += f" Most changed: {worst.name} ({worst.counted:.2f})."
    return text


def _drift_of(data: dict[str, Any]) -> ColumnDrift:
    lists = {name: tuple(data[name]) for name in ("labels", "reference_shares", "current_shares")}
    return ColumnDrift(**{**data, **lists})
