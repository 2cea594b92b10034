"""How the release pages call an act: one core call, the page drawn anew, and before / after at its top."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from pages import parts, sending

_FORM = "release"


def key_of(form: str) -> str:
    """The idempotency key of what ``form`` sends now; a second click sends the same."""
    return sending.request_key(_FORM, form)


def perform(form: str, do: Callable[[str], dict[str, Any]], say: Callable[[dict[str, Any]], str]) -> None:
    """Do one act, keep the sentence that says what it changed, and show the page anew.

    Parameters
    ----------
    form : str
        Name of the form; put the state that it starts from into it ("rollback-7"), so that a second click finds it gone.
    do : callable
        Takes the request key, calls one core function.
    say : callable
        From the result to one sentence of Markdown: before and after.
    """
    with parts.guarded():
        result = do(key_of(form))
        sending.note_sent(_FORM, say(result))
        st.rerun()


def show_said() -> bool:
    """What the last act changed; shown once, at the top of the page. Whether there was anything to show."""
    return sending.show_sent(_FORM) is not None
