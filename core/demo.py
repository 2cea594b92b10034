"""The demo: three sample projects with their data, and one account per role. Nothing is trained or approved in advance."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core import accounts
from core.acts import Actor
from core.datasets.versions import add_dataset
from core.home import Home
from core.projects import samples
from core.projects.projects import create_project, find_project

ACTOR = "scientist"
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
