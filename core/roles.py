"""Who may do what: one table for pages, commands, the API and the agent alike."""

from __future__ import annotations

SCIENTIST, DRH, DEVOPS, DEVELOPER, ADMIN, AGENT = "data_scientist", "drh_manager", "devops", "developer", "admin", "agent"
PROGRAM = "program"  # comes in with a key, never with a password

ROLE_TITLES = {
    SCIENTIST: "Data scientist",
    DRH: "DRH manager",
    DEVOPS: "DevOps",
    DEVELOPER: "Developer",
    ADMIN: "Administrator",
    AGENT: "Agent",
    PROGRAM: "Program",
}
PERSON_ROLES = (SCIENTIST, DRH, DEVOPS, DEVELOPER, ADMIN)

_EVERYBODY = frozenset(PERSON_ROLES)
_BUILDERS = frozenset({SCIENTIST, DEVOPS})

# action -> roles. The one place; a test holds it against the documented matrix.
ALLOWED: dict[str, frozenset[str]] = {
    "export_dataset": frozenset({SCIENTIST, DRH, DEVOPS}),
    "train": _BUILDERS,
    "view_metrics": _EVERYBODY | {PROGRAM},
    "approve_release": frozenset({DRH}),
    "deploy": frozenset({DEVOPS}),
    "view_logs": _EVERYBODY,
    "analyse_drift": _BUILDERS,
    "create_project": _BUILDERS,
    "upload_data": _BUILDERS,
    "register": _BUILDERS,
    "request_release": _BUILDERS,
    "feed_labels": _BUILDERS | {PROGRAM},
    "check_retraining": _EVERYBODY | {PROGRAM},  # reports only, from what everybody may see
    "start_due_retraining": _BUILDERS | {PROGRAM},  # by time or by new labels; nothing goes live by it
    "post_observations": _BUILDERS | {PROGRAM},
    "acknowledge_alert": _BUILDERS,
    "approve_retraining": frozenset({SCIENTIST, DRH}),
    "approve_rollback": frozenset({DRH, DEVOPS}),
    "rollback": frozenset({DEVOPS}),
    "propose_settings": _BUILDERS,
    "approve_settings": frozenset({DRH}),
    "schedule": frozenset({DEVOPS}),
    "pause_agent": frozenset({DRH, DEVOPS}),
    "predict": _EVERYBODY | {PROGRAM},
    "view_audit": _EVERYBODY,
    "export_audit": frozenset({SCIENTIST, DRH, DEVOPS}),
    "make_report": frozenset({SCIENTIST, DRH, DEVOPS}),
    "archive_project": frozenset({SCIENTIST, DEVOPS, ADMIN}),
    "manage_accounts": frozenset({ADMIN}),
    "manage_keys": frozenset({ADMIN}),
    "manage_channels": frozenset({ADMIN}),
    "backup": frozenset({ADMIN}),
    "delete_data": frozenset({ADMIN}),
    "own_account": _EVERYBODY,  # one's own password and sessions
    "run_safe_action": frozenset({AGENT}),
    "file_request": frozenset({AGENT}),  # and carry out what a person approved: see core.agent.warrants
}


def may(role: str, action: str) -> bool:
    """Whether ``role`` is allowed ``action``. An action that is not in the table is a bug, not a refusal."""
    return role in ALLOWED[action]


def who_may(action: str) -> tuple[str, ...]:
    """Titles of the roles that are allowed ``action``, for sentences."""
    return tuple(ROLE_TITLES[r] for r in (*PERSON_ROLES, AGENT) if r in ALLOWED[action])
