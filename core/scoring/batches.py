"""Logged groups read back in batches, wherever their rows lie: in a payload of their own or in a block."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from core.home import Home
from core.scoring import payload as payloads
from core.scoring.groups import prediction_ids
from storage import predictions as store
from storage.connection import reading

if TYPE_CHECKING:
    import pyarrow as pa

PAGE_GROUPS = 10_000
PAGE_ROWS = 20_000


@dataclass(frozen=True)
class Batch:
    """Groups that follow each other, with their rows in one table.

    Attributes
    ----------
    groups : list of dict
        uid, project, version, request_id, at, rows, problem_rows, caller, source, latency_ms, stages, block, place, erased.
    table : Table
        The rows of the groups in order, erased ones included (their values are missing).
    """

    groups: list[dict[str, Any]]
    table: pa.Table

    def erased(self, group: int) -> set[int]:
        """Places (from 1) of the rows of a group that were erased."""
        noted = self.groups[group]["erased"]
        return set(json.loads(noted)) if noted else set()

    def kept_table(self) -> pa.Table:
        """The rows that were not erased."""
        if not any(g["erased"] for g in self.groups):
            return self.table
        import pyarrow as pa

        return self.table.filter(pa.array(list(self._keeps())))

    def prediction_ids(self) -> list[str]:
        """Of the rows that were not erased."""
        found = list(chain.from_iterable(prediction_ids(g["uid"], g["rows"]) for g in self.groups))
        if not any(g["erased"] for g in self.groups):
            return found
        return [i for i, keep in zip(found, self._keeps(), strict=True) if keep]

    def repeat(self, fact: str) -> list[Any]:
        """A fact of the groups, once for each row that was not erased."""
        return list(chain.from_iterable([g[fact]] * (g["rows"] - len(self.erased(n))) for n, g in enumerate(self.groups)))

    def split_by_hour(self) -> Iterator[tuple[str, Batch]]:
        """The same rows as one batch for each hour."""
        start = 0
        for hour, same in groupby(self.groups, key=lambda g: g["at"][:13]):
            groups = list(same)
            rows = sum(g["rows"] for g in groups)
            yield hour, Batch(groups, self.table.slice(start, rows))
            start += rows

    def _keeps(self) -> Iterator[bool]:
        for number, group in enumerate(self.groups):
            gone = self.erased(number)
            yield from (place not in gone for place in range(1, group["rows"] + 1))


def iterate_batches(
    home: Home, project: str, *, since: str = "", until: str = "9999", version: str | None = None,
    columns: Sequence[str] | None = None, coded: bool = False,
) -> Iterator[Batch]:
    """All groups of a period, oldest first; each group in one batch, the groups of a batch alike in their columns.

    Each page of groups is read as of one moment, so that packing and erasing meanwhile do no harm. ``columns`` and ``coded``:
    see :func:`core.scoring.payload.read_payload`.
    """
    db = reading(home.predictions_db)
    after = ("", "")
    while page := store.list_page(
        db, project, after=after, since=since, until=until, version=version, limit=PAGE_GROUPS
    ):
        uids: list[str] = []
        rows = 0
        for at, uid, n in page:
            if uids and rows + n > PAGE_ROWS:
                break
            uids.append(uid)
            rows += n
            after = (at, uid)
        yield from _batches(*store.read_groups(db, uids), columns, coded)


def read_batches(home: Home, uids: list[str]) -> Iterator[Batch]:
    """Chosen groups with their rows, oldest first."""
    yield from _batches(*store.read_groups(reading(home.predictions_db), uids), None, False)


def find_batch(home: Home, project: str, uid: str) -> Batch | None:
    """One group of a project with its rows."""
    groups, blocks = store.read_groups(reading(home.predictions_db), [uid])
    if not groups or groups[0]["project"] != project:
        return None
    return next(_batches(groups, blocks, None, False))


def _batches(
    groups: list[dict[str, Any]], blocks: dict[int, bytes], columns: Sequence[str] | None, coded: bool
) -> Iterator[Batch]:
    """Each source is read once; then the rows are put in the order of the groups, as long as their columns are alike."""
    if not groups:
        return
    by_source: dict[tuple[int | None, bytes], list[dict[str, Any]]] = {}
    for group in groups:
        by_source.setdefault(_source(group), []).append(group)
    shelves: dict[Any, _Shelf] = {}  # by schema
    shelf_of: dict[str, _Shelf] = {}
    for (block, head), found in by_source.items():
        if block is not None:
            table = payloads.read_payload(blocks[block], columns=columns, coded=coded)
        elif head.startswith(b"{"):
            table = payloads.read_json([g["payload"] for g in found], columns=columns)
        else:
            table = payloads.read_payload(found[0]["payload"], columns=columns, coded=coded)
        shelf = shelves.setdefault(_key_of(table.schema), _Shelf([], {}, 0))
        start = shelf.rows
        for group in found:
            at = shelf.rows + group["place"] if block is not None else start
            shelf.places[group["uid"]] = at
            shelf_of[group["uid"]] = shelf
            start += group["rows"]
            del group["payload"]
        shelf.tables.append(table)
        shelf.rows += table.num_rows
    for _, same in groupby(groups, key=lambda g: id(shelf_of[g["uid"]])):
        run = list(same)
        yield Batch(run, shelf_of[run[0]["uid"]].take(run))


@dataclass
class _Shelf:
    """Tables with the same columns, one after the other, and where each group begins in them."""

    tables: list[pa.Table]
    places: dict[str, int]
    rows: int

    def take(self, groups: list[dict[str, Any]]) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        if len(self.tables) > 1:  # texts that were left as codes have a dictionary of their own in each
            self.tables = [pa.concat_tables(self.tables).unify_dictionaries().combine_chunks()]
        starts = np.array([self.places[g["uid"]] for g in groups])
        lengths = np.array([g["rows"] for g in groups])
        if (starts[1:] == starts[:-1] + lengths[:-1]).all():
            return self.tables[0].slice(int(starts[0]), int(lengths.sum()))
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self.tables[0].take(pa.array(np.repeat(starts, lengths) + within))


def _key_of(schema: pa.Schema) -> Any:
    return tuple(zip(schema.names, map(str, schema.types), strict=True))


def _source(group: dict[str, Any]) -> tuple[int | None, bytes]:
    """What may be read together: groups of one block, or JSON payloads with one head; Parquet each by itself."""
    if group["block"] is not None:
        return group["block"], b""
    payload = group["payload"]
    return None, payloads.head_of(payload) if payload.startswith(b"{") else group["uid"].encode()
