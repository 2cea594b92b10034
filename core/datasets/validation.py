"""Can this data be trusted? Findings with counts, rows and a cure.

Element checks (type, range, allowed values, whole numbers) are a pandera schema built from the
definition. Great Expectations would do as well, but importing it takes 7 s and pandera 0.8 s (0.2 s
beside pandas), and the schema needs no store of its own. It is imported inside the functions,
because pages import this module for ``Report`` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.datasets.findings import LEVELS, Finding, Report, make_finding
from core.datasets.headers import absent_columns, match_headers, refuse_output_columns
from core.datasets.leakage import find_leaks
from core.datasets.prepare import (
    MISSING,
    NOT_INTEGER,
    OUT_OF_RANGE,
    UNKNOWN,
    UNREADABLE,
    Prepared,
    prepare,
)
from core.datasets.read import Table
from core.errors import BadInput
from core.projects.definition import Column, Definition

FOLDS = 5  # cross-validation needs a row of each class in every fold


def validate(
    data: Any,
    definition: Definition,
    *,
    purpose: str,
    comparison: Sequence[tuple[str, float, str]] = (),
    seed: int = 42,
) -> Report:
    """Check a table for training or for scoring.

    Parameters
    ----------
    data : Table, DataFrame, dicts or Prepared
    purpose : "training" or "scoring"
        In training an impossible value is an error; in scoring a warning on its row.
    comparison : sequence of (column, drift score 0..1, status)
        Against the version before, from core.drift; warning and drift are reported.

    Returns
    -------
    Report
        Never raises for what is wrong with the data: that is what the report says.
    """
    if isinstance(data, Prepared):
        prepared, findings = data, []
    else:
        count = len(data.frame) if isinstance(data, Table) else len(data)
        findings = _check_schema(data, definition, purpose)
        if not findings:
            try:
                prepared = prepare(data, definition, purpose=purpose, refuse_unreadable=False)
            except BadInput as error:
                findings = [Finding("error", "schema", "", 0, (), str(error), "Mend the table and upload it again.")]
        if findings:
            return Report(purpose, count, tuple(findings))
    findings += [
        Finding("info", "schema", name, 0, (), f"Column {name!r} is not known to the project and is left out.", "Nothing to do.")
        for name in prepared.extra_columns
    ]
    findings += _check_cells(prepared, definition, purpose)
    findings += _check_missing(prepared, definition)
    if len(prepared):
        findings += _check_constant(prepared, purpose)
        findings += _check_duplicates(prepared)
    if purpose == "training":
        findings += _check_target(prepared, definition)
        if len(prepared):
            findings += _check_leakage(prepared, definition, seed)
    for column, score, status in comparison:
        if status in ("warning", "drift"):
            text = f"{column}: moved away from the version before (drift score {score:.2f}, {status})."
            findings.append(make_finding("warning", "drift", column, 0, (), text, "Look at both distributions before training."))
    return Report(purpose, len(prepared), tuple(sorted(findings, key=lambda f: LEVELS.index(f.level))))


def check_output(
    kind: str,
    values: Any,
    probabilities: Any,
    rows: int,
    *,
    classes: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
) -> list[Finding]:
    """Check what a model answered: shape, NaN, infinity, range.

    Parameters
    ----------
    kind : one of definition.TASKS
    values : array, shape (rows,)
        Classes, or numbers for regression and ranking.
    probabilities : array, shape (rows, classes), or None
        Each 0..1, each row adding up to 1 within 1e-6.
    low, high : float, optional
        Range of the numbers (inclusive).
    """
    values = np.asarray(values)
    cure = "Do not use these predictions; roll back or retrain the version."
    found: list[Finding] = []
    if values.shape != (rows,):
        return [
            make_finding(
                "error", "output", "prediction", 0, (), f"The model answered with shape {values.shape} for {rows} rows.", cure
            )
        ]

    def add(bad: Any, column: str, what: str) -> None:
        where = np.flatnonzero(bad)
        if len(where):
            found.append(make_finding("error", "output", column, len(where), where, f"{len(where):,} {what}.", cure))

    if kind in ("regression", "ranking"):
        numbers: np.ndarray = values.astype(np.float64)
        add(np.isnan(numbers), "prediction", "predictions are not a number")
        add(np.isinf(numbers), "prediction", "predictions are infinite")
        below = np.zeros(rows, dtype=bool) if low is None else numbers < low
        above = np.zeros(rows, dtype=bool) if high is None else numbers > high
        add((below | above) & np.isfinite(numbers), "prediction", f"predictions lie outside {low}..{high}")
        return found
    if classes:
        known = set(classes)
        add(
            np.array([v not in known for v in values.tolist()], dtype=bool),
            "prediction",
            "predictions are not one of the classes",
        )
    if probabilities is None:
        return found
    shares = np.asarray(probabilities, dtype=np.float64)
    width = len(classes) or (shares.shape[1] if shares.ndim == 2 else 0)
    if shares.shape != (rows, width):
        text = f"The model answered with probabilities of shape {shares.shape}; {(rows, width)} was expected."
        return [*found, make_finding("error", "output", "probabilities", 0, (), text, cure)]
    finite = np.isfinite(shares).all(axis=1)
    add(~finite, "probabilities", "rows have probabilities that are not finite")
    add(finite & ((shares < 0) | (shares > 1)).any(axis=1), "probabilities", "rows have probabilities outside 0..1")
    total = np.where(finite, np.nan_to_num(shares, posinf=0.0, neginf=0.0).sum(axis=1), 1.0)
    add(np.abs(total - 1) > 1e-6, "probabilities", "rows have probabilities that do not add up to 1")
    return found


def build_schema(definition: Definition) -> Any:
    """Build the pandera schema of prepared features: float64 and object columns with their element checks."""
    import pandera.pandas as pa

    def checks(column: Column) -> list[Any]:
        found = []
        if column.kind == "number":
            if column.low is not None:
                found.append(pa.Check.ge(column.low, error=OUT_OF_RANGE))
            if column.high is not None:
                found.append(pa.Check.le(column.high, error=OUT_OF_RANGE))
            if column.integer:
                found.append(pa.Check(lambda s: s == np.floor(s), error=NOT_INTEGER))
        elif column.allowed:
            found.append(pa.Check.isin(list(column.allowed), error=UNKNOWN))
        return found

    kinds: dict[str, Any] = {"number": "float64", "category": object}
    return pa.DataFrameSchema(
        {c.name: pa.Column(kinds[c.kind], checks(c), nullable=True) for c in definition.features}, strict=True
    )


def _named_rows(rows: Any) -> str:
    first = ", ".join(str(int(r) + 1) for r in list(rows)[:5])
    return f"row {first}" if len(rows) == 1 else f"rows {first}{', …' if len(rows) > 5 else ''}"


def _check_schema(data: Any, definition: Definition, purpose: str) -> list[Finding]:
    frame: Any = data.frame if isinstance(data, Table) else data
    named: Any = frame.columns if hasattr(frame, "columns") else dict.fromkeys(k for row in frame for k in row)
    headers = [str(n) for n in named]
    try:
        if purpose == "scoring":
            refuse_output_columns(headers)
        found, _ = match_headers(headers, definition)
    except BadInput as error:
        return [Finding("error", "schema", "", 0, (), str(error), "Rename or remove the column.")]
    return [
        Finding("error", "schema", name, 0, (), f"Column {name!r} is absent.", "Add the column, or rename the one that holds it.")
        for name in absent_columns(found, definition, purpose)
    ]


def _check_cells(prepared: Prepared, definition: Definition, purpose: str) -> list[Finding]:
    """Unreadable numbers as ``prepare`` saw them; everything else is pandera's."""
    import pandera.errors

    level = "error" if purpose == "training" else "warning"
    findings = []
    for problem in prepared.problems:
        if problem.code == UNREADABLE:
            worst = problem.column in prepared.unreadable_columns
            text = f"{problem.column}: {len(problem):,} values are not numbers ({_named_rows(problem.rows)})"
            text += "; none in the column can be read." if worst else "."
            cure = "Write numbers, or leave the cells empty."
            findings.append(
                make_finding("error" if worst else level, "type", problem.column, len(problem), problem.rows, text, cure)
            )
    try:
        build_schema(definition).validate(prepared.features, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        for (name, code), part in cases.groupby(["column", "check"], sort=False):
            rows = np.unique(part["index"].to_numpy(dtype=np.int64))
            findings.append(_describe_cells(level, str(code), definition.column(str(name)), rows, prepared))
    order = [c.name for c in definition.features]
    return sorted(findings, key=lambda f: order.index(f.column))


def _describe_cells(level: str, code: str, column: Column, rows: np.ndarray, prepared: Prepared) -> Finding:
    problem = next((p for p in prepared.problems if p.column == column.name and p.code == code), None)
    example = f"{problem.texts[problem.which[0]]}" if problem else f"{column.name} does not fit ({code})"
    of_all = ", every row" if len(rows) == len(prepared) else ""
    text = f"{example}: {len(rows):,} of {len(prepared):,} rows{of_all} ({_named_rows(rows)})."
    cures = {
        OUT_OF_RANGE: "Correct the values, leave unknown ones empty, or change the range in the definition.",
        NOT_INTEGER: "Write whole numbers.",
        UNKNOWN: "Correct the spelling, or add the category to the definition.",
    }
    check = {OUT_OF_RANGE: "range", NOT_INTEGER: "integer", UNKNOWN: "allowed"}.get(code, "type")
    if code == NOT_INTEGER:  # unusual, but a model can use it as it is
        level = "warning"
    return make_finding(level, check, column.name, len(rows), rows, text, cures.get(code, "Correct the values."))


def _check_missing(prepared: Prepared, definition: Definition) -> list[Finding]:
    findings = []
    total = max(1, len(prepared))
    for problem in prepared.problems:
        if problem.code != MISSING:
            continue
        share = len(problem) / total
        limit = definition.column(problem.column).max_missing
        alert = share >= definition.data_rules.missing_alert
        level = "warning" if share > limit or alert else "info"
        text = f"{problem.column}: {len(problem):,} of {total:,} values are missing ({share:.1%}"
        text += f"; alert from {definition.data_rules.missing_alert:.0%})." if alert else f"; limit {limit:.0%})."
        cure = (
            "Find out why; missing values are filled with the column's typical value." if level == "warning" else "Nothing to do."
        )
        findings.append(make_finding(level, "missing", problem.column, len(problem), problem.rows, text, cure))
    return findings


def _check_constant(prepared: Prepared, purpose: str) -> list[Finding]:
    if len(prepared) < 2:
        return []
    findings = []
    for name in prepared.features:
        values = prepared.features[name].dropna()
        if values.nunique() > 1:
            continue
        what = "has no value in any row" if values.empty else f"has the same value in every row that has one ({values.iloc[0]})"
        level = "warning" if purpose == "training" or values.empty else "info"
        cure = "It tells a model nothing; check the source."
        findings.append(make_finding(level, "constant", str(name), len(values), (), f"{name} {what}.", cure))
    return findings


def _check_duplicates(prepared: Prepared) -> list[Finding]:
    frame = prepared.features.copy(deep=False)
    for i, extra in enumerate((prepared.target, prepared.group, prepared.key)):
        if extra is not None:
            frame[f"\0{i}"] = extra
    rows = np.flatnonzero(frame.duplicated().to_numpy())
    if not len(rows):
        return []
    text = f"{len(rows):,} rows repeat an earlier one exactly ({_named_rows(rows)})."
    return [make_finding("warning", "duplicates", "", len(rows), rows, text, "Remove them if they are the same case twice.")]


def _check_target(prepared: Prepared, definition: Definition) -> list[Finding]:
    rules, target = definition.data_rules, prepared.target
    findings = []
    if len(prepared) < rules.min_rows:
        text = f"{len(prepared):,} rows are too few; training needs at least {rules.min_rows:,}."
        findings.append(make_finding("error", "rows", "", len(prepared), (), text, "Add rows."))
    for problem in prepared.target_problems:
        check = "group" if problem.column == definition.group else "target"
        text = f"{problem.texts[0]}: {len(problem):,} rows ({_named_rows(problem.rows)})."
        findings.append(
            make_finding("error", check, problem.column, len(problem), problem.rows, text, "Fill them in, or remove these rows.")
        )
    if target is None or not definition.is_classifier:
        return findings
    known = [t for t in target.tolist() if t is not None]
    counts = {c: known.count(c) for c in definition.classes}
    present = {c: n for c, n in counts.items() if n}
    if len(present) < 2:
        text = f"{definition.target} has {'no class' if not present else 'one class only (' + next(iter(present)) + ')'}."
        return [
            *findings,
            make_finding("error", "classes", definition.target, len(present), (), text, "Add rows of another class."),
        ]
    for name, count in counts.items():
        if count == 0:
            text = f"Class {name} of {definition.target} has no row; a model cannot learn it."
            findings.append(make_finding("warning", "classes", definition.target, 0, (), text, "Add rows of this class."))
        elif count < FOLDS:
            text = f"Class {name} of {definition.target} has {count} rows; cross-validation needs at least {FOLDS}."
            rows = np.flatnonzero(target == name)
            findings.append(make_finding("error", "classes", definition.target, count, rows, text, "Add rows of this class."))
    smallest = min(present, key=lambda c: present[c])
    share = present[smallest] / len(known)
    if share < rules.min_minority_share:
        text = f"Class {smallest} has {share:.1%} of the rows; below {rules.min_minority_share:.0%} a model may ignore it."
        findings.append(
            make_finding("warning", "balance", definition.target, present[smallest], (), text, "Add rows of this class.")
        )
    return findings


def _check_leakage(prepared: Prepared, definition: Definition, seed: int) -> list[Finding]:
    measure = "balanced accuracy" if definition.is_classifier else "R2"
    cure = "Leave the column out if it is not known before the outcome, or raise the leakage limit with a reason."
    findings = []
    for name, score in find_leaks(prepared, definition, seed=seed):
        text = f"{name} alone decides {definition.target} ({measure} {score:.3f}); it may hold the answer."
        findings.append(make_finding("error", "leakage", name, 0, (), text, cure))
    return findings
