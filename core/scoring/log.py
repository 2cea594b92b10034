"""The prediction log: every prediction with all its features, before its answer is shown.

Rows are kept in groups, one payload a group (measured: 200,000 rows cost 0.3 s as Parquet, 3.8 s as JSON rows; a single
row costs 20 times less as JSON), and small groups are packed into blocks later. A prediction's id is its group's id and
its place in it, so the narrow index of ids is the group key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import NotFound
from core.home import Home
from core.scoring import batches
from core.scoring import payload as payloads
from core.scoring.groups import PROBABILITY, Group, make_group, make_small_group, new_uid, prediction_ids
from core.scoring.payload import OUT
from core.scoring.removal import count_held, erase_rows, purge_before
from core.times import stamp
from storage import predictions as store
from storage.connection import reading, writing

if TYPE_CHECKING:
    import pandas as pd
    from sqlite_utils import Database

# groups and the removal of rows have files of their own, and are called through the log
__all__ = ["Group", "count_held", "erase_rows", "make_group", "make_small_group", "new_uid", "prediction_ids", "purge_before"]


def append(home: Home, group: Group) -> None:
    """Write one group durably, in a transaction of its own (synchronous=FULL)."""
    with writing(home.predictions_db) as db:
        write_groups(db, [group])


def write_groups(db: Database, groups: Sequence[Group]) -> None:
    """Groups with their counts, profiles and keys, in the caller's transaction."""
    tuples = []
    counts: dict[tuple[str, str, str, str], tuple[int, int, int]] = {}
    hours: dict[tuple[str, str, str, str], tuple[int, Any]] = {}
    keys = []
    for g in groups:
        at = stamp(g.at)
        problem_rows = 0
        for label, (rows, problems, unsure) in g.labels.items():
            problem_rows += problems
            place = (g.project, g.version, at[:13], label)
            known = counts.get(place, (0, 0, 0))
            counts[place] = (known[0] + rows, known[1] + problems, known[2] + unsure)
        if g.profile is not None:
            place = (g.project, g.version, at[:13], g.profile.bins_id)
            rows, total = hours.get(place, (0, 0))
            hours[place] = (rows + g.rows, total + g.profile.counts)
        if g.keys is not None:
            keys += [(g.project, key, f"{g.uid}-{n}") for n, key in enumerate(g.keys, 1) if key is not None]
        stages = json.dumps(g.stages) if g.stages else None
        tuples.append(
            (g.uid, g.project, g.version, g.request_id, at, g.rows, problem_rows, g.caller, g.source, g.latency_ms, g.payload, stages)
        )
    store.insert_groups(db, tuples)
    store.add_label_counts(db, [(*place, *numbers) for place, numbers in counts.items()])
    for (project, version, hour, bins_id), (rows, total) in hours.items():
        store.add_hour_profile(db, project=project, version=version, hour=hour, bins_id=bins_id, rows=rows, counts=total)
    if keys:
        store.insert_case_keys(db, keys)


def count_today(home: Home, project: str, *, now: datetime, version: str | None = None) -> int:
    """Predictions logged since midnight UTC."""
    return store.count_rows(reading(home.predictions_db), project, since=stamp(now)[:10] + "T00", version=version)


def count_between(home: Home, project: str, since: datetime, until: datetime | None = None) -> int:
    """Predictions logged in whole hours from ``since``."""
    return store.count_rows(reading(home.predictions_db), project, since=stamp(since), until=stamp(until) if until else "9999")


def count_since(home: Home, project: str, since: datetime) -> int:
    """Predictions logged at ``since`` or later, to the millisecond."""
    return store.count_rows_exactly(reading(home.predictions_db), project, since=stamp(since))


def count_by_label(home: Home, project: str, *, now: datetime, days: int = 30, version: str | None = None) -> dict[str, int]:
    """Predicted label -> predictions of the last ``days`` days; {'': n} where the model predicts numbers."""
    return store.count_labels(reading(home.predictions_db), project, since=stamp(now - timedelta(days=days)), version=version)


def list_groups(home: Home, project: str, *, limit: int = 100) -> list[dict[str, Any]]:
    """Newest groups: uid, version, request_id, at, rows, problem_rows, caller, source, latency_ms."""
    return store.list_groups(reading(home.predictions_db), project, limit=limit)


def read_group(home: Home, project: str, uid: str) -> pd.DataFrame:
    """One group: prediction_id, features, ``out:`` columns; erased rows are left out.

    Raises
    ------
    NotFound
        No such group in this project.
    """
    batch = batches.find_batch(home, project, uid)
    if batch is None:
        raise NotFound(f"There is no group of predictions {uid[:40]!r} in project {project}.")
    frame = payloads.to_frame(batch.kept_table())
    frame.insert(0, "prediction_id", batch.prediction_ids())
    return frame


def find_by_key(home: Home, project: str, key: str) -> list[str]:
    """Ids of the predictions of a business key, newest first."""
    return store.find_by_key(reading(home.predictions_db), project, key)


def iterate(
    home: Home, project: str, *, since: datetime | None = None, until: datetime | None = None, version: str | None = None
) -> Iterator[pd.DataFrame]:
    """Logged rows, oldest first, in frames of some ten thousand rows at most (one group, if that is larger).

    Yields
    ------
    DataFrame
        prediction_id, features, ``out:`` columns, at, version, request_id, caller. Erased rows are left out.
    """
    for batch in batches.iterate_batches(
        home, project, since=stamp(since) if since else "", until=stamp(until) if until else "9999", version=version
    ):
        frame = payloads.to_frame(batch.kept_table())
        frame.insert(0, "prediction_id", batch.prediction_ids())
        for column in ("at", "version", "request_id", "caller"):
            if column not in frame:  # a feature may be called so, and then it is the feature that is meant
                frame[column] = batch.repeat(column)
        yield frame


def read(
    home: Home, project: str, *, since: datetime | None = None, until: datetime | None = None, version: str | None = None
) -> pd.DataFrame:
    """All logged rows of a period in one frame (see :func:`iterate`); empty if there are none."""
    import pandas as pd

    frames = list(iterate(home, project, since=since, until=until, version=version))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def get_prediction(home: Home, project: str, prediction_id: str) -> dict[str, Any]:
    """One logged prediction with its features.

    Raises
    ------
    NotFound
        No such prediction in this project, or its row was erased.
    """
    uid, _, place = prediction_id.rpartition("-")
    batch = batches.find_batch(home, project, uid) if uid and place.isascii() and place.isdigit() else None
    if batch is None or not 1 <= int(place) <= batch.table.num_rows:
        raise NotFound(f"There is no prediction {prediction_id[:80]!r} in project {project}.")
    if int(place) in batch.erased(0):
        raise NotFound(f"The rows of prediction {prediction_id[:80]!r} in project {project} were erased.")
    group = batch.groups[0]
    row = payloads.to_frame(batch.table.slice(int(place) - 1, 1)).iloc[0].to_dict()
    return {"prediction_id": prediction_id, "version": group["version"], "at": group["at"], **{str(k): v for k, v in row.items()}}


def export_jsonl(home: Home, project: str, path: Path) -> int:
    """Write predictions_monitoring.jsonl: one line a prediction, all features and outputs; returns the number of lines."""
    lines = 0
    fresh = path.with_name(path.name + ".part")
    with fresh.open("w", encoding="utf-8") as file:
        for batch in batches.iterate_batches(home, project):
            facts = zip(*(batch.repeat(c) for c in ("at", "request_id", "version", "latency_ms", "caller")), strict=True)
            for prediction_id, row, fact in zip(batch.prediction_ids(), batch.kept_table().to_pylist(), facts, strict=True):
                at, request_id, version, latency_ms, caller = fact
                features = {k: v for k, v in row.items() if not k.startswith(OUT)}
                outputs = {k.removeprefix(OUT): v for k, v in row.items() if k.startswith(OUT)}
                line = {
                    "timestamp": at, "request_id": request_id, "prediction_id": prediction_id,
                    "project": project, "version": version, "features": features, "level": outputs.pop("prediction", None),
                    "score": outputs.pop("score", None), "confidence": outputs.pop("confidence", None),
                    "problems": outputs.pop("problems", ""),
                    "probabilities": {k.removeprefix(PROBABILITY): v for k, v in outputs.items()},
                    "latency_ms": latency_ms, "caller": caller,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                lines += 1
    fresh.replace(path)
    return lines
