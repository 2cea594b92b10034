"""What the log files say, read backwards from their ends: the newest lines first, however long the files are.

A reader looks at a bounded number of bytes. Where that does not reach back to the beginning, the answer says how far it did, and
holds every line that matches up to there.
"""

from __future__ import annotations

import heapq
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.home import Home
from core.logs import CONTEXT, LEVELS, LOGGERS
from core.text import one_line
from core.times import parse, stamp_finely

BLOCK = 256 * 1024
MOST_BYTES = 24 * 1024 * 1024  # of one reading, over all loggers: a quarter of a second on a slow machine
LONGEST_LINE = 4 * 1024 * 1024
# Lines of two processes may be a little out of order, and a busy machine may hold one back.
SLACK_SECONDS = 10
LAST_MOMENT = "9999-12-31T00:00:00.000000Z"
_NAME = re.compile(rf"({'|'.join(LOGGERS)})_(\d{{8}})\.log(?:\.(\d+))?")


@dataclass(frozen=True)
class Line:
    """One line of a log.

    Attributes
    ----------
    level : str
        In small letters, one of LEVELS.
    context : dict
        What is known of correlation_id, user, project and version.
    facts : dict
        Everything else that stands on the line, but the trace.
    trace : str
        Empty where there is none. It is for people who may read the files, not for pages.
    file : str
        Name of the file that it stands in.
    """

    time: str
    level: str
    logger: str
    message: str
    context: dict[str, str]
    facts: dict[str, Any]
    trace: str
    file: str

    def to_dict(self, *, with_trace: bool = False) -> dict[str, Any]:
        """The line as it stands in the file; the trace is named, or there as well."""
        whole: dict[str, Any] = {"time": self.time, "level": self.level.upper(), "logger": self.logger, "message": self.message}
        whole |= self.context | self.facts
        if self.trace:
            whole["trace"] = self.trace if with_trace else f"{len(self.trace.splitlines())} lines in {self.file}"
        return whole


@dataclass(frozen=True)
class Filter:
    """Which lines are wanted; what is empty wants all.

    Attributes
    ----------
    level : str
        This one and those above it.
    text : str
        Must stand in the message or the context, in any case of letters.
    since, until : datetime or None
        Lines from ``since`` to before ``until``.
    """

    loggers: tuple[str, ...] = LOGGERS
    level: str = ""
    correlation_id: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.loggers if name not in LOGGERS]
        if unknown:
            raise BadInput(f"There is no logger {unknown[0][:40]!r}; there are {', '.join(LOGGERS)}.")
        if self.level and self.level not in LEVELS:
            raise BadInput(f"There is no level {self.level[:40]!r}; there are {', '.join(LEVELS)}.")

    def wants(self, line: Line) -> bool:
        if self.level and _rank(line.level) < _rank(self.level):
            return False
        if self.correlation_id and line.context.get("correlation_id") != self.correlation_id:
            return False
        if (self.since and line.time < stamp_finely(self.since)) or (self.until and line.time >= stamp_finely(self.until)):
            return False
        if not self.text:
            return True
        words = self.text.casefold()
        return any(words in str(value).casefold() for value in (line.message, line.logger, *line.context.values()))


@dataclass(frozen=True)
class Found:
    """What a reading found.

    Attributes
    ----------
    lines : tuple of Line
        Newest first.
    older_until : datetime or None
        There may be older lines that match: read on with this as ``until``. None: nothing older was left out.
    searched_back_to : str
        Where looking at the files was given up for now; empty where it was not.
    """

    lines: tuple[Line, ...]
    older_until: datetime | None = None
    searched_back_to: str = ""


def read_lines(home: Home, wanted: Filter, *, limit: int = 200, most_bytes: int | None = MOST_BYTES) -> Found:
    """The newest lines that match, at most ``limit`` and those of the same moment; ``most_bytes`` None looks at everything."""
    share = most_bytes // len(wanted.loggers) if most_bytes is not None else None
    readers = [_Reader(home.logs, name, wanted, share) for name in wanted.loggers]
    lines: list[Line] = []
    full = False
    for line in heapq.merge(*(r.lines() for r in readers), key=lambda x: x.time, reverse=True):
        full = len(lines) >= limit and line.time < lines[-1].time
        if full:
            break
        lines.append(line)
    back_to = max((r.stopped_at for r in readers), default="")
    if back_to and not (full and lines[-1].time > back_to):
        # from here on backwards the lines of one logger may be missing
        return Found(tuple(x for x in lines if x.time > back_to), parse(back_to) + timedelta(microseconds=1), back_to)
    return Found(tuple(lines), parse(lines[-1].time) if full else None)


@dataclass
class Tail:
    """Reads what is appended from now on, past midnight and past files that are moved aside."""

    home: Home
    wanted: Filter
    _read: dict[int, int] = field(default_factory=dict)  # inode -> bytes that were read

    def __post_init__(self) -> None:
        for path in self._files():
            status = path.stat()
            self._read[status.st_ino] = status.st_size

    def read_new(self) -> list[Line]:
        """The lines that match among those that came since the last call, oldest first."""
        found = []
        for path in self._files():
            with path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                known = self._read.get(inode, 0)
                begin = known if known <= os.fstat(file.fileno()).st_size else 0  # else another file that got the same number
                file.seek(begin)
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._read[inode] = begin + len(whole)
            parsed = (_parse(raw, path.name) for raw in whole.split(b"\n") if raw)
            found += [line for line in parsed if line is not None and self.wanted.wants(line)]
        return sorted(found, key=lambda line: line.time)

    def _files(self) -> list[Path]:
        # of the newest day and the one before it: at midnight a process may still write to the old one
        return [p for name in self.wanted.loggers for _, p in list_files(self.home.logs, name, days=2)]


def list_files(folder: Path, name: str, *, days: int | None = None) -> list[tuple[str, Path]]:
    """(day as YYYYMMDD, path) of a logger's files, newest first; ``days``: of the newest days only."""
    found = []
    for path in folder.glob(f"{name}_*.log*"):
        match = _NAME.fullmatch(path.name)
        if match and match[1] == name:
            found.append((match[2], -int(match[3] or 0), path))
    found.sort(key=lambda f: f[:2], reverse=True)
    newest = sorted({day for day, *_ in found}, reverse=True)[:days]
    return [(day, path) for day, _, path in found if day in newest]


class _Reader:
    """One logger's lines, newest first, until its share of bytes is used up."""

    def __init__(self, folder: Path, name: str, wanted: Filter, share: int | None) -> None:
        self.folder, self.name, self.wanted, self.left = folder, name, wanted, share
        self.stopped_at = ""  # time of the oldest line that was looked at, if the share did not last
        self._hints = _hints(wanted)
        self._since = _shift(wanted.since, -SLACK_SECONDS)
        self._until = _shift(wanted.until, SLACK_SECONDS)

    def lines(self) -> Iterator[Line]:
        first, last = (self._since[:10].replace("-", ""), self._until[:10].replace("-", ""))
        held: list[Line] = []  # a heap by time, newest on top, so that lines that are a little out of order come in order
        for day, path in list_files(self.folder, self.name):
            if (last and day > last) or (first and day < first):
                continue
            for line in self._of_file(path):
                held.append(line)
                if len(held) > 64:
                    held.sort(key=lambda x: x.time, reverse=True)
                    yield held.pop(0)
            if self.stopped_at:
                break
        yield from sorted(held, key=lambda x: x.time, reverse=True)

    def _of_file(self, path: Path) -> Iterator[Line]:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            if self._until:
                end = _find_end(file, end, self._until)
            rest = b""  # the beginning of a line whose end was read
            while end > 0:
                if self.left is not None and self.left <= 0:
                    file.seek(end)
                    self.stopped_at = _time_at(file.read(BLOCK)) or LAST_MOMENT
                    return
                size = min(BLOCK, end)
                end -= size
                file.seek(end)
                block = file.read(size) + rest
                if self.left is not None:
                    self.left -= size
                cut = block.find(b"\n") + 1 if end else 0
                rest, whole = block[:cut], block[cut:]
                if end and not cut:
                    rest = block if len(block) < LONGEST_LINE else b""
                    continue
                yield from self._of_block(whole, path.name)
                if self._since and (oldest := _time_at(whole)) and oldest < self._since:
                    return

    def _of_block(self, block: bytes, file: str) -> Iterator[Line]:
        if not _may_hold(block, self._hints):
            return
        for raw in reversed(block.split(b"\n")):
            if raw and _may_hold(raw, self._hints):
                line = _parse(raw, file)
                if line is not None and self.wanted.wants(line):
                    yield line


def _hints(wanted: Filter) -> list[tuple[bool, tuple[bytes, ...]]]:
    """For each condition: whether the case of letters matters not, and what one of must occur in a line's bytes."""
    hints: list[tuple[bool, tuple[bytes, ...]]] = []
    if wanted.level:
        hints.append((False, tuple(f'"level": "{n.upper()}"'.encode() for n in LEVELS[_rank(wanted.level) :])))
    if wanted.correlation_id:
        hints.append((False, (json.dumps(wanted.correlation_id, ensure_ascii=False).encode("utf-8", "replace"),)))
    if wanted.text and wanted.text.isascii():  # other letters have more than one form: those lines are all looked at
        hints.append((True, (json.dumps(wanted.text.lower())[1:-1].encode(),)))
    return hints


def _may_hold(content: bytes, hints: list[tuple[bool, tuple[bytes, ...]]]) -> bool:
    for any_case, words in hints:
        looked_at = content.lower() if any_case else content
        if not any(word in looked_at for word in words):
            return False
    return True


def _parse(raw: bytes, file: str) -> Line | None:
    """A line, or None where it is torn."""
    try:
        data = json.loads(raw)
        time, level, logger, message = (str(data.pop(k)) for k in ("time", "level", "logger", "message"))
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    trace = str(data.pop("trace", ""))
    context = {name: str(data.pop(name)) for name in CONTEXT if name in data}
    return Line(time, level.lower(), logger, message, context, data, trace, file)


_TIME = re.compile(rb'\{"time": "([^"]{27})"')


def _time_at(content: bytes) -> str:
    """The time of the first line in some bytes that begin with one."""
    match = _TIME.search(content)
    return match[1].decode("ascii", "replace") if match else ""


def _find_end(file: Any, size: int, until: str) -> int:
    """Where the lines end that are older than a moment: by halves, because lines stand in the order of time but for the slack."""
    low, high = 0, size
    while high - low > BLOCK:
        middle = (low + high) // 2
        file.seek(middle)
        time = _time_at(file.read(BLOCK))
        if time and time >= until:
            high = middle
        else:
            low = middle
    file.seek(high)
    return high + len(file.readline())


def _shift(moment: datetime | None, seconds: float) -> str:
    return stamp_finely(moment + timedelta(seconds=seconds)) if moment is not None else ""


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 0


def describe_line(line: Line) -> str:
    """One line for a terminal: time, level, logger, message, and whose it is."""
    context = " ".join(f"{name}={one_line(value)}" for name, value in line.context.items())
    words = [line.time, line.level.upper().ljust(8), line.logger.removeprefix("greenlight."), one_line(line.message)]
    trace = f"(trace in {line.file})" if line.trace else ""
    return " ".join(w for w in (*words, context and f"[{context}]", trace) if w)


def to_jsonl(lines: Sequence[Line]) -> bytes:
    """Lines for a download, oldest first; traces stay in their files."""
    return "".join(json.dumps(line.to_dict(), ensure_ascii=False) + "\n" for line in reversed(lines)).encode("utf-8", "replace")
