"""How often a program may ask: a limit per minute for each key and each address, shared by all processes.

The window slides: what counts is the present minute's requests plus the part of the minute before that still lies
within the last 60 seconds, so that nobody gets two minutes' worth around the turn of a minute.
"""

from __future__ import annotations

import ipaddress
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from sqlite_utils import Database

from core.accounts import is_loopback
from core.home import Home
from core.keys import Key
from core.settings import PER_ADDRESS
from core.times import stamp
from storage import limits as store
from storage.connection import reading

WRONG_KEYS = 30  # wrong keys per minute from one address
FRESH = 0.25  # seconds for which the other processes' counts are believed
STAYS = 0.1  # seconds that counts wait at least, so that not each transaction writes them
MOST_SUBJECTS = 50_000  # kept in memory; the longest unseen is forgotten first


@dataclass
class _Count:
    """Requests of one subject in one minute: ``shared`` are in the database, ``own`` are all of this process."""

    shared: int = 0
    unwritten: int = 0
    own: int = 0

    @property
    def total(self) -> int:
        return max(self.shared + self.unwritten, self.own)

    def add(self) -> None:
        self.unwritten += 1
        self.own += 1


@dataclass
class _Window:
    """The two minutes that the last 60 seconds of one subject touch."""

    minute: int
    present: _Count = field(default_factory=_Count)
    before: _Count = field(default_factory=_Count)
    read_at: float = 0.0

    def turn_to(self, minute: int) -> None:
        self.before = self.present if minute == self.minute + 1 else _Count()
        self.present, self.minute, self.read_at = _Count(), minute, 0.0


class Limiter:
    """Counts requests in memory and shares the counts through the prediction log's database.

    A check takes a few microseconds and never waits for the disk. Counts travel with a transaction of the log (at the
    latest after 0.6 s) and are read back every quarter of a second. So one process alone never lets more through
    than the limit; with n processes, a subject can have, once per window, what the other n - 1 answer it in about
    0.9 s beyond the limit, and never more than n times the limit.

    Parameters
    ----------
    home : Home
        The installation whose counts are shared.
    per_address : int
        Requests per minute from one address; this machine itself is exempt, because a proxy on it stands for everybody.
    note : callable, optional
        Takes a function that writes in the log's next transaction; the installation's journal if it is not given.
    """

    def __init__(
        self, home: Home, *, per_address: int = PER_ADDRESS, note: Callable[[Callable[[Database], None]], None] | None = None
    ) -> None:
        self._home, self._per_address, self._given_note = home, per_address, note
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}
        self._dirty: dict[tuple[str, int], _Count] = {}
        self._noted = False
        self._pruned = 0

    # Questions

    def check(self, subject: str, limit_per_minute: int, *, now: datetime) -> float | None:
        """Count a request of ``subject``; None if it may go on, else the seconds to wait (what is refused is not counted)."""
        if self._pid != os.getpid():  # a forked worker must not send its parent's counts again
            self._reset()
        at = now.timestamp()
        with self._lock:
            window = self._window(subject, int(at // 60))
            passed = max(0.0, at / 60 - window.minute)
            if not 0 <= at - window.read_at < FRESH:
                self._read(subject, window, at)
            wait = _wait(window.before.total, window.present.total, passed, limit_per_minute)
            if wait is not None:
                return wait
            window.present.add()
            self._dirty[subject, window.minute] = window.present
            noted, self._noted = self._noted, True
        if not noted:
            self._note(self._writer())
        return None

    def check_call(self, key: Key, address: str, *, now: datetime) -> tuple[float, str] | None:
        """A request that came with a good key: None within the key's own limit and its address's, else the seconds to wait, and why."""
        wait = self.check(f"key {key.id}", key.per_minute, now=now)
        if wait is not None:
            return wait, f"This key is limited to {key.per_minute:,} requests a minute"
        if is_loopback(address):
            return None
        wait = self.check(f"address {_place(address)}", self._per_address, now=now)
        return None if wait is None else (wait, f"All programs at this address together are limited to {self._per_address:,} requests a minute")

    def check_wrong_key(self, address: str, *, now: datetime) -> float | None:
        """A request without a good key: None while its address may still be told so, else the seconds to wait."""
        return self.check(f"wrong key {_place(address)}", WRONG_KEYS, now=now)

    # Sharing

    def _window(self, subject: str, minute: int) -> _Window:
        window = self._windows.get(subject)
        if window is None:
            while len(self._windows) >= MOST_SUBJECTS:
                self._windows.pop(next(iter(self._windows)))
            window = self._windows[subject] = _Window(minute)
        elif minute > window.minute or minute < window.minute - 1:  # one minute earlier is a request that came in late
            self._windows[subject] = self._windows.pop(subject)
            window.turn_to(minute)
        return window

    def _read(self, subject: str, window: _Window, at: float) -> None:
        present, before = _text(window.minute), _text(window.minute - 1)
        counts = store.find_counts(reading(self._home.predictions_db), subject, (present, before))
        window.present.shared, window.before.shared = counts.get(present, 0), counts.get(before, 0)
        window.read_at = at

    def _note(self, write: Callable[[Database], None]) -> None:
        if self._given_note is None:
            from core.scoring import journal

            self._given_note = lambda apply: journal.of(self._home).note(apply, after=STAYS)
        self._given_note(write)

    def _writer(self) -> Callable[[Database], None]:
        taken: list[tuple[list[tuple[str, str, int]], str]] = []

        def write(db: Database) -> None:
            if not taken:  # a transaction that failed is tried again, with the same counts
                taken.append(self._take())
            counts, keep_from = taken[0]
            store.add_counts(db, counts, keep_from=keep_from)

        return write

    def _take(self) -> tuple[list[tuple[str, str, int]], str]:
        """What is to be added to the shared counts, and the minute before which they may be forgotten."""
        with self._lock:
            self._noted = False
            counts = [(subject, _text(minute), count.unwritten) for (subject, minute), count in self._dirty.items()]
            latest = max((minute for _, minute in self._dirty), default=0)
            keep_from = _text(latest - 2) if latest > self._pruned else ""
            self._pruned = max(latest, self._pruned)
            for count in self._dirty.values():
                count.shared += count.unwritten
                count.unwritten = 0
            self._dirty.clear()
        return counts, keep_from


def _wait(before: int, present: int, passed: float, limit: int) -> float | None:
    """Seconds until one more request fits; ``passed`` is the share of the present minute that is over."""
    if before * (1 - passed) + present + 1 <= limit:
        return None
    if present + 1 <= limit:  # it fits as soon as enough of the minute before has slid out
        return 60 * (1 - (limit - 1 - present) / before - passed)
    return 60 * (1 - passed) + 60 * max(0.0, 1 - (limit - 1) / present)


@lru_cache(maxsize=4096)
def _text(minute: int) -> str:
    return stamp(datetime.fromtimestamp(minute * 60, UTC))[:16]


@lru_cache(maxsize=4096)
def _place(address: str) -> str:
    """One subject for one place: an IPv4 address, or the /64 network in which a host can take any IPv6 address it likes."""
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address[:60]
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network(f"{ip}/64", strict=False))
