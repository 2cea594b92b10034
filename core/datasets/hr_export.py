"""From the tables of an HR database to the future-skills dataset: one row per job role x skill.

Formulas (every number keeps to one unit; where the source says nothing, the value is missing, not invented):

=================== ==============================================================================================
trend_score         latest market trend of the skill by name, else of the department's sector, else of the skill's
                    category, else 0.5; several in that year: their mean. 0..1
internal_usage      share of the role's employees who have the skill, 0..1; missing for a role without employees
training_requests   requests for the skill in the 365 days up to the export's date, 0..100 (more counts as 100)
scarcity_index      (1 - internal_usage + 0.15 technical + 0.10 IT, Tech or Data) / 1.25, 0..1
hiring_difficulty   (scarcity_index + 0.20 technical + 0.15 senior) / 1.35, 0..1
avg_salary_k        base of the department x 1.5 senior x 1.2 technical, thousands a year
economic_indicator  latest economic reports of the sector, each scaled between the least and greatest value of its
                    own indicator, then averaged, 0..1: percent are never added to millions
=================== ==============================================================================================

Earlier formulas added the bonuses and cut at 1, which left a quarter of the rows at exactly 1; dividing by the
greatest possible sum keeps their order. Earlier usage was a constant per role (0.4, managers 0.6); it is counted here.
The table of investment recommendations is never read: an earlier model's predictions made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.datasets.hr_mapping import COLUMNS, LEVELS
from core.errors import BadInput
from storage import hr_source as tables

Source = Mapping[str, Sequence[Mapping[str, Any]]]

TECHNICAL = "technique"
SENIOR = (
    "senior",
    "lead",
    "head",
    "manager",
    "director",
    "chief",
    "principal",
    "architect",
    "responsable",
    "directeur",
    "directrice",
)
_TEXTS = frozenset({"name", "department", "category", "sector", "indicator"})
SCARCE_DEPARTMENTS = ("it", "tech", "data")
BASE_SALARY_K = {"rh": 40.0, "marketing": 43.0, "finance": 47.0, "it": 48.0, "tech": 50.0, "data": 55.0}
OTHER_SALARY_K = 45.0
TREND_UNKNOWN = 0.5
REQUEST_DAYS = 365
REQUEST_LIMIT = 100
MOST_PAIRS = 1_000_000  # job roles x skills; they are built in memory


def export_dataset(database: str | Path, *, as_of: date) -> pd.DataFrame:
    """Read an HR database and build its dataset; see `build_dataset`."""
    return build_dataset(tables.read_source(database), as_of=as_of)


def build_dataset(source: Source, *, as_of: date) -> pd.DataFrame:
    """Build one row per job role x skill.

    Parameters
    ----------
    source : mapping
        Table name -> rows, as `storage.hr_source.read_source` returns them.
    as_of : date
        Nothing later is used: trends and reports of later years, later requests and judgements are left out.

    Returns
    -------
    DataFrame
        The columns of `COLUMNS`, ordered by role id and skill id. ``future_need_level`` is None where no
        planner has judged the pair.

    Raises
    ------
    BadInput
        If there is no job role or no skill, there are too many, or a value is none that its column can have.
    """
    roles, skills = _frame(source, tables.JOB_ROLE), _frame(source, tables.SKILL)
    for frame, noun in ((roles, "job role"), (skills, "skill")):
        if frame.empty:
            raise BadInput(f"The HR database has no {noun}; enter at least one before exporting.")
        nameless = frame[frame["name"].isna()]
        if not nameless.empty:
            raise BadInput(f"The {noun} with id {nameless.iloc[0]['id']} has no name in the HR database; give it one there.")
    if len(roles) * len(skills) > MOST_PAIRS:
        raise BadInput(
            f"The HR database has {len(roles):,} job roles and {len(skills):,} skills, which make more than {MOST_PAIRS:,} pairs; "
            "join views that hold fewer."
        )
    pairs = _named(roles).merge(_named(skills), how="cross", suffixes=("_role", "_skill"))
    pairs = pairs.rename(columns={"id_role": "job_role_id", "id_skill": "skill_id"})
    department = pairs["department"].map(_plain)
    technical = pairs["category"].map(_plain).eq(TECHNICAL).astype(float)
    senior = pairs["name_role"].map(is_senior).astype(float)

    usage = _usage(source, pairs)
    scarcity = scarcity_index(usage, technical, department.isin(SCARCE_DEPARTMENTS).astype(float))
    labels = _latest_judgements(source, pairs, as_of)
    built = pd.DataFrame(
        {
            "role_skill": pairs["label_role"] + " | " + pairs["label_skill"],
            "job_role_name": pairs["name_role"],
            "skill_name": pairs["name_skill"],
            "skill_category": pairs["category"],
            "job_department": pairs["department"],
            "trend_score": _trend(source, pairs, department, as_of),
            "internal_usage": usage,
            "training_requests": _requests(source, pairs, as_of),
            "scarcity_index": scarcity,
            "hiring_difficulty": hiring_difficulty(scarcity, technical, senior),
            "avg_salary_k": average_salary_k(department, senior, technical),
            "economic_indicator": department.map(_economy(source, as_of)),
            "future_need_level": labels["level"],
            "label_provenance": labels["provenance"],
        }
    )
    numbers = built.select_dtypes("number").columns
    built[numbers] = built[numbers].astype(float).round(4)
    return built[list(COLUMNS)]


def is_senior(role_name: str) -> bool:
    """Whether a job role's name says that it is a senior one."""
    return any(word in SENIOR for word in _plain(role_name).replace("-", " ").split())


def scarcity_index(usage: pd.Series, technical: pd.Series, scarce_department: pd.Series) -> pd.Series:
    """How scarce a skill is in a role, 0..1; missing where the usage is."""
    return (1 - usage + 0.15 * technical + 0.10 * scarce_department) / 1.25


def hiring_difficulty(scarcity: pd.Series, technical: pd.Series, senior: pd.Series) -> pd.Series:
    """How hard it is to hire for the pair, 0..1."""
    return (scarcity + 0.20 * technical + 0.15 * senior) / 1.35


def average_salary_k(department: pd.Series, senior: pd.Series, technical: pd.Series) -> pd.Series:
    """Salary in thousands a year; ``department`` in lower case."""
    return department.map(BASE_SALARY_K).fillna(OTHER_SALARY_K) * (1 + 0.5 * senior) * (1 + 0.2 * technical)


def rules_level(trend: pd.Series, usage: pd.Series, requests: pd.Series) -> pd.Series:
    """The earlier rules engine, kept as a baseline: HIGH from 0.70, MEDIUM from 0.40, else LOW."""
    score = 0.5 * trend + 0.3 * usage + 0.2 * (requests / 100).clip(upper=1)
    return pd.Series(np.select([score >= 0.70, score >= 0.40], ["HIGH", "MEDIUM"], "LOW"), index=trend.index)


def _plain(text: object) -> str:
    return str(text or "").strip().casefold()


def _frame(source: Source, table: str) -> pd.DataFrame:
    """A table's rows; SQLite keeps whatever it is given in any column, so names become texts and ids alike."""
    frame = pd.DataFrame(list(source.get(table, ())), columns=list(tables.READ[table]))
    for column in frame.columns:
        values = frame[column]
        raw = next((n for n, v in enumerate(values) if isinstance(v, bytes)), None) if values.dtype == object else None
        if raw is not None:
            raise BadInput(f"{table}, row {raw + 1}: {column} holds bytes, no text and no number; correct it there.")
        if column == "id" or column.endswith("_id"):
            if values.dtype.kind not in "iu":
                frame[column] = pd.Series([_read_id(v) for v in values], index=frame.index, dtype=object)
        elif column in _TEXTS and values.dtype.kind in "iufbO":
            frame[column] = pd.Series([v if v is None or v != v else str(v) for v in values], index=frame.index, dtype=object)
    return frame


def _read_id(value: Any) -> Any:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _numbered(frame: pd.DataFrame, table: str, *columns: str) -> pd.DataFrame:
    """The frame with these columns as floats; SQLite itself would keep a word in a number's place."""
    for column in columns:
        numbers = pd.to_numeric(frame[column], errors="coerce").replace([np.inf, -np.inf], np.nan)
        unreadable = frame[numbers.isna() & frame[column].notna()]
        if not unreadable.empty:
            row = unreadable.iloc[0]
            raise BadInput(f"{table}, id {row['id']}: {column} {str(row[column])[:40]!r} is not a number; correct it there.")
        frame = frame.assign(**{column: numbers.astype(float)})
    return frame


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Add a name that is unique: two roles of one name are told apart by their id."""
    repeated = frame["name"].duplicated(keep=False)
    return frame.assign(label=frame["name"].where(~repeated, frame["name"] + " #" + frame["id"].astype(str)))


def _trend(source: Source, pairs: pd.DataFrame, department: pd.Series, as_of: date) -> pd.Series:
    trends = _frame(source, tables.MARKET_TREND)
    trends = trends.assign(sector=trends["sector"].map(_plain))
    trends = _numbered(trends, tables.MARKET_TREND, "year", "trend_score")
    trends = trends[(trends["year"] <= as_of.year) & trends["trend_score"].notna()]  # a row without a score hides no earlier one
    trends = trends[trends["year"] == trends.groupby("sector")["year"].transform("max")]
    latest = trends.groupby("sector")["trend_score"].mean().to_dict()
    score = pairs["name_skill"].map(_plain).map(latest)
    score = score.fillna(department.map(latest)).fillna(pairs["category"].map(_plain).map(latest))
    return score.astype(float).fillna(TREND_UNKNOWN)


def _usage(source: Source, pairs: pd.DataFrame) -> pd.Series:
    if tables.EMPLOYEE_SKILL not in source or tables.EMPLOYEE not in source:
        return pd.Series(np.nan, index=pairs.index)
    employees = _frame(source, tables.EMPLOYEE)
    held = _frame(source, tables.EMPLOYEE_SKILL).drop_duplicates()
    if held["employee_id"].dtype != employees["id"].dtype:  # numbers in one table and texts in the other
        held, employees = held.astype(object), employees.astype(object)
    held = held.merge(employees, left_on="employee_id", right_on="id")
    people = pairs["job_role_id"].map(employees["job_role_id"].value_counts())
    counts = held.groupby(["job_role_id", "skill_id"]).size()
    holders = counts.reindex(pd.MultiIndex.from_frame(pairs[["job_role_id", "skill_id"]]), fill_value=0)
    return pd.Series(holders.to_numpy(dtype=float), index=pairs.index) / people


def _requests(source: Source, pairs: pd.DataFrame, as_of: date) -> pd.Series:
    if tables.TRAINING_REQUEST not in source:
        return pd.Series(np.nan, index=pairs.index)
    requests = _frame(source, tables.TRAINING_REQUEST)
    since = date.fromordinal(max(1, as_of.toordinal() - REQUEST_DAYS))
    day = requests["requested_on"].astype(str).str[:10]  # ISO dates sort as text
    recent = requests[(day > since.isoformat()) & (day <= as_of.isoformat())]
    return pairs["skill_id"].map(recent["skill_id"].value_counts()).fillna(0).clip(upper=REQUEST_LIMIT)


def _economy(source: Source, as_of: date) -> dict[str, float]:
    """Sector -> mean of its latest reports, each scaled within its own indicator over all sectors and years."""
    reports = _frame(source, tables.ECONOMIC_REPORT)
    reports = reports.assign(sector=reports["sector"].map(_plain))
    reports = _numbered(reports, tables.ECONOMIC_REPORT, "year", "value")
    reports = reports[(reports["year"] <= as_of.year) & reports["value"].notna()]
    of_indicator = reports.groupby("indicator")["value"]
    least, greatest = of_indicator.transform("min"), of_indicator.transform("max")
    reports = reports.assign(scaled=(reports["value"] - least) / (greatest - least).replace(0, np.nan))
    latest = reports[reports["year"] == reports.groupby(["sector", "indicator"])["year"].transform("max")]
    means = latest.groupby("sector")["scaled"].mean().dropna()
    return {str(sector): float(mean) for sector, mean in means.items()}


def _latest_judgements(source: Source, pairs: pd.DataFrame, as_of: date) -> pd.DataFrame:
    judged = _frame(source, tables.PLANNER_JUDGEMENT)
    wrong = judged[~judged["level"].isin(LEVELS)]
    if not wrong.empty:
        first = wrong.iloc[0]
        raise BadInput(f"Judgement {first['id']} says {str(first['level'])[:40]!r}; a level is one of {', '.join(LEVELS)}.")
    judged = judged.assign(judged_on=judged["judged_on"].astype(str))  # ISO moments sort as text, whatever a database gave
    judged = judged[judged["judged_on"].str[:10] <= as_of.isoformat()]
    latest = judged.sort_values(["judged_on", "id"]).drop_duplicates(["job_role_id", "skill_id"], keep="last")
    wanted = latest.set_index(["job_role_id", "skill_id"])[["level", "provenance"]].astype(object)
    found = wanted.reindex(pd.MultiIndex.from_frame(pairs[["job_role_id", "skill_id"]])).reset_index(drop=True)
    return found.where(found.notna(), None)
