"""Between a button and an act: one key per thing that is sent, and one sentence about what came of it."""

from __future__ import annotations

import hashlib
import secrets

import streamlit as st


def request_key(form: str, *content: object) -> str:
    """The idempotency key of what ``form`` sends now.

    A second click, or a script that Streamlit stopped and ran again, sends the same key, so the act happens once.
    Other content is another act, also when the first one's answer was never shown.
    """
    token = st.session_state.setdefault(f"_key:{form}", secrets.token_hex(16))
    digest = hashlib.sha256()
    for part in content:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
        digest.update(b"\0")
    return f"{token}-{digest.hexdigest()[:16]}"


def note_sent(form: str, sentence: str, **more: object) -> None:
    """Keep what came of an act for the next run of the page (``sentence`` is Markdown), and use its key up."""
    st.session_state.pop(f"_key:{form}", None)
    st.session_state[f"_sent:{form}"] = {"sentence": sentence, **more}


def show_sent(form: str) -> dict[str, object] | None:
    """Show what came of the last act of ``form``, once; returns it for the page to add a link.

    A note kept with ``look="error"`` or ``"info"`` is shown as that instead of as a success.
    """
    found: dict[str, object] | None = st.session_state.pop(f"_sent:{form}", None)
    # Its place is there with and without a note: were everything below to move up when the note goes, the browser would take each
    # part for another one, and close what somebody had opened while their act is under way.
    with st.container():
        if found is not None and found.get("look") == "error":
            st.error(str(found["sentence"]), icon=":material/error:")
        elif found is not None and found.get("look") == "info":
            st.info(str(found["sentence"]), icon=":material/info:")
        elif found is not None:
            st.success(str(found["sentence"]), icon=":material/check_circle:")
    return found
