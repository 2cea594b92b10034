"""The three channels: what the environment connects, what an administrator switches and chooses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import acts, roles
from core.acts import Actor, Done, Tx
from core.errors import BadInput, Refused
from core.home import Home
from core.notify import webhook
from core.notify.connections import Connections
from core.notify.events import CHANNELS, EVENTS, MAIL, SLACK, WEBHOOK, who_wants
from storage import notify as store
from storage.connection import reading

TITLES = {MAIL: "E-mail", SLACK: "Slack", WEBHOOK: "Webhook"}


@dataclass(frozen=True)
class Channel:
    """One way out.

    Attributes
    ----------
    active : bool
        Whether an administrator lets messages be made for it.
    problem : str
        Why it cannot be used as the environment is now ("Not configured: ..."); empty if it can.
    where : str
        Host and port; never a secret.
    wants : dict
        Event -> roles that are mailed, or for the other channels the channel's own name, or nothing.
    changed_at, changed_by : str
        The last change by an administrator; empty if there was none.
    """

    name: str
    active: bool
    problem: str
    where: str
    wants: dict[str, frozenset[str]]
    changed_at: str = ""
    changed_by: str = ""

    @property
    def title(self) -> str:
        return TITLES[self.name]


def list_channels(home: Home, connections: Connections) -> list[Channel]:
    """E-mail, Slack and the webhook, as they stand."""
    known = store.list_channels(reading(home.db))
    found = []
    for name in CHANNELS:
        row = known.get(name)
        settings = row["settings"] if row else {}
        found.append(
            Channel(
                name, bool(row["active"]) if row else True, connections.why_not(name), connections.where(name),
                {event: who_wants(name, event, settings) for event in EVENTS}, row["changed_at"] if row else "",
                row["changed_by"] if row else "",
            )
        )  # fmt: skip
    return found


def check_channel(name: str) -> str:
    if name not in CHANNELS:
        raise BadInput(f"There is no channel {name[:40]!r}; the channels are {', '.join(CHANNELS)}.")
    return name


def switch_channel(
    home: Home, actor: Actor, name: str, active: bool, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Let messages be made for a channel, or not; those that were made already go out."""
    check_channel(name)

    def work(tx: Tx) -> Done:
        row = store.find_channel(tx.db, name)
        before = bool(row["active"]) if row else True
        if before == active:
            raise Refused(f"{TITLES[name]} is {'on' if active else 'off'} already.")
        store.set_channel(
            tx.db, name=name, kind=name, settings=row["settings"] if row else {}, active=active, at=tx.at, by=actor.name
        )  # fmt: skip
        return Done({"channel": name, "active": active}, {"active": before}, {"active": active}, f"channel {name}")

    return acts.perform(home, actor, "switch_channel", work, permission="manage_channels", reason=reason, key=key, now=now)


def choose(
    home: Home, actor: Actor, name: str, event: str, wanted: Iterable[str] | bool, *, reason: str = "", key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Say who hears of an event by a channel.

    Parameters
    ----------
    wanted : iterable of str, or bool
        Roles for the mail; whether at all for the others.

    Raises
    ------
    BadInput
        No such channel, event or role; or a choice that does not fit the channel.
    Refused
        The event is always told to roles that were left out.
    """
    check_channel(name)
    if event not in EVENTS:
        raise BadInput(f"There is no event {event[:40]!r}; the events are {', '.join(EVENTS)}.")
    if (name == MAIL) == isinstance(wanted, bool):
        raise BadInput("Mail is sent to roles; Slack and the webhook are told of an event or not.")
    chosen = ([name] if wanted else []) if isinstance(wanted, bool) else sorted(set(wanted))
    unknown = [r for r in chosen if name == MAIL and r not in roles.PERSON_ROLES]
    if unknown:
        raise BadInput(f"{unknown[0][:60]!r} is no role; choose among {', '.join(roles.PERSON_ROLES)}.")

    def work(tx: Tx) -> Done:
        left_out = EVENTS[event].always - set(chosen) if name == MAIL else set()
        if left_out:
            titles = ", ".join(sorted(roles.ROLE_TITLES[r] for r in left_out))
            raise Refused(f"{EVENTS[event].title}: this is always told to {titles}; choose them too.")
        row = store.find_channel(tx.db, name)
        settings = row["settings"] if row else {}
        before = sorted(who_wants(name, event, settings))
        fresh = {**settings, "wants": {**settings.get("wants", {}), event: chosen}}
        store.set_channel(
            tx.db, name=name, kind=name, settings=fresh, active=bool(row["active"]) if row else True, at=tx.at, by=actor.name
        )  # fmt: skip
        return Done({"channel": name, "event": event, "wanted": chosen}, {event: before}, {event: chosen}, f"channel {name}: {event}")

    return acts.perform(home, actor, "choose_recipients", work, permission="manage_channels", reason=reason, key=key, now=now)


def show_secret(home: Home, actor: Actor, *, reason: str = "", now: datetime | None = None) -> str:
    """The secret by which the receiver of the webhook knows our messages; that it was shown is audited."""

    def work(tx: Tx) -> Done:
        return Done(subject="secret of the notification webhook")

    acts.perform(home, actor, "show_channel_secret", work, permission="manage_channels", reason=reason, now=now)
    return webhook.make_secret(home)
