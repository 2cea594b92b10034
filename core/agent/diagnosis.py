"""From the alerts of an incident to an issue, a cause and how sure that is. Typed evidence only.

The issue follows from the kinds of the alerts; the cause from what was measured: columns that cannot be right, how many columns
moved, whether labels say that quality fell, since when which version is live. No text of an alert is read for meaning: what another
system wrote is shown and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from core.agent import severity
from core.agent.columns import BrokenColumn, find_broken
from core.home import Home
from core.monitoring.answer_checks import LONGEST_HOURS
from core.monitoring.quality_checks import LabelsSay, weigh_labels
from core.projects.limits import Limits, get_limits
from core.projects.projects import get_definition
from core.text import one_line
from core.times import parse
from storage import versions as versions_store
from storage.connection import reading

log = logging.getLogger("greenlight.mlops")

ISSUES = ("data_drift", "prediction_drift", "performance", "data_quality", "low_confidence", "system_error")
# Which alerts speak of one thing: they join one incident while it lasts.
INPUTS, SERVICE, TRAINING_DATA, REQUESTS, EXTERNAL = "inputs and answers", "service", "data for training", "files and requests", "other systems"
CAUSES = {
    "broken_source": "A source is broken",
    "world_moved": "The world has moved",
    "population": "Other rows than in training",
    "labels_right": "Inputs differ from the training data, but labels say the answers are right",
    "answers_changed": "The answers have changed",
    "concept": "The labels mean something else now, or are wrong",
    "bad_release": "The live version is worse than the one before",
    "incomplete_rows": "Rows come in incomplete",
    "unsure": "The model is unsure",
    "bad_training_data": "The newest dataset failed its validation",
    "bad_requests": "What is sent does not fit the schema",
    "broken_model": "The live model's files are not right",
    "slow": "Answers take too long",
    "failing": "Requests fail",
    "unusual_traffic": "Traffic is out of the ordinary",
    "external": "Another system sent an alert",
    "unknown": "The cause could not be found",
}
_QUALITY = frozenset({"accuracy", "performance", "quality_drift"})
_SYSTEM = frozenset({"latency", "errors", "slower", "failing", "model"})
FRESH = timedelta(days=14)  # a version that has been live for longer is not called a bad release
SEVERAL = 2  # columns
LOOKED_AT = 200  # alerts of one incident that a diagnosis reads: the newest that are open
# Alerts that say that rows or answers are other ones, and nothing worse: labels can say that they are answered right all the same.
UNUSUAL = frozenset({"drift", "prediction_drift", "minority", "unsure", "anomaly"})


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a project, as far as measurements say.

    Attributes
    ----------
    issue : str
        One of ISSUES.
    cause : str
        One of CAUSES.
    severity : float
        0..1, see core.agent.severity.
    retraining_helps : bool or None
        None where it has nothing to do with it.
    columns : list of dict
        Broken columns (core.agent.columns.BrokenColumn), the used ones first.
    drifted : list of str
        Columns that moved and that the model uses, the worst first.
    measured : dict
        The numbers that decided: name -> value.
    evidence : list of dict
        What it rests on: kind, id, page, sentence.
    signature : list of str
        Which alerts at which severity it was made from; the same again needs no new diagnosis.
    """

    issue: str
    cause: str
    severity: float
    sentence: str
    retraining_helps: bool | None = None
    version: str | None = None
    columns: list[dict[str, Any]] = field(default_factory=list)
    drifted: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)

    @property
    def plain(self) -> dict[str, Any]:
        return asdict(self)


def family_of(alert: Mapping[str, Any]) -> str:
    """What an alert speaks of; alerts of one family join one incident while it is open."""
    kind, subject = alert["kind"], alert["subject"]
    if kind == "external":
        return EXTERNAL
    if kind in _SYSTEM or (kind == "anomaly" and subject != "score"):
        return SERVICE
    if kind == "data_quality":
        return TRAINING_DATA if subject == "training" else REQUESTS
    return INPUTS


def sign(alerts: Sequence[Mapping[str, Any]], limits: Limits, said: str = "") -> list[str]:
    """A mark that changes when an alert joins, ends, or moves to another tenth of the scale, and when labels say something else."""
    return [*sorted(mark(a, limits) for a in alerts if a["state"] != "resolved"), *([f"labels/{said}"] if said else [])]


def mark(alert: Mapping[str, Any], limits: Limits) -> str:
    """One alert with its tenth of the scale."""
    return f"{alert['kind']}/{alert['subject']}/{int(10 * severity.measure(alert, limits))}"


def ask_labels(home: Home, project: str, alerts: Sequence[Mapping[str, Any]], limits: Limits, *, now: datetime) -> LabelsSay | None:
    """What labels say of the answers to the rows that these open alerts are about; None where that is not the question.

    The alerts say that rows or answers are other ones than in training. They were measured over a day or a week before they were
    raised, so the labels of that time count as well.
    """
    unusual = [a for a in alerts if a["kind"] in ("drift", "prediction_drift")]
    live = versions_store.find_live(reading(home.db), project) if unusual else None
    if live is None:
        return None
    since = min(parse(a["since"]) for a in unusual)
    hours = max(float(a["detail"].get("hours") or LONGEST_HOURS) for a in unusual)
    return weigh_labels(home, project, live["version"], limits, since=since - timedelta(hours=hours), now=now)


def diagnose(home: Home, project: str, family: str, alerts: Sequence[Mapping[str, Any]], *, now: datetime) -> Diagnosis:
    """Classify the open alerts of one family.

    Parameters
    ----------
    alerts : sequence of mappings
        Rows of the table of alerts; at least one.
    """
    limits = get_limits(home, project)
    opened = [a for a in alerts if a["state"] != "resolved"] or list(alerts)
    grave = severity.worst(opened, limits)
    try:
        said = ask_labels(home, project, opened, limits, now=now) if family == INPUTS else None
        known = _Known(home, project, limits, opened, grave, now, said)
        found = _BY_FAMILY[family](known)
    except Exception as error:  # the boundary of a diagnosis: what cannot be diagnosed is told to people, and looked at again
        log.exception("alerts of %s about %s could not be diagnosed", project, family)
        sentence = f"What is behind it could not be found out ({type(error).__name__}); the log holds the trace. A person must look."
        return Diagnosis("system_error", "unknown", grave, sentence, evidence=[_cite(a) for a in opened[:20]])
    evidence = [*found.evidence, *(_cite(a) for a in opened[:20])]
    mark_ = sign(opened, limits, said.state if said is not None else "")
    return Diagnosis(**{**found.__dict__, "evidence": evidence, "signature": mark_})


@dataclass(frozen=True)
class _Known:
    home: Home
    project: str
    limits: Limits
    alerts: list[Mapping[str, Any]]
    severity: float
    now: datetime
    labels: LabelsSay | None = None

    def of(self, *kinds: str) -> list[Mapping[str, Any]]:
        return [a for a in self.alerts if a["kind"] in kinds]

    def worst_of(self, *kinds: str) -> Mapping[str, Any]:
        return max(self.of(*kinds), key=lambda a: severity.measure(a, self.limits))


def _diagnose_inputs(known: _Known) -> Diagnosis:
    live = versions_store.find_live(reading(known.home.db), known.project)
    version = live["version"] if live else None
    broken: tuple[BrokenColumn, ...] = ()
    if live is not None:
        definition = get_definition(known.home, known.project)
        broken = find_broken(known.home, known.project, definition, live, now=known.now)
    drift = next(iter(known.of("drift")), None)
    drifted = list(drift["detail"].get("columns") or []) if drift else []
    worse = known.of(*_QUALITY)
    measured: dict[str, Any] = {
        "drift": drift["value"] if drift else None, "overall_drift": drift["detail"].get("overall") if drift else None,
        **{a["kind"]: a["value"] for a in worse},
    }  # fmt: skip
    said = known.labels
    if said is not None and said.value is not None:
        measured |= {f"labels_{name}": getattr(said, name) for name in ("rows", "value", "low", "high", "training")}
    used = [b for b in broken if b.used]
    shared: dict[str, Any] = {"severity": known.severity, "version": version, "drifted": drifted, "measured": measured}
    if used:
        names = "; ".join(b.sentence for b in used[:5]) + (f"; and {len(used) - 5} more" if len(used) > 5 else "")
        what = "no cure" if not worse else "no cure, though quality fell"
        sentence = f"{names}. A source that sends such values is broken; retraining would learn them and is {what}: repair the source."
        return Diagnosis(
            "data_drift" if drift else "data_quality", "broken_source", sentence=sentence, retraining_helps=False,
            columns=[b.__dict__ for b in used],
            **shared,
        )  # fmt: skip
    if worse:
        return _diagnose_quality(known, live, drifted, drift, worse, shared)
    many = f"{len(drifted)} column{'s' * (len(drifted) != 1)} moved ({_names(drifted)})" if drifted else "Many columns moved a little"
    if said is not None and said.state == "right" and all(a["kind"] in UNUSUAL for a in known.alerts):
        what = f"{many}; no value is impossible and no column is stuck" if drift is not None else "The mix of answers changed"
        sentence = f"{what}, and {said.sentence[0].lower()}{said.sentence[1:]} There is nothing to repair; it is watched whether they stay right."
        issue = "data_drift" if drift is not None else "prediction_drift"
        return Diagnosis(issue, "labels_right", sentence=sentence, retraining_helps=False, **shared)
    if drift is not None and said is not None and said.state == "worse":
        sentence = f"{many}, no value is impossible, and labels say that answers are worse: the world has moved. {said.sentence}"
        return Diagnosis("performance", "world_moved", sentence=sentence, retraining_helps=True, **shared)
    if drift is not None:
        sentence = (
            f"{many}; no value is impossible and no column is stuck, so other rows come than in training. "
            f"{said.sentence + ' ' if said is not None else ''}A retraining learns the new rows."
        )
        return Diagnosis("data_drift", "population", sentence=sentence, retraining_helps=True, **shared)
    if known.of("missing_values", "problem_rows"):
        columns = [a["subject"] for a in known.of("missing_values") if a["subject"]]
        which = f" ({_names(columns)})" if columns else ""
        sentence = f"Rows come in with more missing or impossible values than in training{which}; see what sends them."
        return Diagnosis("data_quality", "incomplete_rows", sentence=sentence, retraining_helps=False, **shared)
    if known.of("unsure"):
        sentence = "More answers than allowed are close to even; the rows lie where the model tells classes apart least."
        return Diagnosis("low_confidence", "unsure", sentence=sentence, retraining_helps=True, **shared)
    word = f" {said.sentence}" if said is not None else ""
    sentence = f"The mix of answers changed, while the rows look like those in training; only labels say whether they are right.{word}"
    return Diagnosis("prediction_drift", "answers_changed", sentence=sentence, retraining_helps=None, **shared)


def _diagnose_quality(
    known: _Known, live: dict[str, Any] | None, drifted: list[str], drift: Mapping[str, Any] | None, worse: list[Mapping[str, Any]],
    shared: dict[str, Any],
) -> Diagnosis:  # fmt: skip
    said = str(known.worst_of(*_QUALITY)["sentence"])
    # worse than the version before is not worse than in training: that points at the release, whatever the rows do
    of_release = all(a["detail"].get("before") for a in worse)
    if drift is not None and (len(drifted) >= SEVERAL or not drifted) and not of_release:
        what = f"{len(drifted)} columns ({_names(drifted)})" if drifted else "many columns a little"
        moved = f"{what[0].upper()}{what[1:]} moved"
        sentence = f"{moved}, no value is impossible, and labels say that answers are worse: the world has moved. {said}"
        return Diagnosis("performance", "world_moved", sentence=sentence, retraining_helps=True, **shared)
    before = _version_before(known, live)
    if (drift is None or of_release) and before is not None:
        how = "fell without drift" if drift is None else "fell"
        sentence = f"Quality {how} since version {shared['version']} went live; version {before} was live before it. {said}"
        shared["measured"] = {**shared["measured"], "before": before}
        return Diagnosis("performance", "bad_release", sentence=sentence, retraining_helps=False, **shared)
    moved = f" One column moved ({drifted[0]})." if drifted else " The rows look like those in training."
    sentence = f"Labels say that answers are worse.{moved} What the labels mean has changed, or they are wrong: look at them. {said}"
    return Diagnosis("performance", "concept", sentence=sentence, retraining_helps=True, **shared)


def _version_before(known: _Known, live: dict[str, Any] | None) -> str | None:
    """The version that was live before this one, if this one went live lately by a deployment."""
    if live is None:
        return None
    spans = versions_store.list_deployments(reading(known.home.db), known.project)
    here = next((s for s in spans if s["live_until"] is None), None)
    if here is None or here["kind"] != "deploy" or known.now - parse(here["live_from"]) > FRESH:
        return None
    return next((str(s["version"]) for s in spans if s["version_id"] != live["id"]), None)


def _diagnose_service(known: _Known) -> Diagnosis:
    measured = {a["kind"]: a["value"] for a in known.alerts}
    shared: dict[str, Any] = {"severity": known.severity, "measured": measured}
    if known.of("model"):
        alert = known.of("model")[0]
        sentence = f"Version {alert['version']} cannot be trusted: {alert['sentence']}"
        return Diagnosis("system_error", "broken_model", sentence=sentence, retraining_helps=False, version=alert["version"], **shared)
    for cause, kinds in (("failing", ("errors", "failing")), ("slow", ("latency", "slower"))):
        if known.of(*kinds):
            return Diagnosis("system_error", cause, sentence=str(known.worst_of(*kinds)["sentence"]), **shared)
    return Diagnosis("system_error", "unusual_traffic", sentence=str(known.alerts[0]["sentence"]), **shared)


def _diagnose_training_data(known: _Known) -> Diagnosis:
    said = str(known.alerts[0]["sentence"])
    return Diagnosis("data_quality", "bad_training_data", known.severity, said, retraining_helps=False)


def _diagnose_requests(known: _Known) -> Diagnosis:
    said = str(known.alerts[0]["sentence"])
    return Diagnosis("data_quality", "bad_requests", known.severity, said, retraining_helps=False)


def _diagnose_external(known: _Known) -> Diagnosis:
    count = len(known.alerts)
    first = one_line(known.alerts[-1]["sentence"])[:200]
    many = f"{'At least ' if count >= LOOKED_AT else ''}{count:,} alerts"
    sentence = f"{'An alert' if count == 1 else many} of other systems, of which Greenlight measures nothing itself: “{first}”"
    return Diagnosis("system_error", "external", known.severity, sentence)


_BY_FAMILY: dict[str, Callable[[_Known], Diagnosis]] = {
    INPUTS: _diagnose_inputs, SERVICE: _diagnose_service, TRAINING_DATA: _diagnose_training_data, REQUESTS: _diagnose_requests,
    EXTERNAL: _diagnose_external,
}  # fmt: skip


def _cite(alert: Mapping[str, Any]) -> dict[str, Any]:
    page = "drift" if alert["kind"] in ("drift", "prediction_drift") else "monitoring"
    return {"kind": "alert", "id": alert["id"], "page": page, "sentence": one_line(alert["sentence"])[:300]}


def _names(columns: Sequence[str]) -> str:
    shown = ", ".join(one_line(c)[:60] for c in columns[:4])
    return f"{shown} and {len(columns) - 4} more" if len(columns) > 4 else shown
