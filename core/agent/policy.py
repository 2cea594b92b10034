"""The policy: a readable table from issue, cause and severity to a plan of typed actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from core.agent.actions import ACTIONS, PERSON, RISKY, SAFE
from core.agent.diagnosis import CAUSES, ISSUES
from core.agent.plans import BANDS, name_plan, read_actions
from core.errors import BadInput
from core.projects.limits import Limits

ANY = "any"
TABLE = Path(__file__).with_name("policy.yaml")
REACH_LOG, REACH_SAFE, REACH_ASK = 0, 1, 2  # how far a project lets the agent go on an issue


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Attributes
    ----------
    plans : mapping of str to tuple of str
        Band -> actions, in their order.
    advise : tuple of str
        What people are told to do, from medium on.
    own : tuple of str
        Bands whose plan is the project's own.
    """

    number: int
    issue: str
    cause: str
    plans: Mapping[str, tuple[str, ...]]
    advise: tuple[str, ...]
    why: str
    own: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What the policy says to one diagnosis.

    Attributes
    ----------
    actions : tuple of str
        Safe and risky ones, in their order.
    left_out : tuple of str
        What the rule names, but the project does not let the agent do.
    rule : str
        The rule in words, for the timeline.
    """

    band: str
    actions: tuple[str, ...]
    advise: tuple[str, ...]
    left_out: tuple[str, ...]
    rule: str


def parse(data: Any) -> tuple[Rule, ...]:
    """The table from its plain data.

    Raises
    ------
    BadInput
        Naming the first rule that is not right: an unknown issue, cause or action, an action in the wrong place.
    """
    rules = []
    for number, row in enumerate(data["rules"], 1):
        where = f"Rule {number} of the policy"
        if row.get("issue") not in ISSUES:
            raise BadInput(f"{where} names the issue {row.get('issue')!r}; the issues are {', '.join(ISSUES)}.")
        if row.get("cause") not in (ANY, *CAUSES):
            raise BadInput(f"{where} names the cause {row.get('cause')!r}; the causes are any, {', '.join(CAUSES)}.")
        plans = {band: tuple(row.get(band, ())) for band in BANDS}
        advise = tuple(row.get("advise", ()))
        wrong = [a for plan in plans.values() for a in plan if a not in ACTIONS or ACTIONS[a].tier not in (SAFE, RISKY)]
        wrong += [a for a in advise if a not in ACTIONS or ACTIONS[a].tier != PERSON]
        if wrong:
            raise BadInput(f"{where} plans {wrong[0]!r}, which is no action that could stand there.")
        rules.append(Rule(number, row["issue"], row["cause"], plans, advise, row.get("why", "")))
    return tuple(rules)


@lru_cache(maxsize=1)
def read() -> tuple[Rule, ...]:
    """The table that stands beside this file."""
    return parse(yaml.safe_load(TABLE.read_text(encoding="utf-8")))


def read_for(limits: Limits) -> tuple[Rule, ...]:
    """The table as it holds for a project: shipped, and the project's own plans in the place of single ones."""
    return tuple(_overlay(rule, dict(limits.plans)) for rule in read())


def _overlay(rule: Rule, plans: Mapping[str, str]) -> Rule:
    own = {band: plans[name] for band in BANDS if (name := name_plan(rule.issue, rule.cause, band)) in plans}
    if not own:
        return rule
    return replace(rule, plans={**rule.plans, **{band: read_actions(value) for band, value in own.items()}}, own=tuple(own))


def band_of(severity: float, limits: Limits) -> str:
    """low, medium or high, by the project's two limits."""
    return "high" if severity >= limits.agent.agent_high else "medium" if severity >= limits.agent.agent_medium else "low"


def find_rule(issue: str, cause: str) -> Rule:
    """The first rule that fits; every issue has one for any cause (a test holds the table to it)."""
    return next(r for r in read() if r.issue == issue and r.cause in (cause, ANY))


def plan(issue: str, cause: str, severity: float, limits: Limits) -> Plan:
    """What is to be done, as far as the project lets the agent go."""
    rule, band = _overlay(find_rule(issue, cause), dict(limits.plans)), band_of(severity, limits)
    reach = int(getattr(limits.agent, f"agent_{issue}"))
    kept = [a for a in rule.plans[band] if _within(a, reach)]
    left = tuple(a for a in rule.plans[band] if a not in kept)
    words = f"{issue.replace('_', ' ').capitalize()}, {CAUSES[cause].lower()}, severity {severity:.2f} ({band}): rule {rule.number}"
    advise = rule.advise if band != "low" else ()
    why = "The project's own plan, approved in the place of the shipped one." if band in rule.own else rule.why
    return Plan(band, tuple(kept), advise, left, f"{words}. {why}")


def _within(action: str, reach: int) -> bool:
    if action == "log":
        return True
    return reach >= (REACH_SAFE if ACTIONS[action].tier == SAFE else REACH_ASK)
