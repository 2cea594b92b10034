"""Labels that came back: what the predictions should have been, by prediction id or by the project's business key.

A business key means the newest prediction of that case: what turned out to be true is true of the case as it was last
asked about, and a case that was scored ten times must not count ten times.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from core import acts, orders
from core.acts import Actor, Done, Tx
from core.errors import BadInput, Refused
from core.home import Home
from core.orders import Order
from core.projects.definition import Column, Definition
from core.projects.projects import get_definition
from core.scoring.answers import LoggedAnswer, find_answers
from core.times import stamp, utc_now
from storage import labels as store
from storage.connection import reading, writing

AT_ONCE = 2_000  # labels that are one transaction; more are fed in parts
MOST_AT_ONCE = 20_000
PART_SECONDS = 0.1  # what a part shall take: predictions wait for it
PAUSE_SECONDS = 0.05
BEAT_SECONDS = 10.0
ABANDONED_SECONDS = 120.0  # after so long without a beat nobody works on it any more
NAMED = 20  # rows that were not kept and are named; the others are counted
COUNTS = ("new", "corrected", "same", "unknown", "unreadable", "empty")


@dataclass(frozen=True)
class _Row:
    """One label as it came: ``number`` from 1, an id or a business key, and the raw value."""

    number: int
    prediction_id: str
    key: str
    value: Any


def feed_labels(
    home: Home, actor: Actor, project: str, content: bytes, *, file_name: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Keep ground truth from a table with the columns prediction_id and label (or the project's key column and its target).

    Returns
    -------
    dict
        As :func:`feed_label_rows`.

    Raises
    ------
    BadInput
        The columns are not there, or the file cannot be read.
    """
    from core.datasets.read import read_table

    definition = get_definition(home, project)
    frame = read_table(content, file_name=file_name).frame
    who, by_key, what = _find_columns(definition, list(frame.columns))
    names, values = frame[who].astype(object).to_list(), frame[what].astype(object).to_list()
    rows = [
        _Row(n, "" if by_key else _text(name), _text(name) if by_key else "", value)
        for n, (name, value) in enumerate(zip(names, values, strict=True), 1)
    ]
    return _feed(home, actor, definition, rows, source=file_name, key=key, now=now)


def feed_label_rows(
    home: Home, actor: Actor, project: str, rows: list[dict[str, Any]], *, source: str, key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Keep ground truth: each row names a prediction (``prediction_id``, or the project's key column) and its label.

    The label stands under ``label`` or under the target's own name; it may be the target's value or the class that the
    model would name. It may come late and may be corrected: another value for the same prediction supersedes the one
    before, which stays as history with its time and author. The last row for a prediction wins.

    Parameters
    ----------
    source : str
        Where they come from, for the history: "api", "form", a file's name.
    key : str, optional
        Request key: the same again returns the first result.

    Returns
    -------
    dict
        Counts: new, corrected, same, unknown (ids or keys that no prediction has), unreadable (values that are no label),
        empty (no value yet); and problems: up to 20 of {"row" (from 1), "value", "problem"}.

    Raises
    ------
    BadInput
        There is no row, or a row lacks its id or its label.
    Refused
        The account may not feed labels, or a second click came while a large table was being fed.

    Notes
    -----
    More than 2,000 labels are fed in parts: the act is audited when it begins and as ``labels_fed`` when it ends. If the process
    is killed in between, the clock says how many were kept (see :func:`note_interrupted`); feeding the table again keeps the rest.
    """
    definition = get_definition(home, project)
    return _feed(home, actor, definition, _read_rows(definition, rows), source=source, key=key, now=now)


def find_history(home: Home, project: str, prediction_id: str) -> list[dict[str, Any]]:
    """Every label that a prediction ever had, oldest first: label, labelled_at, by, source, superseded."""
    return store.list_history(reading(home.predictions_db), project, prediction_id)


def _read_rows(definition: Definition, rows: list[dict[str, Any]]) -> list[_Row]:
    if not rows:
        raise BadInput("There is no label in the request; send at least one row with a prediction_id and a label.")
    found = []
    for number, row in enumerate(rows, 1):
        prediction_id, key = row.get("prediction_id"), row.get(definition.key) if definition.key else None
        if prediction_id is None and key is None:
            wanted = f"prediction_id or {definition.key}" if definition.key else "prediction_id"
            raise BadInput(f"Row {number} does not say which prediction it is about; add its {wanted}.")
        if "label" not in row and definition.target not in row:
            raise BadInput(f"Row {number} has no label; add it under label or {definition.target}.")
        value = row["label"] if "label" in row else row[definition.target]
        if definition.target in row and _text(row[definition.target]) != _text(value):
            raise BadInput(f"Row {number} has two labels, under label and under {definition.target}, and they differ; send one.")
        found.append(_Row(number, _text(prediction_id), "" if prediction_id is not None else _text(key), value))
    return found


def _find_columns(definition: Definition, columns: list[Any]) -> tuple[Any, bool, Any]:
    """(column that names the prediction, whether it is the business key, column of the label)."""
    names = {str(c).strip().lower(): c for c in columns}
    what = names.get("label", names.get(definition.target.lower()))
    who = names.get("prediction_id")
    if who is not None and what is not None:
        return who, False, what
    if definition.key and definition.key.lower() in names and what is not None:
        return names[definition.key.lower()], True, what
    by_key = f", or {definition.key} and {definition.target}" if definition.key else ""
    raise BadInput(f"Labels need the columns prediction_id and label{by_key}; this table has {', '.join(map(str, columns[:12]))}.")


def _feed(
    home: Home, actor: Actor, definition: Definition, rows: list[_Row], *, source: str, key: str | None, now: datetime | None
) -> dict[str, Any]:
    now = now or utc_now()
    project, source = definition.name, source[:200]
    labels = _read_labels([r.value for r in rows], definition)
    by_key = store.find_predictions_of_keys(reading(home.predictions_db), project, sorted({r.key for r in rows if r.key}))
    ids = [r.prediction_id or by_key.get(r.key, "") for r in rows]
    answers = find_answers(home, definition, sorted({i for i, label in zip(ids, labels, strict=True) if label is not None and i}))
    counts = dict.fromkeys(COUNTS, 0)
    problems: list[dict[str, Any]] = []
    good: list[tuple[str, str]] = []
    for row, prediction_id, label in zip(rows, ids, labels, strict=True):
        if label is None and _is_empty(row.value):
            counts["empty"] += 1
        elif label is None:
            counts["unreadable"] += 1
            _name(problems, row, row.value, f"is no value of {definition.target}")
        elif prediction_id not in answers:
            counts["unknown"] += 1
            _name(problems, row, row.prediction_id or row.key, "belongs to no logged prediction")
        else:
            good.append((prediction_id, label))

    def keep(part: list[tuple[str, str]], at: str) -> None:
        _keep(home, definition, part, answers, counts, at=at, by=actor.name, source=source)

    def work(tx: Tx) -> Done:
        # the log is a database of its own: it is written inside the act, so that a refusal writes nothing
        keep(good, tx.at)
        return Done({**counts, "problems": problems}, after=dict(counts), subject=f"{len(good)} labels")

    if len(good) > AT_ONCE:
        return _feed_in_parts(home, actor, project, good, keep, lambda: {**counts, "problems": problems}, source=source, key=key, now=now)
    return acts.perform(home, actor, "feed_labels", work, project=project, key=key, now=now)


def _feed_in_parts(
    home: Home, actor: Actor, project: str, good: list[tuple[str, str]], keep: Callable[[list[tuple[str, str]], str], None],
    tell: Callable[[], dict[str, Any]], *, source: str, key: str | None, now: datetime,
) -> dict[str, Any]:  # fmt: skip
    """A large table: the act is the order, the labels follow in short transactions, and its end is audited as ``labels_fed``.

    Predictions wait for a transaction of labels before they are logged, and so before they are answered.
    """
    placed: list[Order] = []

    def work(tx: Tx) -> Done:
        subject = f"{len(good)} labels"
        placed.append(orders.place(tx, "feed_labels", project, subject, key=key, facts={"labels": len(good), "source": source}))
        return Done({"order": placed[0].id}, after={"labels": len(good), "begun": True}, subject=subject)

    done = acts.perform(home, actor, "feed_labels", work, project=project, key=key, now=now)
    if not placed:  # a second click
        if "order" in done:
            raise Refused("These labels are being fed already; wait until that has ended.")
        return done
    (order,) = placed
    began = told = time.perf_counter()
    kept, size = 0, AT_ONCE
    try:
        while kept < len(good):
            start = time.perf_counter()
            part = good[kept : kept + size]
            keep(part, order.at)
            kept += len(part)
            took = time.perf_counter() - start
            size = max(AT_ONCE // 4, min(MOST_AT_ONCE, 2 * size, int(size * PART_SECONDS / took)))
            if start - told > BEAT_SECONDS:
                told = start
                orders.beat(home, order, now=now + timedelta(seconds=start - began))
            # who waits for the log asks again every 25 to 50 ms: without a pause the next part would always be first
            time.sleep(PAUSE_SECONDS)
    finally:
        at = now + timedelta(seconds=time.perf_counter() - began)
        error = "" if kept == len(good) else _say_partial(kept, len(good))
        ended = orders.end(
            home, order, "labels_fed", now=at, result=None if error else tell(), after={k: tell()[k] for k in COUNTS}, error=error
        )
    if not ended:
        raise Refused("Feeding these labels took so long that it was noted as interrupted; feed the table again.")
    return tell()


def note_interrupted(home: Home, *, now: datetime) -> int:
    """Say of tables whose feeding nobody works on any more how far it came; returns how many there were."""
    before = stamp(now - timedelta(seconds=ABANDONED_SECONDS))
    noted = 0
    for order in orders.list_orders(home, "feed_labels"):
        if order.beat >= before:
            continue
        kept = store.count_fed(reading(home.predictions_db), order.project, at=order.at, by=order.actor)
        error = f"It was interrupted. {_say_partial(kept, order.facts['labels'])}"
        noted += orders.end(home, order, "labels_fed", now=now, result=None, after={"kept": kept}, error=error, before_age=before)
    return noted


def _say_partial(kept: int, labels: int) -> str:
    return f"{kept:,} of {labels:,} labels were kept; feed the same table again: what is kept is not changed by that."


def _keep(
    home: Home, definition: Definition, good: list[tuple[str, str]], answers: dict[str, LoggedAnswer], counts: dict[str, int], *,
    at: str, by: str, source: str,
) -> None:  # fmt: skip
    """Write labels in one transaction of the log, and count what they were."""
    with writing(home.predictions_db) as db:
        there = store.find_places(db, definition.name, sorted({i.rpartition("-")[0] for i, _ in good}))
        left = [(i, label) for i, label in good if _is_there(i, there)]  # the others were erased since they were looked up
        counts["unknown"] += len(good) - len(left)
        current = store.find_current(db, definition.name, sorted({i for i, _ in left}))
        fresh, replaced = _settle(left, {i: label for i, (_, label) in current.items()}, counts)
        store.supersede(db, [current[i][0] for i in replaced if i in current])
        store.insert_labels(
            db,
            [
                _stored(definition, answers[i], prediction_id=i, label=label, superseded=old, at=at, by=by, source=source)
                for i, label, old in fresh
            ],
        )


def _is_there(prediction_id: str, places: dict[str, frozenset[int]]) -> bool:
    uid, _, place = prediction_id.rpartition("-")
    return uid in places and int(place) not in places[uid]


def _settle(
    good: list[tuple[str, str]], current: dict[str, str], counts: dict[str, int]
) -> tuple[list[tuple[str, str, bool]], set[str]]:
    """What to add (id, label, superseded by a later row of the same table) and whose stored label is replaced; counts along."""
    held = dict(current)
    fresh: list[tuple[str, str]] = []
    replaced: set[str] = set()
    last: dict[str, int] = {}
    for prediction_id, label in good:
        before = held.get(prediction_id)
        if before == label:
            counts["same"] += 1
            continue
        counts["new" if before is None else "corrected"] += 1
        if prediction_id in current:
            replaced.add(prediction_id)
        held[prediction_id] = label
        last[prediction_id] = len(fresh)
        fresh.append((prediction_id, label))
    return [(i, label, last[i] != place) for place, (i, label) in enumerate(fresh)], replaced


def _stored(
    definition: Definition, answer: LoggedAnswer, *, prediction_id: str, label: str, superseded: bool, at: str, by: str, source: str
) -> dict[str, Any]:
    probabilities = struct.pack(f"<{len(answer.probabilities)}f", *answer.probabilities) if answer.probabilities else None
    return {
        "project": definition.name, "prediction_id": prediction_id, "label": label, "predicted": answer.predicted,
        "score": answer.score, "version": answer.version, "predicted_at": answer.at, "labelled_at": at, "by": by,
        "source": source, "superseded": int(superseded), "probabilities": probabilities, "query": answer.query,
        "counted": int(definition.is_classifier),
    }  # fmt: skip


def _read_labels(values: list[Any], definition: Definition) -> list[str | None]:
    """Labels as the model names its classes (or numbers as text); None where a value is none.

    A binary label may be the target's own value ("yes", 3 where positive is >0) or the class 0 / 1 that was predicted.
    """
    import pandas as pd

    from core.datasets.prepare import prepare

    if definition.task == "binary":
        values = [int(v) if isinstance(v, bool) and definition.positive.lower() != "false" else v for v in values]
        if {_text(v) for v in values if not _is_empty(v)} <= {"0", "1", "0.0", "1.0"}:
            return [None if _is_empty(v) else _text(v)[:1] for v in values]
    # one nameless feature: reading the target needs none, and empty cells of many columns would cost more than the labels
    bare = replace(definition, columns=(Column("_"),), known_cases=(), key="")
    table = pd.DataFrame({"_": [None] * len(values), definition.target: pd.Series(values, dtype=object)}, dtype=object)
    if definition.group:
        table[definition.group] = "1"
    target = prepare(table, bare, purpose="scoring").target
    if target is None:
        return [None] * len(values)
    if definition.is_classifier:
        return [t if t in definition.classes else None for t in target]
    return [repr(float(t)) if abs(t) < float("inf") else None for t in target]  # NaN is not below infinity either


def _name(problems: list[dict[str, Any]], row: _Row, value: Any, problem: str) -> None:
    if len(problems) < NAMED:
        shown = _text(value)[:80]
        problems.append({"row": row.number, "value": shown, "problem": f"{shown!r} {problem}."})


def _is_empty(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())  # NaN differs from itself


def _text(value: Any) -> str:
    """A cell as text; a whole number read from a workbook loses its ``.0``, as in the log."""
    if _is_empty(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def labels_by_prediction(
    home: Home, project: str, *, since: datetime | None = None, until: datetime | None = None
) -> dict[str, str]:
    """prediction_id -> current label, for predictions of a period."""
    rows = store.read_answers(
        reading(home.predictions_db), project, ("prediction_id", "label"), since=stamp(since) if since else "",
        until=stamp(until) if until else "9999",
    )
    return dict(rows)


def count_labels_since(home: Home, project: str, since: str) -> int:
    """Labels that arrived after a stored time."""
    return store.count_labels_since(reading(home.predictions_db), project, since)
