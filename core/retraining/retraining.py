"""Retrainings: started by an act, worked on by a job step by step, ended with what came of them.

A retraining is not its job: a job that is interrupted is followed by another one, which goes on after the last step that was
done. Nothing goes live by a retraining; the best that it does is to ask for a release.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from core import acts, roles
from core.acts import Actor, Done, Tx
from core.agent import warrants
from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.jobs import jobs
from core.notify import events
from core.projects.projects import get_definition, get_project
from core.retraining import triggers
from core.times import stamp, utc_now
from core.training.catalogue import check_params, get_candidate
from storage import datasets as datasets_store
from storage import jobs as jobs_store
from storage import retrainings as store
from storage import versions as versions_store
from storage.connection import reading, writing

TRIGGERS = ("schedule", "new_data", "person", "agent")
OUTCOMES = ("better", "worse", "unclear", "failed")
ATTEMPTS = 3  # jobs for one retraining, before an interruption is taken for a failure
# name -> what people call the step
STEPS = {
    "export": "Fresh export",
    "validation": "Validation",
    "training": "Training",
    "registry": "Metadata and registry",
    "evaluation": "Evaluation against the live version",
    "judgement": "Judgement",
    "request": "Report and release request",
    "monitoring": "Handed to monitoring",
}
ROWS = {"all": "the source and the labelled predictions", "source": "the source alone", "labelled": "the labelled predictions alone"}


@dataclass(frozen=True)
class Step:
    """One of the eight steps; ``state`` is waiting, running, done, skipped or failed."""

    name: str
    state: str = "waiting"
    at: str = ""
    sentence: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return STEPS[self.name]


@dataclass(frozen=True)
class Retraining:
    """One retraining as it stands.

    Attributes
    ----------
    trigger : "schedule", "new_data", "person" or "agent"
    state : "open", "done", "failed" or "cancelled"
    outcome : "better", "worse", "unclear", "failed" or None
        None while it is open, and where it was cancelled.
    params : dict
        candidates, seed, rows as asked for; approval: the agent's request that it stands on.
    version : str or None
        The candidate that was registered.
    live_version : str or None
        What was live when it began.
    """

    id: int
    project: str
    job_id: int | None
    trigger: str
    reason: str
    state: str
    steps: tuple[Step, ...]
    outcome: str | None
    params: dict[str, Any]
    version: str | None
    live_version: str | None
    request_id: int | None
    report_id: int | None
    started_by: str
    started_at: str
    finished_at: str | None
    correlation_id: str

    @property
    def step(self) -> Step | None:
        """The step that is going on, that failed, or that comes next; None when all is done."""
        return next((s for s in self.steps if s.state not in ("done", "skipped")), None)

    @property
    def sentence(self) -> str:
        """What came of it, or how far it is."""
        if self.state == "open":
            at = self.step
            return f"Step {list(STEPS).index(at.name) + 1} of {len(STEPS)}: {at.title.lower()}." if at else "It is about to end."
        failed = next((s for s in self.steps if s.state == "failed"), None)
        if failed is not None:
            return f"{failed.title} failed: {failed.sentence}"
        judged = self.find_step("judgement")
        return judged.sentence if judged.state == "done" else "It was cancelled; the live version is as it was."

    def find_step(self, name: str) -> Step:
        return next(s for s in self.steps if s.name == name)


def start(
    home: Home, actor: Actor, project: str, *, trigger: str = "person", reason: str, correlation_id: str | None = None,
    params: dict[str, Any] | None = None, approval: int | None = None, owner: str = "supervisor", key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Put a retraining on the list of jobs; a project has one at a time.

    Parameters
    ----------
    trigger : "schedule", "new_data", "person" or "agent"
        A person needs the right to train. By schedule or by new data it is for whoever may train, and for a program while a
        trigger of time or labels has fired. The agent needs ``approval``.
    params : dict, optional
        candidates ([[name, hyperparameters], ...]), seed, folds, holdout; rows ("all", "source" or "labelled").
    approval : int, optional
        The agent's approved request to retrain; good for one.
    owner : str
        "cli" means that the command line runs the job itself.

    Returns
    -------
    dict
        id, job.

    Raises
    ------
    Refused
        One is under way already, nothing is due, there is no data, or the approval is none.
    BadInput
        Unknown parameters, or no reason.
    """
    now = now or utc_now()
    get_project(home, project)
    if trigger not in TRIGGERS:
        raise BadInput(f"A retraining is started by {', '.join(TRIGGERS)}; {trigger[:20]!r} is none of them.")
    if not reason.strip():
        raise BadInput("A reason is needed: write in a sentence why the model is trained again.")
    asked = check_asked(home, project, params or {})
    follow_up(home, now=now)
    found = triggers.check(home, project, now=now) if trigger in ("schedule", "new_data") else None

    def work(tx: Tx) -> Done:
        under_way = store.find_open(tx.db, project)
        if under_way is not None:
            raise Refused(f"Retraining {under_way['id']} of {project} is under way (job {under_way['job_id']}); wait for it or cancel that job.")
        approver = ""
        if trigger == "agent":
            approver = warrants.use(tx, approval or 0, project, "retrain", asked)
        elif found is not None and not found.starts_as and not roles.may(tx.role, "train"):
            raise Refused(f"No retraining of {project} is due by time or by new labels: {found.sentence}")
        if not datasets_store.list_datasets(tx.db, project):
            raise Refused(f"Project {project} has no data yet; add a table first, then train it.")
        live = versions_store.find_live(tx.db, project)
        retraining_id = store.insert_retraining(
            tx.db,
            {
                "project": project, "trigger": trigger, "reason": reason.strip()[:2000], "state": "open",
                "params": {**asked, "approval": approval, "now": tx.at}, "steps": [_plain(Step(name)) for name in STEPS],
                "live_version": live["version"] if live else None, "started_by": tx.actor.name, "started_at": tx.at,
                "correlation_id": tx.correlation_id,
            },
        )
        job_id = jobs.enqueue(tx, project=project, kind="retrain", params={"retraining": retraining_id}, owner=owner)
        store.update_retraining(tx.db, retraining_id, job_id=job_id)
        after = {"retraining": retraining_id, "job": job_id, "trigger": trigger, "live": live["version"] if live else None, **asked}
        return Done({"id": retraining_id, "job": job_id}, after=after, subject=f"retraining {retraining_id}", approver=approver)

    permission = {"person": "train", "agent": warrants.PERMISSION}.get(trigger, "start_due_retraining")
    return acts.perform(
        home, actor, "start_retraining", work, permission=permission, project=project, reason=reason, key=key,
        trigger={"person": "person", "agent": "alert"}.get(trigger, "schedule"), correlation_id=correlation_id, now=now,
    )  # fmt: skip


def check_asked(home: Home, project: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters as they are kept; raise BadInput for one that is unknown."""
    unknown = sorted(set(params) - {"candidates", "seed", "folds", "holdout", "rows"})
    if unknown:
        raise BadInput(f"A retraining has no parameter {unknown[0][:40]!r}; it has candidates, seed, folds, holdout and rows.")
    if params.get("rows", "all") not in ROWS:
        raise BadInput(f"Rows are {', '.join(ROWS)}; {str(params['rows'])[:20]!r} is none of them.")
    task = get_definition(home, project).task
    for name, values in params.get("candidates") or []:
        check_params(get_candidate(name), values, task)
    return dict(params)


def get(home: Home, retraining_id: int) -> Retraining:
    row = store.find_retraining(reading(home.db), retraining_id)
    if row is None:
        raise NotFound(f"There is no retraining {retraining_id}.")
    return _retraining(row)


def list_retrainings(home: Home, project: str | None = None, *, limit: int = 50) -> list[Retraining]:
    """Newest first."""
    return [_retraining(r) for r in store.list_retrainings(reading(home.db), project, limit)]


def find_open(home: Home, project: str) -> Retraining | None:
    """The one that is under way, or None."""
    row = store.find_open(reading(home.db), project)
    return _retraining(row) if row else None


def find_of_job(home: Home, job_id: int) -> Retraining | None:
    """The retraining that a job works on."""
    row = jobs_store.find_job(reading(home.db), job_id)
    number = row["params"].get("retraining") if row is not None and row["kind"] == "retrain" else None
    return get(home, int(number)) if number is not None else None


# ---- for the job ----


def claim(home: Home, retraining_id: int, job_id: int) -> Retraining:
    """Take a retraining on: its job is this one from now on.

    Raises
    ------
    Refused
        It has ended, or another job works on it.
    """
    with writing(home.db) as db:
        row = store.find_retraining(db, retraining_id)
        if row is None or row["state"] != "open":
            raise Refused(f"Retraining {retraining_id} has ended; start another one.")
        other = jobs_store.find_job(db, row["job_id"]) if row["job_id"] != job_id else None
        if other is not None and other["state"] not in jobs_store.FINISHED:
            raise Refused(f"Job {other['id']} works on retraining {retraining_id} already.")
        store.update_retraining(db, retraining_id, job_id=job_id)
    return get(home, retraining_id)


def note_step(
    home: Home, retraining_id: int, name: str, state: str, *, at: datetime, sentence: str = "", detail: dict[str, Any] | None = None
) -> None:
    """Write one step's state down, so that whoever looks sees it and whoever goes on knows it."""
    with writing(home.db) as db:
        row = store.find_retraining(db, retraining_id)
        if row is None or row["state"] != "open":
            raise Refused(f"Retraining {retraining_id} has ended; nothing more is done for it.")
        steps = [_plain(Step(name, state, stamp(at), sentence, detail or {})) if s["name"] == name else s for s in row["steps"]]
        store.update_retraining(db, retraining_id, steps=steps)


def finish(home: Home, actor: Actor, found: Retraining, *, outcome: str, sentence: str, now: datetime) -> None:
    """The end of a retraining that went through all its steps."""

    def work(tx: Tx) -> Done:
        store.update_retraining(tx.db, found.id, state="done", outcome=outcome, finished_at=tx.at)
        _tell(tx.db, found, outcome, sentence, now)
        after = {"outcome": outcome, "version": found.version, "request": found.request_id, "live": found.live_version}
        return Done(before={"state": "open"}, after=after, subject=f"retraining {found.id}")

    acts.perform(
        home, actor, "finish_retraining", work, project=found.project, reason=sentence, correlation_id=found.correlation_id,
        trigger=_trigger(found), now=now,
    )  # fmt: skip


def fail(home: Home, retraining_id: int, *, state: str, sentence: str, now: datetime) -> bool:
    """The end of a retraining that failed or was cancelled; the live version is as it was. False if it had ended."""
    with acts.unattended(home, now) as (db, note):
        row = store.find_retraining(db, retraining_id)
        if row is None or row["state"] != "open":
            return False
        steps = [{**s, "state": "failed", "at": stamp(now), "sentence": sentence} if s["state"] == "running" else s for s in row["steps"]]
        store.update_retraining(
            db, retraining_id, state=state, outcome="failed" if state == "failed" else None, finished_at=stamp(now), steps=steps
        )
        _tell(db, _retraining(row), state, sentence, now)
        note(
            actor=row["started_by"], via="job", trigger=_trigger(_retraining(row)), action="finish_retraining", project=row["project"],
            subject=f"retraining {retraining_id}", before={"state": "open"}, after={"state": state, "live": row["live_version"]},
            outcome="failed", error=sentence, correlation_id=row["correlation_id"],
        )  # fmt: skip
    return True


def follow_up(home: Home, *, now: datetime) -> list[int]:
    """What became of jobs that ended without ending their retraining: go on with it, or say that it failed; called by the clock.

    Returns
    -------
    list of int
        Jobs that go on with an interrupted retraining.
    """
    resumed = []
    for row in store.list_open(reading(home.db)):
        job = jobs_store.find_job(reading(home.db), row["job_id"]) if row["job_id"] is not None else None
        if job is not None and job["state"] not in jobs_store.FINISHED:
            continue
        said = (job or {}).get("error") or "its job ended without saying why"
        tries = len(store.list_jobs_of(reading(home.db), row["project"], row["id"]))
        if job is not None and job["state"] == "interrupted" and tries < ATTEMPTS:
            if (again := _resume(home, row["id"], job["id"], now=now)) is not None:
                resumed.append(again)
        elif job is not None and job["state"] == "cancelled":
            fail(home, row["id"], state="cancelled", sentence=said, now=now)
        else:
            more = f" It was tried {tries} times." if tries >= ATTEMPTS else ""
            fail(home, row["id"], state="failed", sentence=f"{said}{more}", now=now)
    return resumed


def _resume(home: Home, retraining_id: int, interrupted: int, *, now: datetime) -> int | None:
    with acts.unattended(home, now) as (db, note):
        row = store.find_retraining(db, retraining_id)
        if row is None or row["state"] != "open" or row["job_id"] != interrupted:
            return None  # another process was first
        starter = Tx(db, Actor(row["started_by"], via="clock"), "", now, stamp(now), row["correlation_id"])
        job_id = jobs.enqueue(starter, project=row["project"], kind="retrain", params={"retraining": retraining_id}, rerun_of=interrupted)
        store.update_retraining(db, retraining_id, job_id=job_id)
        note(
            actor="clock", via="clock", trigger="schedule", action="resume_retraining", project=row["project"],
            subject=f"retraining {retraining_id}", before={"job": interrupted}, after={"job": job_id},
            reason="its worker was interrupted", correlation_id=row["correlation_id"],
        )  # fmt: skip
    return job_id


def _tell(db: Database, found: Retraining, outcome: str, sentence: str, now: datetime) -> None:
    """Queue the messages for whoever wants to hear how a retraining ended, in the transaction that ends it."""
    request = f"request {found.request_id}" if found.request_id else "none"
    facts = {"Outcome": outcome, "Why": sentence, "Version": found.version or "none", "Release": request, "Live": found.live_version or "nothing"}
    # Not everybody who hears of it may open the Training page; these pages are open to all of them.
    link = f"/approvals?request={found.request_id}" if found.request_id else f"/registry?version={found.version}" if found.version else "/trends"
    events.tell(
        db, "retraining_finished", project=found.project, subject=f"retraining {found.id}: {outcome}", facts=facts,
        link=link, correlation_id=found.correlation_id, now=now, to=(found.started_by,),
    )  # fmt: skip


def _trigger(found: Retraining) -> str:
    """As the audit calls it: a person, a schedule (time or labels) or an alert (the agent)."""
    return {"person": "person", "agent": "alert"}.get(found.trigger, "schedule")


def _retraining(row: dict[str, Any]) -> Retraining:
    return Retraining(**{**row, "steps": tuple(Step(**s) for s in row["steps"])})


def _plain(step: Step) -> dict[str, Any]:
    return {"name": step.name, "state": step.state, "at": step.at, "sentence": step.sentence, "detail": step.detail}
