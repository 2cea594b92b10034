"""Keys with which programs come in: made by an administrator, shown once, narrowed to what they need, revoked at once.

A key belongs to the account of a program, so acts and audit name the program. What the account's role allows is the
outer limit; the key's scopes, projects, addresses and expiry narrow it. Only HMAC-SHA256(installation key, secret) is
kept: whoever reads the database alone can neither use a key nor test a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from core import acts, roles
from core.acts import Actor, Done, Tx
from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.projects.definition import check_name
from core.times import parse, stamp, utc_now
from storage import accounts as accounts_store
from storage import keys as store
from storage import projects as projects_store
from storage.connection import close_all, read_marker, reading, writing

LOG = logging.getLogger("greenlight.app")

# What a key may be good for, in words for people.
SCOPES = {
    "predict": "Predict and recommend",
    "feedback": "Feed labels back",
    "read": "Read schema, models, health and metrics",
    "observe": "Post observations and alerts",
    "retrain": "Ask whether a retraining is due, and start one that is",
}
EVERY_PROJECT = "*"
PER_MINUTE = 6000
MOST_PER_MINUTE = 1_000_000
MOST_ADDRESSES = 50
TOUCH = timedelta(minutes=1)  # the last use is noted this often at most
_SECRET = re.compile(r"gl_([0-9a-z]{10})_([A-Za-z0-9_-]{43})")
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Key:
    """One key, without its secret.

    Attributes
    ----------
    account : str
        The program that it belongs to.
    projects : tuple of str
        Names, or ("*",) for every project.
    addresses : tuple of str
        Networks (CIDR) that it may be used from; empty means any.
    per_minute : int
        Requests per minute, all processes together.
    """

    id: str
    account: str
    scopes: tuple[str, ...]
    projects: tuple[str, ...]
    addresses: tuple[str, ...]
    per_minute: int
    created_at: str
    created_by: str
    expires_at: str | None = None
    last_used_at: str | None = None
    revoked_at: str | None = None
    revoked_by: str | None = None
    account_active: bool = True

    @property
    def every_project(self) -> bool:
        return EVERY_PROJECT in self.projects

    def may(self, scope: str, project: str | None = None) -> bool:
        """Whether the key is good for ``scope``, and in ``project`` if one is named.

        What concerns no project, or all of them, is asked with None: then the answer must be narrowed to ``projects``
        unless the key is good for every project.
        """
        return scope in self.scopes and (project is None or self.every_project or project in self.projects)

    def allows_address(self, address: str) -> bool:
        """Whether the key may be used from this peer address; what is no address is allowed only where any is."""
        if not self.addresses:
            return True
        try:
            ip = ipaddress.ip_address(address.split("%")[0])
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return any(ip in network for network in _networks(self.addresses))

    def state(self, now: datetime) -> str:
        """active, expired, revoked, or closed (the account is)."""
        if self.revoked_at is not None:
            return "revoked"
        if not self.account_active:
            return "closed"
        return "expired" if self.expires_at is not None and self.expires_at <= stamp(now) else "active"


# Coming in


def find_key(home: Home, secret: str, *, now: datetime) -> Key | None:
    """The key that a secret opens, or None: unknown, altered, expired, revoked, or its account is closed.

    Read from the database again whenever anybody has written to it, so that a revoked key is dead at once.
    """
    parts = _SECRET.fullmatch(secret)
    if parts is None:
        return None
    db = reading(home.db)
    marker = read_marker(db)
    offered = _hash(home, secret)
    known: dict[str, tuple[Any, Any, Key]] = _seen.__dict__.setdefault("keys", {})
    seen = known.get(offered)  # by what only the secret leads to: nothing is learnt from how long this takes
    if seen is not None and seen[0] is db and seen[1] == marker and marker is not None:
        return seen[2] if seen[2].state(now) == "active" else None
    row = store.find_key(db, parts[1])
    if not hmac.compare_digest(row["secret_hash"] if row else "0" * 64, offered) or row is None:
        return None
    key = _read(row)
    if row["account_role"] != roles.PROGRAM or key.state(now) != "active":
        return None
    if len(known) >= _KEPT:
        known.clear()
    known[offered] = (db, marker, key)
    return key


_seen = threading.local()  # connections are a thread's own, and so is what they tell of changes
_KEPT = 256

_touched: dict[tuple[str, str], datetime] = {}
_touching = threading.Lock()


def note_use(home: Home, key: Key, *, now: datetime) -> threading.Thread | None:
    """Note that a key was used, at most once a minute, without letting the caller wait.

    The write waits for the database in a thread of its own, which is returned if there is anything to write.
    """
    if key.last_used_at is not None and parse(key.last_used_at) > now - TOUCH:
        return None
    place = (str(home.db), key.id)
    with _touching:
        if place in _touched and now - TOUCH < _touched[place] <= now:
            return None
        _touched[place] = now
    thread = threading.Thread(target=_touch, args=(home, key.id, now), name="key-used", daemon=True)
    thread.start()
    return thread


def _touch(home: Home, key_id: str, now: datetime) -> None:
    try:
        with writing(home.db) as db:
            store.touch_key(db, key_id, stamp(now))
    except Exception:  # the boundary of a thread; a full disk must not stop a program that was let in already
        LOG.exception("the last use of key %s could not be noted", key_id)
    finally:
        close_all()


# Making and revoking


def list_keys(home: Home) -> list[Key]:
    """Every key that was ever made, newest first."""
    return [_read(row) for row in store.list_keys(reading(home.db))]


def add_key(
    home: Home, actor: Actor, name: str, scopes: Iterable[str], *, projects: Iterable[str] = (EVERY_PROJECT,),
    per_minute: int = PER_MINUTE, addresses: Iterable[str] = (), expires_at: datetime | None = None, reason: str = "",
    key: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Make a key for the program ``name``; its first key makes its account.

    Returns
    -------
    dict
        id, account, scopes, projects, addresses, per_minute, expires_at, and the secret under ``key``: shown once, and
        missing when a repeated request key made nothing.

    Raises
    ------
    BadInput
        A name, scope, address, limit or expiry that cannot be one.
    Refused
        The name belongs to a person or a closed account; a project does not exist; or the role may not.
    """
    now = now or utc_now()
    check_name(name, "program name")
    made_id = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    secret = f"gl_{made_id}_{secrets.token_urlsafe(32)}"
    reach: dict[str, Any] = {
        "scopes": _check_scopes(scopes),
        "projects": _check_projects(projects),
        "addresses": _check_addresses(addresses),
        "per_minute": _check_per_minute(per_minute),
        "expires_at": _check_expiry(expires_at, now),
    }
    made: list[str] = []

    def work(tx: Tx) -> Done:
        _open_account(tx, name)
        for project in reach["projects"]:
            if project != EVERY_PROJECT and projects_store.find_project(tx.db, project) is None:
                raise NotFound(f"There is no project {project[:60]!r}; name one that exists, or * for every project.")
        values = {
            "id": made_id, "account": name, "secret_hash": _hash(home, secret), **reach, "created_at": tx.at,
            "created_by": actor.name,
        }  # fmt: skip
        store.insert_key(tx.db, values)
        made.append(made_id)
        return Done({"id": made_id, "account": name, **reach}, after={"account": name, **reach}, subject=f"key {made_id} of {name}")

    result = acts.perform(home, actor, "add_key", work, permission="manage_keys", reason=reason, key=key, now=now)
    # the kept result has no secret, so a repeated request key cannot show it again
    return {**result, "key": secret} if made else result


def revoke_key(
    home: Home, actor: Actor, key_id: str, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """End a key: from the next request on it opens nothing."""

    def work(tx: Tx) -> Done:
        row = store.find_key(tx.db, key_id)
        if row is None:
            raise NotFound(f"There is no key {key_id[:60]!r}; key list shows those that there are.")
        if row["revoked_at"] is not None:
            raise Refused(f"Key {key_id} of {row['account']} was revoked already, by {row['revoked_by']}; nothing was changed.")
        store.revoke_key(tx.db, key_id, at=tx.at, by=actor.name)
        return Done(
            {"id": key_id, "account": row["account"]}, {"revoked": False}, {"revoked": True}, f"key {key_id} of {row['account']}"
        )

    return acts.perform(home, actor, "revoke_key", work, permission="manage_keys", reason=reason, key=key, now=now)


def _open_account(tx: Tx, name: str) -> None:
    account = accounts_store.find_account(tx.db, name)
    if name == roles.AGENT:
        raise Refused("agent is the name of Greenlight's own agent; give the program another.")
    if account is None:
        accounts_store.insert_account(
            tx.db, name=name, role=roles.PROGRAM, password_hash=None, demo=False, at=tx.at, by=tx.actor.name
        )
    elif account["role"] != roles.PROGRAM:
        raise Refused(f"{name} is somebody's account ({roles.ROLE_TITLES[account['role']]}); give the program a name of its own.")
    elif not account["active"]:
        raise Refused(f"The account of the program {name} is closed; open it again, or choose another name.")


def _check_scopes(scopes: Iterable[str]) -> list[str]:
    wanted = set(scopes)
    for scope in sorted(wanted - set(SCOPES)):
        raise BadInput(f"{scope[:60]!r} is no scope; choose from {', '.join(SCOPES)}.")
    if not wanted:
        raise BadInput(f"A key needs at least one scope; choose from {', '.join(SCOPES)}.")
    return [scope for scope in SCOPES if scope in wanted]


def _check_projects(projects: Iterable[str]) -> list[str]:
    wanted = sorted(set(projects))
    if not wanted:
        raise BadInput("A key needs at least one project; name one, or * for every project.")
    if EVERY_PROJECT in wanted and len(wanted) > 1:
        raise BadInput("A key is good for every project (*) or for those that are named, not both.")
    return wanted


def _check_addresses(addresses: Iterable[str]) -> list[str]:
    networks: list[str] = []
    for address in addresses:
        try:
            network = ipaddress.ip_network(address.strip())
        except ValueError as error:
            raise BadInput(
                f"{address.strip()[:60]!r} is neither an address nor a network; write it like 192.0.2.7 or 192.0.2.0/24."
            ) from error
        if str(network) not in networks:
            networks.append(str(network))
    if len(networks) > MOST_ADDRESSES:
        raise BadInput(f"A key takes at most {MOST_ADDRESSES} addresses; name networks instead.")
    return networks


def _check_per_minute(per_minute: int) -> int:
    if not 1 <= per_minute <= MOST_PER_MINUTE:
        raise BadInput(f"Requests per minute must lie between 1 and {MOST_PER_MINUTE:,}.")
    return int(per_minute)


def read_last_day(text: str) -> datetime:
    """The end (UTC) of the last day that a key is good on, written like 2027-01-31."""
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadInput(f"{text.strip()[:60]!r} is no day; write it like 2027-01-31.") from error
    return day + timedelta(days=1)


def _check_expiry(expires_at: datetime | None, now: datetime) -> str | None:
    if expires_at is None:
        return None
    moment = expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)
    if moment <= now:
        raise BadInput(f"The key would have ended at {stamp(moment)} already; choose a later day.")
    return stamp(moment)


@lru_cache(maxsize=256)
def _networks(addresses: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(a) for a in addresses)


@lru_cache(maxsize=16)
def _installation_key(home: Home) -> bytes:
    # kept in memory: no file is opened while a program waits
    return hmac.digest(home.secret_key(), b"api keys", hashlib.sha256)


def _hash(home: Home, secret: str) -> str:
    return hmac.digest(_installation_key(home), secret.encode(), hashlib.sha256).hex()


def _read(row: dict[str, Any]) -> Key:
    return Key(
        row["id"], row["account"], tuple(row["scopes"]), tuple(row["projects"]), tuple(row["addresses"]), row["per_minute"],
        row["created_at"], row["created_by"], row["expires_at"], row["last_used_at"], row["revoked_at"], row["revoked_by"],
        bool(row["account_active"]),
    )  # fmt: skip
