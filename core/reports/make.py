"""Reports are made by an act of a person, or by themselves: of every deployment, closed incident and ended retraining.

What a report says is read and drawn before the transaction, because it takes a moment; its files are put in their place inside it,
so there is no row without its files. Files whose row was never written (a crash between the two) are replaced by the next report.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from core import acts, roles
from core.acts import Actor, Done, Tx
from core.errors import BadInput, GreenlightError
from core.home import Home
from core.notify import events
from core.projects.projects import get_project
from core.reports import deployment, drift, incident, retraining, weekly
from core.reports.document import Document
from core.reports.render import Standing, render_html, render_pdf
from core.reports.reports import BY_ITSELF, KINDS, Report, folder_of, get_report, list_reports, read_report, say_kind
from core.times import stamp, utc_now
from storage import accounts as accounts_store
from storage import audit as audit_store
from storage import reports as store
from storage import retrainings as retrainings_store
from storage.connection import reading

__all__ = ["Report", "get_report", "list_reports", "make_report", "make_unattended", "read_report", "send_report", "write_due"]

LOG = logging.getLogger("greenlight.reports")
REACH = timedelta(days=7)  # what happened longer ago gets no report by itself
A_TURN = 10  # reports that one turn of the clock makes at most
LOOKED_AT = 500  # of what waits for a report: those that cannot be made must not stand before all others


@dataclass(frozen=True)
class _Made:
    """A report that is drawn and not yet in its place."""

    document: Document
    standing: Standing
    html: bytes
    pdf: bytes | None


def make_report(
    home: Home, actor: Actor, kind: str, project: str, *, subject: str = "", reason: str = "", trigger: str = "person",
    key: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Make a report and keep it; returns its ``id`` and ``title``.

    Parameters
    ----------
    kind : str
        A key of ``core.reports.reports.KINDS``.
    subject : str
        The id of a deployment, drift check, incident or retraining, or a period: "2026-W47" or "2026-11-14/2026-11-21" (whole
        days, UTC). Without it the newest of its kind, or the seven days before ``now``.

    Raises
    ------
    BadInput
        No such kind, a period that cannot be read, or nothing to report yet.
    NotFound
        No such project or subject.
    """
    now = now or utc_now()
    found = _prepare(home, actor, kind, project, subject, key, now)

    def work(tx: Tx) -> Done:
        if isinstance(found, GreenlightError):
            raise found
        assert found is not None  # only for who may not, and for a repeated key; neither comes here
        report_id = _keep(tx.db, home, found)
        after = {"report": report_id, "kind": kind, "about": found.document.subject, "html_sha256": _sha(found.html)}
        return Done({"id": report_id, "title": found.document.title, "pdf": found.pdf is not None}, after=after, subject=f"report {report_id}")

    correlation = found.document.correlation_id if isinstance(found, _Made) else ""
    return acts.perform(
        home, actor, "make_report", work, project=project, subject=f"{kind[:20]} report", reason=reason, trigger=trigger, key=key,
        correlation_id=correlation or None, now=now,
    )  # fmt: skip


def make_unattended(home: Home, kind: str, project: str, *, subject: str = "", trigger: str = "schedule", now: datetime) -> dict[str, Any]:
    """Make and send a report that nobody asked for; of one subject there is one, however often this is called.

    Returns
    -------
    dict
        id, title, and whether it is new.
    """
    _check_kind(kind)
    get_project(home, project)
    subject = subject or _DEFAULTS[kind](home, project, now)
    # an incident's report stands until more has happened to it; the last one is made when it is closed
    stands = _STANDS_SINCE[kind](home, subject) if kind in _STANDS_SINCE else ""
    known = store.find_made(reading(home.db), project=project, kind=kind, subject=subject, by=BY_ITSELF, since=stands)
    made = _draw(home, kind, project, subject, BY_ITSELF, now) if known is None else None
    with acts.unattended(home, now) as (db, note):
        known = store.find_made(db, project=project, kind=kind, subject=subject, by=BY_ITSELF, since=stands)  # another process may have been first
        if known is None and made is not None:
            report_id = _keep(db, home, made)
            note(
                actor=BY_ITSELF, via="clock", trigger=trigger, action="make_report", project=project, subject=f"report {report_id}",
                after={"report": report_id, "kind": kind, "about": subject, "html_sha256": _sha(made.html)},
                **({"correlation_id": made.document.correlation_id} if made.document.correlation_id else {}),
            )  # fmt: skip
            _tell(db, report_id, made.document, now)
            return {"id": report_id, "title": made.document.title, "new": True}
    report = get_report(home, int(known or 0))
    return {"id": report.id, "title": report.title, "new": False}


def send_report(
    home: Home, actor: Actor, report_id: int, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Queue a report for everybody who wants reports, and for who sends it; returns how many ``messages`` wait."""
    report = get_report(home, report_id)

    def work(tx: Tx) -> Done:
        ids = events.tell(
            tx.db, "report_made", project=report.project, subject=report.title, facts={"Made": report.made_at[:16].replace("T", " ") + " UTC"},
            link=f"/reports?report={report_id}", correlation_id=tx.correlation_id, now=tx.now, to=(actor.name,), report=report_id,
        )  # fmt: skip
        return Done({"id": report_id, "messages": len(ids)}, after={"report": report_id, "messages": ids}, subject=f"report {report_id}")

    return acts.perform(
        home, actor, "send_report", work, permission="make_report", project=report.project, subject=f"report {report_id}", reason=reason,
        key=key, correlation_id=report.correlation_id or None, now=now,
    )  # fmt: skip


def write_due(home: Home, *, now: datetime) -> list[int]:
    """Make the reports that are made by themselves; called by the clock. Returns the ids of the new ones."""
    due = store.list_unreported(reading(home.db), since=stamp(now - REACH), until=stamp(now), by=BY_ITSELF, limit=LOOKED_AT)
    triggers = {"deployment": "person", "incident": "alert", "retraining": "schedule"}
    found = []
    for kind, project, subject in due:
        try:
            made = make_unattended(home, kind, project, subject=subject, trigger=triggers[kind], now=now)
        except Exception:  # the boundary of a report: one that cannot be made must not keep the others; the next turn tries again
            LOG.exception("the %s report about %s of project %s could not be made", kind, subject, project)
            continue
        if made["new"]:
            found.append(made["id"])
            if len(found) == A_TURN:
                break
    return found


def _prepare(home: Home, actor: Actor, kind: str, project: str, subject: str, key: str | None, now: datetime) -> _Made | GreenlightError | None:
    """The drawn report; what is wrong with the order, for the act to raise; None where the act will not come to need it."""
    db = reading(home.db)
    account = accounts_store.find_account(db, actor.name)
    if account is None or not account["active"] or not roles.may(account["role"], "make_report"):
        return None
    if key is not None and audit_store.find_request_key(db, key) is not None:
        return None
    try:
        _check_kind(kind)
        get_project(home, project)
        return _draw(home, kind, project, subject or _DEFAULTS[kind](home, project, now), actor.name, now)
    except GreenlightError as refusal:
        return refusal


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise BadInput(f"There is no report {kind[:20]!r}; there are {', '.join(KINDS)}.")


def _draw(home: Home, kind: str, project: str, subject: str, by: str, now: datetime) -> _Made:
    last = audit_store.find_last(reading(home.db))
    standing = Standing(stamp(now), by, *(last or (0, "")))
    document = _DESCRIBE[kind](home, project, subject)
    return _Made(document, standing, render_html(document, standing).encode(), render_pdf(document, standing))


def _keep(db: Database, home: Home, made: _Made) -> int:
    """Write the row, and put the files where it says."""
    document, standing = made.document, made.standing
    report_id = store.insert_report(db, {
        "project": document.project, "kind": document.kind, "title": document.title, "subject": document.subject,
        "since": document.since, "until": document.until, "made_at": standing.made_at, "made_by": standing.made_by,
        "html_sha256": _sha(made.html), "pdf_sha256": _sha(made.pdf) if made.pdf is not None else None,
        "bytes": len(made.html) + len(made.pdf or b""), "audit_count": standing.count, "audit_head": standing.head,
        "correlation_id": document.correlation_id,
    })  # fmt: skip
    if document.kind == "retraining":
        retrainings_store.update_retraining(db, int(document.subject), report_id=report_id)
    target = folder_of(home, report_id)
    fresh = home.reports / f".{report_id}.{secrets.token_hex(4)}"
    fresh.mkdir(parents=True)
    try:
        _write(fresh / "report.html", made.html)
        if made.pdf is not None:
            _write(fresh / "report.pdf", made.pdf)
        if target.exists():  # of a transaction that never came to its end: no row names it
            shutil.rmtree(target)
        fresh.rename(target)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return report_id


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _tell(db: Database, report_id: int, document: Document, now: datetime) -> None:
    facts = {"Report": say_kind(document.kind, document.subject), "Says": document.verdict}
    events.tell(
        db, "report_made", project=document.project, subject=document.title, facts=facts,
        link=f"/reports?report={report_id}", correlation_id=document.correlation_id, now=now, report=report_id,
    )  # fmt: skip


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


_DESCRIBE: dict[str, Callable[[Home, str, str], Document]] = {
    "deployment": deployment.describe, "drift": drift.describe, "incident": incident.describe, "retraining": retraining.describe,
    "weekly": weekly.describe,
}  # fmt: skip
_DEFAULTS: dict[str, Callable[[Home, str, datetime], str]] = {
    "deployment": lambda home, project, now: deployment.find_subject(home, project),
    "drift": lambda home, project, now: drift.find_subject(home, project),
    "incident": lambda home, project, now: incident.find_subject(home, project),
    "retraining": lambda home, project, now: retraining.find_subject(home, project),
    "weekly": lambda home, project, now: weekly.find_period(now),
}  # fmt: skip
_STANDS_SINCE: dict[str, Callable[[Home, str], str]] = {"incident": incident.find_last_change, "retraining": retraining.find_last_change}
