"""What Home shows of a project: a verdict with its reason, and the facts behind it. Rows only; unknown is None."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core import approvals, deployment
from core.accounts import Account
from core.agent import agent_requests
from core.agent.agent_requests import AgentRequest
from core.approvals import Request
from core.deployment import LiveVersion
from core.drift import checks
from core.drift.checks import Check
from core.home import Home
from core.monitoring import alerts as watched_alerts
from core.monitoring import checks as watching
from core.monitoring.alerts import Alert
from core.monitoring.findings import Finding
from core.numbers import say_number
from core.projects import proposals
from core.projects.definition import Definition, Thresholds
from core.projects.limits import Limits, get_limits, title_of
from core.projects.projects import Project, get_definition, get_project, list_projects
from core.projects.proposals import SettingRequest
from core.retraining import triggers
from core.retraining.triggers import RetrainCheck
from core.scoring import accuracy, log
from core.times import parse, stamp

DAYS = 30
ENOUGH_LABELS = 30  # fewer say too little about an accuracy to judge by
CHECK_HOLDS = timedelta(days=7)  # an older drift check says nothing about today
_HEADLINES = {"binary": "accuracy", "multiclass": "accuracy", "regression": "r2", "ranking": "ndcg"}


@dataclass(frozen=True)
class Headline:
    """The live version on rows that it had not seen in training.

    Attributes
    ----------
    metric : str
        "accuracy" where classes are predicted, else the project's metric.
    low, high : float or None
        95 % interval; None where the metric was taken at a chosen threshold or has none.
    baseline : float or None
        The same metric of the baseline that was trained beside it, on the same rows.
    rows : int or None
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    baseline: float | None
    rows: int | None

    @property
    def gain(self) -> float | None:
        return None if self.baseline is None else self.value - self.baseline


@dataclass(frozen=True)
class Verdict:
    """Is all well? ``level`` is ok, look, act or unknown; ``page`` where the reason can be looked into, or ""."""

    level: str
    reason: str
    page: str = ""


@dataclass(frozen=True)
class Waiting:
    """Something that waits. ``what`` is decide or deploy (for the one who looks), or mine (own requests that are open)."""

    what: str
    request: Request | SettingRequest | AgentRequest
    sentence: str


@dataclass(frozen=True)
class Overview:
    """Everything that Home shows of one project.

    Attributes
    ----------
    headline : Headline or None
        None without a live version, or where its metric is undefined.
    today : int
        Predictions logged since midnight UTC; a counted 0, never a guess.
    yesterday : int
        Those of the whole day before (UTC), for comparison.
    quality : dict or None
        The live version's real quality in the last 30 days (core.scoring.accuracy.live_quality); None without labels.
    daily : list of dict
        Its accuracy a day (core.scoring.accuracy.daily_accuracy); empty where numbers are predicted.
    check : Check or None
        The newest drift check against the live version: of logged predictions if there is one, else of a file.
    since_check : int
        Predictions logged since that check.
    by_label : dict
        Predicted class -> predictions of the last 30 days, every class of the project in its order; empty for numbers.
    clock : RetrainCheck or None
        The clock's last answer; None before its first.
    alerts : tuple of Alert
        Those that are open, the worst first.
    drift : Finding or None
        What the watching last measured of the live version's predictions; None before its first look, or if it is unknown.
    """

    project: Project
    definition: Definition
    limits: Limits
    verdict: Verdict
    live: LiveVersion | None
    headline: Headline | None
    today: int
    yesterday: int
    quality: dict[str, Any] | None
    daily: list[dict[str, Any]]
    check: Check | None
    since_check: int
    by_label: dict[str, int]
    waiting: tuple[Waiting, ...]
    clock: RetrainCheck | None
    alerts: tuple[Alert, ...] = ()
    drift: Finding | None = None


def overview(home: Home, project: str, account: Account, now: datetime) -> Overview:
    """Gather what Home shows of a project to one account.

    Reads rows and hourly counts only, so it takes no longer at 100,000 logged predictions.
    """
    known = get_project(home, project)
    definition = get_definition(home, project)
    live = deployment.find_live(home, project)
    version = live.version if live else None
    check = _find_check(home, project, live)
    quality, daily = accuracy.recent_quality(home, project, now=now, days=DAYS, version=version) if live else (None, [])
    headline = find_headline(definition, live)
    ticked = triggers.find_last_check(home, project)
    since_check = log.count_since(home, project, parse(check.at)) if check else 0
    answered = log.count_since(home, project, parse(live.live_from)) if live else 0
    limits = get_limits(home, project)
    opened = tuple(watched_alerts.list_open(home, project))
    drift = _find_drift(home, project, version)
    verdict = judge(
        limits.thresholds, live=live, headline=headline, quality=quality, check=check, since_check=since_check, answered=answered,
        clock=ticked, now=now, alerts=opened, drift=drift,
    )
    return Overview(
        project=known, definition=definition, limits=limits, verdict=verdict, live=live, headline=headline, quality=quality, daily=daily,
        today=log.count_today(home, project, now=now), yesterday=_count_yesterday(home, project, now), check=check,
        since_check=since_check, by_label=_count_classes(home, definition, now, version),
        waiting=list_waiting(home, account, now, project), clock=ticked, alerts=opened, drift=drift,
    )


def judge(
    thresholds: Thresholds, *, live: LiveVersion | None, headline: Headline | None, quality: dict[str, Any] | None,
    check: Check | None, since_check: int, answered: int, clock: RetrainCheck | None, now: datetime, alerts: Sequence[Alert] = (),
    drift: Finding | None = None,
) -> Verdict:
    """Is all well with a project? The gravest finding is named; what is not known never counts as well.

    Act: labels show an accuracy that is surely below the floor, drift asks for a retraining, or a critical alert that nobody looks
    after. Look: a warning, any other open alert, something unmeasured, a retraining that is due. Unknown: nothing is live, or it
    has answered nothing yet.
    """
    critical = next((a for a in alerts if a.severity == "critical" and a.state == "active"), None)
    if live is None and critical is not None:
        return Verdict("act", _say_alert(critical), "monitoring")
    if live is None:
        return Verdict("unknown", "Nothing is live, so nothing answers.", "registry")
    floor = thresholds.accuracy_floor
    measured = quality if quality is not None and quality["rows"] >= ENOUGH_LABELS else None
    level = check.alert["level"] if check else None
    if measured and measured.get("high", 1.0) < floor:
        return Verdict("act", _say_below(measured, floor), "drift")
    if check is not None and level == "high":
        return Verdict("act", _drift_reason(check), "drift")
    if critical is not None:
        return Verdict("act", _say_alert(critical), "monitoring")
    if measured and measured.get("accuracy", 1.0) < floor:
        return Verdict("look", _say_below(measured, floor), "drift")
    if measured and (useless := _say_useless(measured)):
        return Verdict("look", useless, "drift")
    if check is not None and level == "medium":
        return Verdict("look", _drift_reason(check), "drift")
    if alerts:
        return Verdict("look", _say_alert(alerts[0]), "monitoring")
    if headline is not None and headline.gain is not None and headline.gain <= 0:
        against = f"{headline.metric} {headline.value:.2f} against {headline.baseline:.2f}"
        return Verdict("look", f"The live version is no better than its baseline ({against}).", "registry")
    if clock is not None and clock.due:
        return Verdict("look", f"A retraining is due: {clock.sentence}", "training")
    if check is None and not answered:
        return Verdict("unknown", f"Version {live.version} is live and has answered nothing yet.", "predict")
    if check is None and drift is None:
        return Verdict("look", f"Drift was not measured against version {live.version} yet.", "drift")
    if check is not None and level == "unknown" and drift is None:
        return Verdict("look", _drift_reason(check), "drift")
    if check is not None and drift is None and now - parse(check.at) > CHECK_HOLDS and since_check:
        days = (now - parse(check.at)).days
        return Verdict("look", f"The last drift check is {days} days old, and {since_check} predictions came since.", "drift")
    return Verdict("ok", f"Version {live.version} answers, no drift that matters was found, and {_say_use(quality, measured)}.")


def find_headline(definition: Definition, live: LiveVersion | None) -> Headline | None:
    """How good the live version was on its hold-out, beside its baseline; None where that is not known."""
    if live is None:
        return None
    name = _HEADLINES[definition.task]
    summary = live.summary
    chosen = summary.get("at_threshold")
    metrics = chosen or summary.get("holdout") or {}
    value = metrics.get(name)
    if value is None:
        return None
    low, high = (None, None) if chosen else (summary.get("intervals") or {}).get(name, (None, None))
    baseline = ((summary.get("baseline") or {}).get("holdout") or {}).get(name)
    return Headline(name, value, low, high, baseline, (summary.get("holdout") or {}).get("rows"))


def list_waiting(home: Home, account: Account, now: datetime, project: str | None = None) -> tuple[Waiting, ...]:
    """What waits for this account, what it is asked to do first; then its own open requests.

    ``project`` None means all of them.
    """
    mine: list[Waiting] = []
    todo: list[Waiting] = []
    titles = {p.name: p.title for p in list_projects(home, archived=True)}
    for request in approvals.list_requests(home, project=project, states=("pending", "approved"), now=now):
        version = f"version {request.version} of {titles[request.project]}"
        if request.state == "pending" and not approvals.why_not_decide(request, account):
            todo.append(Waiting("decide", request, f"{request.requested_by} asks to release {version}."))
        elif request.state == "approved" and account.may("deploy"):
            todo.append(Waiting("deploy", request, f"{request.decided_by} approved {version}; it can go live."))
        elif request.requested_by == account.name:
            approved = f"was approved by {request.decided_by} and waits to go live"
            stands = "waits for a decision" if request.state == "pending" else approved
            mine.append(Waiting("mine", request, f"Your request for {version} {stands}."))
    for change in proposals.list_requests(home, project=project, states=("pending",), now=now):
        what = _say_change(home, change, titles[change.project])
        if not proposals.why_not_decide(change, account):
            todo.append(Waiting("decide", change, f"{change.requested_by} asks to change {what}."))
        elif change.requested_by == account.name:
            mine.append(Waiting("mine", change, f"Your request to change {what} waits for a decision."))
    for asked in agent_requests.list_requests(home, project=project, states=("pending",), now=now):
        if not agent_requests.why_not_decide(asked, account):
            todo.append(Waiting("decide", asked, f"The agent asks in {titles[asked.project]}: {asked.title} ({asked.risk} risk)."))
    return (*todo, *mine)


def _say_change(home: Home, change: SettingRequest, title: str) -> str:
    if len(change.changes) > 1:
        return f"{len(change.changes)} values of {title}"
    return f"a value of {title}, “{title_of(next(iter(change.changes)), get_definition(home, change.project))}”"


def _find_check(home: Home, project: str, live: LiveVersion | None) -> Check | None:
    # What came in through the front door counts before a file that somebody compared.
    if live is None:
        return None
    return checks.find_latest(home, project, live.version_id, kind="log") or checks.find_latest(home, project, live.version_id)


def _find_drift(home: Home, project: str, version: str | None) -> Finding | None:
    """The watching's last drift finding of the live version, where it could measure."""
    group = next((w for w in watching.find_last(home, project) if w.kind == "drift"), None)
    found = group.findings[0] if group and group.findings else None
    return found if found is not None and version is not None and found.version == version and found.state != "unknown" else None


def _say_alert(alert: Alert) -> str:
    by = f" ({alert.acknowledged_by} looks after it)" if alert.state == "acknowledged" else ""
    return f"{alert.title}: {alert.sentence}{by}"


def _drift_reason(check: Check) -> str:
    where = "" if check.current.get("kind") == "log" else f" (in {check.current.get('label', 'a file')})"
    sentence = str(check.alert["sentence"])
    return f"{sentence[:-1]}{where}." if where and sentence.endswith(".") else sentence


def _say_below(quality: dict[str, Any], floor: float) -> str:
    return f"Of {quality['rows']} labelled predictions {quality['accuracy']:.0%} were right; the floor is {floor:.0%}."


def _say_useless(quality: dict[str, Any]) -> str:
    """The sentence for a model that answers no better than one fixed answer would; empty if it does."""
    if "accuracy" in quality and quality["accuracy"] <= quality["baseline_accuracy"]:
        share = f"{quality['baseline_accuracy']:.0%}"
        return f"Always giving the most frequent answer would be right in {share}, the model is in {quality['accuracy']:.0%}."
    if "mae" in quality and quality["mae"] >= quality["baseline_mae"]:
        return "Always answering the mean would be off by no more than the model is."
    return ""


def _say_use(quality: dict[str, Any] | None, measured: dict[str, Any] | None) -> str:
    if quality is None:
        return "how often it is right is not known, because no labels came back"
    if measured is None:
        return f"{quality['rows']} labels are too few to say how often it is right"
    if "accuracy" in measured:
        return f"{measured['accuracy']:.0%} of {measured['rows']} labelled predictions were right"
    return f"it is off by {say_number(measured['mae'], 3)} on average"


def _count_yesterday(home: Home, project: str, now: datetime) -> int:
    midnight = parse(stamp(now)[:10] + "T00:00:00.000Z")
    return log.count_between(home, project, midnight - timedelta(days=1), midnight)


def _count_classes(home: Home, definition: Definition, now: datetime, version: str | None) -> dict[str, int]:
    if not definition.is_classifier or version is None:
        return {}
    counts = log.count_by_label(home, definition.name, now=now, days=DAYS, version=version)
    if not counts:
        return {}
    others = {name: n for name, n in counts.items() if name not in definition.classes}
    return {**{name: counts.get(name, 0) for name in definition.classes}, **others}
