"""A project is joined to a database: what is looked for, what is found, what is lost without, and the rows that come of it."""

import sqlite3
from contextlib import closing
from datetime import date

import pytest

from core import audit
from core.acts import Actor
from core.adapters import optional
from core.datasets import connect, hr_export, hr_mapping, source, versions
from core.errors import BadInput, NotFound, Refused
from core.projects.projects import get_definition
from core.projects.samples import HR_DATABASE
from core.retraining import export
from samples.future_skills.hr_source import AS_OF, make_source
from storage import hr_source
from tests.databases import PASSWORD, fill, run_postgres

SCIENTIST, DIRECTOR = Actor("scientist"), Actor("director")
SKILLS, HEART = "future_skills", "heart_disease"
LATER = date(2026, 11, 21)
with_library = pytest.mark.extra


@pytest.fixture
def named(monkeypatch):
    """Name databases in the environment: named(hr="sqlite:////...")."""

    def name(**urls: str) -> None:
        monkeypatch.setenv("GREENLIGHT_DATABASES", " ".join(f"{n}={url}" for n, url in urls.items()))

    return name


@pytest.fixture
def skills(demo_home, named):
    """The demo, its environment naming a copy of the sample's own HR database."""
    path = demo_home.root / "samples" / SKILLS / HR_DATABASE
    named(hr=f"sqlite:///{path}", other="sqlite:////nowhere.db")
    return demo_home


def database_of(home):
    return sqlite3.connect(home.root / "samples" / SKILLS / HR_DATABASE)


def run(home, *statements):
    with closing(database_of(home)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def check(home, value, project=SKILLS):
    return connect.check_mapping(value, get_definition(home, project))


# the mapping


def test_the_django_names_need_no_mapping_and_only_other_names_are_kept(skills):
    assert check(skills, {"connection": "hr"}) == {
        "connection": "hr", "shape": "hr", "provenance": "recorded", "write": None, "tables": {}, "labels": "judgements", "as_of": None,
    }  # fmt: skip
    same = {"JobRole": {"table": "future_skills_jobrole", "columns": {"name": "name"}}}
    other = {"Skill": {"table": "competence", "columns": {"name": "libelle", "id": "id"}}}
    kept = check(skills, {"connection": "hr", "tables": {**same, **other}, "as_of": date(2026, 6, 30)})
    assert (kept["tables"], kept["as_of"]) == ({"Skill": {"table": "competence", "columns": {"name": "libelle"}}}, "2026-06-30")


WRONG = (
    ({}, "names at least its connection"),
    ({"connection": "hr", "url": "x"}, "has no field 'url'"),
    ({"connection": "hr", "shape": "star"}, "shape is hr or table"),
    ({"connection": "hr", "tables": {"Person": {}}}, "There is no record 'Person'"),
    ({"connection": "hr", "tables": {"Skill": {"columns": {"salary": "x"}}}}, "Skill has no column 'salary'"),
    ({"connection": "hr", "tables": {"Skill": {"table": ""}}}, "name of the table of Skill is a text"),
    ({"connection": "hr", "tables": ["Skill"]}, "tables is a list of records"),
    ({"connection": "hr", "as_of": "yesterday"}, "as_of is a day"),
    ({"connection": "hr", "labels": "guesses"}, "Labels come from judgements or recommendations"),
    ({"connection": "hr", "provenance": "hearsay"}, "Provenance 'hearsay' is unknown"),
    ({"connection": "hr", "table": "t", "columns": {"nothing": "x"}}, "has no column 'nothing'"),
    ({"connection": "hr", "write": "greenlight"}, "write names a connection"),
    ({"connection": "hr", "write": {"connection": "hr", "table": "future_skills_employee"}}, "never written into future_skills_employee"),
    ({"connection": "hr", "table": "t", "write": {"connection": "hr", "table": "t"}}, "never written into t"),
)


@pytest.mark.parametrize(("value", "sentence"), WRONG, ids=[s for _, s in WRONG])
def test_a_mapping_that_cannot_be_used_is_refused_by_name(skills, value, sentence):
    with pytest.raises(BadInput, match=sentence):
        check(skills, value)


def test_a_database_that_the_environment_does_not_name_and_a_project_of_another_shape_are_refused(skills):
    with pytest.raises(NotFound, match="There is no database 'payroll'"):
        check(skills, {"connection": "payroll"})
    with pytest.raises(BadInput, match="has columns that an HR database does not give"):
        check(skills, {"connection": "hr"}, HEART)


@pytest.mark.skipif(optional.is_installed("sqlalchemy"), reason="SQLAlchemy is here")
def test_without_sqlalchemy_joining_is_refused_in_one_sentence_and_the_sample_needs_none(skills, tmp_path):
    with pytest.raises(Refused, match="SQLAlchemy is not installed"):
        connect.connect(skills, SCIENTIST, SKILLS, {"connection": "hr"})
    assert audit.search(skills, limit=1)[0][0]["outcome"] == "refused"
    made = source.export_fresh(skills, SCIENTIST, SKILLS, tmp_path / "out.csv", today=LATER)
    assert (len(made.frame), made.as_of, made.counts["jobrole"]) == (1477, "2026-06-30", 40)


def test_a_project_without_a_source_says_how_to_get_one(skills):
    with pytest.raises(NotFound, match="is joined to no database; join it on the Data page"):
        source.get_origin(skills, get_definition(skills, HEART))


# the HR shape


@with_library
def test_a_joined_hr_database_is_imported_with_its_provenance_and_the_same_rows_are_the_same_version(skills):
    connect.connect(skills, SCIENTIST, SKILLS, {"connection": "hr", "provenance": "synthetic"})
    made = source.import_fresh(skills, SCIENTIST, SKILLS, today=LATER)
    assert (made["version"], made["fresh"], made["ok"], made["rows"]) == (2, True, True, 1477)
    assert source.import_fresh(skills, SCIENTIST, SKILLS, today=LATER)["fresh"] is False
    assert made["source"].startswith("the HR database hr up to 2026-06-30; rows read: JobRole 40, Skill 40, MarketTrend")
    run(skills, "DELETE FROM future_skills_plannerjudgement WHERE id <= 10")
    made = source.import_fresh(skills, SCIENTIST, SKILLS, today=LATER)
    added = versions.get_version(skills, SKILLS, made["version"])
    assert (made["version"], made["rows"], added.label_provenance, added.source) == (3, 1467, "synthetic", made["source"])
    exported = next(e for e in audit.search(skills, limit=5)[0] if e["action"] == "export_dataset")
    assert (exported["subject"], exported["outcome"]) == ("source hr", "done")


@with_library
def test_the_fresh_export_of_a_retraining_reads_the_joined_database(skills, tmp_path):
    connect.connect(skills, SCIENTIST, SKILLS, {"connection": "hr", "provenance": "person", "as_of": "2026-06-15"})
    made = export.export(skills, SCIENTIST, get_definition(skills, SKILLS), rows="all", folder=tmp_path, today=LATER)
    assert (made.base, made.provenance) == (f"{made.rows:,} of the HR database hr up to 2026-06-15", "person")


@with_library
def test_tables_and_columns_under_other_names_give_the_same_rows(skills):
    expected = hr_export.export_dataset(skills.root / "samples" / SKILLS / HR_DATABASE, as_of=AS_OF)
    run(
        skills, "ALTER TABLE future_skills_skill RENAME TO competence", "ALTER TABLE competence RENAME COLUMN name TO libelle",
        "ALTER TABLE future_skills_employee RENAME COLUMN job_role_id TO poste",
    )  # fmt: skip
    with pytest.raises(Refused, match="Database hr has no table future_skills_skill for Skill; name its table in the mapping"):
        connect.connect(skills, SCIENTIST, SKILLS, {"connection": "hr"})
    tables = {"Skill": {"table": "competence", "columns": {"name": "libelle"}}, "Employee": {"columns": {"job_role_id": "poste"}}}
    connect.connect(skills, SCIENTIST, SKILLS, {"connection": "hr", "tables": tables})
    definition = get_definition(skills, SKILLS)
    fetched = source.fetch(definition, source.get_origin(skills, definition), today=LATER)
    assert fetched.frame.to_csv(index=False) == expected.to_csv(index=False)


@with_library
def test_what_is_absent_is_said_with_what_is_lost_and_the_rest_is_read(skills):
    run(skills, "DROP TABLE future_skills_employee", "ALTER TABLE future_skills_markettrend DROP COLUMN year")
    found = connect.preview(check(skills, {"connection": "hr"}), get_definition(skills, SKILLS))
    parts = {p.name: p for p in found.parts}
    assert found.problem == ""
    assert found.sentence == "40 job roles and 40 skills make 1,600 pairs. Not found: MarketTrend, Employee; the dataset is made without."
    assert parts["Employee"].sentence == (
        "Database hr has no table future_skills_employee for Employee; name its table in the mapping. "
        "Until then internal_usage, scarcity_index and hiring_difficulty are missing in every row."
    )
    assert (parts["MarketTrend"].rows, parts["MarketTrend"].absent) == (180, ("year",))
    connect.connect(skills, SCIENTIST, SKILLS, {"connection": "hr"})
    origin = source.get_origin(skills, get_definition(skills, SKILLS))
    frame = source.fetch(get_definition(skills, SKILLS), origin, today=LATER).frame
    assert (len(frame), frame["internal_usage"].notna().sum(), set(frame["trend_score"])) == (1600, 0, {0.5})


@with_library
def test_people_are_counted_and_never_shown(skills):
    found = connect.preview(check(skills, {"connection": "hr"}), get_definition(skills, SKILLS))
    shown = {p.name: len(p.sample) for p in found.parts}
    assert shown == {
        "JobRole": 5, "Skill": 5, "MarketTrend": 5, "EconomicReport": 5, "Employee": 0, "EmployeeSkill": 0, "TrainingRequest": 0,
        "PlannerJudgement": 5,
    }  # fmt: skip
    assert "example.org" not in repr(found)
    assert {"name", "email", "position"} & set(hr_mapping.RECORDS["Employee"].columns) == set()


@with_library
def test_recommendations_are_labels_only_where_somebody_says_that_people_wrote_them(skills):
    run(skills, "ALTER TABLE future_skills_hrinvestmentrecommendation ADD COLUMN created_at TEXT DEFAULT '2026-01-15'")
    with closing(database_of(skills)) as db:
        written = db.execute("SELECT count(DISTINCT job_role_id || ' ' || skill_id) FROM future_skills_hrinvestmentrecommendation").fetchone()[0]
    connect.connect(skills, SCIENTIST, SKILLS, {"connection": "hr", "labels": "recommendations", "provenance": "person"})
    definition = get_definition(skills, SKILLS)
    fetched = source.fetch(definition, source.get_origin(skills, definition), today=LATER)
    labelled = source.keep_labelled(fetched, definition)
    assert (len(labelled), set(labelled["label_provenance"])) == (written, {"person (recommendation)"})
    assert "PlannerJudgement" not in fetched.counts


# one table


@pytest.fixture
def heart(demo_home, named, tmp_path):
    """The demo, its environment naming a database with the Cleveland table under other names."""
    import pandas as pd

    frame = pd.read_csv(demo_home.root / "samples" / HEART / "heart_cleveland.csv")
    frame = frame.rename(columns={"age": "years", "num": "outcome"})
    with closing(sqlite3.connect(tmp_path / "clinic.db")) as db:
        frame.to_sql("patients", db, index=False)
        db.execute("CREATE VIEW grown_ups AS SELECT * FROM patients WHERE years >= 40")
        db.commit()
    named(clinic=f"sqlite:///{tmp_path}/clinic.db")
    return demo_home


@with_library
def test_one_table_or_view_is_the_dataset_of_any_project(heart):
    with pytest.raises(Refused, match="Table patients has no column for age; name what is called otherwise in the mapping"):
        connect.connect(heart, SCIENTIST, HEART, {"connection": "clinic", "table": "patients"})
    with pytest.raises(Refused, match="Database clinic has no table or view people; it has grown_ups, patients"):
        connect.connect(heart, SCIENTIST, HEART, {"connection": "clinic", "table": "people"})
    mapping = {"connection": "clinic", "table": "grown_ups", "columns": {"age": "years", "num": "outcome"}}
    connect.connect(heart, SCIENTIST, HEART, mapping)
    made = source.import_fresh(heart, SCIENTIST, HEART, today=LATER)
    added = versions.get_version(heart, HEART, made["version"])
    assert (made["fresh"], made["ok"], added.source) == (True, True, f"grown_ups of database clinic; rows read: grown_ups {made['rows']}")
    first = versions.preview(heart, added, rows=1)
    assert {"age", "num", "thalch"} <= set(first.columns)
    assert "years" not in first.columns
    assert source.import_fresh(heart, SCIENTIST, HEART, today=LATER)["fresh"] is False


@with_library
def test_cells_of_a_table_are_the_same_in_training_and_in_scoring(heart, tmp_path):
    """A "-" that a spreadsheet would take for a formula stays one, lists have a text, and bytes have none."""
    with closing(sqlite3.connect(tmp_path / "clinic.db")) as db:
        db.execute("CREATE TABLE signs AS SELECT * FROM grown_ups")
        db.execute("UPDATE signs SET slope = '-', thal = '=1+1' WHERE rowid <= 150")
        db.commit()
    mapping = {"connection": "clinic", "table": "signs", "columns": {"age": "years", "num": "outcome"}}
    connect.connect(heart, SCIENTIST, HEART, mapping)
    made = source.import_fresh(heart, SCIENTIST, HEART, today=LATER)
    kept = versions.data_path(heart, versions.get_version(heart, HEART, made["version"])).read_text().splitlines()
    definition = get_definition(heart, HEART)
    read = source.fetch(definition, source.get_origin(heart, definition), today=LATER).frame.to_csv(index=False).splitlines()
    assert kept == read
    assert sum(",-," in line and ",=1+1," in line for line in kept) == 150
    source.export_fresh(heart, SCIENTIST, HEART, tmp_path / "out.csv", today=LATER)  # for people, who may open it in a spreadsheet
    assert (tmp_path / "out.csv").read_text().count(",'=1+1,") == 150
    with closing(sqlite3.connect(tmp_path / "clinic.db")) as db:
        db.execute("UPDATE signs SET slope = x'00ff' WHERE rowid = 150")
        db.commit()
    with pytest.raises(BadInput, match=r"^Column slope of table signs holds bytes, no text and no number; leave it out by a view"):
        source.import_fresh(heart, SCIENTIST, HEART, today=LATER)
    assert connect._as_cells("t", ["a"], [({"é": [1]},), ("x",)]) == [('{"é": [1]}',), ("x",)]


@with_library
def test_a_table_without_the_target_can_be_joined_and_not_trained_on(heart, tmp_path):
    mapping = {"connection": "clinic", "table": "patients", "columns": {"age": "years"}}
    found = connect.preview(check(heart, mapping, HEART), get_definition(heart, HEART))
    assert (found.problem, found.sentence) == ("", "303 rows with all 13 features. It has no column num: it can be scored, not trained on.")
    connect.connect(heart, SCIENTIST, HEART, mapping)
    with pytest.raises(BadInput, match="No row has a value of num in patients of database clinic"):
        source.export_fresh(heart, SCIENTIST, HEART, tmp_path / "out.csv", today=LATER)


# formulas on what databases give


BARE = {
    hr_source.JOB_ROLE: [{"id": 1, "name": "Developer", "department": "IT"}, {"id": 2, "name": "HR manager", "department": "RH"}],
    hr_source.SKILL: [{"id": 7, "name": "Python", "category": "Technique"}],
}


def test_roles_and_skills_alone_make_rows_with_what_is_unknown_left_missing():
    made = hr_export.build_dataset(BARE, as_of=AS_OF)
    assert made["trend_score"].tolist() == [0.5, 0.5]
    assert made["avg_salary_k"].tolist() == [57.6, 72.0]  # 48 x 1.2 technical; 40 x 1.5 senior x 1.2 technical
    assert made[["internal_usage", "scarcity_index", "training_requests", "economic_indicator"]].isna().all().all()


def test_a_trend_or_report_without_a_number_hides_no_earlier_one_and_an_endless_one_is_refused():
    trends = [{"id": n, "year": 2024 + n, "sector": "Python", "trend_score": score} for n, score in enumerate((0.7, None))]
    reports = [{"id": n, "year": 2023 + n, "indicator": "GDP", "value": v, "sector": "IT"} for n, v in enumerate((1.0, 3.0, 2.0, None))]
    told = {**BARE, hr_source.MARKET_TREND: trends, hr_source.ECONOMIC_REPORT: reports}
    made = hr_export.build_dataset(told, as_of=AS_OF)
    assert made["trend_score"].tolist() == [0.7, 0.7]
    assert made["economic_indicator"].tolist()[0] == 0.5  # of 2025, between 1 and 3
    with pytest.raises(BadInput, match="future_skills_markettrend, id 9: trend_score 'inf' is not a number"):
        hr_export.build_dataset({**told, hr_source.MARKET_TREND: [{**trends[0], "id": 9, "trend_score": float("inf")}]}, as_of=AS_OF)


def test_decimals_dates_and_ids_are_taken_as_a_server_gives_them():
    import uuid
    from decimal import Decimal

    role, skill, ann, bob = (uuid.UUID(int=n) for n in range(4))
    made = hr_export.build_dataset(
        {
            hr_source.JOB_ROLE: [{"id": role, "name": "Developer", "department": "IT"}],
            hr_source.SKILL: [{"id": skill, "name": "Python", "category": "Technique"}],
            hr_source.MARKET_TREND: [{"id": None, "year": 2026, "sector": "python", "trend_score": Decimal("0.70")}],
            hr_source.EMPLOYEE: [{"id": ann, "job_role_id": role}, {"id": bob, "job_role_id": role}, {"id": uuid.uuid4(), "job_role_id": None}],
            hr_source.EMPLOYEE_SKILL: [{"employee_id": ann, "skill_id": skill}],
            hr_source.TRAINING_REQUEST: [
                {"id": 1, "skill_id": skill, "requested_on": date(2026, 6, 1)}, {"id": 2, "skill_id": skill, "requested_on": None},
            ],
            hr_source.PLANNER_JUDGEMENT: [
                {"id": 1, "job_role_id": role, "skill_id": skill, "level": "LOW", "judged_on": "0001-01-01", "provenance": None},
                {"id": 2, "job_role_id": role, "skill_id": skill, "level": "HIGH", "judged_on": date(2026, 1, 1), "provenance": "person"},
            ],
        },
        as_of=AS_OF,
    )  # fmt: skip
    row = made.iloc[0]
    assert (row["trend_score"], row["internal_usage"], row["training_requests"], row["future_need_level"]) == (0.7, 0.5, 1.0, "HIGH")
    assert row["scarcity_index"] == 0.6  # (1 - 0.5 + 0.15 + 0.10) / 1.25


def test_a_role_without_a_name_is_named_by_its_id():
    with pytest.raises(BadInput, match="The job role with id 9 has no name in the HR database"):
        hr_export.build_dataset({**BARE, hr_source.JOB_ROLE: [{"id": 9, "name": None, "department": "IT"}]}, as_of=AS_OF)


def test_what_a_database_without_types_holds_is_read_or_refused_by_its_place(monkeypatch):
    told = {hr_source.JOB_ROLE: [{"id": 1, "name": 5, "department": 7}], hr_source.SKILL: [{"id": "7", "name": "Python", "category": "Technique"}]}
    people = {hr_source.EMPLOYEE: [{"id": 1, "job_role_id": 1}], hr_source.EMPLOYEE_SKILL: [{"employee_id": "1", "skill_id": 7}]}
    row = hr_export.build_dataset({**told, **people}, as_of=AS_OF).iloc[0]
    assert (row["job_role_name"], row["job_department"], row["internal_usage"]) == ("5", "7", 1.0)
    other = {**people, hr_source.EMPLOYEE_SKILL: [{"employee_id": "x1", "skill_id": 7}]}
    assert hr_export.build_dataset({**told, **other}, as_of=AS_OF).iloc[0]["internal_usage"] == 0.0
    with pytest.raises(BadInput, match="future_skills_jobrole, row 1: name holds bytes"):
        hr_export.build_dataset({**told, hr_source.JOB_ROLE: [{"id": 1, "name": b"\xff", "department": "IT"}]}, as_of=AS_OF)
    monkeypatch.setattr(hr_export, "MOST_PAIRS", 0)
    with pytest.raises(BadInput, match="1 job roles and 1 skills, which make more than 0 pairs; join views"):
        hr_export.build_dataset(told, as_of=AS_OF)


def test_a_day_that_is_none_is_refused_and_one_that_nobody_wrote_down_is_not_the_newest():
    requests = [{"id": 1, "skill_id": 7, "requested_on": "01/02/2026"}]
    with pytest.raises(BadInput, match="future_skills_trainingrequest: requested_on '01/02/2026' is no day such as"):
        connect.newest_day({hr_source.TRAINING_REQUEST: requests})
    undated = {"id": 1, "job_role_id": 1, "skill_id": 7, "level": "LOW", "judged_on": "0001-01-01", "provenance": None}
    assert connect.newest_day({hr_source.PLANNER_JUDGEMENT: [undated]}) is None
    early = {**BARE, hr_source.TRAINING_REQUEST: [{"id": 1, "skill_id": 7, "requested_on": "0001-03-01"}]}
    assert hr_export.build_dataset(early, as_of=date(1, 6, 1))["training_requests"].tolist() == [1.0, 1.0]


# a server


@pytest.fixture(scope="module")
def server():
    with run_postgres() as running:
        fill(running.url("owner"), make_source(7))
        yield running


@with_library
@pytest.mark.server
def test_postgresql_gives_the_same_rows_as_sqlite(server, demo_home, named, tmp_path):
    file = hr_source.write_source(tmp_path / "seven.db", make_source(7))
    named(hr=server.url())
    connect.connect(demo_home, SCIENTIST, SKILLS, {"connection": "hr"})
    definition = get_definition(demo_home, SKILLS)
    fetched = source.fetch(definition, source.get_origin(demo_home, definition), today=LATER)
    expected = hr_export.export_dataset(file, as_of=AS_OF)
    assert fetched.as_of == AS_OF.isoformat()
    assert fetched.frame.to_csv(index=False) == expected.to_csv(index=False)


@with_library
@pytest.mark.server
def test_the_password_is_kept_nowhere(server, demo_home, named, tmp_path, monkeypatch, capsys):
    from core.cli.app import main

    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    monkeypatch.setenv("GREENLIGHT_TRACE", "1")
    named(hr=server.url(), wrong=server.url(password=f"not-{PASSWORD}"))
    assert main(["project", "connect", SKILLS, "--connection", "wrong", "--as", "scientist"]) == 1
    assert "does not accept the account" in capsys.readouterr().err
    assert main(["project", "connect", SKILLS, "--connection", "hr", "--as", "scientist"]) == 0
    assert main(["project", "import", SKILLS, "--as", "scientist"]) == 0
    assert main(["export", SKILLS, str(tmp_path / "out.csv"), "--fresh", "--as", "director"]) == 0
    assert main(["project", "source", SKILLS, "--json"]) == 0
    printed = capsys.readouterr()
    whole = printed.out + printed.err
    for path in [p for p in demo_home.root.rglob("*") if p.is_file()]:
        whole += path.read_bytes().decode("latin-1")
    for secret in (PASSWORD, server.url().split("@")[0].rpartition(":")[2]):
        assert secret not in whole
