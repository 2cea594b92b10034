"""The prediction log: every prediction with all its features, before its answer is shown.

Rows are kept in groups, one Parquet blob a group (measured: 200,000 rows cost 0.3 s this way, 3.8 s as JSON
rows). A prediction's id is its group's id and its place in it, so the narrow index of ids is the group key.
"""

from __future__ import annotations

import io
import json
import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import NotFound
from core.home import Home
from core.times import stamp
from storage import predictions as store
from storage.connection import reading, writing

if TYPE_CHECKING:
    import pandas as pd

OUTPUTS = ("prediction", "score", "confidence", "problems")
_PROBABILITY = "probability:"


def new_uid() -> str:
    """Id of a group: 96 random bits, so that ids of other people's predictions cannot be guessed."""
    return secrets.token_hex(12)


def prediction_ids(uid: str, rows: int) -> list[str]:
    return [f"{uid}-{n}" for n in range(1, rows + 1)]


def encode(features: pd.DataFrame, outputs: pd.DataFrame) -> bytes:
    """Features (as the model saw them) and outputs of one group as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # column by column: a frame's own conversion looks at every cell once more to guess its type
    columns = {str(name): features[name] for name in features} | {f"out:{name}": outputs[name] for name in outputs}
    arrays = {
        name: pa.array(column.to_numpy(), pa.string() if column.dtype.kind not in "fiub" else None, from_pandas=True)
        for name, column in columns.items()
    }
    table = pa.table(arrays)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=1, write_statistics=False)
    return sink.getvalue()


def decode(payload: bytes) -> pd.DataFrame:
    """The inverse of :func:`encode`; output columns keep their prefix ``out:``."""
    import pyarrow.parquet as pq

    frame = pq.read_table(io.BytesIO(payload)).to_pandas()
    texts = frame.columns[[d.kind not in "fiub" for d in frame.dtypes]]
    return frame.astype(dict.fromkeys(texts, object))


def append(
    home: Home, *, uid: str, project: str, version: str, request_id: str, now: datetime, caller: str, source: str,
    latency_ms: float | None, payload: bytes, labels: list[str], problem_flags: list[bool],
) -> None:
    """Write one group durably (one transaction, synchronous=FULL)."""
    rows: Counter[str] = Counter(labels)
    problems = Counter(label for label, flag in zip(labels, problem_flags, strict=True) if flag)
    with writing(home.predictions_db) as db:
        store.insert_group(
            db,
            {
                "uid": uid, "project": project, "version": version, "request_id": request_id, "at": stamp(now),
                "rows": len(labels), "problem_rows": sum(problem_flags), "caller": caller, "source": source,
                "latency_ms": latency_ms, "payload": payload,
            },
            {label: (n, problems.get(label, 0)) for label, n in rows.items()},
        )


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
    """One group: prediction_id, features, ``out:`` columns.

    Raises
    ------
    NotFound
        No such group in this project.
    """
    group = store.find_group(reading(home.predictions_db), uid)
    if group is None or group["project"] != project:
        raise NotFound(f"There is no group of predictions {uid[:40]!r} in project {project}.")
    frame = decode(group["payload"])
    frame.insert(0, "prediction_id", prediction_ids(uid, group["rows"]))
    return frame


def iterate(
    home: Home, project: str, *, since: datetime | None = None, until: datetime | None = None, version: str | None = None
) -> Iterator[pd.DataFrame]:
    """Logged rows, one frame a group, oldest first: prediction_id, at, version, request_id, caller, features, ``out:`` columns."""
    for group in store.iterate_groups(
        reading(home.predictions_db), project, since=stamp(since) if since else "", until=stamp(until) if until else "9999",
        version=version,
    ):
        frame = decode(group["payload"])
        frame.insert(0, "prediction_id", prediction_ids(group["uid"], group["rows"]))
        for column in ("at", "version", "request_id", "caller"):
            if column not in frame:  # a feature may be called so, and then it is the feature that is meant
                frame[column] = group[column]
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
        No such prediction in this project.
    """
    uid, _, place = prediction_id.rpartition("-")
    group = store.find_group(reading(home.predictions_db), uid) if uid and place.isascii() and place.isdigit() else None
    if group is None or group["project"] != project or not 1 <= int(place) <= group["rows"]:
        raise NotFound(f"There is no prediction {prediction_id[:80]!r} in project {project}.")
    row = {str(k): v for k, v in decode(group["payload"]).iloc[int(place) - 1].to_dict().items()}
    return {"prediction_id": prediction_id, "version": group["version"], "at": group["at"], **row}


def export_jsonl(home: Home, project: str, path: Path) -> int:
    """Write predictions_monitoring.jsonl: one line a prediction, all features and outputs; returns the number of lines."""
    import pandas as pd

    lines = 0
    fresh = path.with_name(path.name + ".part")
    with fresh.open("w", encoding="utf-8") as file:
        for group in store.iterate_groups(reading(home.predictions_db), project):
            frame = decode(group["payload"])
            for prediction_id, row in zip(prediction_ids(group["uid"], group["rows"]), frame.to_dict("records"), strict=True):
                known = {str(k): None if pd.isna(v) else v for k, v in row.items()}
                features = {k: v for k, v in known.items() if not k.startswith("out:")}
                outputs = {k.removeprefix("out:"): v for k, v in known.items() if k.startswith("out:")}
                line = {
                    "timestamp": group["at"], "request_id": group["request_id"], "prediction_id": prediction_id,
                    "project": project, "version": group["version"], "features": features, "level": outputs.pop("prediction", None),
                    "score": outputs.pop("score", None), "confidence": outputs.pop("confidence", None),
                    "problems": outputs.pop("problems", ""),
                    "probabilities": {k.removeprefix(_PROBABILITY): v for k, v in outputs.items()},
                    "latency_ms": group["latency_ms"], "caller": group["caller"],
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                lines += 1
    fresh.replace(path)
    return lines
