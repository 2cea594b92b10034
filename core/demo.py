"""The demo: three sample projects with their data, one account per role, and schedules. Nothing is trained or approved in advance."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core import accounts, audit
from core.acts import Actor
from core.datasets.versions import add_dataset
from core.home import Home
from core.projects import samples
from core.projects.projects import create_project, find_project
from core.schedule import schedules
from core.schedule.rules import Rule

ACTOR = "scientist"
PLANNER, KEEPER = "devops", "admin"
# Early in the morning, one after the other, so that a check finds what the one before it has written.
SCHEDULES: dict[str, Rule] = {
    "quality_check": {"every_days": 1, "at": "05:00"},
    "drift_check": {"every_days": 1, "at": "05:10"},
    "retrain_check": {"weekly": "mon", "at": "05:30"},
    "report": {"weekly": "mon", "at": "06:30"},
}
BACKUP: Rule = {"every_days": 1, "at": "03:30"}
_PROVENANCE = {"heart_disease": "recorded", "future_skills": "synthetic", "recipe_ranking": "synthetic"}


def prepare_demo(home: Home, *, via: str = "cli", now: datetime | None = None) -> list[dict[str, Any]]:
    """Make what is not there yet; safe to repeat. Returns one line per project: id, dataset, fresh."""
    accounts.add_demo_accounts(home, now=now)
    actor = Actor(ACTOR, via=via)
    made = []
    for name in samples.list_samples():
        fresh = find_project(home, name) is None
        folder = home.root / "samples" / name
        if fresh:
            definition = samples.load_sample(name)
            create_project(home, actor, definition, demo=True, now=now)
            path = samples.make_sample_data(name, folder)
            source = "synthetic HR database" if name == "future_skills" else "shipped sample" if not definition.synthetic else "synthetic sample"
            add_dataset(
                home, actor, name, path, file_name=path.name, source=source, label_provenance=_PROVENANCE[name], now=now
            )
            samples.make_scoring_files(name, folder)
        made.append({"id": name, "fresh": fresh, "files": sorted(str(p) for p in folder.glob("*.csv"))})
    return made


def plan_demo(home: Home, *, via: str = "cli", now: datetime | None = None) -> list[dict[str, Any]]:
    """Set the sample projects' schedules and the backup, where nobody has ever set one; safe to repeat. Returns what was set."""
    wanted = [(p, kind, rule, PLANNER) for p in samples.list_samples() for kind, rule in SCHEDULES.items()]
    made = []
    for project, kind, rule, account in [*wanted, ("", "backup", BACKUP, KEEPER)]:
        known = audit.search(home, action="set_schedule", limit=1_000, **({"project": project} if project else {}))[0]
        if not any(e["subject"].endswith(f": {kind.replace('_', ' ')}") for e in known):
            made.append(schedules.set_schedule(home, Actor(account, via=via), project, kind, rule, reason="the demo's own plan", now=now))
    return made
