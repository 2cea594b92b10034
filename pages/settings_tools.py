"""Settings: the tools that the installation can join, which are here, which are switched on, and how to get the others."""

from __future__ import annotations

import streamlit as st

from core.adapters import standing
from core.settings import Settings
from pages.session import PageContext
from pages.single_sign_on import SingleSignOn

# a word beside every sign: never colour or sign alone
_SIGNS = {standing.WRONG: ":orange[:material/warning:]", standing.READY: ":green[:material/check_circle:]"}
_QUIET = ":gray[:material/radio_button_unchecked:]"
_ORDER = (standing.WRONG, standing.READY, standing.OFF, standing.MISSING)


def show(context: PageContext) -> None:
    """What needs attention first, then what works, then what could."""
    settings = Settings.from_environment()
    found = standing.list_standings(context.home, settings, single_sign_on=_describe_sign_in(settings))
    count = {state: sum(tool.state == state for tool in found) for state in _ORDER}
    told = [f"{n} {state}" for state, n in count.items() if n]
    st.markdown("Greenlight runs alone. Where a team has these tools already, it joins them: " + ", ".join(told) + ".")
    for tool in sorted(found, key=lambda t: _ORDER.index(t.state)):
        with st.container(border=True, key=f"tool-{tool.name}"):
            what, state = st.columns([2, 3], vertical_alignment="center")
            with what.container(gap=None):
                st.markdown(f"{_SIGNS.get(tool.state, _QUIET)} **{tool.title}**, {tool.state}")
                st.caption(f"For {tool.purpose}.")
            if tool.state == standing.MISSING:
                state.code(tool.install, language="sh", wrap_lines=True)
            else:
                state.text(tool.sentence)  # shown as it is: names in it are the installation's own
    st.caption(
        "They are found when the console starts, and switched on by its environment (.env.example describes each). Versions that "
        "were tried together stand in requirements-extra.txt."
    )


def _describe_sign_in(settings: Settings) -> tuple[str, str]:
    setup = SingleSignOn(settings.oidc_claim, settings.oidc_roles).setup
    return (f"People sign in through {setup.provider}." if setup.provider and not setup.problem else "", setup.problem)
