"""The outbox: sends what waits, tries again what failed, and keeps what became of each message.

A message is claimed before it is sent and ended after it. A sender that dies between the two leaves it to be sent again a little
later, so a message may come twice (with the same id), but is not lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core import acts, logs
from core.acts import Actor, Done, Tx
from core.errors import GreenlightError, NotFound, Refused
from core.home import Home
from core.notify import mail, webhook
from core.notify.channels import TITLES, check_channel
from core.notify.connections import Connections
from core.notify.events import EVENTS, MAIL, SLACK
from core.notify.messages import compose, find_words
from core.notify.outcome import Failed
from core.times import stamp, utc_now
from storage import accounts as accounts_store
from storage import audit as audit_store
from storage import notify as store
from storage.connection import reading, writing

log = logging.getLogger("greenlight.app")

WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))  # before the next tries
BEYOND = WAITS[-1] + timedelta(hours=1)  # no message waits longer; one that should was queued while the clock was ahead
LEASE = timedelta(minutes=2)  # a sender that was not heard of for so long is dead
AT_A_TURN = 200
SECONDS_A_TURN = 20.0  # the clock has other things to do
NOISY_AN_HOUR = 20  # messages of one noisy event that one recipient gets
KEPT = timedelta(days=180)


@dataclass(frozen=True)
class Delivery:
    """One message on its way to one recipient.

    Attributes
    ----------
    recipient : str
        An account for mail; empty for the other channels.
    state : "queued", "sending", "sent", "failed" or "skipped"
    next_at : str or None
        When it is tried (again); None once it has ended.
    error : str
        Why the last try failed, or why it was skipped.
    """

    id: int
    event: str
    project: str
    channel: str
    recipient: str
    message: dict[str, Any]
    state: str
    attempts: int
    next_at: str | None
    created_at: str
    sent_at: str | None
    error: str
    correlation_id: str

    @property
    def title(self) -> str:
        return find_words(self.event).title

    @property
    def subject(self) -> str:
        return str(self.message["subject"])


def get_delivery(home: Home, delivery_id: int) -> Delivery:
    row = store.find_delivery(reading(home.db), delivery_id)
    if row is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return Delivery(**row)


def list_deliveries(home: Home, **filters: Any) -> list[Delivery]:
    """Newest first; filters as in storage.notify.list_deliveries (states, channel, project, event, correlation_id, limit)."""
    return [Delivery(**r) for r in store.list_deliveries(reading(home.db), **filters)]


def count_states(home: Home, *, now: datetime, days: int = 30) -> dict[str, dict[str, int]]:
    """Channel -> state -> messages of the last days."""
    return store.count_states(reading(home.db), stamp(now - timedelta(days=days)))


def send_due(
    home: Home, *, now: datetime, connections: Connections, seconds: float = SECONDS_A_TURN,
    stopwatch: Callable[[], float] = time.monotonic,
) -> list[Delivery]:
    """Send every message whose time has come; returns them as they stand afterwards.

    A channel that cannot be reached is left alone for the rest of the turn, so that one dead server costs one time limit and
    not one for each message.

    Parameters
    ----------
    seconds : float
        After so long no further message is begun; the rest waits for the next turn.
    """
    _forget_old(home, now)
    end = stopwatch() + seconds
    out: dict[str, Failed] = {}
    done = []
    with ExitStack() as stack:
        senders = _Senders(home, connections, stack.enter_context(mail.Mailer(connections)))
        for delivery_id in store.list_due(reading(home.db), stamp(now), beyond=stamp(now + BEYOND), limit=AT_A_TURN):
            if stopwatch() >= end:
                break
            delivery = _deliver(home, delivery_id, senders, out, now)
            if delivery is not None:
                done.append(delivery)
    return done


def deliver(home: Home, delivery_id: int, *, now: datetime, connections: Connections) -> Delivery:
    """Send one message at once, if it waits; returns it as it stands afterwards."""
    with mail.Mailer(connections) as mailer:
        _deliver(home, delivery_id, _Senders(home, connections, mailer), {}, now)
    return get_delivery(home, delivery_id)


def redeliver(
    home: Home, actor: Actor, delivery_id: int, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Put a message that failed or was skipped back into the queue, with all its tries before it.

    Raises
    ------
    Refused
        It was sent, or still waits.
    """

    def work(tx: Tx) -> Done:
        row = store.find_delivery(tx.db, delivery_id)
        if row is None:
            raise NotFound(f"There is no delivery {delivery_id}.")
        if row["state"] not in ("failed", "skipped"):
            stands = "was sent already" if row["state"] == "sent" else "still waits to be sent"
            raise Refused(f"Delivery {delivery_id} {stands}; only one that failed or was skipped can be sent again.")
        store.update_delivery(tx.db, delivery_id, state="queued", attempts=0, next_at=tx.at, error="")
        return Done(
            {"id": delivery_id, "state": "queued", "before": row["state"]}, {"state": row["state"]}, {"state": "queued"},
            f"delivery {delivery_id}: {row['event']} by {row['channel']}",
        )  # fmt: skip

    return acts.perform(home, actor, "redeliver", work, permission="manage_channels", reason=reason, key=key, now=now)


def try_channel(
    home: Home, actor: Actor, channel: str, *, connections: Connections, key: str | None = None, now: datetime | None = None
) -> Delivery:
    """Send a test message by a channel (mail: to whoever asks), and say what became of it. It is not tried again."""
    now = now or utc_now()
    check_channel(channel)

    def work(tx: Tx) -> Done:
        message = {"subject": f"test of {TITLES[channel]}", "facts": {"Asked for by": actor.name}, "link": "/settings?tab=channels",
                   "at": tx.at}
        delivery_id = store.insert_delivery(
            tx.db, event="test", project="", channel=channel, recipient=actor.name if channel == MAIL else "", message=message,
            at=tx.at, correlation_id=tx.correlation_id,
        )
        return Done({"id": delivery_id}, after={"delivery": delivery_id}, subject=f"channel {channel}")

    done = acts.perform(home, actor, "test_channel", work, permission="manage_channels", key=key, now=now)
    return deliver(home, done["id"], now=now, connections=connections)



def _forget_old(home: Home, now: datetime) -> None:
    before = stamp(now - KEPT)
    oldest = store.find_oldest(reading(home.db))
    if oldest is not None and oldest < before:
        with writing(home.db) as db:
            store.forget_deliveries(db, before=before)


@dataclass(frozen=True)
class _Senders:
    home: Home
    connections: Connections
    mailer: mail.Mailer


def _deliver(home: Home, delivery_id: int, senders: _Senders, out: dict[str, Failed], now: datetime) -> Delivery | None:
    """Claim, send and end one message; None if another process was first."""
    row = _claim(home, delivery_id, now)
    if row is None:
        return None
    skip = _why_skip(home, row, senders.connections, now)
    if skip:
        return _end(home, row, now, state="skipped", error=skip)
    if row["channel"] in out:
        return _end_failed(home, row, out[row["channel"]], now, tried=False)
    try:
        _send(senders, row, now)
    except Failed as failure:
        if failure.whole:
            out[row["channel"]] = failure
        return _end_failed(home, row, failure, now)
    except GreenlightError as error:  # an address or a file that cannot be used
        return _end_failed(home, row, Failed(str(error)), now)
    except Exception as error:  # the boundary of a delivery: a bad one must not keep the others
        log.exception("delivery %s failed", row["id"])
        return _end_failed(home, row, Failed(f"An unexpected error ended it ({type(error).__name__}); its trace is in the app log."), now)
    return _end(home, row, now, state="sent", error="", sent_at=stamp(now))


def _claim(home: Home, delivery_id: int, now: datetime) -> dict[str, Any] | None:
    with writing(home.db) as db:
        row = store.find_delivery(db, delivery_id)
        if row is None or row["state"] not in ("queued", "sending") or stamp(now) < row["next_at"] <= stamp(now + BEYOND):
            return None
        store.update_delivery(db, delivery_id, state="sending", attempts=row["attempts"] + 1, next_at=stamp(now + LEASE))
    return {**row, "attempts": row["attempts"] + 1}


def _why_skip(home: Home, row: dict[str, Any], connections: Connections, now: datetime) -> str:
    problem = connections.why_not(row["channel"])
    if problem:
        return problem
    db = reading(home.db)
    if row["channel"] == MAIL:
        account = accounts_store.find_account(db, row["recipient"])
        if account is None or not account["active"]:
            return f"The account {row['recipient']} is closed."
        if not account["email"]:
            return f"{row['recipient']} has no e-mail address; it is set under Settings."
    event = EVENTS.get(row["event"])
    if event is not None and event.noisy:
        since = stamp(now - timedelta(hours=1))
        sent = store.count_sent(db, event=row["event"], channel=row["channel"], recipient=row["recipient"], since=since)
        if sent >= NOISY_AN_HOUR:
            return f"Held back: {sent} messages of this kind went to this recipient within an hour; all of them stand in the console."
    return ""


def _send(senders: _Senders, row: dict[str, Any], now: datetime) -> None:
    home, own = senders.home, senders.connections
    db = reading(home.db)
    message = compose(row, link=own.link(row["message"]["link"]), audit=audit_store.find_last(db))
    if row["channel"] == MAIL:
        account = accounts_store.find_account(db, row["recipient"])
        recipient = account["email"] if account else ""
        attached = _attach(home, row["message"])
        senders.mailer.send(mail.write_mail(message, sender=own.smtp_from, recipient=recipient, now=now, attached=attached))
    elif row["channel"] == SLACK:
        webhook.post(own, own.slack_url, *webhook.write_slack(message))
    else:
        webhook.post(own, own.webhook_url, *webhook.write_signed(message, webhook.make_secret(home), now=now))


def _attach(home: Home, message: dict[str, Any]) -> tuple[str, bytes] | None:
    if "report" not in message:
        return None
    from core.reports.reports import read_report

    try:
        return f"report_{message['report']}.pdf", read_report(home, message["report"], "pdf")
    except NotFound:
        return None  # it has no PDF; the link leads to it


def _end_failed(home: Home, row: dict[str, Any], failure: Failed, now: datetime, *, tried: bool = True) -> Delivery:
    attempts = row["attempts"] if tried else row["attempts"] - 1
    wait = max(attempts, 1)
    if failure.again and wait <= len(WAITS) and row["event"] != "test":
        return _end(home, row, now, state="queued", error=str(failure), attempts=attempts, next_at=stamp(now + WAITS[wait - 1]))
    return _end(home, row, now, state="failed", error=str(failure), attempts=attempts)


def _end(home: Home, row: dict[str, Any], now: datetime, *, state: str, error: str, **values: Any) -> Delivery:
    with writing(home.db) as db:
        store.update_delivery(db, row["id"], **{"state": state, "error": error[:500], "next_at": None, **values})
        found = store.find_delivery(db, row["id"])
    delivery = Delivery(**(found or row))
    with logs.bound(correlation_id=row["correlation_id"], project=row["project"]):
        level = {"sent": logging.INFO, "skipped": logging.INFO, "queued": logging.WARNING}.get(state, logging.ERROR)
        to = f" to {row['recipient']}" if row["recipient"] else ""
        log.log(
            level, "message %s (%s by %s%s): %s%s", row["id"], row["event"], row["channel"], to,
            "to be tried again" if state == "queued" else state, f": {error}" if error else "",
        )  # fmt: skip
    return delivery
