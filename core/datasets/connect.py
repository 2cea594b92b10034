"""Joining a project to a database: what is looked for there, what was found, and the rows as they are read.

Two shapes. "hr": the tables of an HR system, from which `core.datasets.hr_export` builds one row per job role x skill.
"table": one table or view whose rows are the project's rows, its columns mapped to the definition's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from core.acts import Actor
from core.adapters import databases
from core.adapters.databases import Snapshot
from core.datasets import hr_mapping
from core.datasets.hr_mapping import RECORDS
from core.datasets.versions import PROVENANCES
from core.errors import BadInput, Refused
from core.home import Home
from core.projects import joins
from core.projects.definition import Definition
from core.projects.projects import get_definition

SHOWN_ROWS = 5
_FIELDS = {"connection", "shape", "tables", "table", "columns", "as_of", "labels", "provenance", "write"}


@dataclass(frozen=True)
class Part:
    """One record (or the one table) as it was found.

    Attributes
    ----------
    rows : int or None
        None where it was not found.
    absent : tuple of str
        Columns that it lacks, by their names in the database.
    sentence : str
        What that means and how to cure it; empty where all is there.
    sample : list of dict
        The first rows; none of records about people.
    """

    name: str
    table: str
    rows: int | None
    absent: tuple[str, ...]
    needed: bool
    sentence: str
    sample: list[dict[str, Any]] = field(default_factory=list)
    about_people: bool = False

    @property
    def usable(self) -> bool:
        return self.rows is not None and not self.absent


@dataclass(frozen=True)
class Preview:
    """What a mapping finds in its database now; ``problem`` says why it cannot be used, if it cannot."""

    connection: str
    shape: str
    parts: tuple[Part, ...]
    problem: str
    sentence: str


def fits_hr(definition: Definition) -> bool:
    """Whether the export of an HR database has every column that the project needs."""
    needed = {definition.target, *(c.name for c in definition.features)}
    return needed <= set(hr_mapping.COLUMNS)


def check_mapping(value: Any, definition: Definition) -> dict[str, Any]:
    """A mapping as it is kept: every field there, only names, never an address.

    Raises
    ------
    BadInput
        Naming the first thing that cannot be used.
    NotFound
        The environment names no such database.
    """
    if not isinstance(value, Mapping) or not value.get("connection"):
        raise BadInput("A mapping names at least its connection, such as connection: hr.")
    unknown = sorted(str(k) for k in set(value) - _FIELDS)
    if unknown:
        raise BadInput(f"A mapping has no field {unknown[0][:40]!r}; its fields are {', '.join(sorted(_FIELDS))}.")
    shape = value.get("shape") or ("table" if value.get("table") else "hr")
    if shape not in ("hr", "table"):
        raise BadInput(f"The shape is hr or table, not {str(shape)[:40]!r}.")
    kept: dict[str, Any] = {
        "connection": databases.get_address(str(value["connection"])).name, "shape": shape,
        "provenance": value.get("provenance") or "recorded", "write": _check_write(value.get("write")),
    }  # fmt: skip
    if kept["provenance"] not in PROVENANCES:
        raise BadInput(f"Provenance {str(kept['provenance'])[:40]!r} is unknown; choose one of {', '.join(PROVENANCES)}.")
    if shape == "hr":
        if not fits_hr(definition):
            raise BadInput(f"Project {definition.name} has columns that an HR database does not give; name one table or view instead.")
        labels = value.get("labels") or "judgements"
        if labels not in hr_mapping.LABELS:
            raise BadInput(f"Labels come from {' or '.join(hr_mapping.LABELS)}, not from {str(labels)[:40]!r}.")
        kept |= {"tables": hr_mapping.check_tables(value.get("tables") or {}), "labels": labels, "as_of": _check_day(value.get("as_of"))}
    else:
        kept |= {"table": hr_mapping.check_text(value.get("table"), "the table"), "columns": _check_columns(value.get("columns") or {}, definition)}
    written = kept["write"]["table"] if kept["write"] else None
    read = [kept["table"]] if shape == "table" else [hr_mapping.names_of(r, kept["tables"])[0] for r in RECORDS.values()]
    if written in read:
        raise BadInput(f"Predictions are never written into {written}, which is read; name a table of their own.")
    return kept


def connect(
    home: Home, actor: Actor, project: str, value: Any, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Join a project to a database; None takes the join away, for a reason. What cannot be read now is refused.

    Parameters
    ----------
    value : mapping
        connection; for an HR database: tables, as_of, labels; for one table: table, columns; provenance; write. See docs/hr_database.md.
    """
    definition = get_definition(home, project)

    def check(given: Any) -> dict[str, Any]:
        kept = check_mapping(given, definition)
        found = preview(kept, definition)
        if found.problem:
            raise Refused(found.problem)
        return kept

    return joins.set_join(home, actor, project, "database", value, check=check, reason=reason, key=key, now=now)


def find_mapping(home: Home, project: str) -> dict[str, Any] | None:
    """The mapping that is in force, if the project is joined to a database."""
    join = joins.find_join(home, project, "database")
    return None if join is None else join.value


def preview(mapping: Mapping[str, Any], definition: Definition) -> Preview:
    """Look into the database: which tables and columns are there, how many rows, and what is lost without the others.

    Raises
    ------
    GreenlightError
        The database cannot be reached, or SQLAlchemy is not installed.
    """
    with databases.open_snapshot(databases.get_address(mapping["connection"])) as snapshot:
        if mapping["shape"] == "hr":
            return _preview_hr(snapshot, mapping)
        return _preview_table(snapshot, mapping, definition)


def list_tables(connection: str) -> tuple[str, ...]:
    """Tables and views of a database, for a person to choose from."""
    with databases.open_snapshot(databases.get_address(connection)) as snapshot:
        return snapshot.list_tables()


def read_hr(mapping: Mapping[str, Any]) -> tuple[dict[str, list[dict[str, Any]]], dict[str, int]]:
    """(table -> rows for `hr_export.build_dataset`, record -> rows read), all as of one moment.

    Raises
    ------
    Refused
        There is no job role or no skill to be read.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    with databases.open_snapshot(databases.get_address(mapping["connection"])) as snapshot:
        for record in hr_mapping.wanted_records(mapping["labels"]):
            part = _look(snapshot, record, mapping["tables"], sample=False)
            if not part.usable:
                if record.needed:
                    raise Refused(part.sentence)
                continue
            table, columns = hr_mapping.names_of(record, mapping["tables"])
            there = {c: real for c, real in columns.items() if real in snapshot.list_columns(table)}
            found = snapshot.read_rows(table, there, order=tuple(there[c] for c in record.columns[:2] if c in there))
            lacking = [c for c in record.columns if c not in there]
            rows[record.name] = [{**dict.fromkeys(lacking), **row} for row in found] if lacking else found
    return hr_mapping.to_source(rows), {name: len(found) for name, found in rows.items()}


def read_table_rows(mapping: Mapping[str, Any], definition: Definition) -> tuple[list[tuple[Any, ...]], list[str]]:
    """(rows of the one table, its columns by the definition's names), in the order of its key.

    Raises
    ------
    BadInput
        A column holds bytes.
    """
    with databases.open_snapshot(databases.get_address(mapping["connection"])) as snapshot:
        found = _preview_table(snapshot, mapping, definition, sample=False)
        if found.problem:
            raise Refused(found.problem)
        columns = _match(snapshot, mapping, definition)
        # a key that stands there twice must not leave the order to chance: the same rows are the same version
        first = [columns[definition.key]] if definition.key in columns else []
        order = list(dict.fromkeys([*first, *snapshot.find_order(mapping["table"])]))
        rows = snapshot.read_values(mapping["table"], list(columns.values()), order=order)
    return _as_cells(mapping["table"], list(columns.values()), rows), list(columns)


def _as_cells(table: str, columns: list[str], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Values that have a text of their own: lists and objects as JSON, bytes refused."""
    for n, column in enumerate(columns):
        kinds = {type(row[n]) for row in rows}
        if kinds & {bytes, memoryview}:
            raise BadInput(f"Column {column} of table {table} holds bytes, no text and no number; leave it out by a view, or map another.")
        if kinds & {dict, list}:
            rows = [(*row[:n], json.dumps(row[n], default=str, ensure_ascii=False, sort_keys=True), *row[n + 1 :])
                    if isinstance(row[n], (dict, list)) else row for row in rows]  # fmt: skip
    return rows


def newest_day(source: Mapping[str, list[dict[str, Any]]]) -> date | None:
    """The newest day of a request or a judgement: a database is exported as of then, so that nothing looks old only because it is.

    Raises
    ------
    BadInput
        One is no day.
    """
    days = [_read_day(table, column, row[column]) for table, column in hr_mapping.DATED.items() for row in source.get(table, ())]
    return max((day for day in days if day is not None and day.year > 1), default=None)  # year 1: recommendations without a day


def _read_day(table: str, column: str, value: Any) -> date | None:
    try:
        return None if value is None else date.fromisoformat(str(value)[:10])
    except ValueError:
        raise BadInput(f"{table}: {column} {str(value)[:40]!r} is no day such as 2026-06-30; correct it there.") from None


def _preview_hr(snapshot: Snapshot, mapping: Mapping[str, Any]) -> Preview:
    parts = tuple(_look(snapshot, r, mapping["tables"]) for r in hr_mapping.wanted_records(mapping["labels"]))
    rows = {p.name: p.rows or 0 for p in parts if p.usable}
    problem = next((p.sentence for p in parts if p.needed and not p.usable), "")
    if not problem:
        empty = next((p for p in parts if p.needed and not p.rows), None)
        problem = f"Table {empty.table} of database {snapshot.name} has no row; enter at least one {empty.name}." if empty else ""
    pairs = rows.get("JobRole", 0) * rows.get("Skill", 0)
    sentence = f"{rows.get('JobRole', 0):,} job roles and {rows.get('Skill', 0):,} skills make {pairs:,} pairs."
    lost = [p for p in parts if not p.usable]
    if lost and not problem:
        sentence += f" Not found: {', '.join(p.name for p in lost)}; the dataset is made without."
    return Preview(mapping["connection"], "hr", parts, problem, sentence)


def _look(snapshot: Snapshot, record: hr_mapping.Record, tables: Mapping[str, Any], *, sample: bool = True) -> Part:
    table, columns = hr_mapping.names_of(record, tables)
    there = snapshot.list_columns(table)
    lost = "" if record.needed else f" Until then {record.without}."
    if not there:
        sentence = f"Database {snapshot.name} has no table {table} for {record.name}; name its table in the mapping.{lost}"
        return Part(record.name, table, None, (), record.needed, sentence, about_people=record.about_people)
    absent = tuple(real for c, real in columns.items() if real not in there and c not in record.spare)
    if absent:
        word = "column" if len(absent) == 1 else "columns"
        sentence = f"Table {table} has no {word} {', '.join(absent)} for {record.name}; name what is called otherwise in the mapping.{lost}"
        return Part(record.name, table, snapshot.count_rows(table), absent, record.needed, sentence, about_people=record.about_people)
    shown = {c: real for c, real in columns.items() if real in there}
    first = snapshot.read_rows(table, shown, limit=SHOWN_ROWS) if sample and not record.about_people else []
    return Part(record.name, table, snapshot.count_rows(table), (), record.needed, "", first, record.about_people)


def _preview_table(snapshot: Snapshot, mapping: Mapping[str, Any], definition: Definition, *, sample: bool = True) -> Preview:
    table = mapping["table"]
    if not snapshot.list_columns(table):
        known = snapshot.list_tables()
        listed = f"; it has {', '.join(known[:10])}{' and more' if len(known) > 10 else ''}" if known else ""
        problem = f"Database {snapshot.name} has no table or view {table}{listed}."
        return Preview(mapping["connection"], "table", (Part(table, table, None, (), True, problem),), problem, problem)
    columns = _match(snapshot, mapping, definition)
    features = [c.name for c in definition.features]
    absent = tuple(n for n in [*features, *([definition.group] if definition.group else [])] if n not in columns)
    rows = snapshot.count_rows(table)
    problem = ""
    if absent:
        problem = f"Table {table} has no column for {', '.join(absent)}; name what is called otherwise in the mapping."
    elif not rows:
        problem = f"Table {table} of database {snapshot.name} has no row yet."
    without = "" if definition.target in columns else f" It has no column {definition.target}: it can be scored, not trained on."
    first = []
    if sample and not problem:
        found = _as_cells(table, list(columns.values()), snapshot.read_values(table, list(columns.values()), limit=SHOWN_ROWS))
        first = [dict(zip(columns, row, strict=True)) for row in found]
    part = Part(table, table, rows, absent, True, problem or without.strip(), first)
    sentence = problem or f"{rows:,} rows with all {len(features)} features.{without}"
    return Preview(mapping["connection"], "table", (part,), problem, sentence)


def _match(snapshot: Snapshot, mapping: Mapping[str, Any], definition: Definition) -> dict[str, str]:
    """Column of the definition -> column of the table, of those that are there: as mapped, else by name or alias."""
    from core.datasets.headers import match_headers

    there = snapshot.list_columns(mapping["table"])
    mapped = {name: real for name, real in mapping["columns"].items() if real in there}
    found, _ = match_headers([c for c in there if c not in mapped.values()], definition)
    left = {name: real for name, real in found.items() if name not in mapping["columns"]}
    order = [*(c.name for c in definition.columns), definition.group, definition.target]
    both = {**left, **mapped}
    return {name: both[name] for name in dict.fromkeys(order) if name and name in both}


def _check_columns(value: Any, definition: Definition) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise BadInput("columns is a list of column of the project: column of the table.")
    known = [*(c.name for c in definition.columns), definition.target, *([definition.group] if definition.group else [])]
    unknown = sorted(str(n) for n in set(value) - set(known))
    if unknown:
        raise BadInput(f"Project {definition.name} has no column {unknown[0][:40]!r}; its columns are {', '.join(dict.fromkeys(known))}.")
    return {str(n): hr_mapping.check_text(v, f"column {n}") for n, v in value.items()}


def _check_day(value: Any) -> str | None:
    if value in (None, ""):
        return None
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        raise BadInput(f"as_of is a day such as 2026-06-30; {str(value)[:40]!r} is none.") from None


def _check_write(value: Any) -> dict[str, str] | None:
    if not value:
        return None
    if not isinstance(value, Mapping) or not set(value) <= {"connection", "table"} or not value.get("connection"):
        raise BadInput("write names a connection and, if it shall not be greenlight_prediction, a table.")
    table = hr_mapping.check_text(value.get("table") or databases.PREDICTION_TABLE, "the table for predictions")
    return {"connection": databases.get_address(str(value["connection"])).name, "table": table}
