"""Settings: who, which thresholds, how much room?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from core import accounts, roles, usage
from core.accounts import Account
from core.projects import projects
from pages import parts, sending, settings_thresholds
from pages.session import PageContext

TABS = {
    "account": "My account",
    "accounts": "Accounts",
    "roles": "Who may do what",
    "thresholds": "Thresholds",
    "storage": "Storage",
}
# The actions of the roles table in words, in the order of a model's life.
ACTIONS = {
    "view_metrics": "See metrics, models and approvals",
    "predict": "Predict (file, form)",
    "view_audit": "See the audit",
    "view_logs": "See the logs",
    "own_account": "Own password and sessions",
    "create_project": "Make a project",
    "archive_project": "Archive a project",
    "upload_data": "Upload data",
    "export_dataset": "Export a dataset",
    "train": "Train",
    "register": "Register a version",
    "request_release": "Ask for a release",
    "approve_release": "Approve or reject a release",
    "deploy": "Deploy",
    "rollback": "Roll back",
    "feed_labels": "Feed labels",
    "check_retraining": "Ask whether a retraining is due",
    "post_observations": "Post observations",
    "acknowledge_alert": "Acknowledge and resolve alerts",
    "analyse_drift": "Run drift checks",
    "propose_settings": "Propose a change of gates or thresholds",
    "approve_settings": "Approve such a change",
    "approve_retraining": "Approve a retraining that is proposed",
    "approve_rollback": "Approve a rollback that is proposed",
    "schedule": "Set schedules",
    "pause_agent": "Pause the agent",
    "make_report": "Make reports",
    "export_audit": "Export the audit",
    "manage_accounts": "Manage accounts",
    "manage_keys": "Manage API keys",
    "manage_channels": "Manage channels",
    "backup": "Back up and restore",
    "delete_data": "Delete data",
}
# What this release cannot do yet; the rule stands already.
LATER = frozenset({
    "propose_settings", "approve_settings", "approve_retraining", "approve_rollback", "schedule", "pause_agent", "make_report",
    "manage_channels", "backup", "delete_data", "view_logs",
})  # fmt: skip


def show(context: PageContext) -> None:
    """One tab at a time, named in the link."""
    parts.show_title("Settings", "Who, which thresholds, how much room?")
    names = [t for t in TABS if t != "accounts" or context.account.may("manage_accounts")]
    wanted = st.query_params.get("tab")
    if "settings-tab" not in st.session_state:
        st.session_state["settings-tab"] = wanted if wanted in names else names[0]
    tab = st.segmented_control(
        "Settings", names, format_func=lambda t: TABS[t], key="settings-tab", required=True, label_visibility="collapsed"
    )
    if tab and tab != wanted:
        st.query_params["tab"] = tab
    _show_notice()
    shown: dict[str, Callable[[PageContext], None]] = {
        "account": _show_own,
        "accounts": _show_accounts,
        "roles": _show_roles,
        "thresholds": settings_thresholds.show,
        "storage": _show_storage,
    }
    shown[tab or names[0]](context)


# My account


def _show_own(context: PageContext) -> None:
    me = context.account
    st.markdown(f"You are **{parts.plain(me.name)}**, {me.role_title}.")
    # The demo's accounts have no password that could be changed.
    if me.demo:
        st.caption("This is one of the demo's accounts: it has no password and opens on this machine only.")
    else:
        parts.show_door_link("/password", "Change password")
    st.subheader("Where you are signed in", anchor=False)
    sessions = accounts.list_sessions(context.home, me.name, now=context.now)
    if not sessions:
        st.markdown(":gray[:material/info: No session of yours is open.]")
        return
    _show_sessions(sessions)
    st.caption("Ending them signs you out here too.")
    if st.button("End all my sessions", icon=":material/logout:", key=_turn("own-end")):
        with parts.guarded():
            done = accounts.revoke_sessions(context.home, context.actor, me.name, key=_key("own-end"), now=context.now)
            _note(f"{_sessions(done['revoked'])} ended.")


def _show_sessions(sessions: list[dict[str, Any]]) -> None:
    rows = [
        {"From": s["address"], "Since": parts.local_time(s["created_at"]), "Until": parts.local_time(s["expires_at"])}
        for s in sessions
    ]
    st.dataframe(rows, hide_index=True, key="sessions")


# Accounts


def _show_accounts(context: PageContext) -> None:
    known = accounts.list_accounts(context.home)
    rows = [
        {
            "Account": a.name,
            "Role": a.role_title,
            "State": "● Open" if a.active else "■ Closed",
            "Demo": "yes" if a.demo else "",
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
        _show_change(context, [a for a in known if a.role in roles.PERSON_ROLES])


def _show_add(context: PageContext) -> None:
    st.subheader("Add an account", anchor=False)
    with st.form(_turn("account-add"), border=True):
        name = st.text_input(
            "Name", help="Lower-case letters, digits and underscores, beginning with a letter.", key=_turn("add-name")
        )
        role = st.selectbox("Role", roles.PERSON_ROLES, format_func=lambda r: roles.ROLE_TITLES[r], key=_turn("add-role"))
        sent = st.form_submit_button("Add account", type="primary")
    if sent:
        with parts.guarded():
            done = accounts.add_account(
                context.home, context.actor, name.strip(), role, key=_key("add", name, role), now=context.now
            )  # fmt: skip
            code = done.get("code", "")
            lost = "" if code else " Its one-time code was shown once already; give it another under Change an account."
            _note(f"Account {done['name']} was added as {roles.ROLE_TITLES[role]}.{lost}", code=code)


def _show_change(context: PageContext, known: list[Account]) -> None:
    st.subheader("Change an account", anchor=False)
    by_name = {a.name: a for a in known}
    name = st.selectbox("Account", list(by_name), key="change-name")
    account = by_name[name]
    what = {
        "role": "Give another role",
        "code": "Give a one-time code for a new password",
        "sessions": "End its sessions",
        "active": "Close the account" if account.active else "Open the account again",
    }
    chosen = st.selectbox("What to do", list(what), format_func=lambda w: what[w], key=f"change-what-{name}")
    role = ""
    if chosen == "role":
        others = [r for r in roles.PERSON_ROLES if r != account.role]
        role = st.selectbox("New role", others, format_func=lambda r: roles.ROLE_TITLES[r], key=f"change-role-{name}")
    will = {
        "role": f"{name} is {account.role_title} now and becomes {roles.ROLE_TITLES.get(role, '')}; its sessions end.",
        "code": f"{name} can set a new password with the code for 24 hours; the present password goes on working until then.",
        "sessions": f"Everybody who is signed in as {name} is signed out.",
        "active": f"{name} can act no more and is signed out; what it did stays in the audit."
        if account.active
        else f"{name} can sign in and act again as {account.role_title}.",
    }[chosen]
    reason = parts.confirm(what[chosen], will, key=_turn(f"change-{name}-{chosen}"), risky=chosen == "active" and account.active)
    if reason is not None:
        with parts.guarded():
            _change(context, account, chosen, role, reason)


def _change(context: PageContext, account: Account, what: str, role: str, reason: str) -> None:
    home, actor, name, now = context.home, context.actor, account.name, context.now
    if what == "role":
        accounts.change_role(home, actor, name, role, reason=reason, key=_key(what, name, role), now=now)
        _note(f"{name}: {account.role_title} before, {roles.ROLE_TITLES[role]} now.")
    elif what == "code":
        code = accounts.reset_code(home, actor, name, reason=reason, now=now)
        _note(f"{name} can set a new password with this code.", code=code)
    elif what == "sessions":
        done = accounts.revoke_sessions(home, actor, name, reason=reason, key=_key(what, name, role), now=now)
        _note(f"{name}: {_sessions(done['revoked'])} ended.")
    elif account.active:
        accounts.close_account(home, actor, name, reason=reason, key=_key(what, name, role), now=now)
        _note(f"{name}: open before, closed now.")
    else:
        accounts.reopen_account(home, actor, name, reason=reason, key=_key(what, name, role), now=now)
        _note(f"{name}: closed before, open now.")


def _sessions(count: int) -> str:
    return "1 session was" if count == 1 else f"{count} sessions were"


def _key(form: str, *content: object) -> str:
    return sending.request_key("settings", form, *content)


def _turn(form: str) -> str:
    """The form's name for this turn: once an act is done, a second click on the button that did it finds it gone."""
    return f"{form}-{st.session_state.get('settings-turn', 0)}"


def _note(sentence: str, *, code: str = "") -> None:
    sending.note_sent("settings", parts.plain(sentence))
    st.session_state["settings-turn"] = st.session_state.get("settings-turn", 0) + 1
    if code:
        st.session_state["settings-code"] = code
    st.rerun()


def _show_notice() -> None:
    sending.show_sent("settings")
    code = st.session_state.get("settings-code", "")
    if not code:
        return
    # It stays until it is put away: a stray click must not lose what cannot be shown again.
    with st.container(border=True):
        st.markdown("The one-time code, good for 24 hours. It is shown **only here and now**; hand it over in person:")
        st.code(code, language=None)
        st.caption("It is used with “I have a one-time code” on the sign-in page.")
        if st.button("I have handed it over: hide it", key="code-hide"):
            del st.session_state["settings-code"]
            st.rerun()


# Who may do what


def _show_roles(_context: PageContext) -> None:
    st.markdown("Each act checks this table itself, whichever way it is asked for.")
    rows = [
        {
            "Action": words + (" (not in this release)" if action in LATER else ""),
            **{roles.ROLE_TITLES[r]: "✓ yes" if roles.may(r, action) else "–" for r in roles.PERSON_ROLES},
        }
        for action, words in ACTIONS.items()
    ]
    st.dataframe(rows, hide_index=True, height=38 + 35 * len(rows), key="roles")
    st.caption("Nobody decides their own request, and whoever trained a version does not decide its release.")


# Storage


def _show_storage(context: PageContext) -> None:
    found = usage.measure_usage(context.home)
    disk = usage.measure_disk(context.home)
    total = sum(u.bytes for u in found)
    st.markdown(f"This installation takes **{_size(total)}**; {_size(disk.free)} of the disk's {_size(disk.total)} are free.")
    rows = [{"What": u.name, "Size": _size(u.bytes), "Files": u.files, "Where": str(u.path)} for u in found]
    if not context.account.may("backup"):
        rows = [{k: v for k, v in row.items() if k != "Where"} for row in rows]
    st.dataframe(rows, hide_index=True, key="storage")
    st.caption(f"{len(projects.list_projects(context.home, archived=True))} projects, archived ones included.")


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
