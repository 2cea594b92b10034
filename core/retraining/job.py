"""A retraining as a job: its steps in order, each written down as it goes, from the first that is not done yet."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.errors import Cancelled, GreenlightError, Refused
from core.retraining import retraining, steps
from core.times import utc_now

if TYPE_CHECKING:
    from core.home import Home
    from core.jobs.worker import JobContext

log = logging.getLogger("greenlight.retraining")


def run(context: JobContext) -> dict[str, Any]:
    """The handler: returns {"retraining", "outcome", "version", "request", "sentence", "ran_on"}.

    Raises
    ------
    Refused
        A step failed; the sentence says which one and why. The live version is as it was.
    """
    home = context.home
    errand = steps.make_errand(context, retraining.claim(home, int(context.job.params["retraining"]), context.job.id))
    number = errand.found.id
    for place, (name, do) in enumerate(steps.STEPS.items()):
        title = retraining.STEPS[name]
        if errand.found.find_step(name).state in ("done", "skipped"):
            continue
        context.progress(place, len(steps.STEPS), title.lower())
        try:
            context.check_cancelled()
            retraining.note_step(home, number, name, "running", at=utc_now())
            told = do(errand)
            retraining.note_step(home, number, name, told.state, at=utc_now(), sentence=told.sentence, detail=told.detail)
        except Cancelled as stop:
            retraining.fail(home, number, state="cancelled", sentence=f"Cancelled. {stop}", now=utc_now())
            _report(home, errand.project, number)
            raise
        except Exception as error:  # the boundary of a step: what it broke on is said, and the retraining ends with it
            known = isinstance(error, GreenlightError)
            why = str(error) if known else f"an unexpected error ({type(error).__name__}); its trace is in logs/job_{context.job.id}.log."
            retraining.fail(home, number, state="failed", sentence=why, now=utc_now())
            _report(home, errand.project, number)
            live = f" Version {errand.found.live_version} stays live, untouched." if errand.found.live_version else ""
            if not known:
                raise
            raise Refused(f"Step {place + 1} of {len(steps.STEPS)} ({title.lower()}) failed: {why}{live}") from error
        log.info("retraining %s, %s: %s", number, title.lower(), told.sentence)
        errand = replace(errand, found=retraining.get(home, number))
    context.progress(len(steps.STEPS), len(steps.STEPS), "done")
    outcome, sentence = errand.detail("judgement")["outcome"], errand.found.find_step("judgement").sentence
    retraining.finish(home, errand.actor, errand.found, outcome=outcome, sentence=sentence, now=utc_now())
    _report(home, errand.project, number)
    return {
        "retraining": number, "outcome": outcome, "version": errand.found.version, "request": errand.found.request_id, "sentence": sentence,
        "ran_on": errand.detail("training").get("ran_on", ""),
    }  # fmt: skip


def _report(home: Home, project: str, number: int) -> None:
    """Make the report at once, where no console may be running; the clock makes it where this fails or the worker is killed before."""
    from core.reports.make import make_unattended

    try:
        made = make_unattended(home, "retraining", project, subject=str(number), now=utc_now())
    except Exception:  # the boundary of a report: what came of the retraining stands whether or not it can be drawn
        log.exception("the report of retraining %s could not be made; it is tried again", number)
        return
    log.info("retraining %s: report %s is made", number, made["id"])
