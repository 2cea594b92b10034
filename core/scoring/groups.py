"""What the log keeps of rows that were answered together, made without touching the disk."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any

from core.home import Home
from core.projects.definition import Definition
from core.scoring import payload as payloads
from core.scoring import profiles
from core.scoring.payload import OUT

if TYPE_CHECKING:
    import pandas as pd

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
        if definition.key:
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
    keys: list[str | None] | None = None, queries: list[str | None] | None = None,
) -> Group:
    """A group of a few rows (JSON), without a frame on the way: tens of microseconds a row.

    Parameters
    ----------
    rows : list of dict
        Prepared features: float or text, None (or NaN) missing.
    outputs : list of dict
        prediction, score, confidence, problems (text), ``probability:<class>``.
    queries : sequence of str or None, optional
        Ranking: the query that each row belongs to; with it, labels that come back can be judged by query.
    """
    recipe = _recipe(home, scorer)
    if keys is not None:
        keys = [None if k is None else payloads.clean(str(k)) for k in keys]
    given = {recipe.key: keys, recipe.group: queries}
    beside = {name: texts for name, texts in given.items() if texts is not None and name in recipe.beside}
    table = [
        [*map(row.get, recipe.features), *texts, *map(out.get, recipe.outputs)]
        for row, out, texts in zip(rows, outputs, zip(*beside.values(), strict=True) if beside else [()] * len(rows), strict=True)
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
    payload = payloads.write_json(recipe.heads[tuple(beside)], table)
    return Group(
        uid, scorer.project, scorer.version, request_id, at, caller, source, latency_ms, stages or {}, len(rows), payload,
        labels, profile, keys,
    )


@dataclass(frozen=True)
class _Recipe:
    """What is the same for all small groups of a version."""

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    key: str
    group: str
    beside: tuple[str, ...]  # key and group, where they are named and are no features
    heads: dict[tuple[str, ...], str]  # by the columns beside the features
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
    beside = tuple(dict.fromkeys(n for n in (definition.key, definition.group) if n and n not in features))
    heads = {
        names: payloads.json_head([*features, *names, *named], [*numbers, *(False for _ in names), *out_numbers])
        for size in range(len(beside) + 1) for names in combinations(beside, size)
    }  # fmt: skip
    recipe = _Recipe(
        features, outputs, definition.key, definition.group, beside, heads,
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
