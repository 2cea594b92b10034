"""Log files: JSON lines, five loggers with one file a day each, for people who look for what happened.

All processes of an installation append to the same files: each line is one write at the end of the file, which the system keeps
whole, and who finds a file full moves it aside under a lock. Times are UTC. A trace stands in the file only, never on a page or
in an answer.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.home import Home
from core.times import stamp_finely

ROOT = "greenlight"
LOGGERS = ("app", "mlops", "monitoring", "model_training", "retraining")
LEVELS = ("debug", "info", "warning", "error", "critical")
CONTEXT = ("correlation_id", "user", "project", "version")
LARGEST_FILE = 50 * 1024 * 1024
OLDER_FILES = 5
_KEY = re.compile(r"gl_([0-9a-z]{10})_[A-Za-z0-9_-]{43}")  # a program's key; its first half only says which

_bound: ContextVar[Mapping[str, str]] = ContextVar("bound", default={})  # noqa: B039 - never changed, only replaced


class bound:
    """What every line says that is logged inside: ``with bound(correlation_id=..., user=..., project=..., version=...)``.

    What is empty or left out stays as it was outside. Threads begin with nothing; tasks with what holds where they are made.
    """

    __slots__ = ("_token", "_values")

    def __init__(self, *, correlation_id: str = "", user: str = "", project: str = "", version: str = "") -> None:
        given = {"correlation_id": correlation_id, "user": user, "project": project, "version": version}
        self._values = {name: value for name, value in given.items() if value}

    def __enter__(self) -> None:
        self._token: Token[Mapping[str, str]] = _bound.set({**_bound.get(), **self._values})

    def __exit__(self, *_: object) -> None:
        _bound.reset(self._token)


def bound_value(name: str) -> str:
    """What holds here for one name of CONTEXT; empty where nothing is bound."""
    return _bound.get().get(name, "")


class JsonLine(logging.Formatter):
    """One record as one line: message, context (what is bound, or given under ``extra``), ``facts`` and trace where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": stamp_finely(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        outside = _bound.get()
        line |= {name: value for name in CONTEXT if (value := getattr(record, name, None) or outside.get(name))}
        if facts := getattr(record, "facts", None):
            line["facts"] = facts
        line["process"] = record.process
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return _KEY.sub(r"gl_\1_(hidden)", json.dumps(line, ensure_ascii=False, default=str))


class LogFiles(logging.Handler):
    """``NAME_YYYYMMDD.log`` for each of LOGGERS; at 50 MB the older part moves to ``.1`` ... ``.5``, the oldest goes.

    A record of a logger that is none of them goes to ``app``. A line that cannot be written (a full disk) harms nobody; the next
    one that can be says how many are missing.
    """

    def __init__(self, folder: Path, *, largest: int = LARGEST_FILE, older: int = OLDER_FILES) -> None:
        super().__init__()
        self.folder, self.largest, self.older = folder, largest, older
        self._open: dict[str, tuple[str, int]] = {}  # name -> path, descriptor
        self._lost = 0
        self.setFormatter(JsonLine())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            name = file_of(record.name)
            day = datetime.fromtimestamp(record.created, UTC).strftime("%Y%m%d")
            if self._lost:
                missing = logging.LogRecord(record.name, logging.WARNING, "", 0, f"{self._lost} lines could not be written", (), None)
                self._append(name, day, missing)
                self._lost = 0
            self._append(name, day, record)
        except Exception:  # the boundary of logging: what it is asked by must go on
            self._lost += 1

    def close(self) -> None:
        for _, descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        super().close()

    def _append(self, name: str, day: str, record: logging.LogRecord) -> None:
        line = (self.format(record) + "\n").encode("utf-8", "replace")
        descriptor = self._file(name, day, len(line))
        if os.write(descriptor, line) < len(line):
            self._reopen(name)  # a torn line: whoever opens the file anew begins on a new one
            raise OSError("the disk is full")

    def _file(self, name: str, day: str, room: int) -> int:
        """The descriptor of a logger's file of a day, with room for some bytes more."""
        path = str(self.folder / f"{name}_{day}.log")
        known = self._open.get(name)
        if known is None or known[0] != path or not self._is_current(known):
            known = self._reopen(name, path)
        if os.fstat(known[1]).st_size + room > self.largest:
            self._move_aside(Path(path), room)
            known = self._reopen(name, path)
        return known[1]

    @staticmethod
    def _is_current(known: tuple[str, int]) -> bool:
        # another process may have moved the file aside: what is written to it then is not lost, but stands in the older part
        try:
            there, ours = os.stat(known[0]), os.fstat(known[1])
        except FileNotFoundError:
            return False
        return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)

    def _reopen(self, name: str, path: str | None = None) -> tuple[str, int]:
        old = self._open.pop(name, None)
        if old is not None:
            os.close(old[1])
        if path is None:
            return ("", -1)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
        self._open[name] = (path, descriptor)
        return self._open[name]

    def _move_aside(self, path: Path, room: int) -> None:
        with (self.folder / ".moving.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists() or path.stat().st_size + room <= self.largest:
                return  # another process was first
            for number in range(self.older - 1, 0, -1):
                older = path.with_name(f"{path.name}.{number}")
                if older.exists():
                    older.replace(path.with_name(f"{path.name}.{number + 1}"))
            path.replace(path.with_name(f"{path.name}.1"))


def file_of(logger: str) -> str:
    """Which of LOGGERS keeps what a logger says: the word after ``greenlight.``, or app."""
    name = logger.removeprefix(ROOT + ".").partition(".")[0]
    return name if name in LOGGERS else "app"


def read_levels(text: str) -> dict[str, int]:
    """``info,monitoring=debug`` as a level for each of LOGGERS.

    Raises
    ------
    BadInput
        A level or a logger that does not exist.
    """
    levels = dict.fromkeys(LOGGERS, logging.INFO)
    parts = [p.strip().lower().rpartition("=") for p in text.split(",") if p.strip()]
    for name, equals, level in sorted(parts, key=lambda p: bool(p[1])):  # the one for all first
        name = name.strip().removeprefix(ROOT + ".")
        if level.strip() not in LEVELS or (equals and name not in LOGGERS):
            raise BadInput(
                f"GREENLIGHT_LOG_LEVEL {text[:80]!r} cannot be read: write one of {', '.join(LEVELS)}, and behind it, separated by "
                f"commas, LOGGER=LEVEL for {', '.join(LOGGERS)}."
            )
        value = logging.getLevelNamesMapping()[level.strip().upper()]
        levels |= {name: value} if equals else dict.fromkeys(LOGGERS, value)
    return levels


def keep_logs(home: Home, levels: str = "info") -> LogFiles:
    """Write what this process logs to ``home.logs``; calling it again replaces the files of before.

    ``levels`` as :func:`read_levels` takes them.
    """
    wanted = read_levels(levels)
    logger = logging.getLogger(ROOT)
    for old in [h for h in logger.handlers if isinstance(h, LogFiles)]:
        logger.removeHandler(old)
        old.close()
    handler = LogFiles(home.logs)
    logger.addHandler(handler)
    logger.setLevel(wanted["app"])  # of every logger that is none of the five
    for name, level in wanted.items():
        logging.getLogger(f"{ROOT}.{name}").setLevel(level)
    return handler


def drop_logs(handler: LogFiles) -> None:
    """End what :func:`keep_logs` began."""
    logging.getLogger(ROOT).removeHandler(handler)
    handler.close()
