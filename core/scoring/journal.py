"""Many small writes to the prediction log in few transactions (group commit).

A commit costs the disk's time, however little is in it. So groups of all threads are handed to one writer thread; it takes
everything that waits, writes it in one transaction with synchronous=FULL, and only then tells each thread that its group is
on disk. Nothing is told before, so nothing that was told can be lost; what was not told may or may not be in the log.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from core.errors import GreenlightError
from core.home import Home
from core.scoring import log as prediction_log
from core.scoring.log import Group
from storage import predictions as store
from storage.connection import close_all, is_fault_of_disk, reading, writing

if TYPE_CHECKING:
    from sqlite_utils import Database

log = logging.getLogger("greenlight.app")

WAITING_GROUPS = 10_000  # what may wait for the disk; more is refused, so that memory stays bounded
WAITING_BYTES = 64 * 1024 * 1024
MOST_AT_ONCE = 1_000  # groups of one transaction: the others' answers wait for it
NOTES_SECONDS = 0.5
NOTE_TRIES = 5


class Ticket(Protocol):
    """What is told that its group is on disk, or why not; a Future is one."""

    def set_result(self, result: None, /) -> None: ...

    def set_exception(self, error: BaseException, /) -> None: ...


class NotLogged(GreenlightError):
    """The group is not in the log, so its answers must not be given as logged; trying again later may succeed."""


class Journal:
    """The writer of one home in this process; get it with :func:`of`."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._pid = os.getpid()
        self._wake = threading.Condition(threading.Lock())
        self._groups: deque[tuple[Group, Ticket]] = deque()
        self._bytes = 0
        self._notes: list[tuple[Callable[[Database], None], int]] = []
        self._later: list[tuple[float, Callable[[Database], None]]] = []
        self._flushes: list[Future[None]] = []
        self._closing = self._ended = False
        self._failing = False  # the writer's own: the last write failed
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, group: Group) -> Future[None]:
        """Hand a group to the writer; the future is resolved when it is on disk.

        Returns
        -------
        Future
            Raises NotLogged where the group could not be written, or too much waits already.
        """
        if os.getpid() != self._pid:  # the thread did not come along when the process was forked
            return of(self.home).submit(group)
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # a caller who goes away does not take the rows along
        self.submit_all([(group, future)])
        return future

    def submit_all(self, groups: Sequence[tuple[Group, Ticket]]) -> None:
        """Hand over several groups at once, each with what is to be told in the end (see :meth:`submit`)."""
        refused: list[tuple[Ticket, str]] = []
        with self._wake:
            for group, ticket in groups:
                if self._closing:
                    refused.append((ticket, "The prediction log is being closed"))
                elif len(self._groups) >= WAITING_GROUPS or self._bytes >= WAITING_BYTES:
                    refused.append((ticket, f"{len(self._groups):,} groups wait for the prediction log"))
                else:
                    self._groups.append((group, ticket))
                    self._bytes += len(group.payload)
            self._wake.notify()
        for ticket, why in refused:
            ticket.set_exception(NotLogged(f"{why}; send the rows again in a moment."))

    def note(self, apply: Callable[[Database], None], *, after: float = 0.0) -> None:
        """Let something small ride along in the next transaction, after half a second at the latest; nobody waits for it.

        ``after`` seconds it stays behind first: what would ride in each transaction makes each transaction longer.

        ``apply`` may be called again when its transaction failed, so it must not use up what it writes. One that raises is
        logged and dropped; the groups beside it are not touched by that.
        """
        if os.getpid() != self._pid:
            of(self.home).note(apply, after=after)
            return
        with self._wake:
            if after:
                self._later.append((time.monotonic() + after, apply))
            else:
                self._notes.append((apply, 1))

    def describe(self) -> tuple[bool, int]:
        """Whether the writer goes, and how many groups wait for it."""
        with self._wake:
            return self._thread.is_alive() and not self._closing, len(self._groups)

    def flush(self) -> None:
        """Wait until everything that was handed over before is on disk (or refused)."""
        if os.getpid() != self._pid:
            return
        done: Future[None] = Future()
        with self._wake:
            if self._ended:
                return
            self._flushes.append(done)
            self._wake.notify()
        done.result()

    def close(self) -> None:
        """Write what waits and end the thread; what is handed over later is refused."""
        if os.getpid() != self._pid:
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        with _lock:
            if _journals.get(str(self.home.root)) is self:
                del _journals[str(self.home.root)]

    def _run(self) -> None:
        try:
            with suppress(Exception):  # a boundary: whatever it is, each write meets it again and says so
                store.prepare_writer(reading(self.home.predictions_db))
            while self._turn():
                pass
        finally:
            with self._wake:  # nobody waits for a thread that has ended
                self._closing = self._ended = True
                left, self._groups = list(self._groups), deque()
                flushes, self._flushes = self._flushes, []
            self._refuse(left, RuntimeError("its writer has ended"))
            for flush in flushes:
                flush.set_result(None)
            close_all()

    def _turn(self) -> bool:
        """Wait for something, write it; False when there is nothing more to come."""
        with self._wake:
            if not (self._groups or self._flushes or self._closing):
                due = min((due for due, _ in self._later), default=float("inf"))
                self._wake.wait(min(NOTES_SECONDS, max(0.001, due - time.monotonic())))
            batch = [self._groups.popleft() for _ in range(min(len(self._groups), MOST_AT_ONCE))]
            self._bytes -= sum(len(group.payload) for group, _ in batch)
            if self._later:
                self._take_later()
            notes, self._notes = self._notes, []
            flushes: list[Future[None]] = []
            if not self._groups:
                flushes, self._flushes = self._flushes, []
            ending = self._closing and not self._groups
        if batch or notes:
            self._write(batch, notes)
        for flush in flushes:
            flush.set_result(None)
        return not ending

    def _take_later(self) -> None:
        """Notes that have stayed behind long enough, or may not stay any longer because somebody waits for everything."""
        now = float("inf") if self._flushes or self._closing else time.monotonic()
        self._notes += [(apply, 1) for due, apply in self._later if due <= now]
        self._later = [(due, apply) for due, apply in self._later if due > now]

    def _write(self, batch: list[tuple[Group, Ticket]], notes: list[tuple[Callable[[Database], None], int]]) -> None:
        try:
            with writing(self.home.predictions_db) as db:
                if batch:
                    prediction_log.write_groups(db, [group for group, _ in batch])
                for apply, _ in notes:
                    _apply_alone(db, apply)
        except Exception as error:  # the boundary of the thread: nothing that cannot be written may end the log of all others
            alone = len(batch) == 1
            if alone or is_fault_of_disk(error):
                self._refuse(batch, error)
            else:
                for one in batch:  # one of them is bad
                    self._write([one], [])
            again = [(apply, tries + 1) for apply, tries in notes if tries < NOTE_TRIES]
            if len(again) < len(notes):
                log.warning("%d notes beside the prediction log were dropped after %d tries", len(notes) - len(again), NOTE_TRIES)
            with self._wake:
                self._notes[:0] = again
        else:
            for _, future in batch:
                future.set_result(None)
            if self._failing:
                self._failing = False
                log.info("the prediction log is written again")

    def _refuse(self, batch: list[tuple[Group, Ticket]], error: Exception) -> None:
        if not batch:
            return
        # the trace once: a full disk is met by every request
        log.error("%d groups of predictions were not logged: %s", len(batch), error, exc_info=None if self._failing else error)
        self._failing = True
        for _, future in batch:
            refusal = NotLogged(f"The prediction log could not be written ({error}); nothing of this request is kept. Try again.")
            refusal.__cause__ = error
            future.set_exception(refusal)


def of(home: Home) -> Journal:
    """The journal of a home in this process; started at first use."""
    root = str(home.root)
    journal = _journals.get(root)
    if journal is not None and not journal._closing:
        return journal
    with _lock:
        journal = _journals.get(root)
        if journal is None or journal._closing:
            journal = _journals[root] = Journal(home)
        return journal


def find(home: Home) -> Journal | None:
    """The journal that this process has for a home already, or None; none is started."""
    with _lock:
        return _journals.get(str(home.root))


def close_journals() -> None:
    """Write what waits everywhere and end all threads of this process."""
    for journal in list(_journals.values()):
        journal.close()


_journals: dict[str, Journal] = {}
_lock = threading.Lock()


def _apply_alone(db: Database, apply: Callable[[Database], None]) -> None:
    db.conn.execute("SAVEPOINT note")
    try:
        apply(db)
    except Exception as error:  # a boundary: nobody waits for a note, and the groups beside it must be written
        if is_fault_of_disk(error):
            raise
        db.conn.execute("ROLLBACK TO note")
        log.exception("a note beside the prediction log was dropped")
    db.conn.execute("RELEASE note")


def _forget_after_fork() -> None:
    global _lock
    _journals.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(close_journals)
