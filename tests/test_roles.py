"""The role table is the documented matrix, for every role and every action."""

import pytest

from core import roles

S, D, O, V, A = roles.SCIENTIST, roles.DRH, roles.DEVOPS, roles.DEVELOPER, roles.ADMIN

# Written from the matrix in docs, independently of the table in core.
MATRIX = {
    "export_dataset": {S, D, O},
    "train": {S, O},
    "view_metrics": {S, D, O, V, A},
    "approve_release": {D},
    "deploy": {O},
    "view_logs": {S, D, O, V, A},
    "analyse_drift": {S, O},
    "create_project": {S, O},
    "upload_data": {S, O},
    "register": {S, O},
    "request_release": {S, O},
    "feed_labels": {S, O},
    "approve_retraining": {S, D},
    "approve_rollback": {D, O},
    "rollback": {O},
    "propose_settings": {S, O},
    "approve_settings": {D},
    "schedule": {O},
    "pause_agent": {D, O},
    "predict": {S, D, O, V, A},
    "view_audit": {S, D, O, V, A},
    "export_audit": {S, D, O},
    "make_report": {S, D, O},
    "archive_project": {S, O, A},
    "manage_accounts": {A},
    "manage_keys": {A},
    "manage_channels": {A},
    "backup": {A},
    "delete_data": {A},
    "own_account": {S, D, O, V, A},
}


@pytest.mark.parametrize("action", sorted(roles.ALLOWED))
def test_each_role_may_what_the_matrix_says(action):
    assert {role for role in roles.PERSON_ROLES if roles.may(role, action)} == MATRIX[action]


def test_every_action_of_the_matrix_is_enforced():
    assert set(MATRIX) == set(roles.ALLOWED)


def test_the_agent_may_nothing_of_a_persons():
    assert [a for a in roles.ALLOWED if roles.may(roles.AGENT, a)] == []


def test_an_unknown_action_is_a_bug_not_a_refusal():
    with pytest.raises(KeyError):
        roles.may(S, "make_coffee")


def test_who_may_is_said_in_titles():
    assert roles.who_may("deploy") == ("DevOps",)
    assert roles.who_may("train") == ("Data scientist", "DevOps")
