"""A project's definition: schema, target, task, score weights, gates and thresholds.

A definition is a value. It is read from YAML (samples) or built by the wizard, stored as JSON with
the project, and a dataset, a run and a version each record the sha256 of the one they were made with.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from core.errors import BadInput

TASKS = ("binary", "multiclass", "regression", "ranking")
KINDS = ("number", "category", "text")
ROLES = ("feature", "key", "ignored")
OUTPUT_COLUMNS = ("prediction_id", "prediction", "score", "confidence", "problems")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_RESERVED = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))}


@dataclass(frozen=True)
class Column:
    """One column that the project knows (the target and the group are not among them).

    Attributes
    ----------
    kind : "number", "category" or "text"
        Booleans are categories with the values "False" and "True". Text is kept, never a feature.
    role : "feature", "key" or "ignored"
    low, high : float or None
        Plausible range, inclusive. Outside it: an error in training, a warning on the row in scoring.
    allowed : tuple of str
        Known categories; empty means any.
    max_missing : float
        Share of missing values, 0..1, above which validation warns (training goes on).
    """

    name: str
    kind: str = "number"
    role: str = "feature"
    low: float | None = None
    high: float | None = None
    integer: bool = False
    allowed: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    unit: str = ""
    help: str = ""
    max_missing: float = 0.05


@dataclass(frozen=True)
class Gates:
    """What a version must reach. ``register`` and ``production`` apply to the CV mean of ``metric``."""

    register: float | None = None
    production: float | None = None
    class_recall_floor: float = 0.60
    class_floor_rows: int = 20  # a class with this many rows or fewer is not judged


@dataclass(frozen=True)
class Criteria:
    """Selection criteria shown beside every candidate: met, not met or unknown."""

    metric_target: float | None = None
    cv_std_target: float = 0.01
    training_seconds: float = 60.0


@dataclass(frozen=True)
class DataRules:
    """Rules for a whole dataset."""

    min_rows: int = 100
    min_minority_share: float = 0.10
    missing_alert: float = 0.10  # share of missing values that alerts while scoring
    leakage: float = 0.98  # a single column that decides the label this well (balanced accuracy, or R2)


@dataclass(frozen=True)
class Thresholds:
    """When monitoring warns and alerts. Bands of the drift score: below warning ok, then warning, then drift."""

    drift_warning: float = 0.5
    drift: float = 0.7
    drift_min_rows: int = 30
    accuracy_floor: float = 0.70
    retrain_days: int = 30
    retrain_new_labels: int = 100


@dataclass(frozen=True)
class KnownCase:
    """A row whose answer is known; every version must get it right before release."""

    row: dict[str, Any]
    expected: str
    note: str = ""


@dataclass(frozen=True)
class Catalogue:
    """How a ranking project finds candidates for a query that somebody types.

    The items are those of the live version's training data, each once, with what stands in their columns there.

    Attributes
    ----------
    item : str
        Column that names an item.
    text : tuple of str
        Columns whose words say what an item is; the query is looked up in them.
    similarity : str
        Feature that holds words in common / sqrt(words of the query x words of the item), 0..1; empty if there is none.
    stop_words : tuple of str
        Words that do not count in it.
    asked : dict
        Feature -> word: "True" where the query has the word.
    translation : str
        Name of an installed entry point of the group greenlight.translations that puts a query into the items' language.
    example : str
        A query that finds something.
    """

    item: str
    text: tuple[str, ...]
    similarity: str = ""
    stop_words: tuple[str, ...] = ()
    asked: dict[str, str] = field(default_factory=dict)
    translation: str = ""
    example: str = ""


@dataclass(frozen=True)
class Definition:
    """Everything that makes a project what it is.

    Attributes
    ----------
    positive : str
        Binary only: the target value that counts as 1, or a comparison such as ">0".
    classes : tuple of str
        Classes as the model predicts them; ("0", "1") for binary. Ordered low to high when ``level_weights`` is given.
    level_weights : dict
        Multiclass with an order: class -> weight 0..1; the score is 100 x sum(probability x weight).
    group : str
        Ranking only: the query column that rows are split by.
    key : str
        Business key column, if any: labels may come back by it.
    metric : str
        The metric that gates and selection use: "f1" (binary: positive class; multiclass: macro), "r2" or "ndcg".
    """

    name: str
    title: str
    task: str
    target: str
    columns: tuple[Column, ...]
    positive: str = ""
    classes: tuple[str, ...] = ()
    level_weights: dict[str, float] = field(default_factory=dict)
    group: str = ""
    key: str = ""
    metric: str = "f1"
    description: str = ""
    source: str = ""
    licence: str = ""
    synthetic: bool = False
    target_low: float | None = None
    target_high: float | None = None
    gates: Gates = field(default_factory=Gates)
    criteria: Criteria = field(default_factory=Criteria)
    data_rules: DataRules = field(default_factory=DataRules)
    thresholds: Thresholds = field(default_factory=Thresholds)
    costs: dict[str, float] = field(default_factory=lambda: {"false_negative": 1.0, "false_positive": 1.0})
    known_cases: tuple[KnownCase, ...] = ()
    catalogue: Catalogue | None = None

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that a model may use, in order."""
        return tuple(c for c in self.columns if c.role == "feature")

    @property
    def is_classifier(self) -> bool:
        return self.task in ("binary", "multiclass")

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise BadInput(f"Project {self.name} has no column {name!r}; its columns are {', '.join(c.name for c in self.columns)}.")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(to_json(self).encode()).hexdigest()


def check_name(name: str, what: str = "project name") -> str:
    """Return ``name`` if it is safe as an identifier and as a folder name; else raise BadInput."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _RESERVED:
        raise BadInput(
            f"{str(name)[:60]!r} is not a possible {what}: use 1 to 50 lower-case letters, digits and underscores, "
            "beginning with a letter."
        )
    return name


def check(definition: Definition) -> Definition:
    """Return the definition if it is consistent; raise BadInput naming the first thing that is not."""
    d = definition
    check_name(d.name)
    if d.task not in TASKS:
        raise BadInput(f"Task {d.task!r} is unknown; choose one of {', '.join(TASKS)}.")
    names = [c.name for c in d.columns]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise BadInput(f"Column {repeated[0]!r} is defined twice in project {d.name}; keep one of them.")
    if not d.target:
        raise BadInput(f"Project {d.name} has no target; name the column to be predicted.")
    if d.target in names:
        raise BadInput(f"Column {d.target!r} is the target and cannot be a feature as well; remove it from the columns.")
    taken = [n for n in (*names, d.target, d.group) if n in OUTPUT_COLUMNS or n.startswith("out:")]
    if taken:
        raise BadInput(f"Column {taken[0]!r} has the name of an output column; rename it in the table.")
    if not d.features:
        raise BadInput(f"Project {d.name} has no feature; at least one column beside the target is needed.")
    for c in d.columns:
        if c.kind not in KINDS or c.role not in ROLES:
            raise BadInput(f"Column {c.name!r}: kind is one of {', '.join(KINDS)} and role one of {', '.join(ROLES)}.")
        if c.kind == "text" and c.role == "feature":
            raise BadInput(f"Column {c.name!r} is free text and cannot be a feature; set its role to ignored or its kind to category.")
        if c.low is not None and c.high is not None and not c.low <= c.high:
            raise BadInput(f"Column {c.name!r}: the range {c.low}..{c.high} is empty; low must not exceed high.")
    if d.is_classifier and len(d.classes) < 2:
        raise BadInput(f"Project {d.name} needs at least two classes in {d.target!r}, and {len(d.classes)} is known.")
    if d.task == "binary" and (d.classes != ("0", "1") or not d.positive):
        raise BadInput(f"Project {d.name} is binary: name the positive value of {d.target!r} (or a comparison such as >0).")
    if d.task == "ranking" and not d.group:
        raise BadInput(f"Project {d.name} ranks: name the group column (the query that candidates belong to).")
    if d.level_weights and set(d.level_weights) != set(d.classes):
        raise BadInput(f"Level weights of {d.name} must name exactly its classes ({', '.join(d.classes)}).")
    for weight in d.level_weights.values():
        if not (math.isfinite(weight) and 0 <= weight <= 1):
            raise BadInput(f"Level weights of {d.name} lie between 0 and 1; {weight} does not.")
    if d.catalogue is not None:
        _check_catalogue(d, d.catalogue)
    expected_metric = {"binary": "f1", "multiclass": "f1", "regression": "r2", "ranking": "ndcg"}[d.task]
    if d.metric != expected_metric:
        raise BadInput(f"A {d.task} project is judged by {expected_metric}, not by {d.metric!r}.")
    return d


def _check_catalogue(d: Definition, catalogue: Catalogue) -> None:
    names = {c.name for c in d.columns}
    features = {c.name for c in d.features}
    if d.task != "ranking":
        raise BadInput(f"Project {d.name} is {d.task}; only a ranking project has a catalogue of items.")
    if not catalogue.text:
        raise BadInput(f"The catalogue of {d.name} names no text column; name those whose words say what an item is.")
    for name in (catalogue.item, *catalogue.text):
        if name not in names:
            raise BadInput(f"The catalogue of {d.name} names the column {name!r}, which the project does not have.")
    for name in (*([catalogue.similarity] if catalogue.similarity else []), *catalogue.asked):
        if name not in features:
            raise BadInput(f"The catalogue of {d.name} names {name!r}, which is no feature of the project.")


def to_json(definition: Definition) -> str:
    """Canonical JSON: the same definition is always the same text."""
    data = asdict(definition)
    if definition.catalogue is None:
        del data["catalogue"]  # definitions from before there were catalogues keep their hash
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Definition:
    return from_dict(json.loads(text))


def from_dict(data: dict[str, Any]) -> Definition:
    """Build and check a definition from plain data (YAML or JSON). Unknown fields are refused by name."""
    data = dict(data)
    nested: dict[str, Any] = {
        "gates": Gates, "criteria": Criteria, "data_rules": DataRules, "thresholds": Thresholds,
    }
    try:
        for name, kind in nested.items():
            if name in data:
                data[name] = _build(kind, data[name], name)
        data["columns"] = tuple(_build(Column, _tuples(c, "allowed", "aliases"), "columns") for c in data.get("columns", ()))
        data["known_cases"] = tuple(_build(KnownCase, c, "known_cases") for c in data.get("known_cases", ()))
        data["classes"] = tuple(str(c) for c in data.get("classes", ()))
        if data.get("catalogue") is not None:
            data["catalogue"] = _build(Catalogue, _tuples(data["catalogue"], "text", "stop_words"), "catalogue")
        return check(_build(Definition, data, "definition"))
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"The project definition cannot be read: {error}.") from error


def _tuples(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**data, **{n: tuple(str(v) for v in data[n]) for n in names if n in data}}


def _build(kind: Any, data: dict[str, Any], where: str) -> Any:
    unknown = sorted(set(data) - {f.name for f in fields(kind)})
    if unknown:
        raise BadInput(f"The project definition has an unknown field {unknown[0]!r} in {where}; remove it.")
    return kind(**data)
