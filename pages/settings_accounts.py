"""Settings: one's own account and sessions, and everybody's for an administrator."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core import accounts, identities, roles
from core.accounts import Account
from pages import parts
from pages.session import PageContext
from pages.settings_forms import Secret, note, request_key, turn


def show_own(context: PageContext) -> None:
    me = context.account
    st.markdown(f"You are **{parts.plain(me.name)}**, {me.role_title}.")
    # The demo's accounts have no password that could be changed.
    if me.demo:
        st.caption("This is one of the demo's accounts: it has no password and opens on this machine only.")
    elif identities.find_account_of(context.home, me.name):
        st.caption("You come in with your organisation's account; your password is kept there.")
    else:
        parts.show_door_link("/password", "Change password")
    _show_own_email(context)
    st.header("Where you are signed in", anchor=False)
    sessions = accounts.list_sessions(context.home, me.name, now=context.now)
    if not sessions:
        st.markdown(":gray[:material/info: No session of yours is open.]")
        return
    _show_sessions(sessions)
    st.caption("Ending them signs you out here too.")
    if st.button("End all my sessions", icon=":material/logout:", key=turn("own-end")):
        with parts.guarded():
            done = accounts.revoke_sessions(context.home, context.actor, me.name, key=request_key("own-end"), now=context.now)
            note(f"{_sessions(done['revoked'])} ended.")


def _show_own_email(context: PageContext) -> None:
    known = accounts.find_account(context.home, context.account.name)
    present = known.email if known else ""
    st.header("Where you are mailed", anchor=False)
    with st.form(turn("own-email"), border=True):
        email = st.text_input(
            "E-mail address", present, max_chars=254, key=turn("own-email-address"),
            help="Requests to decide and what becomes of yours are mailed here. Empty: nothing is.",
        )  # fmt: skip
        sent = st.form_submit_button("Save")
    if sent:
        with parts.guarded():
            done = accounts.set_email(
                context.home, context.actor, context.account.name, email, key=request_key("own-email", email), now=context.now
            )  # fmt: skip
            note(f"You are mailed at {done['email']}." if email.strip() else "You are not mailed any more.")


def _show_sessions(sessions: list[dict[str, Any]]) -> None:
    rows = [
        {"From": s["address"], "Since": parts.local_time(s["created_at"]), "Until": parts.local_time(s["expires_at"])}
        for s in sessions
    ]
    st.dataframe(rows, hide_index=True, key="sessions")


def show(context: PageContext) -> None:
    known = accounts.list_accounts(context.home)
    rows = [
        {
            "Account": a.name,
            "Role": a.role_title,
            "State": "● Open" if a.active else "■ Closed",
            "Demo": "yes" if a.demo else "",
            "Single sign-on": identities.find_account_of(context.home, a.name) or "",
            "E-mail": a.email or "none",
            "Since": parts.local_time(a.created_at) if a.created_at else "",
            "Sessions": len(accounts.list_sessions(context.home, a.name, now=context.now)),
        }
        for a in known
    ]
    st.dataframe(rows, hide_index=True, key="accounts")
    left, right = st.columns(2, gap="medium")
    with left:
        _show_add(context)
    with right:
        _show_change(context, [a for a in known if a.role in (*roles.PERSON_ROLES, roles.PROGRAM)])


def _show_add(context: PageContext) -> None:
    st.header("Add an account", anchor=False)
    with st.form(turn("account-add"), border=True):
        name = st.text_input(
            "Name", help="Lower-case letters, digits and underscores, beginning with a letter.", key=turn("add-name")
        )
        role = st.selectbox("Role", roles.PERSON_ROLES, format_func=lambda r: roles.ROLE_TITLES[r], key=turn("add-role"))
        sent = st.form_submit_button("Add account", type="primary")
    if sent:
        with parts.guarded():
            done = accounts.add_account(
                context.home, context.actor, name.strip(), role, key=request_key("add", name, role), now=context.now
            )  # fmt: skip
            code = done.get("code", "")
            lost = "" if code else " Its one-time code was shown once already; give it another under Change an account."
            note(f"Account {done['name']} was added as {roles.ROLE_TITLES[role]}.{lost}", secret=_code(code))


def _show_change(context: PageContext, known: list[Account]) -> None:
    st.header("Change an account", anchor=False)
    by_name = {a.name: a for a in sorted(known, key=lambda a: a.name == context.account.name)}  # nobody demotes themselves by a slip
    name = st.selectbox("Account", list(by_name), key="change-name")
    account = by_name[name]
    what = {
        "role": "Give another role",
        "code": "Give a one-time code for a new password",
        "sessions": "End its sessions",
        "email": "Say where it is mailed",
        "active": "Close the account" if account.active else "Open the account again",
    }
    program = account.role == roles.PROGRAM  # no password, no session, no other role
    if program:
        what = {"active": what["active"]}
    elsewhere = identities.find_account_of(context.home, name)
    if elsewhere:
        del what["code"]  # its password is kept there
    chosen = st.selectbox("What to do", list(what), format_func=lambda w: what[w], key=f"change-what-{name}")
    role, email = "", ""
    if chosen == "email":
        email = st.text_input("E-mail address", account.email, max_chars=254, key=turn(f"change-email-{name}"), help="Empty: nowhere.")
    if chosen == "role":
        others = [r for r in roles.PERSON_ROLES if r != account.role]
        role = st.selectbox("New role", others, format_func=lambda r: roles.ROLE_TITLES[r], key=f"change-role-{name}")
    will = {
        "role": f"{name} is {account.role_title} now and becomes {roles.ROLE_TITLES.get(role, '')}; its sessions end."
        + (f" At the next sign-in it has the role again that {elsewhere} gives." if elsewhere else ""),
        "code": f"{name} can set a new password with the code for 24 hours; the present password goes on working until then.",
        "sessions": f"Everybody who is signed in as {name} is signed out.",
        "email": f"{name} is mailed at {email.strip()}." if email.strip() else f"{name} is not mailed.",
        "active": _describe_opening(account),
    }[chosen]
    reason = parts.confirm(what[chosen], will, key=turn(f"change-{name}-{chosen}"), risky=chosen == "active" and account.active)
    if reason is not None:
        with parts.guarded():
            _change(context, account, chosen, role or email, reason)


def _describe_opening(account: Account) -> str:
    """What closing an open account does, or opening a closed one."""
    if account.role == roles.PROGRAM:
        keys = "nothing until the account is open again" if account.active else "again what it did before"
        return f"Every key of {account.name} opens {keys}."
    if account.active:
        return f"{account.name} can act no more and is signed out; what it did stays in the audit."
    return f"{account.name} can sign in and act again as {account.role_title}."


def _change(context: PageContext, account: Account, what: str, value: str, reason: str) -> None:
    home, actor, name, now = context.home, context.actor, account.name, context.now
    if what == "role":
        accounts.change_role(home, actor, name, value, reason=reason, key=request_key(what, name, value), now=now)
        note(f"{name}: {account.role_title} before, {roles.ROLE_TITLES[value]} now.")
    elif what == "email":
        accounts.set_email(home, actor, name, value, reason=reason, key=request_key(what, name, value), now=now)
        note(f"{name}: mailed at {account.email or 'no address'} before, at {value.strip() or 'no address'} now.")
    elif what == "code":
        code = accounts.reset_code(home, actor, name, reason=reason, now=now)
        note(f"{name} can set a new password with this code.", secret=_code(code))
    elif what == "sessions":
        done = accounts.revoke_sessions(home, actor, name, reason=reason, key=request_key(what, name, value), now=now)
        note(f"{name}: {_sessions(done['revoked'])} ended.")
    elif account.active:
        accounts.close_account(home, actor, name, reason=reason, key=request_key(what, name, value), now=now)
        note(f"{name}: open before, closed now.")
    else:
        accounts.reopen_account(home, actor, name, reason=reason, key=request_key(what, name, value), now=now)
        note(f"{name}: closed before, open now.")


def _sessions(count: int) -> str:
    return "1 session was" if count == 1 else f"{count} sessions were"


def _code(code: str) -> Secret | None:
    if not code:
        return None
    return Secret(
        code,
        "The one-time code, good for 24 hours. It is shown **only here and now**; hand it over in person:",
        "It is used with “I have a one-time code” on the sign-in page.",
    )
