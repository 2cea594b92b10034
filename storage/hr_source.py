"""The tables of an HR database, read without writing to it, and written where a sample is made.

The names are those that an HR system built with Django gives them. Names, e-mail addresses and positions
of employees are never read: the export counts people, it does not know them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import BadInput

JOB_ROLE = "future_skills_jobrole"
SKILL = "future_skills_skill"
MARKET_TREND = "future_skills_markettrend"
ECONOMIC_REPORT = "future_skills_economicreport"
RECOMMENDATION = "future_skills_hrinvestmentrecommendation"
EMPLOYEE = "future_skills_employee"
EMPLOYEE_SKILL = "future_skills_employee_current_skills"
TRAINING_REQUEST = "future_skills_trainingrequest"
PLANNER_JUDGEMENT = "future_skills_plannerjudgement"

# What the export needs. RECOMMENDATION is not among them: it was made from an earlier model's predictions.
READ = {
    JOB_ROLE: ("id", "name", "department"),
    SKILL: ("id", "name", "category"),
    MARKET_TREND: ("id", "year", "sector", "trend_score"),
    ECONOMIC_REPORT: ("id", "year", "indicator", "value", "sector"),
    EMPLOYEE: ("id", "job_role_id"),
    EMPLOYEE_SKILL: ("employee_id", "skill_id"),
    TRAINING_REQUEST: ("id", "skill_id", "requested_on"),
    PLANNER_JUDGEMENT: ("id", "job_role_id", "skill_id", "level", "judged_on", "provenance"),
}
# A database without these is still exported; what would come from them is missing, not guessed.
OPTIONAL = (EMPLOYEE_SKILL, TRAINING_REQUEST, PLANNER_JUDGEMENT)


def select(table: str) -> str:
    """The statement that reads one table, in the order of its rows' first column."""
    columns = READ[table]
    return f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(columns[:2])}"  # noqa: S608 - names of this file


def read_source(path: str | Path) -> dict[str, list[dict[str, Any]]]:
    """Read the tables of an HR database in SQLite, opened read-only and in one transaction.

    Returns
    -------
    dict
        Table name -> rows; an absent optional table has no entry.

    Raises
    ------
    BadInput
        If the file is not a SQLite database, or a table or a column is absent.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise BadInput(f"The HR database {path.name} does not exist; check the path.")
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")  # all tables as of one moment
        tables: dict[str, list[dict[str, Any]]] = {}
        for table, wanted in READ.items():
            present = {row["name"] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
            if not present:
                if table in OPTIONAL:
                    continue
                raise BadInput(f"The HR database {path.name} has no table {table}; connect the database of the HR system.")
            absent = [column for column in wanted if column not in present]
            if absent:
                raise BadInput(f"Table {table} of {path.name} has no column {absent[0]!r}; add the column to the table.")
            tables[table] = [dict(row) for row in connection.execute(select(table))]
        return tables
    except sqlite3.DatabaseError as error:
        raise BadInput(f"{path.name} cannot be read as a SQLite database ({error}); choose the HR system's file.") from error
    finally:
        connection.close()


def write_source(path: str | Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Path:
    """Write tables into a new SQLite file; column types follow the first row's values.

    Raises
    ------
    BadInput
        If the file exists: a source database is never overwritten.
    """
    path = Path(path)
    if path.exists():
        raise BadInput(f"{path.name} exists already; choose another file name or remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    types = {int: "INTEGER", float: "REAL", str: "TEXT"}
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for table, rows in tables.items():
            columns = list(rows[0])
            declared = ", ".join(f'"{c}" {types[type(rows[0][c])]}' + (" PRIMARY KEY" if c == "id" else "") for c in columns)
            connection.execute(f'CREATE TABLE "{table}" ({declared})')
            connection.executemany(
                f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(columns))})',  # noqa: S608 - values are bound
                [tuple(row[c] for c in columns) for row in rows],
            )
        connection.execute("COMMIT")
    finally:
        connection.close()
    return path
