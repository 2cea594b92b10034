"""What the forms of Settings share: one act per click, what came of it, and a secret that is shown once."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from pages import parts, sending


@dataclass(frozen=True)
class Secret:
    """Something that cannot be shown again: the words around it are Markdown and our own."""

    text: str
    before: str
    after: str = ""
    example: str = ""


def request_key(form: str, *content: object) -> str:
    return sending.request_key("settings", form, *content)


def turn(form: str) -> str:
    """The form's name for this turn: once an act is done, a second click on the button that did it finds it gone."""
    return f"{form}-{st.session_state.get('settings-turn', 0)}"


def note(sentence: str, *, secret: Secret | None = None, look: str = "") -> None:
    """Keep what came of an act, begin the next turn, and draw the page again; ``look="error"`` for what did not succeed."""
    sending.note_sent("settings", parts.plain(sentence), **({"look": look} if look else {}))
    st.session_state["settings-turn"] = st.session_state.get("settings-turn", 0) + 1
    if secret is not None:
        st.session_state["settings-secret"] = secret
    st.rerun()


def show_notice() -> None:
    """What came of the last act, and a secret until it is put away."""
    sending.show_sent("settings")
    secret: Secret | None = st.session_state.get("settings-secret")
    if secret is None:
        return
    # It stays until it is put away: a stray click must not lose what cannot be shown again.
    with st.container(border=True):
        st.markdown(secret.before)
        st.code(secret.text, language=None)
        if secret.after:
            st.caption(secret.after)
        if secret.example:
            st.code(secret.example, language="bash", wrap_lines=True)
        if st.button("I have handed it over: hide it", key="secret-hide"):
            del st.session_state["settings-secret"]
            st.rerun()
