"""Notes of the mirror, written at everybody's priority though the mirror works at the lowest.

A process of the lowest priority that holds the database's lock keeps every act waiting until it is given time again (up to a second,
measured on a busy machine). So in the worker a thread that was started before the priority was lowered does the writing; on Linux
a thread keeps the priority that it was started with.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlite_utils import Database

from core.home import Home
from storage.connection import writing

_writer: list[ThreadPoolExecutor] = []


def begin_writer() -> None:
    """Start the thread that writes from now on."""
    writer = ThreadPoolExecutor(1, thread_name_prefix="notes")
    writer.submit(int).result()
    _writer.append(writer)


def write(home: Home, change: Callable[[Database], None]) -> None:
    """One transaction with ``change`` in it; returns when it is kept."""
    if _writer:
        _writer[0].submit(_write, home, change).result()
    else:
        _write(home, change)


def _write(home: Home, change: Callable[[Database], None]) -> None:
    with writing(home.db) as db:
        change(db)
