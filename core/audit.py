"""The audit: a chain of events that can be proved complete and unchanged.

Each event's hash covers the stored bytes and the hash before it, so an edit, a gap or a swap is found and
the row named. A cut tail or a chain hashed anew from some row on leaves a chain that is consistent in
itself; against that, the count and hash of the last event (the head) are also kept in a signed file
outside the database, written after each act.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from core.errors import NotFound
from core.home import Home
from storage import audit as store
from storage.connection import reading

_HEAD_BYTES = 256  # of the head file, padded; half a sector
GENESIS = hashlib.sha256(b"greenlight audit").hexdigest()


@dataclass(frozen=True)
class Event:
    """One audit event. ``before`` and ``after`` are plain JSON data; unknown is null."""

    at: str
    actor: str
    role: str
    via: str
    os_user: str
    action: str
    project: str
    subject: str
    trigger: str  # person, schedule or alert
    reason: str
    approver: str
    outcome: str  # done, refused or failed
    error: str
    before: Any
    after: Any
    correlation_id: str


@dataclass(frozen=True)
class Verdict:
    """What verification found.

    Attributes
    ----------
    intact : bool
        True only if every event is unchanged and none is missing.
    row : int or None
        The first event (seq) that is wrong.
    """

    intact: bool
    count: int
    head: str
    row: int | None
    sentence: str


def append(db: Database, event: Event) -> tuple[int, str]:
    """Append inside the caller's write transaction; returns (seq, hash)."""
    last = store.find_last(db)
    seq, prev = (last[0] + 1, last[1]) if last else (1, GENESIS)
    body = json.dumps(asdict(event), ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    digest = _hash(seq, prev, body)
    store.append_event(db, seq=seq, prev_hash=prev, hash_=digest, body=body)
    return seq, digest


def _hash(seq: int, prev_hash: str, body: str) -> str:
    return hashlib.sha256(f"{seq}\n{prev_hash}\n{body}".encode()).hexdigest()


def note_head(home: Home, seq: int, digest: str) -> None:
    """Write the head file unless it is already further on. Call after the commit, not before:
    a head that runs ahead of the chain would be a false alarm after a crash."""
    with (home.root / "audit.head.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        seen = _read_head(home)
        if seen is not None and seen[0] >= seq:
            return
        text = json.dumps({"count": seq, "head": digest, "mac": _mac(home, seq, digest)}).ljust(_HEAD_BYTES - 1).encode() + b"\n"
        if seen is not None and home.audit_head.stat().st_size == len(text) == _HEAD_BYTES:
            _overwrite(home.audit_head, text)
            return
        fresh = home.audit_head.with_suffix(f".{os.getpid()}.new")
        with fresh.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(home.audit_head)


def _overwrite(path: Path, content: bytes) -> None:
    """Write over a file of the same length, within one sector of the disk, which is written whole or not at all.

    It is on the disk when this returns. A file made anew each time took ten times as long, because its name had to be written too.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, content, 0)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _head_at_rest(home: Home) -> Iterator[None]:
    try:
        lock = (home.root / "audit.head.lock").open()
    except OSError:  # never written yet, or a copy that holds the head without its lock
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _mac(home: Home, seq: int, digest: str) -> str:
    return hmac.new(home.secret_key(), f"audit head {seq} {digest}".encode(), hashlib.sha256).hexdigest()


def _read_head(home: Home) -> tuple[int, str] | None:
    """(count, hash), or None where no readable, rightly signed head file exists. Read under the lock: it is overwritten in place."""
    try:
        data = json.loads(home.audit_head.read_text())
        seq, digest, mac = int(data["count"]), str(data["head"]), str(data["mac"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (seq, digest) if hmac.compare_digest(mac, _mac(home, seq, digest)) else None


def verify(home: Home) -> Verdict:
    """Recompute the whole chain and hold it against the head file."""
    # The head is read first: acts that commit meanwhile only lengthen the chain beyond it.
    head_exists = home.audit_head.exists()
    with _head_at_rest(home):
        head = _read_head(home)
    prev, count = GENESIS, 0
    head_seen = head is None
    for seq, stored_prev, digest, body in store.iterate(reading(home.db)):
        if seq != count + 1:
            return Verdict(False, count, prev, count + 1, f"Event {count + 1} is missing: the chain goes from {count} to {seq}.")
        if stored_prev != prev or digest != _hash(seq, stored_prev, body):
            return Verdict(False, count, prev, seq, f"Event {seq} was changed after it was written (or one before it was replaced).")
        if head is not None and seq == head[0]:
            if digest != head[1]:
                return Verdict(
                    False, count, prev, seq,
                    f"Event {seq} is not the one noted outside the database: the chain was written anew from an event at or before it.",
                )
            head_seen = True
        prev, count = digest, seq
    if not head_seen and head is not None:
        return Verdict(False, count, prev, count + 1, f"The tail is cut: {head[0]} events were noted outside the database, {count} are left.")
    if count and head is None:
        what = "is unreadable or wrongly signed" if head_exists else "is missing"
        return Verdict(False, count, prev, None, f"The note of the last event ({home.audit_head.name}) {what}; a cut tail could not be seen.")
    return Verdict(True, count, prev, None, f"All {count} events are unchanged and none is missing; head {prev[:12]}.")


def search(home: Home, **filters: Any) -> tuple[list[dict[str, Any]], int]:
    """Events newest first and the number that match; filters as in storage.audit.list_events."""
    return store.list_events(reading(home.db), **filters)


def get_event(home: Home, seq: int) -> dict[str, Any]:
    """One event with its number and both hashes.

    Raises
    ------
    NotFound
        There is no event of that number.
    """
    event = store.find_event(reading(home.db), seq)
    if event is None:
        raise NotFound(f"There is no audit event {seq}.")
    return event


def list_filter_values(home: Home, column: str) -> list[str]:
    """The values of actor, action, project or outcome that occur."""
    return store.list_distinct(reading(home.db), column)


def export_lines(home: Home) -> Iterator[str]:
    """Every event as one JSON line (seq, prev_hash, hash, event), oldest first; lines can be verified again."""
    for seq, prev_hash, digest, body in store.iterate(reading(home.db)):
        yield json.dumps({"seq": seq, "prev_hash": prev_hash, "hash": digest, "event": json.loads(body)}, ensure_ascii=False)
