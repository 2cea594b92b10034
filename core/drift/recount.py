"""The counts of the prediction log held against its rows, and made again where they differ; in a worker, for it reads every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.scoring import profiles
from storage import predictions as log_store
from storage import versions as versions_store
from storage.connection import reading

if TYPE_CHECKING:
    from core.jobs.worker import JobContext


def run(context: JobContext) -> dict[str, Any]:
    """The handler: compare every version that answered, rebuild the counts of those that differ, and say what was found.

    Returns
    -------
    dict
        ``versions`` (version, hours in the log, hours that differed and were counted again) and a ``sentence``.
    """
    home, project = context.home, context.job.project
    answered = []
    for row in versions_store.list_versions(reading(home.db), project):
        hours = log_store.list_hours(reading(home.predictions_db), project, row["version"])
        if hours and profiles.counter_of(home, row["id"], row["sha256"]) is not None:
            answered.append((row["version"], len(hours)))
    found = []
    for done, (version, hours_logged) in enumerate(answered):
        context.progress(done, len(answered), f"counting what version {version} answered")
        context.check_cancelled()
        unequal = profiles.compare(home, project, version)
        if unequal:
            profiles.rebuild(home, project, version)
        found.append({"version": version, "hours": hours_logged, "unequal": len(unequal)})
    context.progress(len(answered), max(1, len(answered)), "done")
    return {"versions": found, "sentence": _say(found)}


def _say(found: list[dict[str, Any]]) -> str:
    if not found:
        return "There is nothing in the log that could be counted."
    hours, wrong = sum(f["hours"] for f in found), [f for f in found if f["unequal"]]
    if not wrong:
        return f"The counts were equal to the log in all {hours} hours; nothing had to be changed."
    names = ", ".join(f"{f['unequal']} of version {f['version']}" for f in wrong)
    return f"The counts differed from the log in {sum(f['unequal'] for f in wrong)} of {hours} hours ({names}) and were made again from it."
