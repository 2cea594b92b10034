"""Times as they are stored: UTC, ISO 8601, milliseconds, so that text sorts as time."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present moment; called at boundaries only, everything inside takes ``now``."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """``2026-11-21T11:36:07.123Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp_finely(moment: datetime) -> str:
    """To the microsecond, for what happens in quick succession: ``2026-11-21T11:36:07.123456Z``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """The inverse of :func:`stamp` and :func:`stamp_finely`."""
    return datetime.fromisoformat(text)
