"""Tables that come in to be scored, and the results that people look at."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core import audit
from core.acts import Actor
from core.errors import BadInput, NotFound, Refused
from core.projects.projects import get_definition
from core.scoring import log, tables

SCIENTIST = Actor("scientist")
HUNGARY = Path(__file__).parent.parent / "samples" / "heart_disease" / "data" / "heart_hungary.csv"
KEY = "0123456789abcdef"


@pytest.fixture
def definition(demo_home):
    return get_definition(demo_home, "heart_disease")


def test_a_table_is_counted_and_its_columns_are_matched(definition):
    content = HUNGARY.read_bytes().replace(b"thalch", b"thalach", 1)
    found = tables.check_table(content, definition, file_name="x.csv")
    assert found.rows == 294
    assert found.found["thalch"] == "thalach"
    assert found.found["age"] == "age"
    assert found.extra == ()


def test_an_absent_column_is_named_before_anything_is_scored(definition):
    with pytest.raises(BadInput, match=r"x.csv lacks the column age; add it"):
        tables.check_table(HUNGARY.read_bytes().replace(b"age", b"years", 1), definition, file_name="x.csv")


def test_an_output_column_is_refused_by_name(definition):
    with pytest.raises(BadInput, match="'score'"):
        tables.check_table(HUNGARY.read_bytes().replace(b"age", b"score", 1), definition, file_name="x.csv")


def test_the_template_of_a_project_is_accepted_by_its_own_check(definition):
    assert tables.check_table(tables.template_csv(definition), definition, file_name="t.csv").rows == 1


def test_the_template_of_a_ranking_asks_for_the_query_so_that_labels_can_be_judged_by_it(definition):
    ranking = replace(definition, task="ranking", group="query_id", metric="ndcg")
    assert tables.template_csv(ranking).decode().splitlines()[0] == tables.template_csv(definition).decode().splitlines()[0] + ",query_id"


def test_the_same_key_scores_once(trained_home):
    first = tables.score_now(trained_home, SCIENTIST, "heart_disease", HUNGARY.read_bytes(), file_name="h.csv", key=KEY)
    again = tables.score_now(trained_home, SCIENTIST, "heart_disease", HUNGARY.read_bytes(), file_name="h.csv", key=KEY)
    assert first == again
    assert first.rows == 294
    assert [g["rows"] for g in log.list_groups(trained_home, "heart_disease")] == [294]


def test_a_refused_file_leaves_nothing_behind(trained_home):
    with pytest.raises(BadInput):
        tables.score_now(trained_home, SCIENTIST, "heart_disease", b"age\n60\n", file_name="h.csv", key=KEY)
    assert not tables.now_path(trained_home, KEY).parent.exists()
    assert log.list_groups(trained_home, "heart_disease") == []


def test_a_key_cannot_name_a_path(trained_home):
    with pytest.raises(BadInput):
        tables.now_path(trained_home, "../../../../etc/passwd")


def test_results_of_yesterday_are_forgotten(trained_home):
    tables.score_now(trained_home, SCIENTIST, "heart_disease", HUNGARY.read_bytes(), file_name="h.csv", key=KEY)
    old = time.time() - 2 * tables.KEPT_SECONDS
    os.utime(tables.now_path(trained_home, KEY).parent, (old, old))
    tables.score_now(trained_home, SCIENTIST, "heart_disease", HUNGARY.read_bytes(), file_name="h.csv", key="f" * 16)
    assert not tables.now_path(trained_home, KEY).exists()
    with pytest.raises(NotFound, match="not kept any more"):
        tables.read_result(tables.now_path(trained_home, KEY))


def test_rows_with_problems_come_first_and_keep_their_place_in_the_file(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text(
        "age,prediction_id,prediction,score,confidence,problems\n1,a-1,0,10.0,0.9,\n"
        "2,a-2,1,90.0,0.9,age is missing\n3,a-3,0,20.0,0.8,\n"
    )
    result = tables.read_result(path, limit=2)
    assert (result.rows, result.problem_rows) == (3, 1)
    assert result.frame["row"].tolist() == [2, 1]
    assert list(result.frame.columns[:5]) == ["row", "prediction", "score", "confidence", "problems"]
    assert result.counts == []


def test_predicted_numbers_are_counted_in_a_histogram(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("row,prediction_id,prediction,score,confidence,problems\n7,a-1,1.5,1.5,,\n8,a-2,1.5,1.5,,\n9,a-3,2.5,2.5,,\n")
    result = tables.read_result(path)
    assert result.counts == [2, 1]
    assert result.edges == [1.5, 2.0, 2.5]
    assert "row in the file" in result.frame  # the file has a column "row" of its own


def test_the_label_template_names_the_newest_predictions(trained_home):
    tables.score_now(trained_home, SCIENTIST, "heart_disease", HUNGARY.read_bytes(), file_name="h.csv", key=KEY)
    uid = log.list_groups(trained_home, "heart_disease")[0]["uid"]
    lines = tables.label_template(trained_home, "heart_disease").decode().splitlines()
    assert lines[0].startswith("prediction_id,label,age,sex")
    assert lines[1].startswith(f"{uid}-1,,28")
    assert len(lines) == 295


def test_the_log_export_has_one_line_a_prediction(trained_home):
    tables.score_now(trained_home, SCIENTIST, "heart_disease", HUNGARY.read_bytes(), file_name="h.csv", key=KEY)
    assert len(tables.export_log(trained_home, Actor("director"), "heart_disease").decode().splitlines()) == 294
    assert audit.search(trained_home, action="export_predictions", outcome="done")[1] == 1
    with pytest.raises(Refused, match="export dataset"):
        tables.export_log(trained_home, Actor("developer"), "heart_disease")
