"""Labels that came back: what the prediction should have been, and how good the live model really is."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import BadInput
from core.home import Home
from core.projects.definition import Definition
from core.projects.projects import get_definition
from core.scoring import log
from core.times import stamp, utc_now
from storage import predictions as store
from storage.connection import reading, writing


def feed_labels(
    home: Home, actor: Actor, project: str, content: bytes, *, file_name: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Keep ground truth from a table with the columns prediction_id and label (or the project's key column and its target).

    A label that came before with another value is superseded, not lost.

    Returns
    -------
    dict
        new, corrected, same, unknown (ids that no prediction has), unreadable (labels that are none): counts.

    Raises
    ------
    BadInput
        The columns are not there.
    """
    from core.datasets.read import read_table

    now = now or utc_now()
    definition = get_definition(home, project)
    table = read_table(content, file_name=file_name).frame
    ids, texts = _columns(home, project, definition, table)
    labels = _read_labels(texts, definition)
    counts = {"new": 0, "corrected": 0, "same": 0, "unknown": 0, "unreadable": 0}
    rows = []
    groups: dict[str, Any] = {}
    for prediction_id, label in zip(ids, labels, strict=True):
        if label is None:
            counts["unreadable"] += 1
            continue
        found = _find(home, project, str(prediction_id), groups)
        if found is None:
            counts["unknown"] += 1
            continue
        rows.append({"project": project, "prediction_id": str(prediction_id), "label": label, **found})

    def work(tx: Tx) -> Done:
        # the log is a database of its own: it is written inside the act, so that a refusal writes nothing
        with writing(home.predictions_db) as db:
            for row in rows:
                counts[store.insert_label(db, {**row, "labelled_at": tx.at, "by": actor.name, "source": file_name[:200]})] += 1
        return Done(dict(counts), after=dict(counts), subject=f"{len(rows)} labels")

    return acts.perform(home, actor, "feed_labels", work, project=project, key=key, now=now)


def _columns(home: Home, project: str, definition: Definition, table: Any) -> tuple[list[str], list[Any]]:
    names = {str(c).strip().lower(): c for c in table.columns}
    if "prediction_id" in names and "label" in names:
        return list(table[names["prediction_id"]]), list(table[names["label"]])
    if "prediction_id" in names and definition.target.lower() in names:
        return list(table[names["prediction_id"]]), list(table[names[definition.target.lower()]])
    if definition.key and definition.key.lower() in names and definition.target.lower() in names:
        logged = log.read(home, project)
        known = dict(zip(logged[definition.key].astype(str), logged["prediction_id"], strict=True)) if definition.key in logged else {}
        keys = [str(k) for k in table[names[definition.key.lower()]]]
        return [known.get(k, "") for k in keys], list(table[names[definition.target.lower()]])
    by_key = f", or {definition.key} and {definition.target}" if definition.key else ""
    raise BadInput(f"Labels need the columns prediction_id and label{by_key}; this table has {', '.join(map(str, table.columns[:12]))}.")


def _read_labels(values: list[Any], definition: Definition) -> list[str | None]:
    """Labels as the model names its classes (or numbers as text); None where a value is none.

    A binary label may be the target's own value ("yes", 3 where positive is >0) or the class 0 / 1 that was predicted.
    """
    import pandas as pd

    from core.datasets.prepare import prepare

    seen = {str(v).strip() for v in values if v is not None}
    if definition.task == "binary" and seen <= {"0", "1", "0.0", "1.0"}:
        return [None if v is None else str(v).strip()[:1] for v in values]
    table = pd.DataFrame({c.name: [None] * len(values) for c in definition.features}, dtype=object)
    table[definition.target] = values
    if definition.group:
        table[definition.group] = "1"
    target = prepare(table, definition, purpose="scoring").target
    if target is None:
        return [None] * len(values)
    if definition.is_classifier:
        return [t if t in definition.classes else None for t in target]
    return [None if t != t else repr(float(t)) for t in target]


def _find(home: Home, project: str, prediction_id: str, groups: dict[str, Any]) -> dict[str, Any] | None:
    uid, _, place = prediction_id.rpartition("-")
    if not uid or not (place.isascii() and place.isdigit()):
        return None
    if uid not in groups:
        group = store.find_group(reading(home.predictions_db), uid)
        groups[uid] = (group, log.decode(group["payload"])) if group and group["project"] == project else None
    if groups[uid] is None or not 1 <= int(place) <= groups[uid][0]["rows"]:
        return None
    group, frame = groups[uid]
    row = frame.iloc[int(place) - 1]
    score = row["out:score"]
    return {
        "predicted": str(row["out:prediction"]), "score": None if score != score else float(score),  # NaN differs from itself
        "version": group["version"], "predicted_at": group["at"],
    }


def labels_by_prediction(
    home: Home, project: str, *, since: datetime | None = None, until: datetime | None = None
) -> dict[str, str]:
    """prediction_id -> current label, for predictions of a period."""
    rows = store.list_labelled(
        reading(home.predictions_db), project, since=stamp(since) if since else "", until=stamp(until) if until else "9999"
    )
    return {r["prediction_id"]: r["label"] for r in rows}


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
    """Both :func:`live_quality` and :func:`daily_accuracy`, counted once: a hundred thousand labels take a while."""
    since = stamp(now - timedelta(days=days))
    if not get_definition(home, project).is_classifier:
        return _quality_of_numbers(home, project, since, version), []
    outcomes = store.count_outcomes(reading(home.predictions_db), project, since=since, version=version)
    if not outcomes:
        return None, []
    counts: Counter[str] = Counter()
    by_day: dict[str, list[int]] = {}
    for o in outcomes:
        counts[o["label"]] += o["rows"]
        hits_rows = by_day.setdefault(o["day"], [0, 0])
        hits_rows[0] += o["rows"] if o["label"] == o["predicted"] else 0
        hits_rows[1] += o["rows"]
    series = []
    for day, (hits, rows) in sorted(by_day.items()):
        low, high = wilson(hits, rows)
        series.append({"day": day, "rows": rows, "accuracy": hits / rows, "low": low, "high": high})
    n, right = sum(counts.values()), sum(hits for hits, _ in by_day.values())
    low, high = wilson(right, n)
    quality = {"rows": n, "accuracy": right / n, "low": low, "high": high, "baseline_accuracy": max(counts.values()) / n}
    return quality, series


def _quality_of_numbers(home: Home, project: str, since: str, version: str | None) -> dict[str, Any] | None:
    rows = store.list_labelled(reading(home.predictions_db), project, since=since, version=version)
    if not rows:
        return None
    n = len(rows)
    truth = [float(r["label"]) for r in rows]
    errors = [float(r["predicted"]) - t for r, t in zip(rows, truth, strict=True)]
    mean = sum(truth) / n
    return {
        "rows": n, "mae": sum(map(abs, errors)) / n, "rmse": (sum(e * e for e in errors) / n) ** 0.5,
        "baseline_mae": sum(abs(t - mean) for t in truth) / n,
    }


def count_labels_since(home: Home, project: str, since: str) -> int:
    """Labels that arrived after a stored time."""
    return store.count_labels_since(reading(home.predictions_db), project, since)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z = 1.959963984540054
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
