"""Single sign-on: from what an identity provider says of somebody to an account, its role and a session.

Who somebody is are issuer and subject, never a name or an address: those may change hands. The role follows the provider at
each sign-in. What the provider said has been verified (signature, issuer, nonce) before it comes here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlite_utils import Database

from core import accounts, acts, roles
from core.errors import BadInput, Refused
from core.home import Home
from core.notify import events
from core.projects.definition import check_name
from core.times import stamp, utc_now
from storage import accounts as accounts_store
from storage import identities as store
from storage.connection import reading

FRESH = timedelta(minutes=5)  # from the provider's answer to our session; a browser is there in a second
SKEW = timedelta(minutes=1)
LATEST = 1e12  # seconds; more is no moment, and NaN is no number
_LONGEST = 500
_NAMESAKES = 99


@dataclass(frozen=True)
class Rules:
    """Which claim decides, and which of its values gives which role; the first that somebody has counts."""

    claim: str
    roles: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Identity:
    """Who somebody is at the provider; ``wished`` is the name they have there."""

    issuer: str
    subject: str
    wished: str
    token_hash: str


def read_rules(claim: str, text: str) -> Rules:
    """Read ``hr-directors=drh_manager,ml=data_scientist``.

    Raises
    ------
    BadInput
        A part that is not value=role, a role that a person cannot have, or nothing at all.
    """
    found = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        value, sign, role = (p.strip() for p in part.rpartition("="))
        if not sign or not value:
            raise BadInput(f"GREENLIGHT_OIDC_ROLES: {part[:60]!r} is not written as value=role.")
        if role not in roles.PERSON_ROLES:
            raise BadInput(f"GREENLIGHT_OIDC_ROLES: {role[:60]!r} is no role; choose one of {', '.join(roles.PERSON_ROLES)}.")
        found.append((value, role))
    if not found:
        raise BadInput("GREENLIGHT_OIDC_ROLES is empty, so nobody would have a role; write value=role, with commas between.")
    return Rules(claim.strip() or "groups", tuple(found))


def find_role(rules: Rules, claims: Mapping[str, Any]) -> str | None:
    """The role that the provider's claim gives; a claim is one value or a list of them, dots lead into nested ones."""
    value: Any = claims.get(rules.claim)
    if value is None and "." in rules.claim:
        value = claims
        for step in rules.claim.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    held = {value} if isinstance(value, str) else {v for v in value if isinstance(v, str)} if isinstance(value, (list, tuple)) else set()
    return next((role for wanted, role in rules.roles if wanted in held), None)


def read_identity(claims: Mapping[str, Any], client_id: str, *, now: datetime) -> Identity:
    """Who the verified claims of an ID token speak of.

    Raises
    ------
    Refused
        They are not for this installation, too old, or lack issuer, subject or nonce.
    """
    texts = {name: claims.get(name) for name in ("iss", "sub", "nonce")}
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST or not text.isprintable():
            raise Refused(f"The identity provider's answer has no usable {name}; tell those who run this installation.")
    audience = claims.get("aud")
    if client_id != audience and not (isinstance(audience, list) and client_id in audience):
        raise Refused("The identity provider's answer is for another application; sign in from this one.")
    if claims.get("azp") not in (None, client_id):  # to whom it was issued, where it is for several
        raise Refused("The identity provider's answer was issued to another application; sign in from this one.")
    issued: Any = claims.get("iat")
    expires: Any = claims.get("exp")
    if not all(isinstance(moment, (int, float)) and abs(moment) < LATEST for moment in (issued, expires)):
        raise Refused("The identity provider's answer does not say how old it is; tell those who run this installation.")
    at = now.timestamp()
    if not at - FRESH.total_seconds() <= issued <= at + SKEW.total_seconds() or expires + SKEW.total_seconds() < at:
        raise Refused("The identity provider's answer is too old; sign in again.")
    mail = claims.get("email")
    names = (claims.get("preferred_username"), mail.split("@")[0] if isinstance(mail, str) else None)
    wished = next((n for n in names if isinstance(n, str) and n.strip()), "person")
    used = "\n".join((str(texts["iss"]), str(texts["sub"]), str(texts["nonce"])))
    return Identity(str(texts["iss"]), str(texts["sub"]), wished, hashlib.sha256(used.encode()).hexdigest())


def find_account_of(home: Home, name: str) -> str | None:
    """The issuer that an account comes in by; None for one with a password."""
    row = store.find_identity_of(reading(home.db), name)
    return None if row is None else str(row["issuer"])


def sign_in(
    home: Home, claims: Mapping[str, Any], rules: Rules, *, client_id: str, address: str, now: datetime | None = None
) -> str:
    """Let somebody in whom the provider has verified; returns a session's token.

    At the first sign-in an account is made; at each the role becomes what the claim gives, and a change ends the account's
    other sessions and is told to administrators. An account of the same name that is not this identity's is never taken over.

    Raises
    ------
    Refused
        The claim gives no role, the account is closed, the answer was used before or is too old, or nobody has set up this
        installation yet.
    """
    now = now or utc_now()
    if accounts.needs_first_start(home):
        raise Refused("Nobody has set up this installation yet: make the first account with the code on its terminal.")
    identity = read_identity(claims, client_id, now=now)
    role = find_role(rules, claims)
    refusal, name = "", ""
    with acts.unattended(home, now) as (db, note):
        if not store.use_token(db, identity.token_hash, at=stamp(now), forget_before=stamp(now - 12 * FRESH)):
            raise Refused("This answer of the identity provider was used before; sign in again.")
        row = store.find_identity(db, identity.issuer, identity.subject)
        account = None if row is None else accounts_store.find_account(db, row["account"])
        name = account["name"] if account else _free_name(db, identity.wished)
        about = {
            "actor": name, "role": account["role"] if account else role or "", "via": "page", "trigger": "person",
            "subject": f"account {name}",
        }
        refusal = _find_refusal(db, account, role, rules)
        if refusal:
            if account is not None:
                accounts_store.revoke_sessions(db, name, stamp(now))
            note(**{**about, "actor": name if account else "single sign-on"}, action="sign_in", outcome="refused", error=refusal)
        elif account is None:
            assert role is not None
            accounts_store.insert_account(
                db, name=name, role=role, password_hash=None, demo=False, at=stamp(now), by=f"single sign-on, {identity.issuer}"[:200]
            )
            store.insert_identity(db, issuer=identity.issuer, subject=identity.subject, account=name, at=stamp(now))
            note(**about, action="add_account", after={"role": role, "active": True, "issuer": identity.issuer})
        elif account["role"] != role:
            assert role is not None
            _change_role(db, account, role, identity, now)
            note(
                **about, action="change_role", reason=f"The identity provider's claim {rules.claim} says so",
                before={"role": account["role"]}, after={"role": role},
            )
    if refusal:
        raise Refused(refusal)
    return accounts.open_session(home, name, address, now)


def _find_refusal(db: Database, account: dict[str, Any] | None, role: str | None, rules: Rules) -> str:
    if account is not None and not account["active"]:
        return f"The account {account['name']} is closed; ask an administrator to reopen it."
    if role is None:
        return (
            f"The identity provider knows you, but gives you no role here: none of the values of its claim {rules.claim!r} stands for "
            "one. Ask an administrator."
        )
    last = account is not None and account["role"] == roles.ADMIN != role and accounts_store.count_accounts(db, role=roles.ADMIN) <= 1
    if last and account is not None:
        return f"{account['name']} is the only administrator, and the identity provider says otherwise; make somebody else one first."
    return ""


def _change_role(db: Database, account: dict[str, Any], role: str, identity: Identity, now: datetime) -> None:
    accounts_store.update_account(db, account["name"], role=role)
    accounts_store.revoke_sessions(db, account["name"], stamp(now))
    events.tell(
        db, "role_changed", subject=f"account {account['name']}",
        facts={"Before": roles.ROLE_TITLES[account["role"]], "Now": roles.ROLE_TITLES[role], "By": f"the identity provider {identity.issuer}"},
        link="/audit", now=now,
    )  # fmt: skip


def _free_name(db: Database, wished: str) -> str:
    """The wished name as an account's, with a number behind it where somebody else has it."""
    plain = re.sub(r"[^a-z0-9]+", "_", wished.split("@")[0].lower()).strip("_")[:40]
    plain = plain if plain[:1].isalpha() else f"person_{plain}".rstrip("_")
    for number in range(1, _NAMESAKES + 1):
        name = plain if number == 1 else f"{plain}_{number}"
        try:
            check_name(name, "account name")
        except BadInput:
            continue
        if accounts_store.find_account(db, name) is None and name != "agent":
            return name
    raise Refused(f"There are {_NAMESAKES} accounts called {plain} already; ask an administrator.")
