"""Settings: the keys with which programs come in."""

from __future__ import annotations

import json
import shlex
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from core import keys
from core.home import Home
from core.keys import Key
from core.projects import projects
from core.projects.example import make_example_row
from pages import parts
from pages.session import PageContext
from pages.settings_forms import Secret, note, request_key, turn

STATES = {"active": "● Active", "expired": "○ Expired", "revoked": "■ Revoked", "closed": "■ Account closed"}


def show(context: PageContext) -> None:
    """The keys there are, a form for another, and a way to end one; for others, who may."""
    st.markdown("Programs send a key with each request, and do no more than it is good for. The API describes itself:")
    parts.show_door_link("/api/docs", "API description")
    if not context.account.may("manage_keys"):
        parts.show_whom_to_ask(context.home, context.account, "Managing API keys", "manage_keys")
        return
    known = keys.list_keys(context.home)
    if known:
        _show_known(context, known)
    else:
        st.markdown(":gray[:material/info: No program has a key yet.]")
    left, right = st.columns(2, gap="medium")
    with left:
        _show_add(context)
    with right:
        _show_revoke(context, [k for k in known if k.revoked_at is None])


def _show_known(context: PageContext, known: list[Key]) -> None:
    rows = [
        {
            "State": STATES[k.state(context.now)],
            "Program": k.account,
            "Key": k.id,
            "Good for": ", ".join(k.scopes),
            "Projects": _reach(k.projects),
            "From": ", ".join(k.addresses) or "anywhere",
            "A minute": k.per_minute,
            "Last used": parts.local_time(k.last_used_at) if k.last_used_at else "never",
            "Ends": _day(k.expires_at) if k.expires_at else "never",
            "Made": _day(k.created_at),
            "By": k.created_by,
        }
        for k in known
    ]
    st.dataframe(rows, hide_index=True, key="keys", column_config={"Last used": parts.time_column()})


def _show_add(context: PageContext) -> None:
    st.header("Make a key", anchor=False)
    names = [p.name for p in projects.list_projects(context.home)]
    with st.form(turn("key-add"), border=True):
        name = st.text_input(
            "Program", max_chars=50, key=turn("key-name"),
            help="Its name in the audit: lower-case letters, digits and underscores. Its first key makes its account.",
        )  # fmt: skip
        scopes = st.multiselect(
            "Good for", list(keys.SCOPES), default=["predict"], format_func=lambda s: keys.SCOPES[s], key=turn("key-scopes")
        )
        chosen = st.multiselect("Projects", names, placeholder="Every project, later ones too", key=turn("key-projects"))
        limit, ends = st.columns(2)
        per_minute = limit.number_input("Requests a minute", 1, keys.MOST_PER_MINUTE, keys.PER_MINUTE, step=100, key=turn("key-limit"))
        last_day: date | None = ends.date_input(
            "Last day (UTC)", None, min_value=context.now.date(), help="Empty: until it is revoked.", key=turn("key-ends")
        )
        addresses = st.text_area(
            "Only from these addresses", height=80, placeholder="192.0.2.0/24", key=turn("key-addresses"),
            help="One address or network a line. Empty: from anywhere.",
        )  # fmt: skip
        sent = st.form_submit_button("Make key", type="primary")
    if sent:
        with parts.guarded():
            wanted = (name.strip(), tuple(scopes), tuple(chosen), int(per_minute), last_day, tuple(addresses.split()))
            made = keys.add_key(
                context.home, context.actor, wanted[0], wanted[1], projects=wanted[2] or (keys.EVERY_PROJECT,), per_minute=wanted[3],
                expires_at=keys.read_last_day(last_day.isoformat()) if last_day else None, addresses=wanted[5],
                key=request_key("key-add", *wanted), now=context.now,
            )  # fmt: skip
            lost = "" if "key" in made else " It was shown once already; if it is lost, revoke it and make another."
            note(f"Key {made['id']} of {made['account']} was made.{lost}", secret=_secret(context, made))


def _show_revoke(context: PageContext, living: list[Key]) -> None:
    st.header("Revoke a key", anchor=False)
    if not living:
        st.markdown(":gray[:material/info: There is no key that could be revoked.]")
        return
    by_id = {k.id: k for k in living}
    chosen = st.selectbox("Key", list(by_id), format_func=lambda i: f"{by_id[i].account}: {i}", key=turn("key-revoke"))
    key = by_id[chosen]
    reason = parts.confirm(
        "Revoke key", f"{key.account} gets no answer with this key any more, from the next request on. It cannot be undone.",
        key=turn(f"key-revoke-{chosen}"), risky=True,
    )  # fmt: skip
    if reason is not None:
        with parts.guarded():
            done = keys.revoke_key(
                context.home, context.actor, chosen, reason=reason, key=request_key("key-revoke", chosen), now=context.now
            )  # fmt: skip
            note(f"Key {done['id']} of {done['account']}: active before, revoked now.")


def _secret(context: PageContext, made: dict[str, Any]) -> Secret | None:
    if "key" not in made:
        return None
    return Secret(
        made["key"],
        "The key. It is shown **only here and now**; put it where the program keeps its secrets:",
        "For example:",
        _example(context, made),
    )


def _example(context: PageContext, made: dict[str, Any]) -> str:
    """A command that works with this key, for a project that it is good for."""
    here = urlsplit(st.context.url or "")
    address = f"{here.scheme}://{here.netloc}" if here.netloc else "http://localhost:8501"
    begin = f"curl -H {shlex.quote('X-API-Key: ' + made['key'])}"
    project = _find_project(context, made["projects"])
    if "predict" in made["scopes"] and project:
        body = json.dumps({"rows": [_example_row(context.home, project)]}, ensure_ascii=False)
        return (
            f"{begin} -H 'Content-Type: application/json' \\\n"
            f"  -d {shlex.quote(body)} \\\n  {address}/api/v1/projects/{project}/predict"
        )  # fmt: skip
    if "read" in made["scopes"]:
        return f"{begin} {address}/api/v1/models" + (f"?project={project}" if project else "")
    if "retrain" in made["scopes"] and project:
        return f"{begin} -X POST {address}/api/v1/projects/{project}/retrain/check"
    return ""


def _find_project(context: PageContext, reach: list[str]) -> str | None:
    here = context.project.name if context.project else None
    if keys.EVERY_PROJECT in reach or here in reach:
        return here
    return reach[0]


def _example_row(home: Home, project: str) -> dict[str, Any]:
    return make_example_row(projects.get_definition(home, project))


def _day(moment: str) -> str:
    return parts.local_time(moment).split(",")[0]


def _reach(names: tuple[str, ...]) -> str:
    return "every project" if keys.EVERY_PROJECT in names else ", ".join(names)
