"""What the export looks for in an HR database, under which names it stands there, and what is lost where it is absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import BadInput
from storage import hr_source

LEVELS = ("LOW", "MEDIUM", "HIGH")
# the columns of the dataset that core.datasets.hr_export builds
COLUMNS = (
    "role_skill",
    "job_role_name",
    "skill_name",
    "skill_category",
    "job_department",
    "trend_score",
    "internal_usage",
    "training_requests",
    "scarcity_index",
    "hiring_difficulty",
    "avg_salary_k",
    "economic_indicator",
    "future_need_level",
    "label_provenance",
)
# tables whose rows have a day, and the column that holds it
DATED = {hr_source.TRAINING_REQUEST: "requested_on", hr_source.PLANNER_JUDGEMENT: "judged_on"}
LABELS = ("judgements", "recommendations")


@dataclass(frozen=True)
class Record:
    """One kind of record.

    Attributes
    ----------
    table : str
        Its name in a database that Django made, and the name under which `hr_export.build_dataset` is given its rows.
    columns, spare : tuple of str
        Columns that are read; without a spare one the record is read all the same.
    without : str
        What the dataset lacks without it.
    about_people : bool
        Its rows are counted and never shown.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    without: str
    needed: bool = False
    spare: tuple[str, ...] = ()
    about_people: bool = False


def _record(name: str, table: str, without: str, **more: Any) -> Record:
    return Record(name, table, hr_source.READ[table], without, **more)


RECORDS = {
    r.name: r
    for r in (
        _record("JobRole", hr_source.JOB_ROLE, "there is no row at all", needed=True),
        _record("Skill", hr_source.SKILL, "there is no row at all", needed=True),
        _record("MarketTrend", hr_source.MARKET_TREND, "trend_score is 0.5 in every row", spare=("id",)),
        _record("EconomicReport", hr_source.ECONOMIC_REPORT, "economic_indicator is missing in every row", spare=("id",)),
        _record(
            "Employee", hr_source.EMPLOYEE, "internal_usage, scarcity_index and hiring_difficulty are missing in every row", about_people=True
        ),
        _record(
            "EmployeeSkill", hr_source.EMPLOYEE_SKILL, "internal_usage, scarcity_index and hiring_difficulty are missing in every row",
            about_people=True,
        ),
        _record("TrainingRequest", hr_source.TRAINING_REQUEST, "training_requests is missing in every row", spare=("id",), about_people=True),
        _record(
            "PlannerJudgement", hr_source.PLANNER_JUDGEMENT, "no pair has a label: it can be scored, not trained on", spare=("id", "provenance")
        ),
        Record(
            "HRInvestmentRecommendation", hr_source.RECOMMENDATION, ("id", "job_role_id", "skill_id", "priority_level", "created_at"),
            "no pair has a label: it can be scored, not trained on", spare=("id", "created_at"),
        ),
    )
}  # fmt: skip


def wanted_records(labels: str) -> tuple[Record, ...]:
    """The records that are read; labels are taken from one place, never from both."""
    left_out = "HRInvestmentRecommendation" if labels == "judgements" else "PlannerJudgement"
    return tuple(r for r in RECORDS.values() if r.name != left_out)


def check_tables(value: Any) -> dict[str, dict[str, Any]]:
    """The part ``tables`` of a mapping: record -> {"table", "columns": {column of the record: column there}}; only what is renamed.

    Raises
    ------
    BadInput
        Naming the first record, column or name that cannot be used.
    """
    if not isinstance(value, Mapping):
        raise BadInput(f"tables is a list of records ({', '.join(RECORDS)}), each with its table and its columns.")
    kept: dict[str, dict[str, Any]] = {}
    for name, names in value.items():
        record = RECORDS.get(name)
        if record is None:
            raise BadInput(f"There is no record {str(name)[:40]!r}; the records are {', '.join(RECORDS)}.")
        if not isinstance(names, Mapping) or not set(names) <= {"table", "columns"}:
            raise BadInput(f"{name} is given as table (a name) and columns (column of the record: column of the table).")
        columns = names.get("columns") or {}
        unknown = sorted(set(columns) - set(record.columns)) if isinstance(columns, Mapping) else ["columns"]
        if unknown:
            raise BadInput(f"{name} has no column {unknown[0]!r}; its columns are {', '.join(record.columns)}.")
        table = check_text(names.get("table", record.table), f"the table of {name}")
        renamed = {c: check_text(v, f"column {c} of {name}") for c, v in columns.items() if v != c}
        if table != record.table or renamed:
            kept[name] = {"table": table, "columns": renamed}
    return kept


def check_text(value: Any, what: str) -> str:
    """A name of a table or a column as it may stand in a mapping."""
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        raise BadInput(f"The name of {what} is a text of 1 to 200 letters; {str(value)[:40]!r} is not.")
    return value.strip()


def names_of(record: Record, tables: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, str]]:
    """(table, column of the record -> column of the table) under a mapping."""
    own = tables.get(record.name, {})
    renamed = own.get("columns", {})
    return str(own.get("table", record.table)), {c: str(renamed.get(c, c)) for c in record.columns}


def to_source(rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Record -> rows as `hr_export.build_dataset` takes them: table -> rows, recommendations written by people as judgements.

    Raises
    ------
    BadInput
        A recommendation has another priority than LOW, MEDIUM or HIGH.
    """
    source = {RECORDS[name].table: found for name, found in rows.items() if name != "HRInvestmentRecommendation"}
    written = rows.get("HRInvestmentRecommendation")
    if written is not None:
        wrong = next((r for r in written if r["priority_level"] not in LEVELS), None)
        if wrong is not None:
            raise BadInput(f"Recommendation {wrong['id']} has the priority {str(wrong['priority_level'])[:40]!r}; it is one of {', '.join(LEVELS)}.")
        source[hr_source.PLANNER_JUDGEMENT] = [
            {"id": r["id"], "job_role_id": r["job_role_id"], "skill_id": r["skill_id"], "level": r["priority_level"],
             "judged_on": r["created_at"] or "0001-01-01", "provenance": "person (recommendation)"}
            for r in written
        ]  # fmt: skip
    return source
