"""The gates and thresholds that are in force: the definition's own, and over them what was changed by an approved request.

A definition is a value that versions refer to by its sha256, so a changed threshold does not change the definition: it is a
row beside it (see core.projects.proposals). In the same way a class of an installed library is allowed as a candidate:
``estimator:package.module.Class`` is 1 (allowed) or None (not, or no longer); a project's own plan of the agent's policy is one,
too (core.agent.plans).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.agent.plans import PLAN, check_plan, find_shipped, read_actions, say_plan, title_plan
from core.errors import BadInput, Refused
from core.home import Home
from core.projects.definition import Definition, Gates, Thresholds
from core.projects.projects import get_definition
from core.training.named import check_class_path, find_class_path
from storage import settings as store
from storage.connection import reading


@dataclass(frozen=True)
class Watching:
    """When the watching warns, beside the definition's own thresholds. Shares are 0..1.

    Attributes
    ----------
    performance_drop, degradation : float
        Relative: the last window against the one before (accuracy; latency and errors).
    missing : float
        Share of missing values of a column; the definition's ``data_rules.missing_alert`` unless changed.
    zscore, zscore_points : float, int
        n points can reach (n - 1) / sqrt(n) at most, 5.3 at 30 points.
    """

    latency_warning_ms: float = 2_000.0
    latency_critical_ms: float = 5_000.0
    error_warning: float = 0.02
    error_critical: float = 0.05
    window_minutes: int = 60
    performance_drop: float = 0.05
    degradation: float = 0.10
    missing: float = 0.10
    problem_rows: float = 0.10
    minority_share: float = 0.05
    unsure_share: float = 0.30
    zscore: float = 3.0
    zscore_points: int = 30


@dataclass(frozen=True)
class Agency:
    """From where on the agent acts, and how far it goes on each issue (0 logs, 1 runs safe actions, 2 also asks for risky ones)."""

    agent_medium: float = 0.5
    agent_high: float = 0.7
    agent_data_drift: int = 2
    agent_prediction_drift: int = 2
    agent_performance: int = 2
    agent_data_quality: int = 2
    agent_low_confidence: int = 2
    agent_system_error: int = 2


@dataclass(frozen=True)
class Sharing:
    """What may leave the installation: write_back 1 lets predictions be written to the database that the project is joined to."""

    write_back: int = 0


@dataclass(frozen=True)
class Limits:
    """Everything that is in force for one project.

    Attributes
    ----------
    estimators : frozenset of str
        The classes that may be candidates.
    plans : tuple of (str, str)
        The project's own plans: name of the setting, actions.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    gates: Gates = field(default_factory=Gates)
    watching: Watching = field(default_factory=Watching)
    agent: Agency = field(default_factory=Agency)
    sharing: Sharing = field(default_factory=Sharing)
    estimators: frozenset[str] = frozenset()
    plans: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Setting:
    """One value that can be changed.

    Attributes
    ----------
    group : "gates", "thresholds", "watching", "agent", "sharing", "estimators" or "plans"
    sign : str
        How it is read: "at least", "from", "above"; "" says nothing.
    low, high : float
        Values outside are refused.
    optional : bool
        Whether it may be None: then nothing is asked.
    classes_only : bool
        It means something only where classes are predicted.
    words : tuple of str
        What 0, 1, 2 ... mean, where the number stands for a choice.
    """

    name: str
    group: str
    title: str
    sign: str = ""
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    integer: bool = False
    optional: bool = False
    classes_only: bool = False
    words: tuple[str, ...] = ()


_REACH = ("only logs", "runs safe actions", "also asks for risky actions")


def _reach(issue: str) -> Setting:
    title = f"The agent, on {issue.replace('_', ' ')}"
    return Setting(f"agent_{issue}", "agent", title, low=0, high=2, integer=True, words=_REACH)


# each must stay below the other
_IN_ORDER = (
    ("drift_warning", "drift"), ("latency_warning_ms", "latency_critical_ms"), ("error_warning", "error_critical"),
    ("agent_medium", "agent_high"),
)  # fmt: skip
SETTINGS = {
    s.name: s
    for s in (
        Setting("register", "gates", "To register: mean of the metric in cross-validation", "at least", low=-1.0, optional=True),
        Setting("production", "gates", "For production: mean of the metric in cross-validation", "at least", low=-1.0, optional=True),
        Setting("class_recall_floor", "gates", "Recall of every class", "at least", classes_only=True),
        Setting("class_floor_rows", "gates", "A class is judged from", "more than", "rows", 1, 10_000, integer=True, classes_only=True),
        Setting("drift_warning", "thresholds", "Drift score: warning", "from", low=0.01, high=0.99),
        Setting("drift", "thresholds", "Drift score: drift", "from", low=0.01, high=0.99),
        Setting("drift_min_rows", "thresholds", "Rows that a drift check needs", "at least", "", 10, 100_000, integer=True),
        Setting("accuracy_floor", "thresholds", "Accuracy in use", "at least", classes_only=True),
        Setting("retrain_days", "thresholds", "A retraining is due after", "", "days", 1, 3_650, integer=True),
        Setting("retrain_new_labels", "thresholds", "A retraining is due after", "", "new labels", 1, 10_000_000, integer=True),
        Setting("latency_warning_ms", "watching", "Time to answer, 95 of 100 requests: warning", "from", "ms", 1, 600_000),
        Setting("latency_critical_ms", "watching", "Time to answer, 95 of 100 requests: critical", "from", "ms", 1, 600_000),
        Setting("error_warning", "watching", "Share of requests that fail: warning", "from", low=0.0001),
        Setting("error_critical", "watching", "Share of requests that fail: critical", "from", low=0.0001),
        Setting("window_minutes", "watching", "Time over which requests are judged", "", "minutes", 5, 1_440, integer=True),
        Setting("performance_drop", "watching", "Drop of the accuracy against the week before, relative", "above", low=0.001),
        Setting("degradation", "watching", "Slower or more failures than in the window before, relative", "above", low=0.01, high=10),
        Setting("missing", "watching", "Missing values of a column in scoring", "from", low=0.001),
        Setting("problem_rows", "watching", "Share of rows with a problem in scoring", "from", low=0.001),
        Setting("minority_share", "watching", "Share of the rarest answer", "below", high=0.5, classes_only=True),
        Setting("unsure_share", "watching", "Share of answers with a probability of 0.4 to 0.6", "above", low=0.001, classes_only=True),
        Setting("zscore", "watching", "An anomaly is more than", "", "standard deviations from the mean", 1.5, 10),
        Setting("zscore_points", "watching", "Points that an anomaly is judged over", "at least", "", 10, 500, integer=True),
        Setting("agent_medium", "agent", "The agent runs safe actions: severity", "from", low=0.01, high=0.99),
        Setting("agent_high", "agent", "The agent asks for risky actions: severity", "from", low=0.01, high=1.0),
        _reach("data_drift"), _reach("prediction_drift"), _reach("performance"), _reach("data_quality"),
        _reach("low_confidence"), _reach("system_error"),
        Setting(
            "write_back", "sharing", "Predictions are written back to the joined database", integer=True,
            words=("no", "yes, to a table of their own"),
        ),
    )
}


ESTIMATOR = "estimator:"


def find_setting(name: str) -> Setting | None:
    """What a name stands for: one of SETTINGS, a class that may be allowed, or a plan; None for any other name."""
    if name.startswith(PLAN):
        return Setting(name, "plans", title_plan(name), optional=True)
    if not name.startswith(ESTIMATOR):
        return SETTINGS.get(name)
    path = name[len(ESTIMATOR) :]
    return Setting(name, "estimators", f"The class {path} as a candidate", low=1, integer=True, optional=True, words=("", "allowed"))


def get_setting(name: str) -> Setting:
    """The same; raises BadInput where there is no such setting."""
    setting = find_setting(name)
    if setting is None:
        known = f"{', '.join(SETTINGS)}, {ESTIMATOR}package.module.Class and {PLAN}ISSUE/CAUSE/BAND"
        raise BadInput(f"There is no setting {str(name)[:40]!r}; the settings are: {known}.")
    return setting


@dataclass(frozen=True)
class Source:
    """One value in force and where it comes from.

    Attributes
    ----------
    value, own : float, int or None
        In force, and what the definition (or the product's default) says.
    origin : str
        "approved change", "definition" or "default".
    at, by, request_id : str, str, int or None
        When and by whose decision it was changed; empty for what was never changed.
    """

    setting: Setting
    value: float | None
    own: float | None
    origin: str
    at: str = ""
    by: str = ""
    request_id: int | None = None


# What is in force


def get_limits(home: Home, project: str) -> Limits:
    """The gates and thresholds of a project that hold at this moment.

    Raises
    ------
    NotFound
        There is no such project.
    """
    return overlay(get_definition(home, project), read_values(home, project))


def get_gates(home: Home, project: str, definition: Definition) -> Gates:
    """The gates for a version of ``definition`` (which may be an earlier one), with the project's approved changes over them."""
    return overlay(definition, read_values(home, project)).gates


def read_values(home: Home, project: str) -> dict[str, float | None]:
    """Name -> value of the approved changes alone."""
    return {name: row["value"] for name, row in store.list_settings(reading(home.db), project).items()}


def own_limits(definition: Definition) -> Limits:
    """What holds where nothing was changed."""
    return Limits(definition.thresholds, definition.gates, Watching(missing=definition.data_rules.missing_alert))


def overlay(definition: Definition, values: Mapping[str, float | None]) -> Limits:
    """The definition's limits with ``values`` over them; a name that is no setting (any more) is left out."""
    limits = own_limits(definition)
    groups: dict[str, dict[str, Any]] = {"gates": {}, "thresholds": {}, "watching": {}, "agent": {}, "sharing": {}}
    allowed = frozenset(n[len(ESTIMATOR) :] for n, value in values.items() if n.startswith(ESTIMATOR) and value == 1)
    for name, value in values.items():
        if name in SETTINGS:
            groups[SETTINGS[name].group][name] = value
    return Limits(
        replace(limits.thresholds, **groups["thresholds"]), replace(limits.gates, **groups["gates"]),
        replace(limits.watching, **groups["watching"]), replace(limits.agent, **groups["agent"]),
        replace(limits.sharing, **groups["sharing"]), allowed,
        tuple((n, str(value)) for n, value in values.items() if n.startswith(PLAN) and value is not None),
    )


def value_of(limits: Limits, name: str) -> Any:
    """One value by the name of its setting."""
    if name.startswith(PLAN):
        return dict(limits.plans).get(name)
    if name.startswith(ESTIMATOR):
        return 1 if name[len(ESTIMATOR) :] in limits.estimators else None
    return getattr(getattr(limits, SETTINGS[name].group), name)


def check_allowed(home: Home, project: str, candidates: Iterable[str]) -> None:
    """Refuse candidates that name a class which is not, or no longer, allowed in the project.

    Raises
    ------
    Refused
        Naming the class and how it becomes allowed.
    """
    wanted = [path for name in candidates if (path := find_class_path(name)) is not None]
    if not wanted:
        return
    allowed = get_limits(home, project).estimators
    for path in wanted:
        if path not in allowed:
            raise Refused(
                f"The class {path} is not allowed as a candidate of project {project}; propose it (limits propose {project} "
                f"{ESTIMATOR}{path}=1, or Settings, Thresholds) and have a DRH manager approve it."
            )


def sources(home: Home, project: str) -> list[Source]:
    """Every setting that means something for the project's task, with its value and where it comes from."""
    definition = get_definition(home, project)
    rows = store.list_settings(reading(home.db), project)
    own, force = own_limits(definition), overlay(definition, {n: r["value"] for n, r in rows.items()})
    found = []
    classes = {n: get_setting(n) for n in rows if n.startswith((ESTIMATOR, PLAN))}
    for name, setting in {**SETTINGS, **classes}.items():
        if setting.classes_only and not definition.is_classifier:
            continue
        row = rows.get(name)
        if row is not None:
            known = ("approved change", row["at"], row["by"], row["request_id"])
        else:
            of_definition = setting.group in ("gates", "thresholds") or name == "missing"
            known = ("definition" if of_definition else "default", "", "", None)
        found.append(Source(setting, value_of(force, name), value_of(own, name), *known))
    return found


def title_of(name: str, definition: Definition) -> str:
    """The title of a setting, with the name of the project's metric."""
    metric = {"f1": "F1", "r2": "R2", "ndcg": "NDCG"}[definition.metric]
    return get_setting(name).title.replace("mean of the metric", f"mean {metric}")


def call_setting(name: str, definition: Definition | None = None) -> str:
    """What a message calls the setting of that name."""
    return _call(get_setting(name), definition)


def _call(setting: Setting, definition: Definition | None = None) -> str:
    """What a message calls a setting: the title that the page shows (it names the project's metric), and the name that the command takes."""
    title = setting.title if definition is None else title_of(setting.name, definition)
    return title if setting.group in ("estimators", "plans") else f"“{title}” ({setting.name})"


def say_value(name: str, value: Any) -> str:
    """A value in words: "at least 0.8", "14 days", "not asked"."""
    if name.startswith(PLAN):
        return say_plan(name, value)
    setting = get_setting(name)
    if setting.group == "estimators" and value is None:
        return "not allowed"
    if setting.words and value is not None:
        return setting.words[int(value)]
    return "not asked" if value is None else " ".join(t for t in (setting.sign, f"{value:,g}", setting.unit) if t)


def check_changes(definition: Definition, in_force: Limits, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes as numbers (a plan as text), if each is possible and all of them together make sense.

    Raises
    ------
    BadInput
        Naming the first that is not.
    """
    if not changes:
        raise BadInput("Nothing would change; name at least one value and what it shall be.")
    found: dict[str, Any] = {}
    for name, value in changes.items():
        setting = get_setting(name)
        if setting.group == "estimators":
            check_class_path(name[len(ESTIMATOR) :])
        if setting.classes_only and not definition.is_classifier:
            raise BadInput(f"{_call(setting, definition)} means nothing for project {definition.name}, which predicts numbers; leave it out.")
        found[name] = check_plan(name, value) if setting.group == "plans" else _check_value(setting, value, definition)
        if found[name] == value_of(in_force, name):
            raise BadInput(f"{_call(setting, definition)} is {say_value(name, found[name])} already; leave it out or name another value.")
        if setting.group == "plans" and value_of(in_force, name) is None and read_actions(found[name]) == find_shipped(name):
            raise BadInput(f"{_call(setting)} is {say_value(name, found[name])} already, as shipped; name other actions or another order.")
    after = {**{n: value_of(in_force, n) for n in SETTINGS}, **found}
    for low, high in _IN_ORDER:
        if not after[low] < after[high]:
            lower, upper = (f"{_call(get_setting(n), definition)}, {after[n]:g}," for n in (low, high))
            raise BadInput(f"{lower} must stay below {upper[:-1]}; change both together.")
    if after["register"] is not None and after["production"] is not None and after["register"] > after["production"]:
        first, second = (_call(get_setting(n), definition) for n in ("register", "production"))
        raise BadInput(f"{first}, {after['register']:g}, must not be above {second}, {after['production']:g}; change both together.")
    points = int(after["zscore_points"])
    reach = (points - 1) / math.sqrt(points)
    if after["zscore"] >= reach:
        raise BadInput(f"Over {points} points no value can be further than {reach:.2f} standard deviations off; ask for less or more points.")
    return found


def _check_value(setting: Setting, value: Any, definition: Definition) -> float | None:
    if value is None:
        if setting.optional:
            return None
        raise BadInput(f"{_call(setting, definition)} needs a number.")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(f"{_call(setting, definition)} is a number; {str(value)[:40]!r} is none.")
    if not setting.low <= value <= setting.high:
        raise BadInput(f"{_call(setting, definition)} lies between {setting.low:g} and {setting.high:g}; {value:g} does not.")
    if setting.integer:
        if value != int(value):
            raise BadInput(f"{_call(setting, definition)} is a whole number; {value:g} is none.")
        return int(value)
    return float(value)
