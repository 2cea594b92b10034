"""Accounts, sessions, and the first start; how secrets are made and compared is in core/passwords.py."""

from __future__ import annotations

import getpass
import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from core import acts, roles
from core.acts import Actor, Done, Tx
from core.errors import BadInput, GreenlightError, NotFound, Refused
from core.home import Home
from core.notify import events
from core.notify.mailbox import check_address, mask
from core.passwords import check_password, fits_code, fits_password, hash_code, hash_password, hash_token, make_code, make_token
from core.projects.definition import check_name
from core.times import parse, stamp, utc_now
from storage import accounts as store
from storage import identities as identities_store
from storage.connection import reading, writing

SESSION = timedelta(hours=12)
WINDOW = timedelta(minutes=15)
WRONG_PER_NAME_AND_ADDRESS = 10
WRONG_PER_NAME = 50  # from anywhere: an attacker with many addresses
WRONG_PER_ADDRESS = 100  # any names: an attacker with many names
FREE_TRIES = 3  # after these, each wrong answer takes longer
DEMO_ACCOUNTS = (
    ("scientist", roles.SCIENTIST),
    ("director", roles.DRH),
    ("devops", roles.DEVOPS),
    ("developer", roles.DEVELOPER),
    ("admin", roles.ADMIN),
)


@dataclass(frozen=True)
class Account:
    name: str
    role: str
    active: bool = True
    demo: bool = False
    created_at: str = ""
    email: str = ""

    @property
    def role_title(self) -> str:
        return roles.ROLE_TITLES[self.role]

    def may(self, action: str) -> bool:
        return roles.may(self.role, action)


class SignInRefused(GreenlightError):
    """Wrong name or password; ``delay`` is how many seconds the door holds the answer back."""

    def __init__(self, message: str, delay: float = 0.0) -> None:
        super().__init__(message)
        self.delay = delay


class TooManyAttempts(GreenlightError):
    """``retry_after``: whole seconds until the next try is looked at."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many wrong passwords; try again in {max(1, round(retry_after / 60))} minutes.")
        self.retry_after = retry_after


# Signing in


def sign_in(home: Home, name: str, password: str, *, address: str, now: datetime | None = None) -> str:
    """Check the password and open a session; returns its token.

    Raises
    ------
    SignInRefused
        Unknown name, closed account or wrong password: the same sentence and the same time for all three.
    TooManyAttempts
        10 wrong answers in 15 minutes for this name from this address (or 50 for the name, 100 from the address).
    """
    now = now or utc_now()
    name = name.strip()[:100]
    with writing(home.db) as db:
        since = stamp(now - WINDOW)
        store.delete_attempts(db, before=since)
        by_name, by_address = store.list_attempts(db, name=name, address=address, since=since)
        _, by_both = store.list_attempts(db, name="", address=f"{address} {name}", since=since)
        for times, limit in ((by_both, WRONG_PER_NAME_AND_ADDRESS), (by_name, WRONG_PER_NAME), (by_address, WRONG_PER_ADDRESS)):
            if len(times) >= limit:
                oldest_that_counts = parse(times[len(times) - limit])
                raise TooManyAttempts(max(1, int((oldest_that_counts + WINDOW - now).total_seconds())))
        # Counted before the password is looked at, so that tries in parallel count too.
        ids = (
            store.insert_attempt(db, name=name, address=address, at=stamp(now)),
            store.insert_attempt(db, name="", address=f"{address} {name}", at=stamp(now)),
        )
        account = store.find_account(db, name)
    fits = fits_password(account["password_hash"] if account else None, password)
    if not fits or account is None or not account["active"]:
        delay = 0.25 * max(0, len(by_both) + 1 - FREE_TRIES)
        raise SignInRefused("Name or password is wrong. Try again, or ask an administrator for a one-time code.", delay)
    with writing(home.db) as db:
        store.delete_attempts(db, ids=ids)
    return open_session(home, name, address, now)


def sign_in_persona(home: Home, name: str, *, address: str, demo_mode: bool, now: datetime | None = None) -> str:
    """Sign in as one of the demo's accounts without a password: only in demo mode and from this machine."""
    now = now or utc_now()
    account = store.find_account(reading(home.db), name)
    if not demo_mode or account is None or not account["demo"] or not is_loopback(address):
        raise Refused("Demo accounts without a password exist only in demo mode and on this machine; sign in with a password.")
    return open_session(home, name, address, now)


@lru_cache(maxsize=4096)
def is_loopback(address: str) -> bool:
    """Whether a peer address is this machine."""
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def open_session(home: Home, name: str, address: str, now: datetime) -> str:
    """Open a session for whoever has proved to be ``name``; returns its token."""
    token = make_token()

    def work(tx: Tx) -> Done:
        store.insert_session(
            tx.db, token_hash=hash_token(token), account=name, at=tx.at, expires_at=stamp(now + SESSION), address=address
        )
        return Done(subject=f"session from {address}")

    acts.perform(home, Actor(name), "sign_in", work, permission="own_account", now=now)
    return token


def find_session(home: Home, token: str, *, now: datetime | None = None) -> Account | None:
    """The account that a session token belongs to, or None when it is unknown, expired or revoked."""
    if not token or len(token) > 200:
        return None
    row = store.find_session(reading(home.db), hash_token(token), stamp(now or utc_now()))
    return Account(row["name"], row["role"], bool(row["active"]), bool(row["demo"])) if row else None


def sign_out(home: Home, token: str, *, now: datetime | None = None) -> None:
    """End one session; ending it twice is no error."""
    account = find_session(home, token, now=now)
    if account is None:
        return

    def work(tx: Tx) -> Done:
        return Done({"revoked": store.revoke_session(tx.db, hash_token(token), tx.at)})

    acts.perform(home, Actor(account.name), "sign_out", work, permission="own_account", now=now)


def list_sessions(home: Home, name: str, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """Live sessions of one account: id (no secret), created_at, expires_at, address."""
    return store.list_sessions(reading(home.db), name, stamp(now or utc_now()))


# The first start


def needs_first_start(home: Home) -> bool:
    return store.count_accounts(reading(home.db)) == 0


def first_start_code(home: Home, *, now: datetime | None = None) -> str:
    """A fresh one-time code for creating the first administrator; the code before it dies."""
    code = make_code()
    with writing(home.db) as db:
        if store.count_accounts(db):
            raise Refused("This installation has accounts already; the first-start code is not needed.")
        store.set_setting(db, "first_start_code", hash_code(code))
    return code


def create_first_admin(
    home: Home, code: str, name: str, password: str, *, address: str = "", now: datetime | None = None
) -> str:
    """Make the first account (an administrator) with the code from the terminal; returns a session token."""
    now = now or utc_now()
    check_name(name, "account name")
    check_password(password)
    password_hash = hash_password(password)
    with acts.unattended(home, now) as (db, note):
        wanted = store.find_setting(db, "first_start_code")
        if store.count_accounts(db) or wanted is None:
            raise Refused("This installation has accounts already; sign in instead.")
        if not fits_code(wanted, code):
            raise SignInRefused("The one-time code is wrong; it stands on the terminal that started Greenlight.", delay=1.0)
        store.insert_account(
            db, name=name, role=roles.ADMIN, password_hash=password_hash, demo=False, at=stamp(now), by="first start"
        )
        store.set_setting(db, "first_start_code", None)
        _note_first(note, Actor(name))
    return open_session(home, name, address, now)


def _note_first(note: Any, actor: Actor) -> None:
    note(
        actor=actor.name, role=roles.ADMIN, via=actor.via, os_user=actor.os_user, trigger="person", action="add_first_admin",
        subject=f"account {actor.name}", after={"account": actor.name, "role": roles.ADMIN},
    )


# Accounts


def list_accounts(home: Home) -> list[Account]:
    return [
        Account(r["name"], r["role"], bool(r["active"]), bool(r["demo"]), r["created_at"], r["email"] or "")
        for r in store.list_accounts(reading(home.db))
    ]


def find_account(home: Home, name: str) -> Account | None:
    row = store.find_account(reading(home.db), name)
    if row is None:
        return None
    return Account(row["name"], row["role"], bool(row["active"]), bool(row["demo"]), row["created_at"], row["email"] or "")


def add_account(
    home: Home, actor: Actor, name: str, role: str, *, password: str | None = None, key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Add an account; without a password its one-time code is returned under ``code`` (shown once)."""
    check_name(name, "account name")
    _check_role(role)
    password_hash = hash_password(check_password(password)) if password is not None else None
    code = None if password is not None else make_code()

    made: list[str] = []

    def work(tx: Tx) -> Done:
        _refuse_taken(tx, name)
        store.insert_account(tx.db, name=name, role=role, password_hash=password_hash, demo=False, at=tx.at, by=actor.name)
        if code:
            _set_reset(tx, name, code)
        made.append(name)
        return Done({"name": name, "role": role}, after={"role": role, "active": True}, subject=f"account {name}")

    result = acts.perform(home, actor, "add_account", work, permission="manage_accounts", project="", key=key, now=now)
    # a repeated request key made nothing, so this code was not stored; the first answer had the one that was
    return {**result, "code": code} if code and made else result


def add_first_account(home: Home, name: str, role: str, *, os_user: str, now: datetime | None = None) -> dict[str, Any]:
    """On an installation without accounts, the command line may make the first one (whoever reads the files is trusted)."""
    check_name(name, "account name")
    if role != roles.ADMIN:
        raise Refused("The first account must be an administrator; add it with --role admin, then the others with --as.")
    now = now or utc_now()
    code = make_code()
    with acts.unattended(home, now) as (db, note):
        if store.count_accounts(db):
            raise Refused("This installation has accounts already; name an administrator with --as.")
        store.insert_account(db, name=name, role=role, password_hash=None, demo=False, at=stamp(now), by=f"os user {os_user}")
        expires = stamp(now + timedelta(hours=24))
        store.update_account(db, name, reset_hash=hash_code(code), reset_expires_at=expires)
        _note_first(note, Actor(name, via="cli", os_user=os_user))
    return {"name": name, "role": role, "code": code}


def change_role(
    home: Home, actor: Actor, name: str, role: str, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Give an account another role; its sessions end."""
    _check_role(role)

    def work(tx: Tx) -> Done:
        before = _get_person(tx, name)
        if before["role"] == roles.ADMIN and role != roles.ADMIN:
            _keep_one_admin(tx, name)
        store.update_account(tx.db, name, role=role)
        store.revoke_sessions(tx.db, name, tx.at)
        events.tell(
            tx.db, "role_changed", subject=f"account {name}",
            facts={"Before": roles.ROLE_TITLES[before["role"]], "Now": roles.ROLE_TITLES[role], "By": actor.name,
                   "Reason": reason or "none was given"},
            link="/audit", correlation_id=tx.correlation_id, now=tx.now,
        )
        return Done({"name": name, "role": role}, {"role": before["role"]}, {"role": role}, f"account {name}")

    return acts.perform(home, actor, "change_role", work, permission="manage_accounts", reason=reason, key=key, now=now)


def set_email(
    home: Home, actor: Actor, name: str, email: str, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Say where an account is mailed: one's own, or anybody's for an administrator; empty means nowhere.

    The audit keeps the first letter and the domain only.
    """
    address = check_address(email) if email.strip() else ""

    def work(tx: Tx) -> Done:
        before = _get_person(tx, name)["email"] or ""
        store.update_account(tx.db, name, email=address or None)
        return Done({"name": name, "email": mask(address)}, {"email": mask(before)}, {"email": mask(address)}, f"account {name}")

    permission = "own_account" if name == actor.name else "manage_accounts"
    return acts.perform(home, actor, "set_email", work, permission=permission, reason=reason, key=key, now=now)


def close_account(
    home: Home, actor: Actor, name: str, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Close an account: it stays in the audit, its sessions end, it can act no more."""
    return _set_active(home, actor, name, False, reason, key, now)


def reopen_account(
    home: Home, actor: Actor, name: str, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    return _set_active(home, actor, name, True, reason, key, now)


def _set_active(
    home: Home, actor: Actor, name: str, active: bool, reason: str, key: str | None, now: datetime | None
) -> dict[str, Any]:
    def work(tx: Tx) -> Done:
        before = _get(tx, name)
        if not active and before["role"] == roles.ADMIN:
            _keep_one_admin(tx, name)
        store.update_account(tx.db, name, active=int(active))
        if not active:
            store.revoke_sessions(tx.db, name, tx.at)
        return Done({"name": name}, {"active": bool(before["active"])}, {"active": active}, f"account {name}")

    action = "reopen_account" if active else "close_account"
    return acts.perform(home, actor, action, work, permission="manage_accounts", reason=reason, key=key, now=now)


def revoke_sessions(
    home: Home, actor: Actor, name: str, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """End every session of an account: one's own, or anybody's for an administrator."""

    def work(tx: Tx) -> Done:
        _get(tx, name)
        return Done({"revoked": store.revoke_sessions(tx.db, name, tx.at)}, subject=f"account {name}")

    permission = "own_account" if name == actor.name else "manage_accounts"
    return acts.perform(home, actor, "revoke_sessions", work, permission=permission, reason=reason, key=key, now=now)


def change_password(home: Home, actor: Actor, old: str, new: str, *, now: datetime | None = None) -> None:
    """Change one's own password; every session of the account ends."""
    now = now or utc_now()
    check_password(new)
    attempt = _count_try(home, f"change {actor.name[:100]}", now)
    row = store.find_account(reading(home.db), actor.name)
    if not fits_password(row["password_hash"] if row else None, old):
        raise SignInRefused("The present password is wrong; nothing was changed.", delay=0.5)
    new_hash = hash_password(new)

    def work(tx: Tx) -> Done:
        store.update_account(tx.db, actor.name, password_hash=new_hash, reset_hash=None, reset_expires_at=None)
        store.delete_attempts(tx.db, ids=(attempt,))
        store.revoke_sessions(tx.db, actor.name, tx.at)
        return Done(subject=f"account {actor.name}")

    acts.perform(home, actor, "change_password", work, permission="own_account", now=now)


def reset_code(home: Home, actor: Actor, name: str, *, reason: str = "", now: datetime | None = None) -> str:
    """An administrator's one-time code (24 h) with which ``name`` sets a new password; returned once, stored hashed."""
    code = make_code()

    def work(tx: Tx) -> Done:
        _get_person(tx, name)
        if identities_store.find_identity_of(tx.db, name) is not None:
            raise Refused(f"{name} comes in by single sign-on and has no password here; the provider gives and takes this access.")
        _set_reset(tx, name, code)
        return Done(subject=f"account {name}")

    acts.perform(home, actor, "give_reset_code", work, permission="manage_accounts", reason=reason, now=now)
    return code


def use_reset_code(home: Home, name: str, code: str, new_password: str, *, address: str, now: datetime | None = None) -> None:
    """Set a new password with the administrator's code; the code dies, every session ends."""
    now = now or utc_now()
    check_password(new_password)
    attempt = _count_try(home, f"{address} reset {name[:100]}", now)
    row = store.find_account(reading(home.db), name)
    good = (
        row is not None and row["active"] and row["reset_hash"] is not None and row["reset_expires_at"] > stamp(now)
        and fits_code(row["reset_hash"], code)
    )
    if not good:
        raise SignInRefused("Name or one-time code is wrong, or the code is older than a day; ask an administrator for another.", 0.5)
    new_hash = hash_password(new_password)

    offered = row["reset_hash"] if row is not None else None

    def work(tx: Tx) -> Done:
        if _get(tx, name)["reset_hash"] != offered:
            raise Refused("This one-time code was used already; ask an administrator for another.")
        store.update_account(tx.db, name, password_hash=new_hash, reset_hash=None, reset_expires_at=None)
        store.revoke_sessions(tx.db, name, tx.at)
        store.delete_attempts(tx.db, ids=(attempt,), name=name)
        return Done(subject=f"account {name}")

    acts.perform(home, Actor(name), "use_reset_code", work, permission="own_account", now=now)


def _count_try(home: Home, scope: str, now: datetime) -> int:
    """Count a try before it is looked at; raise TooManyAttempts from the eleventh in 15 minutes. Returns its id."""
    with writing(home.db) as db:
        _, tries = store.list_attempts(db, name="", address=scope, since=stamp(now - WINDOW))
        if len(tries) >= WRONG_PER_NAME_AND_ADDRESS:
            raise TooManyAttempts(max(1, int((parse(tries[0]) + WINDOW - now).total_seconds())))
        return store.insert_attempt(db, name="", address=scope, at=stamp(now))


def add_demo_accounts(home: Home, *, now: datetime | None = None) -> None:
    """One account per role without a password, for the demo; safe to repeat."""
    now = now or utc_now()
    with acts.unattended(home, now) as (db, note):
        for name, role in DEMO_ACCOUNTS:
            if store.find_account(db, name) is None:
                store.insert_account(db, name=name, role=role, password_hash=None, demo=True, at=stamp(now), by="demo")
                note(
                    actor="demo", via="cli", os_user=getpass.getuser(), trigger="person", action="add_account",
                    subject=f"account {name}", after={"role": role, "active": True, "demo": True},
                )


def _set_reset(tx: Tx, name: str, code: str) -> None:
    store.update_account(
        tx.db, name, reset_hash=hash_code(code), reset_expires_at=stamp(tx.now + timedelta(hours=24))
    )


def _get(tx: Tx, name: str) -> dict[str, Any]:
    row = store.find_account(tx.db, name)
    if row is None:
        raise NotFound(f"There is no account {name[:60]!r}.")
    return row


def _get_person(tx: Tx, name: str) -> dict[str, Any]:
    row = _get(tx, name)
    if row["role"] not in roles.PERSON_ROLES:
        raise Refused(f"{name} is no person's account ({roles.ROLE_TITLES[row['role']]}): it has neither a password nor another role.")
    return row


def _refuse_taken(tx: Tx, name: str) -> None:
    if store.find_account(tx.db, name) is not None:
        raise Refused(f"There is an account {name!r} already; choose another name.")


def _check_role(role: str) -> None:
    if role not in roles.PERSON_ROLES:
        raise BadInput(f"{role[:60]!r} is no role; choose one of {', '.join(roles.PERSON_ROLES)}.")


def _keep_one_admin(tx: Tx, name: str) -> None:
    if store.count_accounts(tx.db, role=roles.ADMIN) <= 1:
        raise Refused(f"{name} is the only administrator; make somebody else one first.")
