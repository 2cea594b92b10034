"""One action scores every role and skill: logged like every prediction, with reasons in words, written back where that was approved."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from core import approvals, audit, deployment
from core.acts import Actor
from core.adapters import optional
from core.datasets import connect
from core.errors import NotFound, Refused
from core.home import Home
from core.jobs import jobs, worker
from core.projects import proposals
from core.projects.definition import Column
from core.projects.samples import HR_DATABASE
from core.registry import versions
from core.scoring import job as file_jobs
from core.scoring import log, rationale, source
from core.scoring.scorer import load_scorer, score
from core.training import runs
from tests.conftest import copy_home

SCIENTIST, DIRECTOR, DEVOPS, DEVELOPER = (Actor(n) for n in ("scientist", "director", "devops", "developer"))
SKILLS, HEART = "future_skills", "heart_disease"
NO_TABLE = "Nothing was written back: the project's join names no table for it."
NOT_APPROVED = "Nothing was written back: no DRH manager has approved it; it is proposed in Settings, Thresholds."


@pytest.fixture(scope="module")
def built_skills(built_demo, tmp_path_factory) -> Path:
    """The demo with future_skills 1.0.0 live: a logistic regression."""
    root = tmp_path_factory.mktemp("skills") / "home"
    home = copy_home(built_demo, root)
    started = runs.start_training(home, SCIENTIST, SKILLS, candidates=[("dummy", {}), ("logistic_regression", {})], owner="cli")
    done = worker.wait_for(home, started["id"], worker.start_process(home, started["id"]))
    assert done.state == "done", done.error
    chosen = next(c for c in runs.list_candidates(home, done.outcome["run"]) if c.name == "logistic_regression")
    versions.register(home, SCIENTIST, chosen.id)
    approvals.request_release(home, SCIENTIST, SKILLS, "1.0.0", reason="First")
    approvals.approve(home, DIRECTOR, 1, reason="Good")
    deployment.deploy(home, DEVOPS, SKILLS, "1.0.0")
    return root


@pytest.fixture
def home(built_skills, tmp_path) -> Home:
    return copy_home(built_skills, tmp_path / "home")


@pytest.fixture
def joined(home, monkeypatch):
    """The same, joined to a copy of its HR database, which names a table to write to; writing back was approved."""
    path = home.root / "hr.db"
    shutil.copyfile(home.root / "samples" / SKILLS / HR_DATABASE, path)
    monkeypatch.setenv("GREENLIGHT_DATABASES", f"hr=sqlite:///{path} hr_write=sqlite:///{path}")
    connect.connect(home, SCIENTIST, SKILLS, {"connection": "hr", "write": {"connection": "hr_write"}})
    asked = proposals.propose(home, SCIENTIST, SKILLS, {"write_back": 1}, reason="HR reads them there")
    proposals.decide(home, DIRECTOR, asked["id"], "approved", reason="Yes")
    return home


def score_all(home: Home, actor: Actor = DEVELOPER) -> jobs.Job:
    started = source.start(home, actor, SKILLS, owner="cli")
    worker.run(home, started["id"])
    done = jobs.get_job(home, started["id"])
    assert done.state == "done", done.error
    return done


def written(home: Home) -> list[tuple]:
    with closing(sqlite3.connect(home.root / "hr.db")) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'greenlight_prediction'").fetchone():
            return []
        return db.execute("SELECT * FROM greenlight_prediction ORDER BY rowid").fetchall()


# scoring


def test_every_role_and_skill_is_scored_logged_and_kept_with_its_reason(home):
    done = score_all(home)
    frame = source.read_result(home, done.id)
    assert (len(frame), done.outcome["rows"], done.outcome["version"]) == (1600, 1600, "1.0.0")
    assert len(set(zip(frame["job_role_name"], frame["skill_name"], strict=True))) == 1600
    assert frame["score"].is_monotonic_decreasing
    assert set(frame["prediction"]) == {"LOW", "MEDIUM", "HIGH"}
    assert "future_need_level" not in frame
    assert (frame["rationale"].str.len() > 20).all()
    logged = log.read(home, SKILLS)
    assert sorted(logged["prediction_id"]) == sorted(frame["prediction_id"])
    assert set(logged["caller"]) == {"developer"}
    assert done.outcome["write_back"] == {"state": "off", "rows": 0, "sentence": NO_TABLE}
    assert done.outcome["source"].startswith("the HR database up to 2026-06-30; rows read: jobrole 40, skill 40")


def test_earlier_scorings_are_kept_and_the_latest_outlives_the_others(home):
    first, second = score_all(home), score_all(home, SCIENTIST)
    assert [(s.job, s.by, s.rows) for s in source.list_scorings(home, SKILLS)] == [(second.id, "scientist", 1600), (first.id, "developer", 1600)]
    file_jobs.forget_old(home, datetime.now(UTC) + timedelta(days=file_jobs.KEPT_DAYS + 1))
    with pytest.raises(NotFound, match="not kept any more; its predictions are in the log"):
        source.read_result(home, first.id)
    assert len(source.read_result(home, second.id)) == 1600


def test_two_at_once_and_nothing_live_and_no_source_are_refused(home):
    started = source.start(home, DEVELOPER, SKILLS)
    with pytest.raises(Refused, match=f"Job {started['id']} scores the source of future_skills already"):
        source.start(home, SCIENTIST, SKILLS)
    with pytest.raises(NotFound, match="heart_disease is joined to no database"):
        source.start(home, SCIENTIST, HEART)
    deployment.undeploy(home, DEVOPS, SKILLS)
    with pytest.raises(NotFound, match="has no live version yet"):
        source.start(home, SCIENTIST, SKILLS)


def test_a_scoring_that_is_run_again_reads_nothing_anew_and_logs_no_row_twice(home, monkeypatch):
    started = source.start(home, DEVELOPER, SKILLS)
    monkeypatch.setattr(source, "_add_rationale", lambda *_: (_ for _ in ()).throw(Refused("The power went.")))
    worker.run(home, started["id"])
    assert jobs.get_job(home, started["id"]).error == "The power went."
    monkeypatch.undo()
    (home.root / "samples" / SKILLS / HR_DATABASE).unlink()
    again = jobs.rerun(home, DEVELOPER, started["id"])
    worker.run(home, again["id"])
    assert jobs.get_job(home, again["id"]).state == "done"
    assert len(source.read_result(home, again["id"])) == 1600


# writing back


@pytest.mark.extra
def test_predictions_are_written_back_with_level_score_confidence_reason_and_version(joined):
    done = score_all(joined)
    assert done.outcome["write_back"] == {
        "state": "done", "rows": 1600, "sentence": "1,600 predictions were written to greenlight_prediction of database hr_write.",
    }  # fmt: skip
    rows = {r[0]: r for r in written(joined)}
    frame = source.read_result(joined, done.id)
    assert set(rows) == set(frame["prediction_id"])
    top = frame.iloc[0]
    _, run_id, project, key, role, skill, department, level, score, confidence, why, version, at = rows[top["prediction_id"]]
    assert (project, key, role, skill, department) == (SKILLS, *top[["role_skill", "job_role_name", "skill_name", "job_department"]])
    assert (level, why, version) == (*top[["prediction", "rationale"]], "1.0.0")
    assert (score, confidence) == (pytest.approx(top["score"]), pytest.approx(top["confidence"]))
    assert (run_id, at[:10]) == (f"{SKILLS}-{done.id}-{done.created_at}", done.created_at[:10])
    event = next(e for e in audit.search(joined, limit=5)[0] if e["action"] == "write_back")
    assert (event["actor"], event["outcome"], event["via"]) == ("developer", "done", "job")


@pytest.mark.extra
def test_nothing_is_written_back_until_that_was_approved_and_named(joined):
    asked = proposals.propose(joined, SCIENTIST, SKILLS, {"write_back": 0}, reason="Stop")
    proposals.decide(joined, DIRECTOR, asked["id"], "approved", reason="Yes")
    assert score_all(joined).outcome["write_back"]["sentence"] == NOT_APPROVED
    assert written(joined) == []


@pytest.mark.extra
def test_who_sets_the_join_may_not_move_what_was_approved(joined):
    write = {"connection": "hr_write", "table": "another_place"}
    connect.connect(joined, SCIENTIST, SKILLS, {"connection": "hr", "write": write})
    said = score_all(joined).outcome["write_back"]
    assert (said["state"], said["rows"]) == ("off", 0)
    assert "names another place than when it was approved" in said["sentence"]
    for value, number in ((0, 2), (1, 3)):
        proposals.propose(joined, SCIENTIST, SKILLS, {"write_back": value}, reason="There")
        proposals.decide(joined, DIRECTOR, number, "approved", reason="Yes")
    assert score_all(joined).outcome["write_back"]["sentence"] == "1,600 predictions were written to another_place of database hr_write."


@pytest.mark.extra
def test_a_run_that_is_written_back_again_adds_nothing(joined, monkeypatch):
    first = score_all(joined)
    again = jobs.rerun(joined, DEVELOPER, first.id)
    worker.run(joined, again["id"])
    said = jobs.get_job(joined, again["id"]).outcome["write_back"]["sentence"]
    assert said == "This run stands in greenlight_prediction of database hr_write already; nothing was added."
    assert len(written(joined)) == 1600


@pytest.mark.extra
def test_when_the_other_database_refuses_the_predictions_are_kept_and_the_refusal_is_audited(joined):
    with closing(sqlite3.connect(joined.root / "hr.db")) as db:
        db.execute("CREATE TABLE greenlight_prediction (something TEXT)")
        db.commit()
    done = score_all(joined)
    said = done.outcome["write_back"]
    assert said["state"] == "failed"
    assert said["sentence"].startswith("Nothing was written to greenlight_prediction of database hr_write: Table greenlight_prediction")
    assert said["sentence"].endswith("The predictions are kept here.")
    assert len(source.read_result(joined, done.id)) == 1600
    event = next(e for e in audit.search(joined, limit=5)[0] if e["action"] == "write_back")
    assert (event["outcome"], written(joined)) == ("refused", [])


# reasons


def column(name, kind="number", unit=""):
    return Column(name, kind=kind, unit=unit)


SAYINGS = (
    ([("trend_score", 0.9, 0.5, 1.2), ("internal_usage", 0.05, 0.3, 0.4), ("training_requests", 3.0, 40.0, -0.2)],
     "High market trend (0.9) and few people with the skill (5%) raise it; few training requests (3) lower it."),
    ([("trend_score", 0.2, 0.5, -0.7)], "Low market trend (0.2) lowers it."),
    ([("internal_usage", float("nan"), 0.3, 0.5)], "An unknown internal usage raises it."),
    ([("trend_score", 0.5, 0.5, 0.09)], "No value moves it much when it alone is replaced by the typical one."),
    ([("a", 1.0, 0.0, 3.0), ("b", 1.0, 0.0, 2.0), ("c", 1.0, 0.0, 1.0)], "High a (1) and high b (1) raise it."),
)  # fmt: skip


@pytest.mark.parametrize(("effects", "sentence"), SAYINGS)
def test_the_strongest_values_on_either_side_are_named(effects, sentence):
    assert rationale.say_effects([(column(n), value, usual, effect) for n, value, usual, effect in effects]) == sentence


def test_a_category_is_named_by_its_value_and_a_number_with_its_unit():
    said = [(column("chest_pain", "category"), "asymptomatic", "typical", 1.0), (column("pressure", unit="mmHg"), 180.0, 130.0, 0.5)]
    assert rationale.say_effects(said) == "Chest pain asymptomatic and high pressure (180 mmHg) raise it."


def test_effects_of_many_rows_are_those_of_each_row_alone(home):
    from core.datasets.prepare import prepare

    frame, definition = source.read_result(home, score_all(home).id), load_scorer(home, SKILLS).definition
    rows = frame.iloc[[0, 800, 1599]].to_dict("records")
    names = [c.name for c in definition.features]
    given = [{n: row[n] for n in names} for row in rows]
    features = prepare(given, definition, purpose="scoring", refuse_unreadable=False).features
    effects = rationale.explain_rows(home, SKILLS, "1.0.0", features)
    scorer, typical = load_scorer(home, SKILLS), rationale.read_typical(home, SKILLS, "1.0.0", definition)

    def log_odds(row: dict) -> float:
        one = prepare([row], definition, purpose="scoring", refuse_unreadable=False).features
        share = min(max(score(scorer, one).score[0] / 100, 1e-9), 1 - 1e-9)
        return np.log(share / (1 - share))

    for row, found in zip(given, effects, strict=True):
        wanted = [log_odds(row) - log_odds({**row, n: typical[n]}) for n in names]
        assert found == pytest.approx(wanted, abs=1e-6)
    assert np.abs(effects).max() > 1


# the page


def test_the_page_scores_filters_and_downloads(home, open_page):
    score_all(home)
    test = open_page(home, "predict", "developer", project=SKILLS, source="1")
    assert not test.exception
    assert any(b.label == "Score all with version 1.0.0" for b in test.button)
    table = next(d.value for d in test.dataframe if "Why" in d.value.columns)
    assert list(table.columns[:7]) == ["Job role", "Skill", "Department", "Level", "score", "confidence", "Why"]
    next(m for m in test.multiselect if m.label == "Department").set_value(["Data"])
    next(m for m in test.multiselect if m.label == "Level").set_value(["HIGH"])
    test.run()
    table = next(d.value for d in test.dataframe if "Why" in d.value.columns)
    assert (set(table["Department"]), set(table["Level"])) == ({"Data"}, {"HIGH"})
    test.button(key="source-start").click().run()
    assert jobs.list_jobs(home, project=SKILLS, kind="score_source", states=("queued",))[0].created_by == "developer"
    assert any("Job" in s.value and "scores each job role" in s.value for s in test.success)


def test_a_project_without_a_source_has_no_such_tab(trained_home, open_page):
    test = open_page(trained_home, "predict", "developer")
    assert [t.label for t in test.tabs if t.label.startswith("Every")] == []


def connect_page(home, open_page, account="scientist", **query):
    return open_page(home, "data", account, project=SKILLS, connect="1", **query)


def test_the_page_says_what_is_missing_for_a_join(home, open_page, monkeypatch):
    monkeypatch.delenv("GREENLIGHT_DATABASES", raising=False)
    words = " ".join(m.value for m in connect_page(home, open_page).markdown)
    if optional.is_installed("sqlalchemy"):
        assert "No database is named in the environment" in words
    else:
        assert "SQLAlchemy is not installed" in words
    assert any("is for Data scientist and DevOps" in i.value for i in connect_page(home, open_page, "director").info)


@pytest.mark.extra
def test_the_page_looks_saves_and_imports(home, open_page, monkeypatch):
    path = home.root / "samples" / SKILLS / HR_DATABASE
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE future_skills_trainingrequest")
        db.commit()
    monkeypatch.setenv("GREENLIGHT_DATABASES", f"hr=sqlite:///{path}")
    test = connect_page(home, open_page)
    test.button(key="connect-look").click().run()
    found = next(d.value for d in test.dataframe if "State" in d.value.columns)
    states = dict(zip(found["Record"], found["State"], strict=True))
    assert (states["Skill"], states["TrainingRequest"]) == ("✓ found", "not found")
    assert any("Until then training\\_requests is missing in every row" in m.value for m in test.markdown)
    test.button(key="connect-save").click().run()
    assert any("takes its rows from hr" in s.value for s in test.success)
    assert connect.find_mapping(home, SKILLS)["connection"] == "hr"
    test.button(key="connect-import").click().run()
    assert any("Now: version 2 with 1,477 rows" in s.value for s in test.success)


@pytest.mark.extra
def test_the_page_says_in_a_sentence_that_a_database_cannot_be_reached(home, open_page, monkeypatch):
    monkeypatch.setenv("GREENLIGHT_DATABASES", "hr=postgresql://u:pl%40nted@127.0.0.1:1/hr")
    test = connect_page(home, open_page)
    test.button(key="connect-look").click().run()
    assert [e.value for e in test.error] == ["Database hr cannot be reached; check the host and the port, and that it runs\\."]
    assert not any("nted" in str(m.value) for m in [*test.markdown, *test.caption, *test.error])
