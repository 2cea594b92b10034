"""When a schedule is due: rules in local time, answered in UTC.

A rule speaks of wall-clock times in a time zone. A wall time that does not exist (the hour that is left out in spring) falls on
the first moment after the gap; one that exists twice (autumn) is its first occurrence. So each wall time is one moment, later wall
times are never earlier moments, and a slot is named by that moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import BadInput

Rule = dict[str, Any]

FORMS = ("every_days", "weekly", "monthly", "cron")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MOST_DAYS = 366
MOST_CRON = 400  # every value of every field as a list is less
LOOK_AHEAD = 9 * 366  # days; 29 February may be eight years away

_AT = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_CRON = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))


def check_rule(rule: Rule, *, now: datetime) -> Rule:
    """The rule in its one spelling: its form, "at", "timezone", and for every_days "since", the local day it counts from.

    Parameters
    ----------
    rule : dict
        One of ``{"every_days": 3, "at": "02:30"}``, ``{"weekly": "mon", "at": ...}``, ``{"monthly": 31, "at": ...}`` (a day that a
        month does not have is its last one), ``{"cron": "30 2 * * 1-5"}`` (five fields; where the day of the month and the day of
        the week are both limited, either suffices); with "timezone", an IANA name (UTC unless given).

    Raises
    ------
    BadInput
        What is wrong with it, and how it is written.
    """
    forms = [f for f in FORMS if f in rule]
    unknown = sorted(set(rule) - {*FORMS, "at", "timezone", "since"})
    if len(forms) != 1 or unknown:
        what = f"{unknown[0]!r} is no part of a rule" if unknown else "A rule has exactly one form"
        raise BadInput(f"{what}; give one of every_days, weekly, monthly (with at) or cron, and a timezone.")
    form = forms[0]
    zone = find_zone(str(rule.get("timezone") or "UTC"))
    checked: Rule = {form: _check_form(form, rule[form])}
    if form != "cron":
        checked["at"] = _check_at(rule.get("at", "00:00"))
    elif "at" in rule:
        raise BadInput("A cron rule has its time in its first two fields; leave at away.")
    checked["timezone"] = zone.key
    if form == "every_days":
        checked["since"] = _check_day(rule["since"]) if "since" in rule else now.astimezone(zone).date().isoformat()
    next_slot(checked, now)  # a rule that never comes is refused here
    return checked


def next_slot(rule: Rule, after: datetime) -> datetime:
    """The first slot after a moment, in UTC.

    Raises
    ------
    BadInput
        The rule never comes (30 February).
    """
    for moment in slots_after(rule, after):
        return moment
    raise BadInput(f"The rule {say_rule(rule)!r} never comes; choose a day that exists.")


def slots_after(rule: Rule, after: datetime) -> Iterator[datetime]:
    """Every slot after a moment, oldest first, each once; it ends where nine years bring none."""
    zone = find_zone(rule["timezone"])
    day, last = after.astimezone(zone).date() - timedelta(days=1), after
    empty = 0
    while empty < LOOK_AHEAD:
        empty += 1
        for at in _times_on(rule, day):
            moment = to_moment(datetime.combine(day, at), zone)
            if moment > last:
                yield moment
                last, empty = moment, 0
        try:
            day += timedelta(days=1)
        except OverflowError:
            return


def to_moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment in UTC of a wall-clock time: the end of the gap if it does not exist, its first occurrence if it exists twice."""
    early = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if early.astimezone(zone).replace(tzinfo=None) == wall:
        return early
    # in a gap: the clocks change between what the two offsets make of it; look for the second at which they do
    low, high = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), early
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high


def find_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(f"There is no time zone {name[:60]!r}; write it as Europe/Paris or UTC.") from error


def say_rule(rule: Rule) -> str:
    """The rule in words: "weekly on Monday at 02:30 (Europe/Paris)"."""
    zone = rule["timezone"]
    if "cron" in rule:
        return f"cron {rule['cron']} ({zone})"
    if "every_days" in rule:
        often = "every day" if rule["every_days"] == 1 else f"every {rule['every_days']} days"
    elif "weekly" in rule:
        often = f"weekly on {DAY_NAMES[DAYS.index(rule['weekly'])]}"
    else:
        often = f"monthly on day {rule['monthly']}" + (" (or the last)" if rule["monthly"] > 28 else "")
    return f"{often} at {rule['at']} ({zone})"


def _times_on(rule: Rule, day: date) -> list[time]:
    """The rule's wall times on one local day, in order."""
    if "cron" in rule:
        minutes, hours, days, months, weekdays = _read_cron(rule["cron"])
        if day.month not in months or not _cron_day(rule["cron"], day, days, weekdays):
            return []
        return [time(h, m) for h in sorted(hours) for m in sorted(minutes)]
    if "every_days" in rule:
        due = (passed := (day - date.fromisoformat(rule["since"])).days) >= 0 and passed % rule["every_days"] == 0
    elif "weekly" in rule:
        due = day.weekday() == DAYS.index(rule["weekly"])
    else:
        last = (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        due = day.day == min(rule["monthly"], last.day)
    return [time.fromisoformat(rule["at"])] if due else []


def _cron_day(text: str, day: date, days: frozenset[int], weekdays: frozenset[int]) -> bool:
    _, _, of_month, _, of_week = text.split()
    by_month, by_week = day.day in days, (day.weekday() + 1) % 7 in weekdays
    if of_month.startswith("*") or of_week.startswith("*"):
        return by_month and by_week
    return by_month or by_week


_crons: dict[str, tuple[frozenset[int], ...]] = {}


def _read_cron(text: str) -> tuple[frozenset[int], ...]:
    """Minutes, hours, days of the month, months, days of the week (Sunday is 0)."""
    if text not in _crons:
        parts = text.lower().split()
        if len(parts) != len(_CRON):
            raise BadInput(f"A cron rule has five fields (minute hour day month weekday); {text[:60]!r} has {len(parts)}.")
        fields = [_read_field(part, *of) for part, of in zip(parts, _CRON, strict=True)]
        fields[4] = frozenset(d % 7 for d in fields[4])
        _crons[text] = tuple(fields)
    return _crons[text]


def _read_field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    """``*``, ``5``, ``1-5``, ``*/15``, ``mon-fri``, and lists of them."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin = low if span == "*" else _read_number(first, name, low, high)
        end = high if span == "*" or (step and not dash) else _read_number(last, name, low, high) if dash else begin
        if name == "day of the week" and (span == "*" or (step and not dash)):
            end = 6  # 7 is Sunday a second time
        if end < begin or (step and (not (step.isascii() and step.isdecimal()) or int(step[:4]) < 1)) or ("/" in part and not step):
            raise BadInput(f"The {name} {part[:20]!r} of the cron rule cannot be read; write {low}-{high}, a list, a range or */N.")
        found.update(range(begin, end + 1, int(step[:4] or 1)))
    return frozenset(found)


def _read_number(text: str, name: str, low: int, high: int) -> int:
    names = MONTHS if name == "month" else ("sun", *DAYS[:6]) if name == "day of the week" else ()
    if text in names:
        return names.index(text) + low
    if not (text.isascii() and text.isdecimal() and low <= int(text[:4]) <= high):
        raise BadInput(f"The {name} {text[:20]!r} of the cron rule is not within {low}-{high}.")
    return int(text)


def _check_form(form: str, value: Any) -> Any:
    if form == "cron":
        text = " ".join(str(value).split()).lower()
        if len(text) > MOST_CRON:
            raise BadInput(f"A cron rule has at most {MOST_CRON} characters; ranges and */N are shorter than lists.")
        _read_cron(text)
        return text
    if form == "weekly":
        day = str(value).strip().lower()[:3]
        if day not in DAYS:
            raise BadInput(f"{str(value)[:20]!r} is no day of the week; write one of {', '.join(DAYS)}.")
        return day
    most = 31 if form == "monthly" else MOST_DAYS
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BadInput(f"{form} is a whole number from 1 to {most}, not {str(value)[:20]!r}.")
    return value


def _check_at(value: Any) -> str:
    if not _AT.fullmatch(str(value)):
        raise BadInput(f"{str(value)[:20]!r} is no time of day; write it as 02:30.")
    return str(value)


def _check_day(value: Any) -> str:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError as error:
        raise BadInput(f"{str(value)[:20]!r} is no day; write it as 2026-03-29.") from error
