"""Small parts that several pages share: how a page says that something is missing, forbidden, risky or broken."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from streamlit.errors import FragmentHandledException

from core import accounts, roles
from core.errors import GreenlightError
from core.home import Home
from core.text import one_line
from core.times import parse

LOG = logging.getLogger("greenlight.pages")


@dataclass(frozen=True)
class Status:
    """How a state looks: never by colour alone, always with an icon and a word."""

    word: str
    icon: str
    colour: str

    @property
    def markdown(self) -> str:
        return f":{self.colour}[{self.icon} {self.word}]"


STATUSES = {
    "ok": Status("OK", ":material/check_circle:", "green"),
    "warning": Status("Look", ":material/warning:", "orange"),
    "drift": Status("Drift", ":material/error:", "red"),
    "critical": Status("Act", ":material/error:", "red"),
    "unknown": Status("Unknown", ":material/help:", "gray"),
    "chance": Status("Within chance", ":material/remove_circle_outline:", "gray"),
    "waiting": Status("Waiting", ":material/hourglass_top:", "orange"),
    "running": Status("Running", ":material/progress_activity:", "gray"),
    "done": Status("Done", ":material/check_circle:", "green"),
    "refused": Status("Refused", ":material/block:", "red"),
    "failed": Status("Failed", ":material/error:", "red"),
    "training": Status("Training", ":material/science:", "gray"),
    "validation": Status("Validation", ":material/fact_check:", "gray"),
    "approved": Status("Approved", ":material/verified:", "green"),
    "production": Status("Live", ":material/check_circle:", "green"),
    "archived": Status("Archived", ":material/inventory_2:", "gray"),
}


def find_status(name: str) -> Status:
    """How ``name`` looks; a state that this table does not know is shown as it is, in grey, never as fine."""
    return STATUSES.get(name) or Status(name.replace("_", " ").capitalize(), ":material/help:", "gray")


def plain(text: object) -> str:
    """``text`` as it is, for places that read Markdown: names and notes come from people and files."""
    flat = one_line(text)
    return "".join("\\" + sign if sign in r"\`*_{}[]()<>#+-.!|~$:" else sign for sign in flat)


def show_title(title: str, question: str) -> None:
    """The page's name and the question that it answers."""
    st.title(title, anchor=False)
    st.caption(question)


def show_empty(
    sentence: str, next_step: str = "", *, page: str | None = None, label: str = "", icon: str = ":material/inbox:"
) -> None:
    """An honest empty state: what is missing, and how to get it (``page`` is the url of the page where)."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.markdown(f"## {icon} {plain(sentence)}", width="content")
        if next_step:
            st.markdown(plain(next_step), width="content")
        if page is not None:
            show_link(page, label or "Go there")


def show_link(page: str, label: str, *, project: str | None = None, **query: str) -> None:
    """A link to another page of the console, which keeps the chosen project."""
    known = st.session_state.get("_pages", {})
    if page in known:
        chosen = project or st.query_params.get("project")
        st.page_link(known[page], label=label, query_params={**({"project": chosen} if chosen else {}), **query})


def show_forbidden(home: Home, account: accounts.Account, title: str, action: str) -> None:
    """Who may see this page, and whom to ask; shown instead of a page that a role may not use."""
    st.title(title, anchor=False)
    show_whom_to_ask(home, account, title, action)


def show_whom_to_ask(home: Home, account: accounts.Account, what: str, action: str) -> None:
    """Which roles may do ``what``, and who has one; shown instead of a part that a role may not use."""
    who = _join(roles.who_may(action), "and")
    st.info(f"{what} is for {who}; you are signed in as {account.role_title}.", icon=":material/lock:")
    able = [f"{plain(a.name)} ({a.role_title})" for a in accounts.list_accounts(home) if a.active and a.may(action) and a.role in roles.PERSON_ROLES]
    if able:
        more = f", and {len(able) - 5} more" if len(able) > 5 else ""
        st.markdown(f"Ask {_join(able[:5], 'or')}{more}.")
    else:
        st.markdown("Nobody here has such a role yet; ask an administrator.")


def show_door_link(path: str, label: str) -> None:
    """A link, in the same tab, to one of the forms at the door; both arguments are our own words.

    Not ``st.link_button``, which opens a second tab. The front end fetches its part for plain HTML at first use, and
    without a session the door refuses that: so the header shows such a link on every page, long before
    :func:`show_signed_out` needs one.
    """
    st.markdown(f'<a href="{path}" target="_self">{label}</a>', unsafe_allow_html=True, width="content")


def show_signed_out() -> None:
    """What a tab shows when its session is over: no data, only the way back."""
    with st.container(horizontal_alignment="center", gap="small"):
        st.title("You are signed out", anchor=False, width="content", text_alignment="center")
        st.markdown("Your session has ended: you signed out, it expired, or it was revoked.", width="content")
        show_door_link("/sign-in", "Sign in again")


@contextmanager
def guarded() -> Iterator[None]:
    """Around a page or an act: what a person can cure is one sentence, everything else a number to ask about."""
    try:
        yield
    except GreenlightError as error:
        st.error(plain(error), icon=":material/error:")
    except FragmentHandledException:
        raise
    except Exception as error:  # the page boundary
        report_error(error)


def report_error(error: Exception) -> bool:
    """Show one sentence; keep the trace for the log. True tells Streamlit that nothing more is to be shown."""
    if isinstance(error, GreenlightError):
        st.error(plain(error), icon=":material/error:")
        return True
    number = secrets.token_hex(4)
    LOG.error("Unexpected error on a page", exc_info=error, extra={"correlation_id": number})
    st.error(
        f"Something went wrong here, and nothing was changed by it halfway. Try again; if it happens again, give an "
        f"administrator the number {number}.",
        icon=":material/error:",
    )
    return True


def download(
    label: str, data: bytes | str | Callable[[], bytes | str], file_name: str, mime: str, *, key: str | None = None
) -> None:
    """A download that leaves the page as it is."""
    st.download_button(label, data, file_name, mime, key=key, on_click="ignore", icon=":material/download:")


def confirm(
    label: str, will: str, *, key: str, typed: str = "", needs_reason: bool = True, risky: bool = False, disabled: bool = False
) -> str | None:
    """A form in front of an act that says what it will do and asks for a reason.

    Parameters
    ----------
    label : str
        The button, a verb: "Deploy 1.2.0".
    will : str
        What will happen, in one sentence.
    typed : str
        A word that must be typed to go on; for what cannot be undone.

    Returns
    -------
    str or None
        The reason, in the one run in which the form was sent and is complete; else None.
    """
    with st.form(key, border=True):
        st.markdown(f"{':material/warning: ' if risky else ''}{plain(will)}")
        reason = st.text_area("Reason", height=80, max_chars=2000, key=f"{key}-reason") if needs_reason else ""
        word = st.text_input(f"Type {typed} to confirm", key=f"{key}-typed") if typed else ""
        sent = st.form_submit_button(label, type="primary", disabled=disabled)
    if not sent:
        return None
    if needs_reason and not reason.strip():
        st.error("Write a reason: it stands in the audit beside what you do.", icon=":material/error:")
        return None
    if typed and word.strip() != typed:
        st.error(f"Nothing was done: type {plain(typed)} exactly to confirm.", icon=":material/error:")
        return None
    return reason.strip()


def local_time(moment: datetime | str, *, zone: str | None = None) -> str:
    """A moment in the visitor's zone, named: ``21 Nov 2026, 12:36 CET``. ``zone`` replaces the browser's."""
    moment = parse(moment) if isinstance(moment, str) else moment
    return moment.astimezone(_find_zone(zone)).strftime("%-d %b %Y, %H:%M %Z")


def _find_zone(zone: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(zone or st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, TypeError):
        return ZoneInfo("UTC")


def short_time(moment: datetime | str, *, zone: str | None = None, now: datetime | None = None) -> str:
    """:func:`local_time` for tables whose header names the zone (:func:`time_column`): ``21 Nov, 12:36``, the year only of others."""
    place = _find_zone(zone)
    moment = (parse(moment) if isinstance(moment, str) else moment).astimezone(place)
    year = "" if moment.year == (now or datetime.now(place)).astimezone(place).year else " %Y"
    return moment.strftime(f"%-d %b{year}, %H:%M")


def utc_time(moment: datetime | str) -> str:
    """The same moment in UTC, as audit, files and the API name it; shown on hover beside :func:`local_time`."""
    return local_time(moment, zone="UTC")


def time_column(**options: Any) -> Any:
    """How a column of :func:`local_time` is headed: on hover it names the zone and how far UTC is from it now."""
    zone = st.context.timezone or "UTC"
    try:
        ahead = datetime.now(ZoneInfo(zone)).utcoffset() or timedelta()
    except (ZoneInfoNotFoundError, ValueError, TypeError):
        zone, ahead = "UTC", timedelta()
    hours = abs(ahead) / timedelta(hours=1)
    apart = f"UTC is {hours:g} h {'earlier' if ahead > timedelta() else 'later'} now." if hours else "That is UTC."
    return st.column_config.TextColumn(help=f"Times of {plain(zone.replace('_', ' '))}. {apart}", **options)


def show_asked(who: str, at: str, reason: str) -> None:
    """Who asks since when, and why; ``who`` is Markdown. UTC is in the hover."""
    when = f"Since {plain(utc_time(at))}"
    st.markdown(f"{who} asks since {plain(local_time(at))}: “{plain(reason)}”", help=when)


def show_decision(said: str, at: str, reason: str | None) -> None:
    """Who decided what and when, and why; ``said`` is Markdown. UTC is in the hover."""
    st.markdown(f"{said} on {plain(local_time(at))}: “{plain(reason or '')}”", help=f"On {plain(utc_time(at))}")


def _join(words: tuple[str, ...] | list[str], last: str) -> str:
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def show_linked_request(name: str, wanted: str, show: Callable[[int], None]) -> None:
    """The one request that the link's ``name`` asks for by number, and the way back to all of them."""
    if st.button("All requests", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params[name]
        st.rerun()
    st.query_params[name] = wanted  # by a link of this same page it came without the address bar, from which people copy
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 12):
        st.warning(f"{plain(wanted[:40])} is no request; its number was expected.", icon=":material/search_off:")
        return
    with guarded():
        show(int(wanted))
