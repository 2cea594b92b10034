"""A project's own plan for one rule of the policy and one band, in place of the shipped one; proposed and approved like any other limit.

``plan:ISSUE/CAUSE/BAND`` is a text of actions ("log, alert, retrain"), or None where the shipped plan holds. A plan can name safe and
risky actions. It cannot make a risky one safe: that it needs an approval belongs to the action; and what only people do is only advised.
"""

from __future__ import annotations

from typing import Any

from core.agent.actions import ACTIONS, PERSON, RISKY, SAFE
from core.errors import BadInput

PLAN = "plan:"
BANDS = ("low", "medium", "high")


def name_plan(issue: str, cause: str, band: str) -> str:
    """The setting that holds a project's own plan for a rule and a band."""
    return f"{PLAN}{issue}/{cause}/{band}"


def read_name(name: str) -> tuple[str, str, str]:
    """Issue, cause and band of such a setting.

    Raises
    ------
    BadInput
        It names no rule of the policy, or no band.
    """
    from core.agent import policy

    parts = name[len(PLAN) :].split("/")
    known = [(r.issue, r.cause) for r in policy.read()]
    if len(parts) != 3 or parts[2] not in BANDS or (parts[0], parts[1]) not in known:
        shown = ", ".join(f"{issue}/{cause}" for issue, cause in known)
        raise BadInput(f"{name[:80]!r} names no plan; write {PLAN}ISSUE/CAUSE/BAND with a band of {', '.join(BANDS)} and a rule of: {shown}.")
    return parts[0], parts[1], parts[2]


def is_known(name: str) -> bool:
    """Whether its rule stands in the policy; one of an earlier policy may be gone."""
    try:
        read_name(name)
    except BadInput:
        return False
    return True


def title_plan(name: str) -> str:
    """What such a setting is called: "Plan of the agent for data drift, any other cause, high severity". Of a rule that is gone, its name."""
    from core.agent.diagnosis import CAUSES

    if not is_known(name):
        return name
    issue, cause, band = read_name(name)
    words = "any other cause" if cause == "any" else f"{CAUSES[cause][0].lower()}{CAUSES[cause][1:]}"
    return f"Plan of the agent for {issue.replace('_', ' ')}, {words}, {band} severity"


def find_shipped(name: str) -> tuple[str, ...]:
    """The actions of the shipped plan in whose place it stands."""
    from core.agent import policy

    issue, cause, band = read_name(name)
    return next(r for r in policy.read() if (r.issue, r.cause) == (issue, cause)).plans[band]


def check_plan(name: str, value: Any) -> str | None:
    """A plan as it is kept: its actions in their order, parted by commas.

    Raises
    ------
    BadInput
        An unknown action, one that only people can do, one twice, or a plan that does not begin with log.
    """
    read_name(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadInput(f"A plan is a list of actions, such as log,alert,retrain; {str(value)[:40]!r} is none.")
    actions = [part.strip() for part in value.split(",") if part.strip()]
    possible = ", ".join(a.name for a in ACTIONS.values() if a.tier in (SAFE, RISKY))
    for action in actions:
        if action not in ACTIONS:
            raise BadInput(f"There is no action {action[:40]!r}; a plan can name: {possible}.")
        if ACTIONS[action].tier == PERSON:
            raise BadInput(f"“{ACTIONS[action].title}” ({action}) is for people only and stands in no plan; a plan can name: {possible}.")
    if not actions or actions[0] != "log":
        raise BadInput("A plan begins with log, so that what was found is written down before anything is done.")
    if len(set(actions)) < len(actions):
        raise BadInput("An action stands twice in the plan; name each once.")
    return ", ".join(actions)


def say_plan(name: str, value: str | None) -> str:
    """A plan in words: "log; tell people; retrain (asks first)"; the shipped one is called so."""
    if value is None and not is_known(name):
        return "as shipped"
    said = "; ".join(list_actions(name, value))
    return f"as shipped: {said}" if value is None else said


def list_actions(name: str, value: str | None) -> list[str]:
    """The actions of a plan in words; None is the shipped one, of which nothing is known where its rule is gone."""
    shipped = find_shipped(name) if value is None and is_known(name) else ()
    actions = shipped if value is None else read_actions(value)
    return [ACTIONS[a].title.lower() + (" (asks first)" if ACTIONS[a].tier == RISKY else "") for a in actions]


def read_actions(value: str) -> tuple[str, ...]:
    """The actions of a kept plan; what is (no longer) an action that could stand in one is left out."""
    return tuple(a for a in value.split(", ") if a in ACTIONS and ACTIONS[a].tier in (SAFE, RISKY))
