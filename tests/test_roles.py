"""The role table is the documented matrix, for every role and every action."""

import pytest

from core import roles

S, D, P, V, A = roles.SCIENTIST, roles.DRH, roles.DEVOPS, roles.DEVELOPER, roles.ADMIN

# Written from the matrix in docs, independently of the table in core.
MATRIX = {
    "export_dataset": {S, D, P},
    "train": {S, P},
    "view_metrics": {S, D, P, V, A},
    "approve_release": {D},
    "deploy": {P},
    "view_logs": {S, D, P, V, A},
    "analyse_drift": {S, P},
    "create_project": {S, P},
    "upload_data": {S, P},
    "register": {S, P},
    "request_release": {S, P},
    "feed_labels": {S, P},
    "check_retraining": {S, D, P, V, A},
    "start_due_retraining": {S, P},
    "post_observations": {S, P},
    "acknowledge_alert": {S, P},
    "approve_retraining": {S, D},
    "approve_rollback": {D, P},
    "rollback": {P},
    "propose_settings": {S, P},
    "approve_settings": {D},
    "schedule": {P},
    "pause_agent": {D, P},
    "predict": {S, D, P, V, A},
    "view_audit": {S, D, P, V, A},
    "export_audit": {S, D, P},
    "make_report": {S, D, P},
    "archive_project": {S, P, A},
    "manage_accounts": {A},
    "manage_keys": {A},
    "manage_channels": {A},
    "backup": {A},
    "delete_data": {A},
    "own_account": {S, D, P, V, A},
    "run_safe_action": set(),
    "file_request": set(),
}


@pytest.mark.parametrize("action", sorted(roles.ALLOWED))
def test_each_role_may_what_the_matrix_says(action):
    assert {role for role in roles.PERSON_ROLES if roles.may(role, action)} == MATRIX[action]


def test_every_action_of_the_matrix_is_enforced():
    assert set(MATRIX) == set(roles.ALLOWED)


def test_the_agent_may_nothing_of_a_persons():
    own = {"run_safe_action", "file_request"}
    assert {a for a in roles.ALLOWED if roles.may(roles.AGENT, a)} == own
    assert all(MATRIX[a] == set() for a in own)


def test_a_program_may_what_its_keys_can_be_good_for_and_nothing_else():
    allowed = {a for a in roles.ALLOWED if roles.may(roles.PROGRAM, a)}
    assert allowed == {"view_metrics", "predict", "feed_labels", "check_retraining", "post_observations", "start_due_retraining"}


def test_an_unknown_action_is_a_bug_not_a_refusal():
    with pytest.raises(KeyError):
        roles.may(S, "make_coffee")


def test_who_may_is_said_in_titles():
    assert roles.who_may("deploy") == ("DevOps",)
    assert roles.who_may("train") == ("Data scientist", "DevOps")
