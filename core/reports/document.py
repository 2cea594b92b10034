"""What a report says, before it has a look: sections of sentences, facts, tables, charts and timelines.

Everything here is text, never markup; the one exception is the picture of a chart, which :mod:`core.reports.charts` draws and
which escapes what it writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core import numbers
from core.times import parse

UNKNOWN = "unknown"
APART = "\u202f"  # a narrow space between thousands
# level -> (sign, word): a level is never said by colour alone
LEVELS = {"ok": ("●", "All well"), "look": ("▲", "Look"), "act": ("◆", "Act"), "unknown": ("?", "Unknown"), "none": ("", "")}


@dataclass(frozen=True)
class Text:
    """A paragraph; ``tone`` is "" or "quiet" (a remark)."""

    text: str
    tone: str = ""
    block: str = "text"


@dataclass(frozen=True)
class Facts:
    """Names and values, one a line."""

    rows: tuple[tuple[str, str], ...]
    block: str = "facts"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    numbers : frozenset of int
        Columns that are set to the right.
    wide : frozenset of int
        Columns that get the room that is left, for sentences.
    note : str
        A remark below, such as how many rows were left out.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    wide: frozenset[int] = frozenset()
    note: str = ""
    block: str = "table"


@dataclass(frozen=True)
class Chart:
    """A picture: SVG of core.reports.charts, and what it shows in a sentence for who cannot see it."""

    svg: str
    says: str
    note: str = ""
    block: str = "chart"


@dataclass(frozen=True)
class Entry:
    """One line of a timeline."""

    at: str
    what: str
    sentence: str
    who: str = ""


@dataclass(frozen=True)
class Timeline:
    """What happened, in order; ``left_out`` entries of the middle are not shown and ``gap_after`` is how many stand before them."""

    entries: tuple[Entry, ...]
    left_out: int = 0
    gap_after: int = 0
    block: str = "timeline"


Block = Text | Facts | Table | Chart | Timeline


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """One report.

    Attributes
    ----------
    kind : str
        A key of core.reports.reports.KINDS.
    subject : str
        What it is about, as it is stored: an id, or the two ends of a period.
    level : str
        A key of ``LEVELS``.
    verdict : str
        The answer in a sentence or two.
    since, until : str or None
        The period, where it is about one.
    """

    kind: str
    project: str
    subject: str
    title: str
    under: str
    level: str
    verdict: str
    facts: Facts
    sections: tuple[Section, ...]
    correlation_id: str
    since: str | None = None
    until: str | None = None


def find_number(subject: str) -> int | None:
    """The number that a subject is, or None."""
    return int(subject) if subject.isascii() and subject.isdigit() and len(subject) < 16 else None


def say_time(moment: str | datetime | None) -> str:
    """``21 Nov 2026, 16:05 UTC``; a report is read anywhere, so the zone is always the same. Breaks after the comma only."""
    if not moment:
        return UNKNOWN
    moment = parse(moment) if isinstance(moment, str) else moment
    return moment.astimezone(UTC).strftime("%-d\u00a0%b\u00a0%Y, %H:%M\u00a0UTC")


def say_day(moment: str | datetime) -> str:
    moment = parse(moment) if isinstance(moment, str) else moment
    return moment.astimezone(UTC).strftime("%-d %b %Y")


def say(value: Any, digits: int = 3) -> str:
    """A number with ``digits`` after the point, text as it is, nothing as "unknown"."""
    if value is None or value == "" or value != value:  # the last is what no number is: not equal to itself
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return say_count(value)
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def say_count(number: int) -> str:
    return f"{number:,}".replace(",", APART)


def say_range(low: float | None, high: float | None, digits: int = 3) -> str:
    return UNKNOWN if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"


def count_of(number: int, one: str, many: str = "") -> str:
    """``1 alert``, ``12 alerts``."""
    return numbers.count_of(number, one, many, apart=APART)


def sections_of(*found: Section | None) -> tuple[Section, ...]:
    """Those that there are."""
    return tuple(section for section in found if section is not None)


def some(rows: Sequence[tuple[str, ...]], most: int, of: str) -> tuple[tuple[tuple[str, ...], ...], str]:
    """The first ``most`` rows, and the sentence that says how many are not shown."""
    if len(rows) <= most:
        return tuple(rows), ""
    return tuple(rows[:most]), f"{most} of {say_count(len(rows))} {of} are shown."
