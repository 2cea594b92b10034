"""The prediction log: every prediction with all its features, before its answer is shown.

Rows are kept in groups, one payload a group (measured: 200,000 rows cost 0.3 s as Parquet, 3.8 s as JSON rows; a single
row costs 20 times less as JSON). A prediction's id is its group's id and its place in it, so the narrow index of ids is
the group key.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import NotFound
from core.home import Home
from core.projects.definition import Definition
from core.scoring import payload as payloads
from core.scoring import profiles
from core.scoring.payload import OUT
from core.times import stamp
from storage import predictions as store
from storage.connection import reading, writing

if TYPE_CHECKING:
    import pandas as pd
    from sqlite_utils import Database

    from core.scoring.scorer import Scorer

OUTPUTS = ("prediction", "score", "confidence", "problems")
PROBABILITY = "probability:"
UNSURE = (0.4, 0.6)  # a probability in this range, both ends included, is next to a guess


def new_uid() -> str:
    """Id of a group: 96 random bits, so that ids of other people's predictions cannot be guessed."""
    return secrets.token_hex(12)


def prediction_ids(uid: str, rows: int) -> list[str]:
    return [f"{uid}-{n}" for n in range(1, rows + 1)]


@dataclass(frozen=True)
class Group:
    """Rows that were answered together, with everything that the log keeps of them.

    Attributes
    ----------
    stages : dict
        Milliseconds of validation, preprocessing and inference.
    payload : bytes
        Features as the model saw them and outputs (their names begin with ``out:``); see :mod:`core.scoring.payload`.
    labels : dict
        Predicted label ("" where the model predicts numbers) -> rows, rows with problems, unsure rows. A row is unsure when a
        probability lies in 0.4..0.6: of the positive class (binary) or of the predicted class (multiclass).
    profile : Counts or None
        None where the version has no bins.
    keys : list or None
        The business key of each row, where the definition names a key column.
    """

    uid: str
    project: str
    version: str
    request_id: str
    at: datetime
    caller: str
    source: str
    latency_ms: float | None
    stages: dict[str, float]
    rows: int
    payload: bytes
    labels: dict[str, tuple[int, int, int]]
    profile: profiles.Counts | None = None
    keys: list[str | None] | None = None


def make_group(
    home: Home, scorer: Scorer, features: pd.DataFrame, outputs: pd.DataFrame, *, uid: str, request_id: str, at: datetime,
    caller: str, source: str, latency_ms: float | None, stages: dict[str, float] | None = None, keys: Any = None,
) -> Group:
    """A group of many rows (Parquet).

    Parameters
    ----------
    outputs : DataFrame
        prediction, score, confidence, problems, ``probability:<class>``; in the order of ``features``.
    keys : sequence of str or None, optional
        Business key of each row; kept as a column of the payload too.
    """
    import numpy as np

    definition = scorer.definition
    columns: dict[str, Any] = {str(name): features[name] for name in features}
    if keys is not None:
        keys = [None if k is None else payloads.clean(str(k)) for k in keys]
        columns.setdefault(definition.key, np.asarray(keys, dtype=object))
    columns |= {f"{OUT}{name}": outputs[name] for name in outputs if name != "prediction_id"}
    table = payloads.make_table(columns)
    counter = profiles.counter_of(home, scorer.version_id, scorer.sha256)
    return Group(
        uid, scorer.project, scorer.version, request_id, at, caller, source, latency_ms, stages or {}, len(features),
        payloads.write_parquet(table), _label_counts(definition, outputs),
        counter.count_table(table) if counter else None, keys,
    )


def make_small_group(
    home: Home, scorer: Scorer, rows: list[dict[str, Any]], outputs: list[dict[str, Any]], *, uid: str, request_id: str,
    at: datetime, caller: str, source: str, latency_ms: float | None, stages: dict[str, float] | None = None,
    keys: list[str | None] | None = None,
) -> Group:
    """A group of a few rows (JSON), without a frame on the way: tens of microseconds a row.

    Parameters
    ----------
    rows : list of dict
        Prepared features: float or text, None (or NaN) missing.
    outputs : list of dict
        prediction, score, confidence, problems (text), ``probability:<class>``.
    """
    recipe = _recipe(home, scorer)
    if keys is not None:
        keys = [None if k is None else payloads.clean(str(k)) for k in keys]
    with_key = keys is not None and not recipe.key_is_feature
    table = [
        [*map(row.get, recipe.features), *([key] if with_key else ()), *map(out.get, recipe.outputs)]
        for row, out, key in zip(rows, outputs, keys or [None] * len(rows), strict=True)
    ]
    profile = None
    if recipe.counter is not None:
        features = [[row.get(name) for row in rows] for name in recipe.counted]
        if recipe.counter.bins.prediction is not None:
            features.append([out["prediction"] for out in outputs])
        profile = recipe.counter.count_rows(features)
    labels: dict[str, tuple[int, int, int]] = {}
    for out in outputs:
        label = str(out["prediction"]) if recipe.is_classifier else ""
        n, problems, unsure = labels.get(label, (0, 0, 0))
        doubt = out.get(recipe.doubt) if recipe.doubt else None
        labels[label] = (n + 1, problems + bool(out["problems"]), unsure + (doubt is not None and UNSURE[0] <= doubt <= UNSURE[1]))
    payload = payloads.write_json(recipe.head_with_key if with_key else recipe.head, table)
    return Group(
        uid, scorer.project, scorer.version, request_id, at, caller, source, latency_ms, stages or {}, len(rows), payload,
        labels, profile, keys,
    )


@dataclass(frozen=True)
class _Recipe:
    """What is the same for all small groups of a version."""

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    head: str
    head_with_key: str
    key_is_feature: bool
    is_classifier: bool
    doubt: str  # the output that says how sure a row is
    counter: profiles.Counter | None
    counted: tuple[str, ...]


_recipes: dict[tuple[str, int, str], _Recipe] = {}


def _recipe(home: Home, scorer: Scorer) -> _Recipe:
    key = (str(home.root), scorer.version_id, scorer.sha256)
    found = _recipes.get(key)
    if found is not None:
        return found
    definition = scorer.definition
    features = tuple(c.name for c in definition.features)
    outputs = (*OUTPUTS, *(f"{PROBABILITY}{name}" for name in (definition.classes if definition.is_classifier else ())))
    numbers = [c.kind == "number" for c in definition.features]
    out_numbers = [name != "problems" and (name != "prediction" or not definition.is_classifier) for name in outputs]
    named = [f"{OUT}{name}" for name in outputs]
    counter = profiles.counter_of(home, scorer.version_id, scorer.sha256)
    recipe = _Recipe(
        features, outputs, payloads.json_head([*features, *named], numbers + out_numbers),
        payloads.json_head([*features, definition.key, *named], [*numbers, False, *out_numbers]), definition.key in features,
        definition.is_classifier, _doubt(definition), counter,
        tuple(c.name for c in counter.bins.columns) if counter else (),
    )
    if len(_recipes) >= 64:
        _recipes.clear()
    _recipes[key] = recipe
    return recipe


def _doubt(definition: Definition) -> str:
    if definition.task == "binary":
        return f"{PROBABILITY}{definition.classes[1]}"
    return "confidence" if definition.is_classifier else ""


def _label_counts(definition: Definition, outputs: pd.DataFrame) -> dict[str, tuple[int, int, int]]:
    import numpy as np
    import pandas as pd

    troubled = (outputs["problems"] != "").to_numpy(bool)
    doubt = _doubt(definition)
    unsure = outputs[doubt].between(*UNSURE).to_numpy(bool) if doubt in outputs else np.zeros(len(outputs), dtype=bool)
    if not definition.is_classifier:
        return {"": (len(outputs), int(troubled.sum()), int(unsure.sum()))}
    codes, found = pd.factorize(outputs["prediction"])
    k = len(found)
    counts = [np.bincount(codes[mask], minlength=k).tolist() for mask in (slice(None), troubled, unsure)]
    return {str(label): (counts[0][place], counts[1][place], counts[2][place]) for place, label in enumerate(found)}


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
    """One group: prediction_id, features, ``out:`` columns.

    Raises
    ------
    NotFound
        No such group in this project.
    """
    group = store.find_group(reading(home.predictions_db), uid)
    if group is None or group["project"] != project:
        raise NotFound(f"There is no group of predictions {uid[:40]!r} in project {project}.")
    frame = payloads.to_frame(payloads.read_payload(group["payload"]))
    frame.insert(0, "prediction_id", prediction_ids(uid, group["rows"]))
    return frame


def find_group(home: Home, project: str, uid: str) -> tuple[dict[str, Any], pd.DataFrame] | None:
    """One group's facts (uid, version, at, rows, ...) and its rows (features, ``out:`` columns), or None."""
    group = store.find_group(reading(home.predictions_db), uid)
    if group is None or group["project"] != project:
        return None
    return group, payloads.to_frame(payloads.read_payload(group["payload"]))


def find_by_key(home: Home, project: str, key: str) -> list[str]:
    """Ids of the predictions of a business key, newest first."""
    return store.find_by_key(reading(home.predictions_db), project, key)


def iterate(
    home: Home, project: str, *, since: datetime | None = None, until: datetime | None = None, version: str | None = None
) -> Iterator[pd.DataFrame]:
    """Logged rows, one frame a group, oldest first: prediction_id, at, version, request_id, caller, features, ``out:`` columns."""
    for group in store.iterate_groups(
        reading(home.predictions_db), project, since=stamp(since) if since else "", until=stamp(until) if until else "9999",
        version=version,
    ):
        frame = payloads.to_frame(payloads.read_payload(group["payload"]))
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
    row = {str(k): v for k, v in payloads.to_frame(payloads.read_payload(group["payload"])).iloc[int(place) - 1].to_dict().items()}
    return {"prediction_id": prediction_id, "version": group["version"], "at": group["at"], **row}


def export_jsonl(home: Home, project: str, path: Path) -> int:
    """Write predictions_monitoring.jsonl: one line a prediction, all features and outputs; returns the number of lines."""
    import pandas as pd

    lines = 0
    fresh = path.with_name(path.name + ".part")
    with fresh.open("w", encoding="utf-8") as file:
        for group in store.iterate_groups(reading(home.predictions_db), project):
            frame = payloads.to_frame(payloads.read_payload(group["payload"]))
            for prediction_id, row in zip(prediction_ids(group["uid"], group["rows"]), frame.to_dict("records"), strict=True):
                known = {str(k): None if pd.isna(v) else v for k, v in row.items()}
                features = {k: v for k, v in known.items() if not k.startswith("out:")}
                outputs = {k.removeprefix("out:"): v for k, v in known.items() if k.startswith("out:")}
                line = {
                    "timestamp": group["at"], "request_id": group["request_id"], "prediction_id": prediction_id,
                    "project": project, "version": group["version"], "features": features, "level": outputs.pop("prediction", None),
                    "score": outputs.pop("score", None), "confidence": outputs.pop("confidence", None),
                    "problems": outputs.pop("problems", ""),
                    "probabilities": {k.removeprefix(PROBABILITY): v for k, v in outputs.items()},
                    "latency_ms": group["latency_ms"], "caller": group["caller"],
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                lines += 1
    fresh.replace(path)
    return lines
