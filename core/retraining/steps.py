"""The eight steps, each a function that does its part and says what it did; each may be done again after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.datasets import versions as datasets
from core.errors import NotFound, Refused
from core.home import Home
from core.jobs.worker import JobContext
from core.projects.definition import Definition
from core.projects.limits import get_gates, get_limits
from core.projects.projects import get_definition
from core.retraining import evaluate, export, investigate, judge, report, retraining
from core.retraining.retraining import Retraining
from core.times import parse
from core.training import runs
from core.training.catalogue import default_candidates, get_candidate, is_applicable
from core.training.named import find_class_path
from storage import retrainings as store
from storage import versions as versions_store
from storage.connection import reading, writing

if TYPE_CHECKING:
    from core.training.results import CandidateResult
    from core.training.selection import GateCheck


@dataclass(frozen=True)
class Told:
    """What a step came to: a sentence for people, plain data for the steps after it; ``state`` is done or skipped."""

    sentence: str
    detail: dict[str, Any] = field(default_factory=dict)
    state: str = "done"


@dataclass(frozen=True)
class Errand:
    """What the steps work with.

    Attributes
    ----------
    actor : Actor
        The starter, for as long as the retraining is open.
    asked_at : datetime
        When it was asked for: what "recent" and "today" mean.
    """

    context: JobContext
    found: Retraining
    actor: Actor
    asked_at: datetime

    @property
    def home(self) -> Home:
        return self.context.home

    @property
    def project(self) -> str:
        return self.found.project

    def definition(self) -> Definition:
        return get_definition(self.home, self.project)

    def detail(self, step: str) -> dict[str, Any]:
        """What an earlier step left."""
        return self.found.find_step(step).detail

    def key(self, what: str) -> str:
        """The request key of an act: done again after an interruption, it is done once."""
        return f"retraining-{self.found.id}-{what}"


def make_errand(context: JobContext, found: Retraining) -> Errand:
    return Errand(context, found, Actor(found.started_by, via="job", errand=found.id), parse(found.params["now"]))


def export_data(errand: Errand) -> Told:
    """Step 1: a fresh dataset from the source and the labelled predictions."""
    folder = errand.home.work / f"retraining_{errand.found.id}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        made = export.export(
            errand.home, errand.actor, errand.definition(), rows=errand.found.params.get("rows", "all"), folder=folder,
            today=errand.asked_at.date(),
        )
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    added = datasets.add_dataset(
        errand.home, errand.actor, errand.project, made.content, file_name=made.file_name,
        source=f"{export.MADE_BY} {errand.found.id}: {made.base}", label_provenance=made.provenance, key=errand.key("dataset"),
        correlation_id=errand.found.correlation_id,
    )
    fresh = "" if added["fresh"] else f" These are the bytes of version {added['version']}: nothing is new."
    detail = {
        "dataset_id": added["id"], "dataset": added["version"], "rows": added["rows"], "labelled": made.labelled, "kept": made.kept,
        "known": made.known, "impossible": made.impossible, "fresh": added["fresh"],
    }
    return Told(f"Dataset version {added['version']}, {made.sentence}{fresh}", detail)


def validate_data(errand: Errand) -> Told:
    """Step 2: errors stop, as in every training."""
    dataset = datasets.get_dataset(errand.home, errand.detail("export")["dataset_id"])
    _, report_ = datasets.check_for_training(errand.home, errand.actor, dataset, errand.definition())
    warnings = [f.text for f in report_.findings if f.level == "warning"]
    told = f"{len(warnings)} warning{'s' if len(warnings) != 1 else ''}: {warnings[0]}" if warnings else "No warning."
    return Told(f"Dataset version {dataset.version} has no error. {told}", {"warnings": warnings})


class _Training(JobContext):
    """The training's progress within that of the whole retraining."""

    outer: JobContext

    def progress(self, done: float, total: float, note: str, seconds_left: float | None = None) -> None:
        share = done / total if total > 0 else 0.0
        self.outer.progress(2 + share, len(STEPS), f"training: {note}", seconds_left)


def train(errand: Errand) -> Told:
    """Step 3: the candidates and settings of the live version's run, unless others were asked for."""
    from core.training import job as training

    done = [runs.find_run_of_job(errand.home, j) for j in store.list_jobs_of(reading(errand.home.db), errand.project, errand.found.id)]
    run = next((r for r in done if r is not None), None)
    settings, like = _settings(errand)
    if run is None:
        params = {**settings, "dataset_id": errand.detail("export")["dataset_id"], "definition_sha": errand.definition().sha256}
        context = _Training(errand.home, replace(errand.context.job, params=params), _cancelled=errand.context._cancelled)
        context.outer = errand.context
        run = runs.get_run(errand.home, training.run(context, errand.actor)["run"])
    if run.choice is None:
        raise Refused("Nothing but baselines could be trained, so there is no candidate.")
    chosen = next(c for c in runs.list_candidates(errand.home, run.id) if c.name == run.choice["name"])
    names = ", ".join(n for n, _ in settings["candidates"])
    where = run.settings.get("ran_on", "")
    on = f", on {where}" if where else ""
    sentence = f"Run {run.id} with {like} ({names}; seed {settings['seed']}){on}. {run.choice['sentence']}"
    return Told(sentence, {"run": run.id, "ran_on": where, "candidate_id": chosen.id, "candidate": chosen.name, "title": chosen.summary["title"]})


def _settings(errand: Errand) -> tuple[dict[str, Any], str]:
    """What to train with, and whose settings they are in words."""
    definition, asked = errand.definition(), errand.found.params
    settings: dict[str, Any] = {"folds": runs.FOLDS, "holdout": runs.HOLDOUT, "seed": runs.SEED, "candidates": []}
    like = "the project's usual candidates"
    db = reading(errand.home.db)
    versions = versions_store.list_versions(db, errand.project)
    version = versions_store.find_live(db, errand.project) or (versions[0] if versions else None)
    if version is not None:
        before = runs.get_run(errand.home, runs.get_candidate_row(errand.home, version["candidate_id"]).run_id)
        settings.update({name: before.settings[name] for name in settings})
        like = f"the candidates and settings of version {version['version']}"
    changed = [name for name in ("candidates", "seed", "folds", "holdout") if asked.get(name) is not None]
    settings.update({name: asked[name] for name in changed})
    allowed = get_limits(errand.home, errand.project).estimators
    able = [
        (n, p) for n, p in settings["candidates"]
        if get_candidate(n).available and is_applicable(get_candidate(n), definition) and (find_class_path(n) or "") in {"", *allowed}
    ]  # fmt: skip
    if not any(n != "dummy" for n, _ in able):
        able = [(n, {}) for n in default_candidates(definition)]
        why = ", because none of the earlier ones can be trained here" if version is not None else ""
        like = f"the project's usual candidates{why}"
    settings["candidates"] = [[n, p] for n, p in able]
    if "candidates" in changed:
        like = "the candidates that were asked for"
    others = [name for name in changed if name != "candidates"]
    return settings, like + (f", with another {' and '.join(others)}" if others else "")


def register(errand: Errand) -> Told:
    """Step 4: metadata, signed files and a number; below the register gate nothing is registered."""
    from core.registry import versions

    trained = errand.detail("training")
    gate = _gate(errand, "register")["metric"]
    if gate.passed is False:
        return Told(f"Nothing is registered: {gate.sentence} The run stays in the history.", {"version": None}, "skipped")
    made = versions.register(
        errand.home, errand.actor, trained["candidate_id"], threshold=_threshold(errand),
        notes=f"Retraining {errand.found.id} ({errand.found.trigger.replace('_', ' ')}): {errand.found.reason}"[:2000],
        key=errand.key("register"),
    )
    with writing(errand.home.db) as db:
        store.update_retraining(db, errand.found.id, version=made["version"])
    found = versions.get_version(errand.home, errand.project, made["version"])
    files = len(versions.list_files(errand.home, found))
    sentence = f"{trained['title']} is version {made['version']}: metadata, model and golden answers, {files} files signed."
    return Told(sentence, {"version": made["version"], "version_id": made["id"]})


def _threshold(errand: Errand) -> float | None:
    """The decision threshold of the live version, where the same kind of model follows it."""
    live = versions_store.find_live(reading(errand.home.db), errand.project)
    if live is None or errand.definition().task != "binary":
        return None
    chosen = runs.get_candidate_row(errand.home, errand.detail("training")["candidate_id"])
    return live["threshold"] if live["summary"].get("candidate") == chosen.summary.get("candidate") else None


def compare_with_live(errand: Errand) -> Told:
    """Step 5: on rows that neither was fitted on, and on labelled predictions of the last 30 days."""
    trained = errand.detail("training")
    found = evaluate.evaluate_candidate(
        errand.home, errand.project, run_id=trained["run"], candidate=trained["candidate"], threshold=_threshold(errand), now=errand.asked_at
    )
    told = [f"{found.reason[:1].upper()}{found.reason[1:]}."] if found.reason else [judge.tell(found.unseen, found.metric, found.against)]
    if found.recent is not None and found.recent.rows:
        told.append(judge.tell(found.recent, found.metric, found.against))
    return Told(" ".join(told), asdict(found))


def decide(errand: Errand) -> Told:
    """Step 6: better, worse or unclear."""
    found = read_evaluation(errand.detail("evaluation"))
    gates = _gate(errand, "production")
    judged = judge.judge(found, register=_gate(errand, "register")["metric"], recall=gates.get("class_recall"))
    return Told(judged.sentence, {"outcome": judged.outcome, "reasons": list(judged.reasons), "rule": judge.RULE})


def read_evaluation(data: dict[str, Any]) -> evaluate.Evaluation:
    """The evaluation as a step keeps it."""
    parts = {name: evaluate.Paired(**data[name]) if data[name] is not None else None for name in ("unseen", "held_out", "recent")}
    return evaluate.Evaluation(**{**data, **parts})


def _gate(errand: Errand, stage: str) -> dict[str, GateCheck]:
    from core.training.selection import best_baseline, gate

    run, result = _result(errand)
    definition = get_definition(errand.home, errand.project, run.definition_sha)
    baseline = best_baseline(runs.get_sweep(errand.home, run).results, definition.metric)
    gates = get_gates(errand.home, errand.project, definition)
    return {c.name: c for c in gate(result, definition, stage, baseline=baseline, gates=gates)}


def _result(errand: Errand) -> tuple[runs.Run, CandidateResult]:
    trained = errand.detail("training")
    run = runs.get_run(errand.home, trained["run"])
    return run, runs.get_sweep(errand.home, run).result(trained["candidate"])


def request(errand: Errand) -> Told:
    """Step 7: better, and its release is asked for; else why, what to try next, and the candidate archived with the reason."""
    judged, version = errand.detail("judgement"), errand.detail("registry").get("version")
    sentence = errand.found.find_step("judgement").sentence
    if judged["outcome"] == "better" and version is not None:
        from core.approvals import request_release

        why = f"Retraining {errand.found.id} ({errand.found.trigger.replace('_', ' ')}: {errand.found.reason.rstrip('.')}). {sentence}"
        made = request_release(errand.home, errand.actor, errand.project, version, reason=why[:2000], key=errand.key("request"))
        with writing(errand.home.db) as db:
            store.update_retraining(db, errand.found.id, request_id=made["id"])
        told = Told(f"Request {made['id']} for version {version} waits for a DRH manager.", {"request": made["id"]})
    else:
        trained, exported = errand.detail("training"), errand.detail("export")
        found = investigate.investigate(
            errand.home, errand.project, run_id=trained["run"], candidate=trained["candidate"],
            evaluation=read_evaluation(errand.detail("evaluation")), labelled=exported["kept"],
        )
        if version is not None:
            archive(errand, version, f"retraining {errand.found.id}: {judged['outcome']}. {sentence}")
        kept = f"Version {version} is archived; no release is asked for." if version else "No release is asked for."
        detail = {"findings": list(found.findings), "columns": found.columns, "reruns": list(found.reruns)}
        told = Told(f"{kept} {found.findings[0]} A rerun is offered: {found.reruns[0]['label'].lower()}.", detail)
    path = report.write_report(errand.home, retraining.get(errand.home, errand.found.id), told.sentence, told.detail)
    return replace(told, detail={**told.detail, "report": path.name})


def archive(errand: Errand, version: str, reason: str) -> None:
    """Archive a candidate that was not better; whoever looks at the registry finds the reason."""

    def work(tx: Tx) -> Done:
        row = versions_store.find_version(tx.db, errand.project, version)
        if row is None or row["stage"] not in ("training", "validation"):
            raise Refused(f"Version {version} is in stage {row['stage'] if row else 'unknown'}; it is not archived by a retraining.")
        versions_store.set_stage(tx.db, row["id"], "archived", reason[:2000])
        return Done({"version": version}, {"stage": row["stage"]}, {"stage": "archived"}, f"version {version}")

    acts.perform(errand.home, errand.actor, "archive_version", work, project=errand.project, reason=reason[:2000], key=errand.key("archive"))
    from core.registry.cards import write_registry_page

    write_registry_page(errand.home, errand.project)


def hand_over(errand: Errand) -> Told:
    """Step 8: what is watched from now on, and that it can be."""
    from core.registry.golden import check_golden
    from core.scoring.scorer import open_scorer

    db = reading(errand.home.db)
    live = versions_store.find_live(db, errand.project)
    stays = f"Version {live['version']} stays live and is watched as before." if live else "Nothing is live."
    version = errand.detail("registry").get("version")
    if errand.detail("judgement")["outcome"] != "better" or version is None:
        return Told(f"{stays} Time and labels are counted from now on.", {"live": live["version"] if live else None})
    row = versions_store.find_version(db, errand.project, version)
    if row is None or versions_store.find_profile(db, row["id"]) is None:
        raise NotFound(f"Version {version} has no reference profile, so its drift could not be measured.")
    check_golden(errand.home, open_scorer(errand.home, row))
    return Told(
        f"{stays} Version {version} loads, gives its golden answers and has its reference profile: from its deployment on, drift and "
        "quality are measured against it.", {"live": live["version"] if live else None},
    )  # fmt: skip


STEPS: dict[str, Callable[[Errand], Told]] = {
    "export": export_data,
    "validation": validate_data,
    "training": train,
    "registry": register,
    "evaluation": compare_with_live,
    "judgement": decide,
    "request": request,
    "monitoring": hand_over,
}
