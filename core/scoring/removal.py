"""Rows that leave the prediction log: those of one person, and those that are too old. Who may do it is decided by the caller.

What is counted by hour outlives the rows that it was counted from: how many predictions there were names nobody. A profile per
hour is finer (one prediction in an hour shows the bins of that one person), so an erased row is taken off it again; that also
keeps the profiles equal to a count of the log.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from typing import Any

from core.errors import NotFound
from core.home import Home
from core.scoring import payload as payloads
from core.scoring import profiles
from core.times import stamp
from storage import predictions as store
from storage import versions as versions_store
from storage.connection import reading, writing

PURGE_GROUPS = 2_000  # of one transaction: other writers wait for it


def count_held(home: Home, project: str, prediction_ids: list[str]) -> dict[str, int]:
    """What :func:`erase_rows` would erase now: the same counts, and the same complaint."""
    db = reading(home.predictions_db)
    wanted = _read_ids(project, prediction_ids)
    with store.unchanging(db):
        groups, _ = store.read_groups(db, list(wanted))
        known = {g["uid"]: g for g in groups if g["project"] == project}
        _check_known(project, wanted, known)
        before = sum(len(wanted[uid] & _gone(group)) for uid, group in known.items())
        labels, keys = store.count_labels_and_keys(db, project, prediction_ids)
    return {"rows": sum(map(len, wanted.values())) - before, "before": before, "labels": labels, "keys": keys}


def erase_rows(home: Home, project: str, prediction_ids: list[str], *, absent_ok: bool = False) -> dict[str, int]:
    """Blank the features and outputs of predictions, and delete their labels and business keys, in one transaction.

    The places stay, so that the ids of other rows stay right; reading and export leave erased rows out. The hourly counts of
    predictions stay, the hourly profiles lose the rows.

    Parameters
    ----------
    absent_ok : bool
        Leave out what is not there, because it was purged since somebody looked.

    Returns
    -------
    dict
        rows (erased now), before (were erased already), labels, keys: counts.

    Raises
    ------
    NotFound
        One of the ids is none of this project; then nothing is erased.
    """
    wanted = _read_ids(project, prediction_ids)
    erased = before = 0
    counters = _counters(home, project)
    store.leave_no_trace(reading(home.predictions_db))
    with writing(home.predictions_db) as db:
        groups, blocks = store.read_groups(db, list(wanted))
        known = {g["uid"]: g for g in groups if g["project"] == project}
        if not absent_ok:
            _check_known(project, wanted, known)
        gone_from_blocks: dict[int, list[int]] = defaultdict(list)
        for uid, group in known.items():
            gone = _gone(group)
            fresh = sorted(wanted[uid] - gone)
            before += len(wanted[uid] & gone)
            if not fresh:
                continue
            erased += len(fresh)
            source = blocks[group["block"]] if group["block"] is not None else group["payload"]
            offset = (group["place"] or 0) - 1
            rows = [offset + place for place in fresh]
            _take_off_profile(db, group, counters.get(group["version"]), source, rows)
            payload = None
            if group["block"] is None:
                payload = payloads.blank(source, rows)
            else:
                gone_from_blocks[group["block"]] += rows
            store.set_group_rows(db, uid, payload=payload, erased=json.dumps(sorted(gone | set(fresh))))
        for block, rows in gone_from_blocks.items():
            store.set_block_payload(db, block, payloads.blank(blocks[block], rows))
        labels, keys = store.delete_labels_and_keys(db, project, prediction_ids)
    return {"rows": erased, "before": before, "labels": labels, "keys": keys}


def _read_ids(project: str, prediction_ids: list[str]) -> dict[str, set[int]]:
    """Group -> places of its rows, from 1."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for prediction_id in prediction_ids:
        uid, _, digits = prediction_id.rpartition("-")
        if not (uid and digits.isascii() and digits.isdigit()):
            raise NotFound(f"There is no prediction {prediction_id[:80]!r} in project {project}; nothing was erased.")
        wanted[uid].add(int(digits))
    return wanted


def _check_known(project: str, wanted: dict[str, set[int]], known: dict[str, dict[str, Any]]) -> None:
    for uid, places in wanted.items():
        for place in sorted(places):
            if uid not in known or not 1 <= place <= known[uid]["rows"]:
                raise NotFound(f"There is no prediction {f'{uid}-{place}'[:80]!r} in project {project}; nothing was erased.")


def _gone(group: dict[str, Any]) -> set[int]:
    return set(json.loads(group["erased"])) if group["erased"] else set()


def purge_before(home: Home, project: str, before: datetime) -> dict[str, int]:
    """Delete groups, labels and business keys of predictions made before a moment; what was counted by hour stays.

    In transactions of a few thousand groups, so that other writers go on; interrupted, it can be called again.

    Returns
    -------
    dict
        groups, rows, labels: counts of what was deleted.
    """
    groups = rows = 0
    store.leave_no_trace(reading(home.predictions_db))
    with writing(home.predictions_db) as db:
        labels = store.delete_labels_before(db, project, stamp(before))
    while True:
        with writing(home.predictions_db) as db:
            old = store.list_uids_before(db, project, stamp(before), PURGE_GROUPS)
            store.delete_groups(db, [uid for uid, *_ in old])
            of_block: dict[int, list[int]] = defaultdict(list)
            for _, n, block, place in old:
                if block is not None:
                    of_block[block] += range(place or 0, (place or 0) + n)
            for block, gone in of_block.items():
                if store.block_has_groups(db, block):  # the rest of it is younger, or the next turn's
                    store.set_block_payload(db, block, payloads.blank(store.find_block(db, block) or b"", gone))
                else:
                    store.delete_block(db, block)
        groups += len(old)
        rows += sum(n for _, n, *_ in old)
        if len(old) < PURGE_GROUPS:
            return {"groups": groups, "rows": rows, "labels": labels}


def _counters(home: Home, project: str) -> dict[str, profiles.Counter]:
    found = {}
    for version in versions_store.list_versions(reading(home.db), project):
        counter = profiles.counter_of(home, version["id"], version["sha256"])
        if counter is not None:
            found[version["version"]] = counter
    return found


def _take_off_profile(db: Any, group: dict[str, Any], counter: profiles.Counter | None, source: bytes, rows: list[int]) -> None:
    hour = group["at"][:13]
    if counter is None or not store.has_hour_profile(
        db, project=group["project"], version=group["version"], hour=hour, bins_id=counter.bins_id
    ):  # logged before profiles were kept by hour
        return
    counts = counter.count_table(payloads.read_payload(source).take(rows))
    store.add_hour_profile(
        db, project=group["project"], version=group["version"], hour=hour, bins_id=counter.bins_id, rows=-len(rows),
        counts=-counts.counts,
    )
