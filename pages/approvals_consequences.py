"""What follows from each answer to a request, and from none: the three lines above the buttons, the same on every card."""

from __future__ import annotations

import streamlit as st

from pages import parts


def show(yes: str, no: str, silence: str, *, expires_at: str) -> None:
    """Each sentence in plain text, without its beginning: "is carried out at once." """
    until = parts.plain(parts.local_time(expires_at))
    lines = (
        f":green[:material/check:] **If it is approved:** {parts.plain(yes)}",
        f":red[:material/close:] **If it is rejected:** {parts.plain(no)}",
        f":orange[:material/hourglass_top:] **If nobody decides** until {until}: {parts.plain(silence)}",
    )
    with st.container(gap="xsmall"):
        for line in lines[:2]:
            st.markdown(line)
        st.markdown(lines[2], help=f"Until {parts.plain(parts.utc_time(expires_at))}")
