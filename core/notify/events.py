"""What is told, to whom, and by which channel: an event becomes one queued message for each that wants it.

Nothing is sent here. The rows are written in the transaction of the act that they tell of, so there is no message without the
act and no act without its message; the outbox sends them later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from core import roles
from core.errors import BadInput
from core.home import Home
from core.roles import ADMIN, DEVOPS, DRH, SCIENTIST
from core.text import one_line
from core.times import stamp
from storage import accounts as accounts_store
from storage import notify as store
from storage.connection import writing

MAIL, SLACK, WEBHOOK = "mail", "slack", "webhook"
CHANNELS = (MAIL, SLACK, WEBHOOK)
_LONGEST = 1000  # characters of one fact


@dataclass(frozen=True)
class Event:
    """One kind of event.

    Attributes
    ----------
    title : str
        What the settings call it.
    roles : frozenset of str
        Who is mailed unless an administrator chose others.
    noisy : bool
        It may come in floods; the outbox holds back what is too much for one recipient.
    always : frozenset of str
        Roles that are mailed whatever was chosen.
    """

    title: str
    roles: frozenset[str]
    noisy: bool = False
    always: frozenset[str] = frozenset()


_BUILDERS = frozenset({SCIENTIST, DEVOPS})
_DECIDERS = frozenset({SCIENTIST, DRH, DEVOPS})

EVENTS: dict[str, Event] = {
    "request_filed": Event("A request waits for a decision", _DECIDERS),
    "request_decided": Event("A request was decided", frozenset({DEVOPS})),
    "request_expired": Event("A request or an approval ran out of time", frozenset({DRH})),
    "deployed": Event("A version went live", _DECIDERS),
    "rolled_back": Event("An earlier version was brought back", _DECIDERS),
    "undeployed": Event("Nothing is live any more", _DECIDERS),
    "alert_opened": Event("A critical alert opened, or the agent tells of an incident", _BUILDERS, noisy=True),
    "drift_found": Event("Drift was found", _BUILDERS, noisy=True),
    "incident_escalated": Event("The agent hands an incident to a person", _DECIDERS, noisy=True),
    "incident_closed": Event("An incident was closed", _DECIDERS, noisy=True),
    "retraining_finished": Event("A retraining ended", _DECIDERS),
    "role_changed": Event("Somebody was given another role", frozenset({ADMIN, DRH}), always=frozenset({ADMIN, DRH})),
    "report_made": Event("A report was made", _DECIDERS),
    "job_failed": Event("A job failed", _BUILDERS, noisy=True),
}


def tell(
    place: Home | Database, event: str, *, project: str = "", subject: str, facts: Mapping[str, Any] | None = None, link: str = "",
    correlation_id: str = "", now: datetime, to: Iterable[str] = (), permission: str = "", report: int | None = None,
) -> list[int]:
    """Queue the messages of one event; returns their ids.

    Parameters
    ----------
    place : Home or Database
        The open transaction of the act that this tells of (``tx.db``), or the installation where there is none.
    event : str
        A key of ``EVENTS``.
    subject : str
        What it is about, in a few words: "request 17: version 1.1.0".
    facts : mapping
        Label -> value, shown in this order; values are shown as plain text on one line.
    link : str
        Where to look: a path of the console, such as "/approvals?request=17"; the project is added.
    to : iterable of str
        Accounts that are mailed besides the roles that want it (who asked is told the decision).
    permission : str
        An action of the roles table: of the roles that want the event only those which may do this are mailed.
    report : int, optional
        The report whose PDF goes with the mail.

    Raises
    ------
    BadInput
        No such event, or a link that is no path of the console.
    """
    if event not in EVENTS:
        raise BadInput(f"There is no event {event[:40]!r}; the events are {', '.join(EVENTS)}.")
    if link and not (link.startswith("/") and not link.startswith("//")):
        raise BadInput("The link of a message is a path of the console; begin it with one slash.")
    if link and project:
        link += f"{'&' if '?' in link else '?'}project={project}"
    message = {
        "subject": _shorten(subject), "facts": {_shorten(k): _shorten(v) for k, v in (facts or {}).items() if v is not None},
        "link": link, "at": stamp(now), **({"report": report} if report is not None else {}),
    }  # fmt: skip
    if isinstance(place, Home):
        with writing(place.db) as db:
            return _queue(db, event, project, message, correlation_id, frozenset(to), permission)
    return _queue(place, event, project, message, correlation_id, frozenset(to), permission)


def _queue(
    db: Database, event: str, project: str, message: dict[str, Any], correlation_id: str, to: frozenset[str], permission: str
) -> list[int]:
    chosen = store.list_channels(db)
    recipients = []
    for channel in CHANNELS:
        settings = chosen.get(channel)
        if settings is not None and not settings["active"]:
            continue
        wanted = who_wants(channel, event, settings["settings"] if settings else {})
        if channel == MAIL:
            asked = frozenset(r for r in wanted if not permission or roles.may(r, permission))
            recipients += [
                (channel, a["name"]) for a in accounts_store.list_accounts(db)
                if a["active"] and a["role"] in roles.PERSON_ROLES and (a["role"] in asked or a["name"] in to)
            ]  # fmt: skip
        elif wanted:
            recipients.append((channel, ""))
    return [
        store.insert_delivery(
            db, event=event, project=project, channel=channel, recipient=recipient, message=message, at=message["at"],
            correlation_id=correlation_id,
        )
        for channel, recipient in recipients
    ]  # fmt: skip


def who_wants(channel: str, event: str, settings: Mapping[str, Any]) -> frozenset[str]:
    """Roles that are mailed of an event; for the other channels the channel's own name, or nothing."""
    own = settings.get("wants", {}).get(event)
    if channel == MAIL:
        return (EVENTS[event].roles if own is None else frozenset(own)) | EVENTS[event].always
    return frozenset({channel}) if own is None or own else frozenset()


def _shorten(value: Any) -> str:
    text = one_line("".join(c if c.isprintable() or c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in str(value)))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
