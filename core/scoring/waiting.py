"""Groups that requests of one event loop wait for, handed to the journal together: one lock, one wake-up and one way back for all.

The requests of one turn of the loop are scored one after the other, and only then does the writer hear of them. So it finds more to
write in one transaction, and is not woken while the loop still works.
"""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary

from core.home import Home
from core.scoring import journal
from core.scoring.log import Group


async def keep(home: Home, group: Group) -> None:
    """Return when the group is on disk.

    Raises
    ------
    NotLogged
        It could not be written; it is not in the log.
    """
    loop = asyncio.get_running_loop()
    found = _desks.get(loop)
    if found is None:
        found = _desks[loop] = {}
    root = str(home.root)
    desk = found.get(root)
    if desk is None:
        desk = found[root] = _Desk(home, loop)
    await desk.add(group)


class _Desk:
    """Where the requests of one loop wait for one home's log."""

    def __init__(self, home: Home, loop: asyncio.AbstractEventLoop) -> None:
        self._home, self._loop = home, loop
        self._waiting: list[tuple[Group, _Ticket]] = []
        self._done: deque[tuple[asyncio.Future[None], BaseException | None]] = deque()
        self._telling = False

    def add(self, group: Group) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((group, _Ticket(self, future)))
        if len(self._waiting) == 1:
            self._loop.call_soon(self._hand_over)
        return future

    def _hand_over(self) -> None:
        waiting, self._waiting = self._waiting, []
        journal.of(self._home).submit_all(waiting)

    def note(self, future: asyncio.Future[None], error: BaseException | None) -> None:
        """Called by the writer's thread: the first of a batch wakes the loop."""
        self._done.append((future, error))
        if not self._telling:
            self._telling = True
            try:
                self._loop.call_soon_threadsafe(self._tell)
            except RuntimeError:  # the loop has ended, and with it everybody who waited
                self._done.clear()

    def _tell(self) -> None:
        self._telling = False
        while self._done:
            future, error = self._done.popleft()
            if future.done():  # its caller went away
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


class _Ticket:
    """What the journal resolves, as it resolves a future of its own."""

    __slots__ = ("_desk", "_future")

    def __init__(self, desk: _Desk, future: asyncio.Future[None]) -> None:
        self._desk, self._future = desk, future

    def set_result(self, result: None) -> None:
        self._desk.note(self._future, None)

    def set_exception(self, error: BaseException) -> None:
        self._desk.note(self._future, error)


_desks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Desk]] = WeakKeyDictionary()
