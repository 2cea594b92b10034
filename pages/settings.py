"""Settings: who, which thresholds, how much room?"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages import (
    parts,
    settings_accounts,
    settings_channels,
    settings_forms,
    settings_keys,
    settings_roles,
    settings_schedules,
    settings_storage,
    settings_thresholds,
    settings_tools,
)
from pages.session import PageContext

TABS: dict[str, tuple[str, Callable[[PageContext], None]]] = {
    "account": ("My account", settings_accounts.show_own),
    "accounts": ("Accounts", settings_accounts.show),
    "roles": ("Roles", settings_roles.show),
    "keys": ("API keys", settings_keys.show),
    "thresholds": ("Thresholds", settings_thresholds.show),
    "channels": ("Channels", settings_channels.show),
    "schedules": ("Schedules", settings_schedules.show),
    "storage": ("Storage", settings_storage.show),
    "tools": ("Tools", settings_tools.show),
}


def show(context: PageContext) -> None:
    """One tab at a time, named in the link."""
    parts.show_title("Settings", "Who, which thresholds, how much room?")
    names = [t for t in TABS if t != "accounts" or context.account.may("manage_accounts")]
    wanted = st.query_params.get("tab")
    if "settings-tab" not in st.session_state:
        st.session_state["settings-tab"] = wanted if wanted in names else names[0]
    tab = st.segmented_control(
        "Settings", names, format_func=lambda t: TABS[t][0], key="settings-tab", required=True, label_visibility="collapsed"
    )
    if tab and tab != wanted:
        st.query_params["tab"] = tab
    settings_forms.show_notice()
    _, show_tab = TABS[tab or names[0]]
    show_tab(context)
