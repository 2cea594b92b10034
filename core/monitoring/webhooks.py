"""Alerts that other systems send: signed with the installation's secret, fresh, and each taken once.

The signature is HMAC-SHA256 over the time of sending, a full stop and the body, so neither can be changed and an old
message cannot be sent again under a new time.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
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
TOGETHER = 100  # messages that share one transaction at most: nobody else writes meanwhile
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
    """Raise or settle what a checked message says, once; all of it or nothing, and on the disk when this returns.

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
    message = _Message(marks, incoming, now)
    _take(home, message)
    if message.error is not None:
        raise message.error
    return message.taken


@dataclass(eq=False)
class _Message:
    """One message on its way into the database."""

    marks: list[str]
    incoming: list[Incoming]
    now: datetime
    taken: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None
    done: bool = False


class _Line:
    """Messages to one installation that wait for its database, and who may go to it."""

    def __init__(self) -> None:
        self.waiting: deque[_Message] = deque()
        self.turn = threading.Lock()


_lines: dict[Path, _Line] = {}


def _take(home: Home, message: _Message) -> None:
    """Write a message, together with all that came while another was being written: in a storm many share one commit.

    Nothing is answered before that commit is on the disk.
    """
    line = _lines.setdefault(home.db, _Line())
    line.waiting.append(message)
    with line.turn:
        while not message.done:
            together = [line.waiting.popleft() for _ in range(min(len(line.waiting), TOGETHER))]
            try:
                _write(home, together)
            except Exception:  # the boundary of a message: one that cannot be written must not take others with it
                for one in together:
                    _write_alone(home, one)
            except BaseException as error:
                for one in together:
                    one.taken, one.error = [], RuntimeError(f"it was interrupted ({type(error).__name__})")
                raise
            finally:
                for one in together:
                    one.done = True


def _write_alone(home: Home, message: _Message) -> None:
    message.taken, message.error = [], None
    try:
        _write(home, [message])
    except Exception as error:  # its sender is told, in its own thread
        message.error = error


def _write(home: Home, messages: list[_Message]) -> None:
    with acts.unattended(home, max(m.now for m in messages)) as (db, note):
        for message in messages:
            try:
                _take_once(db, message.marks, message.now)
            except SentBefore as error:  # found before anything of it was written
                message.error = error
                continue
            message.taken = [_write_one(db, note, one, message.now) for one in message.incoming]


def _write_one(db: Database, note: Callable[..., None], one: Incoming, now: datetime) -> dict[str, Any]:
    subject = _clean(one.subject)[:100]
    if one.firing:
        alert_id: int | None = alerts.raise_in(
            db, note, one.project, KIND, subject, severity=one.severity, sentence=_clean(one.sentence)[:500], value=one.value,
            threshold=one.threshold, unit=_clean(one.unit)[:20], detail={"from": BY}, by=BY, now=now,
        )  # fmt: skip
    else:
        alert_id = alerts.settle_in(db, note, one.project, KIND, subject, now=now, reason="the sender says that it is over")
    row = alerts_store.find_alert(db, alert_id) if alert_id is not None else None
    return {"id": alert_id, "project": one.project, "subject": subject, "state": row["state"] if row is not None else "resolved"}


def _clean(text: str) -> str:
    return one_line("".join(c if c.isprintable() else " " for c in text))


def _take_once(db: Database, marks: list[str], now: datetime) -> None:
    if any(audit_store.find_request_key(db, mark) is not None for mark in marks):
        raise SentBefore("This message was taken already; nothing was done again.")
    for mark in marks:
        audit_store.insert_request_key(db, key=mark, actor=BY, action="take_message", result="{}", at=stamp(now))
