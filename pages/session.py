"""Who is signed in, and what a page is given to work with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import streamlit as st

from core import accounts
from core.acts import Actor
from core.home import Home
from core.projects.projects import Project
from core.settings import Settings
from pages.forms import COOKIE


@dataclass(frozen=True)
class PageContext:
    """What every page's ``show(context)`` gets.

    Attributes
    ----------
    home : Home
    account : Account
        Who looks; ``account.may(action)`` says which buttons to show. The acts check again.
    actor : Actor
        The same person as the acts want to know them.
    project : Project or None
        The one chosen in the header; None while there is no project.
    now : datetime
        Time of this run, UTC.
    """

    home: Home
    account: accounts.Account
    actor: Actor
    project: Project | None
    now: datetime


def current_account(home: Home, now: datetime) -> accounts.Account | None:
    """Who is signed in in this browser; None when nobody is, or not any more.

    The one place that knows. Tests replace it, because a test run of a page has no browser and no cookie.
    """
    return accounts.find_session(home, st.context.cookies.to_dict().get(COOKIE, ""), now=now)


def current_home() -> Home:
    """The installation that the environment names."""
    settings = Settings.from_environment()
    return _open(settings.home, settings.models)


@lru_cache(maxsize=4)
def _open(root: Path | None, models: Path | None) -> Home:
    # Opening checks the folders and the schema: once per process is enough, a script runs at every click.
    return Settings(home=root, models=models).open_home()


def keep_to_one_person(account: accounts.Account) -> None:
    """Forget what a page remembered for somebody else: a reconnecting tab may come back with another sign-in."""
    if st.session_state.get("_signed_in_as") not in (None, account.name):
        st.session_state.clear()
    st.session_state["_signed_in_as"] = account.name
