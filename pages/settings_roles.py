"""Settings: who may do what, from the table that every act checks."""

from __future__ import annotations

import streamlit as st

from core import roles
from pages.session import PageContext

# The actions of the roles table in words, in the order of a model's life.
ACTIONS = {
    "view_metrics": "See metrics, models and approvals",
    "predict": "Predict (file, form)",
    "view_audit": "See the audit",
    "view_logs": "See the logs",
    "own_account": "Own password and sessions",
    "create_project": "Make a project",
    "archive_project": "Archive a project",
    "upload_data": "Upload data",
    "export_dataset": "Export a dataset",
    "train": "Train",
    "register": "Register a version",
    "request_release": "Ask for a release",
    "approve_release": "Approve or reject a release",
    "deploy": "Deploy",
    "rollback": "Roll back",
    "feed_labels": "Feed labels",
    "start_due_retraining": "Start a retraining that is due by time or new labels",
    "check_retraining": "Ask whether a retraining is due",
    "post_observations": "Post observations",
    "acknowledge_alert": "Acknowledge and resolve alerts",
    "analyse_drift": "Run drift checks",
    "propose_settings": "Propose a change of gates or thresholds",
    "approve_settings": "Approve such a change",
    "approve_retraining": "Approve a retraining that is proposed",
    "approve_rollback": "Approve a rollback that is proposed",
    "schedule": "Set schedules",
    "pause_agent": "Pause the agent",
    "run_safe_action": "Run the agent's safe actions (the agent alone)",
    "file_request": "File the agent's requests and carry out approved ones (the agent alone)",
    "make_report": "Make reports",
    "export_audit": "Export the audit",
    "manage_accounts": "Manage accounts",
    "manage_keys": "Manage API keys",
    "manage_channels": "Manage channels",
    "backup": "Back up and restore",
    "delete_data": "Delete data",
}


def show(_context: PageContext) -> None:
    st.markdown("Each act checks this table itself, whichever way it is asked for.")
    rows = [
        {
            "Action": words,
            **{roles.ROLE_TITLES[r]: "✓ yes" if roles.may(r, action) else "–" for r in roles.PERSON_ROLES},
        }
        for action, words in ACTIONS.items()
    ]
    st.dataframe(rows, hide_index=True, height=38 + 35 * len(rows), key="roles")
    st.caption("Nobody decides their own request, and whoever trained a version does not decide its release.")
