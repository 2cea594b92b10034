"""Handing the whole audit to somebody is itself an act, and stands in what is handed over."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from core import acts, audit
from core.acts import Actor, Done, Tx
from core.errors import BadInput
from core.home import Home
from storage import audit as store


def export_audit(home: Home, actor: Actor, *, key: str | None = None, now: datetime | None = None) -> bytes:
    """Every event as JSON lines (see core.audit.export_lines), the export's own event last.

    Raises
    ------
    Refused
        The role may not export the audit.
    """

    def work(tx: Tx) -> Done:
        last = store.find_last(tx.db)
        after: dict[str, Any] = {"events": last[0] if last else 0, "head": last[1] if last else audit.GENESIS}
        return Done(after, after=after, subject=f"audit up to event {after['events']}")

    acts.perform(home, actor, "export_audit", work, key=key, now=now)
    return "".join(line + "\n" for line in audit.export_lines(home)).encode()


def export_audit_file(home: Home, actor: Actor, path: Path) -> int:
    """The same into a file that does not exist yet; returns the number of events.

    Raises
    ------
    BadInput
        ``path`` exists already.
    Refused
        The role may not export the audit.
    """
    if path.exists():
        raise BadInput(f"{path} exists already; choose another name, exports are never overwritten.")
    content = export_audit(home, actor)
    fresh = path.with_name(path.name + ".part")
    fresh.write_bytes(content)
    fresh.replace(path)
    return content.count(b"\n")
