"""Drift of what was predicted in a period, from counts per bin and hour: a check costs bins and hours, never rows.

The counts of the log are those of core.scoring.profiles; they were made with the bins of the version that answered, so one
check speaks of one version and of all others that have the same bins, and says what it leaves out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.drift.sides import Side, label_dataset
from core.home import Home
from core.projects.limits import get_limits
from core.scoring import profiles
from core.times import parse, stamp
from storage import predictions as log_store
from storage import versions as versions_store
from storage.connection import reading

if TYPE_CHECKING:
    from core.drift.compute import DriftResult
    from core.drift.verdict import Verdict

_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Period:
    """Logged predictions from ``since`` to before ``until``; None is open.

    ``version`` None means the live version (the newest, where none is live) and all that were counted with the same bins.
    """

    since: datetime | None = None
    until: datetime | None = None
    version: str | None = None


@dataclass(frozen=True)
class Measured:
    """Drift of a period that could be measured; nothing of it is stored.

    Attributes
    ----------
    version : dict
        The stored version whose bins were compared.
    reference, current : dict
        What was compared: kind, label in words, rows. Of the current side also ``versions`` (version -> rows compared),
        ``left_out`` (version -> predictions of the period that other bins count, or none) and ``note``, which says so.
    """

    project: str
    version: dict[str, Any]
    result: DriftResult
    alert: Verdict
    reference: dict[str, Any]
    current: dict[str, Any]


@dataclass(frozen=True)
class Unmeasured:
    """Why a period cannot be measured, and how to cure it, in one sentence."""

    reason: str


def measure_period(home: Home, project: str, period: Period, *, reference: Side | None = None) -> Measured | Unmeasured:
    """Compare what was logged in a period with the version's training data, or with another table.

    Parameters
    ----------
    period : Period
        Widened to whole hours (UTC).
    reference : Side, optional
        None: the counts that were kept when the version was registered. A table is counted with the version's bins.

    Returns
    -------
    Measured or Unmeasured
        A result may still be unknown, with its reason, when there are too few rows.
    """
    from core.drift.bins import count, profile_from_json
    from core.drift.compute import compare
    from core.drift.verdict import judge

    db = reading(home.db)
    version = find_version(home, project, period.version)
    if version is None and period.version is not None:
        return Unmeasured(f"Project {project} has no version {period.version[:40]!r}; choose one that it has.")
    if version is None:
        return Unmeasured("Predictions are counted with the bins of a version, and there is none; register one, or upload a file.")
    counter = profiles.counter_of(home, version["id"], version["sha256"])
    kept = versions_store.find_profile(db, version["id"])
    if counter is None or kept is None:
        return Unmeasured(f"Version {version['version']} has no reference profile; register it again, or upload a file.")
    rows, counts = _sum_hours(home, project, counter, period)
    left_out = _count_left_out(home, project, period, rows)
    if not rows:
        return Unmeasured(_say_nothing(version["version"], left_out))
    current = profiles.to_profile(counter.bins, sum(rows.values()), counts)
    if reference is None:
        before, label = profile_from_json(kept[1]), _label_training(home, version)
    else:
        before, label = count(counter.bins, reference.features, reference.predictions), reference.label
    result = compare(before, current, bins=counter.bins, thresholds=get_limits(home, project).thresholds)
    label = {**label, "rows": before.rows}
    alert = judge(result, importances=find_importances(version))
    return Measured(project, version, result, alert, label, _label_log(period, rows, left_out, counter.bins_id))


def find_version(home: Home, project: str, name: str | None = None) -> dict[str, Any] | None:
    """The named version; without a name the live one, else the newest; None if there is none."""
    db = reading(home.db)
    if name is not None:
        return versions_store.find_version(db, project, name)
    versions = versions_store.list_versions(db, project)
    return versions_store.find_live(db, project) or (versions[0] if versions else None)


def find_importances(version: dict[str, Any] | None) -> dict[str, float] | None:
    """Permutation importance of each column, as a stored version keeps it; None where it is not known."""
    found = (version or {}).get("summary", {}).get("importances")
    return {name: value["mean"] if isinstance(value, dict) else value for name, value in found.items()} if found else None


def measure_labelled(home: Home, project: str, period: Period, version: dict[str, Any]) -> dict[str, Any] | None:
    """Quality of the version's labelled predictions of the period; None without a label."""
    from core.monitoring import quality

    since, until = period.since or _EVER[0], period.until or _EVER[1]
    name, training = version["version"], version["summary"].get("holdout", {})
    matrix = quality.confusion(home, project, since, until, name)
    if matrix is not None:
        true = [sum(row) for row in matrix.matrix]
        right = [row[k] for k, row in enumerate(matrix.matrix)]
        recalls = {c: right[k] / true[k] for k, c in enumerate(matrix.classes) if true[k]}
        now: dict[str, Any] = {"accuracy": sum(right) / matrix.rows, "baseline_accuracy": max(true) / matrix.rows}
        return {"rows": matrix.rows, "now": {**now, "recall_by_class": recalls}, "training": training, "version": name}
    whole = quality.over_time(home, project, since=since, until=until, step="month", version=name).whole
    if whole is None or "mae" not in whole.metrics:
        return None
    mae, rmse = whole.metrics["mae"], whole.metrics["rmse"]
    now = {"mae": mae.value, "rmse": rmse.value, "baseline_mae": mae.baseline}
    return {"rows": whole.rows, "now": now, "training": training, "version": name}


def span_hours(period: Period) -> tuple[str, str]:
    """First and last hour that a period touches, both inclusive, as the log names hours."""
    last = stamp(period.until - timedelta(milliseconds=1))[:13] if period.until else "9999"
    return (stamp(period.since)[:13] if period.since else ""), last


def _sum_hours(home: Home, project: str, counter: profiles.Counter, period: Period) -> tuple[Counter[str], Any]:
    """Rows by version, and the flat counts of all of them."""
    import numpy as np

    first, last = span_hours(period)
    rows: Counter[str] = Counter()
    parts = []
    for hour in log_store.list_hour_profiles(
        reading(home.predictions_db), project, counter.bins_id, since=first, until=last, version=period.version
    ):
        rows[hour["version"]] += hour["rows"]
        parts.append(hour["counts"])
    return rows, np.frombuffer(b"".join(parts), dtype=np.int64).reshape(len(parts), counter.size).sum(axis=0)


def _count_left_out(home: Home, project: str, period: Period, rows: Counter[str]) -> dict[str, int]:
    """Predictions of the period that were not counted with these bins, by version."""
    first, last = span_hours(period)
    logged = log_store.count_rows_by_version(reading(home.predictions_db), project, since=first, until=last)
    wanted = {v: n for v, n in logged.items() if period.version in (None, v)}
    return {v: n - rows[v] for v, n in sorted(wanted.items()) if n > rows[v]}


def _say_nothing(version: str, left_out: dict[str, int]) -> str:
    if not left_out:
        return "No predictions were logged in this period; choose a longer one, or upload a file to compare."
    if version in left_out:
        return (
            f"{left_out[version]} predictions of version {version} are in the log of this period but were never counted; "
            "have the counts made again from the log."
        )
    by = _name(left_out)
    return f"All predictions of this period are those of {by}, counted with other bins than version {version}; choose another version."


def _label_training(home: Home, version: dict[str, Any]) -> dict[str, Any]:
    from core.datasets import versions as datasets

    return {**label_dataset(datasets.get_dataset(home, version["dataset_id"])), "profile": version["version"]}


def _label_log(period: Period, rows: Counter[str], left_out: dict[str, int], bins_id: str) -> dict[str, Any]:
    notes = [profiles.covered_hours(period.since, period.until).replace(" to now", "")]  # it is read later, when now is past
    others = {v: n for v, n in left_out.items() if v not in rows}
    if others:
        total = sum(rows.values()) + sum(others.values())
        notes.append(
            f"{sum(rows.values()):,} of {total:,} predictions are compared, those of {_name(rows)}; left out are those of "
            f"{_name(others)}, which were not counted with the same bins."
        )
    notes += [
        f"{n:,} predictions of version {v} are not in the counts: they were erased since, or never counted."
        for v, n in left_out.items() if v in rows
    ]
    return {
        "kind": "log", "label": "logged predictions", "rows": sum(rows.values()), "version": period.version,
        "since": stamp(period.since) if period.since else None, "until": stamp(period.until) if period.until else None,
        "versions": dict(sorted(rows.items())), "left_out": left_out, "note": " ".join(n for n in notes if n), "bins_id": bins_id,
    }  # fmt: skip


def period_of(label: dict[str, Any]) -> Period:
    """The period of a stored check of logged predictions."""
    since, until = (parse(label[name]) if label.get(name) else None for name in ("since", "until"))
    return Period(since, until, label.get("version"))


def _name(rows: dict[str, int]) -> str:
    names = sorted(rows)
    return f"version {names[0]}" if len(names) == 1 else f"versions {', '.join(names[:-1])} and {names[-1]}"
