"""Expectation suites as values: read from JSON, made from a definition, and their results in words.

Nothing here needs Great Expectations: see core.adapters.expectations for what runs a suite.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.datasets.findings import LEVELS, Finding, make_finding
from core.errors import BadInput
from core.projects.definition import Definition

SUITE_LIMIT = 1024 * 1024
MOST_EXPECTATIONS = 500
DEEPEST = 30
SEVERITIES = {"critical": "error", "warning": "warning", "info": "info"}

_BETWEEN = ("min_value", "max_value", "strict_min", "strict_max")
_PAIR = ("column_A", "column_B")
# type -> (what it is about, its other arguments, what it expects). Only what a table in memory can be held to: SQL,
# other tables, JSON schemas (they may fetch addresses) and row conditions (they run as code) are not among them.
KNOWN: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "expect_column_to_exist": (("column",), ("column_index",), "the column to be there"),
    "expect_column_values_to_be_between": (("column",), (*_BETWEEN, "mostly"), "values {span}"),
    "expect_column_values_to_be_in_set": (("column",), ("value_set", "mostly"), "values among {value_set}"),
    "expect_column_values_to_not_be_in_set": (("column",), ("value_set", "mostly"), "values other than {value_set}"),
    "expect_column_values_to_not_be_null": (("column",), ("mostly",), "no missing value"),
    "expect_column_values_to_be_null": (("column",), ("mostly",), "no value"),
    "expect_column_values_to_be_unique": (("column",), ("mostly",), "no value twice"),
    "expect_column_values_to_be_of_type": (("column",), ("type_", "mostly"), "values of type {type_}"),
    "expect_column_values_to_be_in_type_list": (("column",), ("type_list", "mostly"), "values of a type among {type_list}"),
    "expect_column_values_to_match_regex": (("column",), ("regex", "mostly"), "values that match {regex}"),
    "expect_column_values_to_not_match_regex": (("column",), ("regex", "mostly"), "no value that matches {regex}"),
    "expect_column_values_to_match_regex_list": (("column",), ("regex_list", "match_on", "mostly"), "values that match {regex_list}"),
    "expect_column_values_to_not_match_regex_list": (("column",), ("regex_list", "mostly"), "no value that matches one of {regex_list}"),
    "expect_column_values_to_match_strftime_format": (("column",), ("strftime_format", "mostly"), "moments like {strftime_format}"),
    "expect_column_values_to_be_dateutil_parseable": (("column",), ("mostly",), "values that can be read as a date"),
    "expect_column_values_to_be_json_parseable": (("column",), ("mostly",), "values that can be read as JSON"),
    "expect_column_values_to_be_increasing": (("column",), ("strictly", "mostly"), "values that increase"),
    "expect_column_values_to_be_decreasing": (("column",), ("strictly", "mostly"), "values that decrease"),
    "expect_column_values_to_not_be_outliers": (("column",), ("method", "multiplier", "mostly"), "no outlier"),
    "expect_column_value_lengths_to_be_between": (("column",), (*_BETWEEN, "mostly"), "a length {span}"),
    "expect_column_value_lengths_to_equal": (("column",), ("value", "mostly"), "a length of {value}"),
    "expect_column_value_z_scores_to_be_less_than": (("column",), ("threshold", "double_sided", "mostly"), "z scores below {threshold}"),
    "expect_column_distinct_values_to_be_in_set": (("column",), ("value_set",), "no other values than {value_set}"),
    "expect_column_distinct_values_to_contain_set": (("column",), ("value_set",), "each of {value_set}"),
    "expect_column_distinct_values_to_equal_set": (("column",), ("value_set",), "exactly the values {value_set}"),
    "expect_column_most_common_value_to_be_in_set": (
        ("column",), ("value_set", "ties_okay"), "the most common value among {value_set}",
    ),
    "expect_column_min_to_be_between": (("column",), _BETWEEN, "a smallest value {span}"),
    "expect_column_max_to_be_between": (("column",), _BETWEEN, "a largest value {span}"),
    "expect_column_mean_to_be_between": (("column",), _BETWEEN, "a mean {span}"),
    "expect_column_median_to_be_between": (("column",), _BETWEEN, "a median {span}"),
    "expect_column_stdev_to_be_between": (("column",), _BETWEEN, "a standard deviation {span}"),
    "expect_column_sum_to_be_between": (("column",), _BETWEEN, "a sum {span}"),
    "expect_column_unique_value_count_to_be_between": (("column",), _BETWEEN, "a number of different values {span}"),
    "expect_column_proportion_of_unique_values_to_be_between": (("column",), _BETWEEN, "a share of different values {span}"),
    "expect_column_proportion_of_non_null_values_to_be_between": (("column",), _BETWEEN, "a share of values that are there {span}"),
    "expect_column_quantile_values_to_be_between": (("column",), ("quantile_ranges", "allow_relative_error"), "quantiles in their ranges"),
    "expect_column_kl_divergence_to_be_less_than": (
        ("column",),
        ("partition_object", "threshold", "internal_weight_holdout", "tail_weight_holdout", "bucketize_data", "min_value", "max_value"),
        "a divergence below {threshold}",
    ),
    "expect_column_pair_values_to_be_equal": (_PAIR, ("ignore_row_if", "mostly"), "the same value in both"),
    "expect_column_pair_values_a_to_be_greater_than_b": (_PAIR, ("or_equal", "ignore_row_if", "mostly"), "the first above the second"),
    "expect_column_pair_values_to_be_in_set": (_PAIR, ("value_pairs_set", "ignore_row_if", "mostly"), "known pairs of values"),
    "expect_compound_columns_to_be_unique": (("column_list",), ("ignore_row_if", "mostly"), "no combination of values twice"),
    "expect_multicolumn_sum_to_equal": (("column_list",), ("sum_total", "ignore_row_if", "mostly"), "values that add up to {sum_total}"),
    "expect_multicolumn_values_to_be_equal": (("column_list",), ("ignore_row_if", "mostly"), "the same value in all"),
    "expect_select_column_values_to_be_unique_within_record": (
        ("column_list",), ("ignore_row_if", "mostly"), "different values in each row",
    ),
    "expect_table_row_count_to_be_between": ((), _BETWEEN, "a number of rows {span}"),
    "expect_table_row_count_to_equal": ((), ("value",), "{value} rows"),
    "expect_table_column_count_to_be_between": ((), ("min_value", "max_value"), "a number of columns {span}"),
    "expect_table_column_count_to_equal": ((), ("value",), "{value} columns"),
    "expect_table_columns_to_match_ordered_list": ((), ("column_list",), "the columns {column_list} in this order"),
    "expect_table_columns_to_match_set": ((), ("column_set", "exact_match"), "the columns {column_set}"),
}  # fmt: skip
_OF_A_SUITE = {"name", "expectations", "meta", "id", "notes", "suite_parameters"}
_OF_AN_EXPECTATION = {"type", "kwargs", "meta", "id", "notes", "description", "severity", "rendered_content"}
_OF_EVERY_CALL = {"result_format", "catch_exceptions", "include_config", "batch_id"}  # how it is run is ours to say


@dataclass(frozen=True)
class Result:
    """What became of one expectation.

    Attributes
    ----------
    count, total : int or None
        Rows that are otherwise, of how many; None where it is not about single rows.
    rows : tuple of int
        The first of them, 0-based.
    observed : str
        What was measured instead; "" if nothing.
    error : str
        Why it could not be checked; "" if it could.
    """

    met: bool
    count: int | None = None
    total: int | None = None
    rows: tuple[int, ...] = ()
    observed: str = ""
    error: str = ""


def read_suite(content: bytes, definition: Definition, columns: Collection[str] = ()) -> dict[str, Any]:
    """A suite from a JSON file as Great Expectations 1.x writes it; see :func:`check_suite`."""
    if len(content) > SUITE_LIMIT:
        raise BadInput(f"The suite has {len(content):,} bytes; at most {SUITE_LIMIT:,} are read. Split it or leave notes out.")
    try:
        value = json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise BadInput("The suite is not UTF-8 text; save it as JSON in UTF-8.") from None
    except RecursionError:
        raise BadInput("The suite is nested too deeply to be read; save it with Great Expectations anew.") from None
    except ValueError as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"The suite is not JSON{where}; save it with Great Expectations anew.") from None
    return check_suite(value, definition, columns)


def check_suite(value: Any, definition: Definition, columns: Collection[str] = ()) -> dict[str, Any]:
    """Return the suite as it is kept: ``name``, ``expectations`` (type, kwargs, severity), ``meta``.

    Parameters
    ----------
    columns : further column names that the project's tables have

    Raises
    ------
    BadInput
        It is malformed, too long, names a column that the project does not have, or asks for more than the
        expectations of Great Expectations itself: nothing in a suite is ever run as code.
    """
    if isinstance(value, dict) and "expectation_suite_name" in value:
        raise BadInput("The suite is of Great Expectations before 1.0; open it with version 1 and save it anew.")
    _check_plain(value)
    if not isinstance(value, dict) or not isinstance(value.get("expectations"), list):
        raise BadInput('This is no expectation suite: an object with "name" and a list "expectations" is needed.')
    strange = sorted(set(value) - _OF_A_SUITE)
    if strange:
        raise BadInput(f"The suite has an unknown field {_show(strange[0])}; remove it.")
    name = value.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 100 or not name.isprintable():
        raise BadInput("The suite needs a name of 1 to 100 characters.")
    if value.get("suite_parameters"):
        raise BadInput("The suite has parameters; write the values themselves into the expectations.")
    found = value["expectations"]
    if not found:
        raise BadInput(f"Suite {_show(name)} has no expectation; add one, or take the suite away.")
    if len(found) > MOST_EXPECTATIONS:
        raise BadInput(f"Suite {_show(name)} has {len(found):,} expectations; at most {MOST_EXPECTATIONS} are checked. Leave some out.")
    known = {**{c: c for c in columns}, **_known_columns(definition)}
    meta = value.get("meta")
    return {
        "name": name.strip(), "expectations": [_check_one(e, i, known) for i, e in enumerate(found, 1)],
        "meta": meta if isinstance(meta, dict) else {},
    }  # fmt: skip


def name_columns(expectation: Mapping[str, Any]) -> list[str]:
    """The columns that an expectation is about, in its order; none where it is about the whole table."""
    about = KNOWN[expectation["type"]][0]
    named: list[str] = []
    for key in about:
        value = expectation["kwargs"][key]
        named += [value] if isinstance(value, str) else value
    return named


def hash_suite(suite: Mapping[str, Any], definition_sha: str) -> str:
    """Names what a suite is checked as: its expectations, and the definition that says how columns are read."""
    text = json.dumps([suite["name"], suite["expectations"], definition_sha], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def export_suite(definition: Definition) -> dict[str, Any]:
    """The definition's own rules as a suite: columns, ranges, categories, missing values, rows, balance.

    What has no expectation stays out: whole numbers, constant and leaking columns, repeated rows.
    """
    rules, made = definition.data_rules, []

    def expect(kind: str, severity: str, **kwargs: Any) -> None:
        made.append({"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity, "meta": {}})

    for column in definition.features:
        expect("column_to_exist", "critical", column=column.name)
    for column in definition.features:
        span = {k: v for k, v in (("min_value", column.low), ("max_value", column.high)) if v is not None}
        if column.kind == "number" and span:
            expect("column_values_to_be_between", "critical", column=column.name, **span)
        if column.kind == "category" and column.allowed:
            expect("column_values_to_be_in_set", "critical", column=column.name, value_set=list(column.allowed))
        share = min(column.max_missing, rules.missing_alert)
        if share < 1:
            expect("column_values_to_not_be_null", "warning", column=column.name, **_mostly(1 - share))
    for name in (definition.target, definition.group):
        if name:
            expect("column_values_to_not_be_null", "critical", column=name)
    expect("table_row_count_to_be_between", "critical", min_value=rules.min_rows)
    if definition.is_classifier and rules.min_minority_share > 0:
        for kind, kwargs in _classes(definition):
            expect(kind, "warning", column=definition.target, **kwargs, **_mostly(rules.min_minority_share))
    return {"name": definition.name, "expectations": made, "meta": {"made_from": f"the definition of {definition.name}"}}


def describe(expectation: Mapping[str, Any]) -> str:
    """What an expectation expects, as the object of a sentence."""
    kwargs = expectation["kwargs"]
    words = KNOWN[expectation["type"]][2]
    shown = {k: _show(v) for k, v in kwargs.items()}
    named = {field: shown.get(field, "nothing") for field in re.findall(r"{(\w+)}", words)}
    text = words.format(**{**named, "span": _span(kwargs)})
    mostly = kwargs.get("mostly")
    return f"{text} in at least {100 * mostly:.4g}% of the rows" if isinstance(mostly, int | float) and mostly < 1 else text


def tell(suite: Mapping[str, Any], results: Sequence[Result], *, purpose: str) -> list[Finding]:
    """What a suite found, for the report: one finding for each expectation that is not met, and one that counts the others.

    Parameters
    ----------
    purpose : "training" or "scoring"
        In scoring an error is a warning.
    """
    source = f"suite {suite['name']}"
    findings = []
    for expectation, result in zip(suite["expectations"], results, strict=True):
        if result.met:
            continue
        level = SEVERITIES[expectation["severity"]]
        columns = name_columns(expectation)
        where = f"{', '.join(columns)}: suite" if columns else "Suite"
        text = f"{where} {suite['name']} expects {describe(expectation)}; {_tell_result(result)}."
        cure = "Correct the expectation in the suite." if result.error else "Correct the table, or the suite."
        column = columns[0] if len(columns) == 1 else ""
        made = make_finding(level, "suite", column, result.count or 0, result.rows, text, cure, source)
        findings.append(made)
    met = sum(r.met for r in results)
    text = f"Suite {suite['name']}: {met} of {len(results)} expectations are met."
    findings.append(make_finding("info", "suite", "", met, (), text, "Nothing to do.", source))
    return soften(findings) if purpose == "scoring" else sorted(findings, key=lambda f: LEVELS.index(f.level))


def soften(findings: Sequence[Finding]) -> list[Finding]:
    """Errors as warnings: rows that are scored are answered all the same."""
    return [replace(f, level="warning") if f.level == "error" else f for f in findings]


def _check_one(value: Any, number: int, columns: Mapping[str, str]) -> dict[str, Any]:
    where = f"Expectation {number} of the suite"
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not isinstance(value.get("kwargs"), dict):
        raise BadInput(f'{where} is malformed: "type" and "kwargs" are needed.')
    strange = sorted(set(value) - _OF_AN_EXPECTATION)
    if strange:
        raise BadInput(f"{where} has the field {_show(strange[0])}, which is not read: no code and no conditions of its own; remove it.")
    if kind not in KNOWN:
        raise BadInput(
            f"{where} is of type {_show(kind)}, which is not checked here: only expectations of Great Expectations itself about one "
            "table are, not custom ones, SQL or other tables; remove it."
        )
    about, others, _ = KNOWN[kind]
    where = f"{where} ({kind})"
    kwargs = {k: v for k, v in value["kwargs"].items() if k not in _OF_EVERY_CALL and v is not None}
    strange = sorted(set(kwargs) - {*about, *others})
    if strange:
        why = "conditions run as code" if strange[0] in ("row_condition", "condition_parser") else "it is not an argument of it"
        raise BadInput(f"{where} has the argument {_show(strange[0])}, which is refused: {why}; remove it.")
    if any(isinstance(v, dict) and "$PARAMETER" in v for v in kwargs.values()):
        raise BadInput(f"{where} takes a value from a parameter; write the value itself.")
    for key in about:
        named = kwargs.get(key)
        names: list[Any] = named if key == "column_list" and isinstance(named, list) and named else [named]
        if not all(isinstance(n, str) and n for n in names):
            raise BadInput(f"{where} needs {key}, the name of a column{' or several' if key == 'column_list' else ''}.")
        absent = [n for n in names if n not in columns]
        if absent:
            raise BadInput(f"{where} names the column {_show(absent[0])}, which the project's tables do not have; correct or remove it.")
        kwargs[key] = [columns[n] for n in names] if key == "column_list" else columns[names[0]]
    mostly = kwargs.get("mostly", 1)
    if isinstance(mostly, bool) or not isinstance(mostly, int | float) or not 0 <= mostly <= 1:
        raise BadInput(f"{where} has mostly = {_show(mostly)}; it is a share from 0 to 1.")
    severity = value.get("severity") or "critical"
    if not isinstance(severity, str) or severity not in SEVERITIES:
        raise BadInput(f"{where} has the severity {_show(severity)}; it is one of {', '.join(SEVERITIES)}.")
    return {"type": kind, "kwargs": kwargs, "severity": severity}


def _known_columns(definition: Definition) -> dict[str, str]:
    """What a column may be called -> its name in the definition, under which it is checked."""
    names = {alias: c.name for c in definition.columns for alias in c.aliases}
    return names | {n: n for n in (*(c.name for c in definition.columns), definition.target, definition.group, definition.key) if n}


def _mostly(share: float) -> dict[str, float]:
    return {} if share >= 1 else {"mostly": round(share, 6)}


def _classes(definition: Definition) -> list[tuple[str, dict[str, Any]]]:
    """For each class the expectation whose values are its rows."""
    from core.datasets.prepare import find_comparison

    if definition.task == "multiclass":
        return [("column_values_to_be_in_set", {"value_set": [c]}) for c in definition.classes]
    among, other = "column_values_to_be_in_set", "column_values_to_not_be_in_set"
    comparison = find_comparison(definition.positive)
    if comparison is None:
        return [(kind, {"value_set": [definition.positive]}) for kind in (among, other)]
    sign, limit = comparison
    if sign in ("==", "!="):
        return [(kind, {"value_set": [limit]}) for kind in (among, other)]
    above = {"min_value": limit, **({"strict_min": True} if sign in (">", "<=") else {})}
    below = {"max_value": limit, **({"strict_max": True} if sign in ("<", ">=") else {})}
    return [("column_values_to_be_between", kwargs) for kwargs in (above, below)]


def _span(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    above = "above" if kwargs.get("strict_min") else "from"
    below = "below" if kwargs.get("strict_max") else "to"
    if low is not None and high is not None:
        return f"{above} {_show(low)} {'and ' if below == 'below' else ''}{below} {_show(high)}"
    if low is not None:
        return f"above {_show(low)}" if above == "above" else f"of at least {_show(low)}"
    return f"below {_show(high)}" if below == "below" else f"of at most {_show(high)}"


def _show(value: Any) -> str:
    """A value for a sentence: short, nothing invisible."""
    if isinstance(value, list):
        return ", ".join(_show(v) for v in value[:6]) + (f" and {len(value) - 6} more" if len(value) > 6 else "")
    if isinstance(value, float):
        return f"{value:.10g}"
    text = "".join(c if c.isprintable() else "·" for c in str(value)[:60])
    return f"'{text}'" if isinstance(value, str) else text


def _tell_result(result: Result) -> str:
    if result.error:
        return f"it could not be checked: {result.error}"
    if result.count is not None:
        first = ", ".join(str(r + 1) for r in result.rows[:5])
        more = ", …" if result.count > 5 else ""
        word, verb = ("row", "is") if result.count == 1 else ("rows", "are")
        return f"{result.count:,} of {result.total or 0:,} rows {verb} otherwise" + (f" ({word} {first}{more})" if first else "")
    return f"it is {result.observed}" if result.observed else "it is not so"


def _check_plain(value: Any, depth: int = 0) -> None:
    """What JSON lets through and neither a database nor a sentence can hold: half characters, endless numbers, very deep lists."""
    if depth > DEEPEST:
        raise BadInput("The suite is nested too deeply to be read; save it with Great Expectations anew.")
    if isinstance(value, dict | list):
        for part in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            _check_plain(part, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadInput("The suite holds a number without an end, such as 1e999; write a smaller one, or leave the limit out.")
    elif isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise BadInput("The suite holds half a character (a lone surrogate); write the text anew.")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
