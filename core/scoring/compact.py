"""Small groups of the prediction log packed into blocks of Parquet: a tenth of the space, and read back a hundred times faster.

The index row of each group stays and says in which block, and where in it, the group's rows lie. Reading and encoding is done
outside of the transaction, which only checks that nothing changed meanwhile and moves the rows: other writers wait for
milliseconds. A process that is killed leaves either the groups or their block.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from core.home import Home
from core.scoring import payload as payloads
from core.times import stamp
from storage import predictions as store
from storage.connection import reading, writing

OLDER = timedelta(hours=1)  # younger groups are looked at one by one, and more of them come
PATIENCE = timedelta(days=1)  # a few groups are packed when this old: a block of three rows saves nothing
WORTH_GROUPS = 100
BLOCK_GROUPS = 5_000
BLOCKS_AT_ONCE = 100  # the rest waits for the next call: the clock has other things to do
BLOCK_ROWS = 10_000  # to find one row, its block is read


def compact(home: Home, *, now: datetime) -> int:
    """Pack small groups that are older than an hour, up to BLOCKS_AT_ONCE blocks; returns how many groups were packed.

    Safe to call from several processes at once, and again after any interruption.
    """
    until = stamp(now - OLDER)
    patient = stamp(now - PATIENCE)
    packed = blocks = 0
    for waiting in store.list_packable(reading(home.predictions_db), until=until):
        left = waiting["groups"]
        while blocks < BLOCKS_AT_ONCE and (left >= WORTH_GROUPS or (left > 1 and waiting["oldest"] < patient)):
            done = _pack(home, waiting["project"], waiting["version"], until)
            if done == 0:
                break
            packed += done
            blocks += 1
            left -= done
    return packed


def _pack(home: Home, project: str, version: str, until: str) -> int:
    """Pack the oldest small groups of a version; 0 if there are none, or another process changed them meanwhile."""
    waiting = store.list_to_pack(reading(home.predictions_db), project, version, until=until, limit=BLOCK_GROUPS)
    chosen = _one_block(waiting)
    if not chosen:
        return 0
    table = _read_together(chosen)
    payload = payloads.write_parquet(table)
    places, rows = [], 0
    for group in chosen:
        places.append((group["uid"], rows))
        rows += group["rows"]
    store.leave_no_trace(reading(home.predictions_db))
    with writing(home.predictions_db) as db:
        if store.count_unchanged(db, [(g["uid"], g["erased"]) for g in chosen]) != len(chosen):
            return 0
        block = store.insert_block(
            db, project=project, version=version, since=chosen[0]["at"], until=chosen[-1]["at"], rows=rows, payload=payload
        )
        store.move_to_block(db, block, places)
    return len(chosen)


def _one_block(waiting: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of them, as many as fit into a block and have the same columns, so that they read as they were written."""
    chosen: list[dict[str, Any]] = []
    rows, head, columns = 0, None, None
    for group in waiting:
        if chosen and rows + group["rows"] > BLOCK_ROWS:
            break
        if head is None or not group["payload"].startswith(head):  # else it is as the one before
            found = _columns(group["payload"])
            if chosen and found != columns:
                break
            columns = found
            head = payloads.head_of(group["payload"]) if group["payload"].startswith(b"{") else None
        chosen.append(group)
        rows += group["rows"]
    return chosen


def _columns(payload: bytes) -> Any:
    if payload.startswith(b"{"):
        return payloads.json_schema(payload)
    return payloads.read_payload(payload).schema


def _read_together(groups: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    parts = []
    for is_json, same in groupby((g["payload"] for g in groups), key=lambda p: p.startswith(b"{")):
        found = list(same)
        parts += [payloads.read_json(found)] if is_json else [payloads.read_payload(p) for p in found]
    return pa.concat_tables(parts).combine_chunks()
