"""What a table seems to be: kinds of columns, task, positive class. The wizard shows it, a person decides."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.datasets.cells import canonical, fix_categories, read_categories, read_numbers
from core.datasets.prepare import UNREADABLE, prepare
from core.datasets.read import Table
from core.errors import BadInput
from core.numbers import count_of
from core.projects.definition import TASKS, Column, Definition, check, check_name

MAX_ALLOWED = 50
MAX_CLASSES = 20
_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?"
)
_BOOLEAN = ({"true", "false"}, {"true"}, {"false"})
_YES = ("yes", "true", "1", "y", "positive", "si", "oui", "ja")
_ORDER = (("low", "medium", "high"), ("low", "mid", "high"), ("small", "medium", "large"), ("minor", "major", "critical"))
_KEY_NAME = re.compile(r"(^|_)(id|key|uuid|code|number|nr|no)$", re.IGNORECASE)


@dataclass(frozen=True)
class GuessedColumn:
    """A guess at one column.

    Attributes
    ----------
    suggested_low, suggested_high : float or None
        Smallest and largest value seen; a suggestion only, since data cannot tell what is plausible.
    reason : str
        One sentence.
    """

    name: str
    kind: str
    role: str
    integer: bool = False
    allowed: tuple[str, ...] = ()
    suggested_low: float | None = None
    suggested_high: float | None = None
    missing: int = 0
    distinct: int = 0
    reason: str = ""


@dataclass(frozen=True)
class GuessedTask:
    """A guess at what is to be predicted. ``positive`` is set for binary, ``classes`` for both kinds of classes."""

    task: str
    positive: str
    classes: tuple[str, ...]
    reason: str


def guess_columns(table: Table) -> list[GuessedColumn]:
    """Guess kind, role and values of every column of a table."""
    return [_guess_column(str(name), table.frame[name], table.meta.decimal) for name in table.frame.columns]


def guess_task(table: Table, target: str) -> GuessedTask:
    """Guess the task from the target's values.

    Raises
    ------
    BadInput
        The target is not a column, or has fewer than two values.
    """
    if target not in table.frame.columns:
        raise BadInput(f"The table has no column {target!r}; its columns are {', '.join(map(str, table.frame.columns))[:500]}.")
    series = table.frame[target]
    uniques, _ = fix_categories(read_categories(series), ())
    if len(uniques) < 2:
        raise BadInput(f"Column {target!r} has {len(uniques)} value; a target needs at least two different ones.")
    numbers, bad = read_numbers(series, table.meta.decimal)
    numeric = not bad
    if len(uniques) == 2:
        positive = _find_positive([str(u) for u in uniques], numeric)
        other = next(u for u in uniques if u != positive)
        return GuessedTask(
            "binary", positive, ("0", "1"), f"{target} has two values, {other} and {positive}: {positive} counts as positive."
        )
    present = numbers[~np.isnan(numbers)]
    if numeric and (len(uniques) > MAX_CLASSES or (present != np.floor(present)).any()):
        return GuessedTask(
            "regression", "", (), f"{target} holds numbers with {len(uniques)} different values: the number itself is predicted."
        )
    if len(uniques) > MAX_CLASSES:
        raise BadInput(
            f"Column {target!r} has {len(uniques):,} different texts; choose one with at most {MAX_CLASSES} classes, or a number."
        )
    classes = order_classes([str(u) for u in uniques], numeric)
    reason = f"{target} has {len(classes)} values ({', '.join(classes)[:200]}): each is a class."
    if numeric and present.min() == 0:
        reason += " Where 0 means none, binary with >0 as positive may be what you want."
    return GuessedTask("multiclass", "", classes, reason)


def order_classes(values: list[str], numeric: bool = False) -> tuple[str, ...]:
    """Classes low to high where their names tell, by number, else alphabetically."""
    for order in _ORDER:
        if {v.casefold() for v in values} <= set(order):
            return tuple(sorted(values, key=lambda v: order.index(v.casefold())))
    if numeric:
        return tuple(sorted(values, key=lambda v: float(v.replace(",", "."))))
    return tuple(sorted(values))


def build_definition(
    name: str,
    title: str,
    table: Table,
    target: str,
    task: str,
    positive: str | None = None,
    group: str | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    key: str | None = None,
) -> Definition:
    """Make a project's definition of a table and a person's choices.

    Gates are not set (``describe`` says so), and no numeric range is: both are for a person to decide.
    ``allowed`` is taken from the data. Three classes that are called low, medium and high get the
    level weights 0, 0.5 and 1; other classes have no order.

    Parameters
    ----------
    overrides : mapping, column -> fields of Column
        For example ``{"age": {"low": 0, "high": 120}, "note": {"role": "ignored"}}``.

    Raises
    ------
    BadInput
        An unknown column, task or value.
    """
    check_name(name)
    if task not in TASKS:
        raise BadInput(f"Task {task!r} is unknown; choose one of {', '.join(TASKS)}.")
    guessed_columns = guess_columns(table)
    names = {g.name for g in guessed_columns}
    overrides = overrides or {}
    for wanted in (target, group, key, *overrides):
        if wanted and wanted not in names:
            raise BadInput(f"The table has no column {wanted!r}; its columns are {', '.join(sorted(names))[:500]}.")
    if target == group:
        raise BadInput(f"Column {target!r} cannot be the target and the group at once; choose another group.")
    columns = []
    for guess in guessed_columns:
        if guess.name in (target, group):
            continue
        column = Column(guess.name, guess.kind, guess.role, integer=guess.integer, allowed=guess.allowed)
        if guess.name == key:
            column = dataclasses.replace(column, role="key")
        try:
            column = dataclasses.replace(column, **overrides.get(guess.name, {}))
        except TypeError as error:
            raise BadInput(f"Column {guess.name!r} cannot be changed that way ({error}).") from error
        columns.append(column)
    keys = [c.name for c in columns if c.role == "key"]
    classes: tuple[str, ...] = ()
    weights: dict[str, float] = {}
    if task == "binary":
        classes = ("0", "1")
        positive = positive or _only_positive(table, target)
    elif task == "multiclass":
        uniques, _ = fix_categories(read_categories(table.frame[target]), ())
        if len(uniques) > MAX_ALLOWED:
            raise BadInput(f"Column {target!r} has {len(uniques):,} classes; the limit is {MAX_ALLOWED}. Choose another target.")
        _, bad = read_numbers(table.frame[target], table.meta.decimal)
        classes = order_classes([str(u) for u in uniques], not bad)
        if len(classes) == 3 and any({c.casefold() for c in classes} == set(order) for order in _ORDER[:2]):
            weights = dict(zip(classes, (0.0, 0.5, 1.0), strict=True))
    metric = {"binary": "f1", "multiclass": "f1", "regression": "r2", "ranking": "ndcg"}[task]
    definition = check(
        Definition(
            name,
            title or name,
            task,
            target,
            tuple(columns),
            positive=(positive or "") if task == "binary" else "",
            classes=classes,
            level_weights=weights,
            group=(group or "") if task == "ranking" else "",
            key=key or (keys[0] if keys else ""),
            metric=metric,
        )
    )
    _check_target_fits(table, definition)
    return definition


def describe(definition: Definition) -> list[str]:
    """Sentences that say what will happen with a project of this definition."""
    d = definition
    what = {
        "binary": f"Predicts whether {d.target} is {d.positive} (1) or not (0).",
        "multiclass": f"Predicts {d.target} as one of {', '.join(d.classes)}.",
        "regression": f"Predicts the number {d.target}.",
        "ranking": f"Ranks the rows of each {d.group} by {d.target}.",
    }[d.task]
    sentences = [what, f"Uses {count_of(len(d.features), 'column')}: {', '.join(c.name for c in d.features)}."]
    left_out = [c.name for c in d.columns if c.role == "ignored"]
    if left_out:
        sentences.append(f"Leaves out {', '.join(left_out)}.")
    if d.key:
        sentences.append(f"Rows are recognised by {d.key}: outcomes can be fed back by it.")
    metric = {"f1": "F1", "r2": "R2", "ndcg": "NDCG"}[d.metric]
    if d.gates.register is None and d.gates.production is None:
        sentences.append(f"No gate is set yet: any candidate may be registered, judged by {metric}.")
    else:
        sentences.append(
            f"Gates on {metric}: {d.gates.register or 'none'} to register, {d.gates.production or 'none'} for production."
        )
    classes = f" and finds at least {d.gates.class_recall_floor:.0%} of every class" if d.is_classifier else ""
    sentences.append(f"Whoever approves a release is told whether it beats the baseline{classes}.")
    ranged = [c.name for c in d.features if c.low is not None or c.high is not None]
    numbers = [c.name for c in d.features if c.kind == "number"]
    if numbers:
        sentences.append(
            f"Plausible ranges are checked for {', '.join(ranged)}."
            if ranged
            else "No plausible ranges are set: any number is accepted."
        )
    sentences.append(f"Training needs at least {d.data_rules.min_rows:,} rows; every version is compared with a baseline.")
    return sentences


def _check_target_fits(table: Table, definition: Definition) -> None:
    prepared = prepare(table, definition, purpose="training")
    if definition.task == "binary":
        found = {t for t in (prepared.target.tolist() if prepared.target is not None else ()) if t is not None}
        if found != {"0", "1"}:
            where = "every row" if found == {"1"} else "no row"
            raise BadInput(
                f"{definition.target} is {definition.positive} in {where}; choose a positive value that only some rows have."
            )
    unreadable = [p for p in prepared.target_problems if p.column == definition.target and p.code == UNREADABLE]
    if unreadable:
        raise BadInput(
            f"The target must be a number here, and {unreadable[0].texts[0].split(',')[0]}; choose another target or task."
        )


def _guess_column(name: str, series: Any, decimal: str) -> GuessedColumn:
    texts = read_categories(series)
    uniques, codes = fix_categories(texts, ())
    total, missing, distinct = len(codes), int((codes == -1).sum()), len(uniques)
    present = total - missing
    base: dict[str, Any] = {"name": name, "missing": missing, "distinct": distinct}
    if not present:
        return GuessedColumn(kind="category", role="ignored", reason="It has no values.", **base)
    if {str(u).lower() for u in uniques} in _BOOLEAN:
        return GuessedColumn(kind="category", role="feature", allowed=("False", "True"), reason="It is true or false.", **base)
    numbers, bad = read_numbers(series, decimal)
    unique = distinct == present and present >= 10
    if not bad:
        values = numbers[~np.isnan(numbers)]
        whole = bool((values == np.floor(values)).all())
        if unique and whole and (_KEY_NAME.search(name) or bool((np.diff(values) == 1).all())):
            return GuessedColumn(kind="category", role="key", reason="Every row has a number of its own.", **base)
        return GuessedColumn(
            kind="number", role="feature", integer=whole, suggested_low=float(values.min()), suggested_high=float(values.max()),
            reason="It holds whole numbers." if whole else "It holds numbers.", **base,
        )  # fmt: skip
    if not (unique and _KEY_NAME.search(name)) and all(_DATE.fullmatch(str(u).strip()) for u in uniques):
        reason = "It holds dates, which are not used: make a number of them (an age, days since) to use them."
        return GuessedColumn(kind="text", role="ignored", reason=reason, **base)
    if unique:
        spaced = sum(" " in str(u).strip() for u in uniques) > distinct / 2
        if spaced and not _KEY_NAME.search(name):
            return GuessedColumn(kind="text", role="ignored", reason="It is free text, different in every row.", **base)
        return GuessedColumn(kind="category", role="key", reason="Every row has a value of its own.", **base)
    if distinct <= MAX_ALLOWED:
        allowed = tuple(sorted(str(u) for u in uniques))
        return GuessedColumn(
            kind="category", role="feature", allowed=allowed, reason=f"It has {distinct} different values.", **base
        )
    return GuessedColumn(
        kind="text", role="ignored", reason=f"It has {distinct:,} different texts, too many for a category.", **base
    )


def _find_positive(values: list[str], numeric: bool) -> str:
    for value in values:
        if value.casefold() in _YES:
            return value
    if numeric:
        return max(values, key=lambda v: float(v.replace(",", ".")))
    return sorted(values)[-1]


def _only_positive(table: Table, target: str) -> str:
    guess = guess_task(table, target)
    if guess.task != "binary":
        raise BadInput(f"Column {target!r} has more than two values; name the positive one, or a comparison such as >0.")
    return canonical(guess.positive)
