"""The frame around every page: who is signed in, which project, what may be seen, and what happens to errors."""

import importlib
from collections.abc import Callable

import streamlit as st

from core import approvals, deployment
from core.agent import agent_requests
from core.home import Home
from core.projects import projects, proposals
from core.times import utc_now
from pages import contents, parts, session

# Our own picture also as the tab's icon: a Material symbol there would be fetched from another site.
_TICK = (
    "<rect width='32' height='32' rx='9' fill='#157f4a'/><path d='M9 16.5l5 5 9.5-11' fill='none' stroke='white' "
    "stroke-width='3.4' stroke-linecap='round' stroke-linejoin='round'/>"
)
MARK = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>{_TICK}</svg>"
# The word in a green that reads on white and on near-black: a picture cannot follow the theme.
LOGO = (
    f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 142 32'>{_TICK}<text x='42' y='22.5' fill='#1f9d5f' "
    "font-family='Helvetica, Arial, sans-serif' font-size='18' font-weight='600'>Greenlight</text></svg>"
)


def show_frame() -> None:
    st.set_page_config(page_title="Greenlight", page_icon=MARK, layout="wide")
    home, now = session.current_home(), utc_now()
    account = session.current_account(home, now)
    if account is None:
        st.session_state.clear()
        _register_closed_pages().run()
        return
    session.keep_to_one_person(account)

    known = projects.list_projects(home)
    project, problem = _choose_project(known)
    context = session.PageContext(home, account, session.Actor(account.name), project, now)
    chosen = st.navigation(_register_pages(context), expanded=True)
    st.logo(LOGO, size="large", icon_image=MARK)
    _show_header(context, known)
    if problem:
        st.warning(problem, icon=":material/search_off:")
        return
    chosen.run()


def _register_pages(context: session.PageContext) -> dict[str, list[st.Page]]:
    """Every page is registered, so that a link to it is answered; only those that the role may use are listed."""
    groups: dict[str, list[st.Page]] = {}
    known = st.session_state["_pages"] = {}
    for page in contents.PAGES:
        allowed = not page.action or context.account.may(page.action)
        known[page.url] = st.Page(
            _guard(page, context, allowed),
            title=page.title + _badge(page, context),
            icon=page.icon,
            url_path=page.url,
            default=page.default,
            visibility="visible" if allowed else "hidden",
        )
        groups.setdefault(page.group, []).append(known[page.url])
    return {group: groups[group] for group in contents.GROUPS if group in groups}


def _register_closed_pages() -> st.Page:
    """The same addresses with nothing behind them, so that the menu of somebody who was signed in goes too."""
    closed = [
        st.Page(parts.show_signed_out, title=page.title, url_path=page.url, default=page.default) for page in contents.PAGES
    ]
    return st.navigation(closed, position="hidden")


def _guard(page: contents.Page, context: session.PageContext, allowed: bool) -> Callable[[], None]:
    def show() -> None:
        with parts.guarded():
            if allowed:
                importlib.import_module(page.module).show(context)
            else:
                parts.show_forbidden(context.home, context.account, page.title, page.action)

    return show


def _badge(page: contents.Page, context: session.PageContext) -> str:
    if page.url != "approvals":
        return ""
    waiting = sum(kind.count_waiting_for(context.home, context.account, now=context.now) for kind in (approvals, proposals, agent_requests))
    return f" ({waiting})" if waiting else ""


def _choose_project(known: list[projects.Project]) -> tuple[projects.Project | None, str]:
    """The project that the link names, else the one of before, else the first; and a sentence when there is no such."""
    by_name = {p.name: p for p in known}
    wanted = st.query_params.get("project") or st.session_state.get("_project") or next(iter(by_name), None)
    if wanted is None:
        return None, ""
    if wanted not in by_name:
        if "project" in st.query_params:
            return None, f"There is no project {parts.plain(wanted[:60])} here, or it is archived. Choose one above."
        wanted = next(iter(by_name), None)
        if wanted is None:
            return None, ""
    st.session_state["_project"] = wanted
    if st.query_params.get("project") != wanted:
        st.query_params["project"] = wanted  # every link that is copied from the address bar names its project
    return by_name[wanted], ""


def _show_header(context: session.PageContext, known: list[projects.Project]) -> None:
    titles = {p.name: p.title for p in known}
    current = context.project.name if context.project else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="header"):
        if known:
            st.session_state["_project_switch"] = current
            st.selectbox(
                "Project",
                list(titles),
                format_func=lambda name: titles[name],
                key="_project_switch",
                label_visibility="collapsed",
                placeholder="Choose a project",
                on_change=_switch_project,
                width=260,
            )
        if context.project:
            _show_live(context.home, context.project.name)
        st.space("stretch")
        with st.popover(f"{parts.plain(context.account.name)} · {context.account.role_title}", icon=":material/person:"):
            st.markdown(f"Signed in as **{parts.plain(context.account.name)}**, {context.account.role_title}.")
            parts.show_door_link("/password", "Change password")
        parts.show_door_link("/sign-out", "Sign out")


def _switch_project() -> None:
    # Only the project: ?request=17 and the like belong to the one before.
    st.query_params.from_dict({"project": st.session_state["_project_switch"]})


def _show_live(home: Home, project: str) -> None:
    live = deployment.find_live(home, project)
    if live is None:
        st.markdown(":gray[:material/radio_button_unchecked: Nothing live]", width="content")
        return
    # The day is enough here, so that the header stays one line at 1280 pixels; the minute is in the hover.
    since = parts.local_time(live.live_from)
    said = f":green[:material/check_circle:] Live **{parts.plain(live.version)}** :gray[since {parts.plain(since.partition(',')[0])}]"
    st.markdown(said, width="content", help=f"Since {parts.plain(since)}, which is {parts.plain(parts.utc_time(live.live_from))}")


show_frame()
