"""Alerts that other systems send: signed with the installation's secret, fresh, and each taken once.

The signature is HMAC-SHA256 over the time of sending, a full stop and the body, so neither can be changed and an old
message cannot be sent again under a new time.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import Refused
from core.home import Home
from core.monitoring import alerts
from core.projects.projects import get_project
from core.text import one_line
from core.times import stamp
from storage import alerts as alerts_store
from storage import audit as audit_store

WINDOW = 300.0  # seconds that a message may be old, or ahead of this machine's clock
KIND = "external"
BY = "alert webhook"


class WrongSignature(Refused):
    """Nobody with the secret sent this, or not now."""


class SentBefore(Refused):
    """The same message was taken already."""


@dataclass(frozen=True)
class Incoming:
    """One alert of another system; ``firing`` False ends it."""

    project: str
    subject: str
    severity: str
    sentence: str
    firing: bool = True
    value: float | None = None
    threshold: float | None = None
    unit: str = ""


def make_secret(home: Home) -> str:
    """The secret with which messages to this installation are signed; it never changes and is stored nowhere else."""
    return hmac.digest(home.secret_key(), b"alert webhook", hashlib.sha256).hex()


def show_secret(home: Home, actor: Actor, *, reason: str = "", now: datetime | None = None) -> str:
    """The secret, for an administrator to give to the sending system; that it was shown is audited."""

    def work(tx: Tx) -> Done:
        return Done(subject="secret of the alert webhook")

    acts.perform(home, actor, "show_webhook_secret", work, permission="manage_keys", reason=reason, now=now)
    return make_secret(home)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """What stands in the header X-Greenlight-Signature."""
    return "sha256=" + hmac.digest(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hex()


def check_signature(home: Home, timestamp: str, signature: str, body: bytes, *, now: datetime) -> None:
    """Raise WrongSignature unless the message was signed with the secret within the last five minutes."""
    if not timestamp or not signature:
        raise WrongSignature("The message is not signed: send X-Greenlight-Timestamp and X-Greenlight-Signature.")
    wanted = sign(make_secret(home), timestamp, body)
    if not hmac.compare_digest(wanted.encode(), signature.encode()):
        raise WrongSignature("The signature does not fit the message; sign its time, a full stop and its body with the secret.")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise WrongSignature("X-Greenlight-Timestamp is the time of sending in whole seconds since 1970.")
    if abs(now.timestamp() - int(timestamp)) > WINDOW:
        raise WrongSignature(f"The message is more than {WINDOW:.0f} seconds old or early; check the clocks and send it anew.")


def receive(home: Home, signature: str, incoming: list[Incoming], *, identity: str = "", now: datetime) -> list[dict[str, Any]]:
    """Raise or settle what a checked message says, once; all of it in one transaction.

    Parameters
    ----------
    signature : str
        "" where the sender came with a key instead of signing; then only ``identity`` tells a message apart.
    identity : str
        The sender's own id of the message, if it has one: the same again is refused even if it was signed anew.

    Returns
    -------
    list of dict
        id, project, subject and state of each alert; id is None where there was nothing to end.

    Raises
    ------
    NotFound
        There is no such project; then nothing was taken.
    SentBefore
        The message was taken already.
    """
    for one in incoming:
        get_project(home, one.project)
    marks = [*([f"webhook {signature}"] if signature else []), *([f"webhook id {identity}"] if identity else [])]
    taken = []
    with acts.unattended(home, now) as (db, note):
        _take_once(db, marks, now)
        for one in incoming:
            subject = _clean(one.subject)[:100]
            if one.firing:
                alert_id: int | None = alerts.raise_in(
                    db, note, one.project, KIND, subject, severity=one.severity, sentence=_clean(one.sentence)[:500], value=one.value,
                    threshold=one.threshold, unit=_clean(one.unit)[:20], detail={"from": BY}, by=BY, now=now,
                )  # fmt: skip
            else:
                alert_id = alerts.settle_in(db, note, one.project, KIND, subject, now=now, reason="the sender says that it is over")
            row = alerts_store.find_alert(db, alert_id) if alert_id is not None else None
            state = row["state"] if row is not None else "resolved"
            taken.append({"id": alert_id, "project": one.project, "subject": subject, "state": state})
    return taken


def _clean(text: str) -> str:
    return one_line("".join(c if c.isprintable() else " " for c in text))


def _take_once(db: Database, marks: list[str], now: datetime) -> None:
    if any(audit_store.find_request_key(db, mark) is not None for mark in marks):
        raise SentBefore("This message was taken already; nothing was done again.")
    for mark in marks:
        audit_store.insert_request_key(db, key=mark, actor=BY, action="take_message", result="{}", at=stamp(now))
