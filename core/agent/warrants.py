"""The one door to a risky action of the agent: an approved request, for exactly this, used once, inside the act's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.acts import Tx
from core.decisions import HOLDS
from core.errors import Refused
from core.times import parse
from storage import agent as store

PERMISSION = "file_request"  # acting on a warrant asks for the agent's own role: a person's roles do not include it


def use(tx: Tx, request_id: int, project: str, action: str, params: Mapping[str, Any]) -> str:
    """Take the approval of a request; returns who gave it.

    Raises
    ------
    Refused
        There is no such request, it is for something else, or nobody approved it, or it was used, or it is too old.
    """
    row = store.find_request(tx.db, request_id)
    if row is None or row["project"] != project or row["action"] != action:
        raise Refused(f"No request {request_id} of the agent asks to {action.replace('_', ' ')} in {project}; file one.")
    if row["params"] != dict(params):
        raise Refused(f"Request {request_id} was approved for something else; file a new one.")
    if row["state"] != "approved":
        raise Refused(f"Request {request_id} of the agent is {row['state']}; only an approved one can be carried out.")
    if parse(row["decided_at"]) + HOLDS <= tx.now:
        raise Refused(f"The approval of request {request_id} is older than {HOLDS.days} days and has lapsed; file a new one.")
    if not store.use_request(tx.db, request_id, tx.at):
        raise Refused(f"Request {request_id} of the agent was carried out already.")
    return str(row["decided_by"])
