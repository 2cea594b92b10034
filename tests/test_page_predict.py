"""The Predict page: what is uploaded is scored once, logged, and shown as it was stored."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from core import deployment
from core.acts import Actor
from core.jobs import jobs, worker
from core.scoring import accuracy, log, tables
from core.scoring import job as scoring_job
from core.scoring import labels as labelling
from core.times import utc_now
from pages import charts_predict, predict_case, predict_file

HUNGARY = (Path(__file__).parent.parent / "samples" / "heart_disease" / "data" / "heart_hungary.csv").read_bytes()
SCIENTIST = Actor("scientist")


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def button(test, label):
    return next(b for b in test.button if b.label == label)


def uploader(test, beginning):
    return next(u for u in test.file_uploader if u.label.startswith(beginning))


def groups(home):
    return log.list_groups(home, "heart_disease")


def score_hungary(test):
    uploader(test, "A table").upload("hungary.csv", HUNGARY, "text/csv").run()
    return button(test, "Score 294 rows with version 1.0.0").click().run()


def test_without_a_live_version_the_page_says_what_has_to_happen(demo_home, open_page):
    test = open_page(demo_home, "predict")
    assert "No version is live, so nothing can be predicted" in texts(test)
    assert len(test.file_uploader) == 0


def test_a_small_file_is_scored_once_and_shown_as_it_was_logged(trained_home, open_page):
    test = score_hungary(open_page(trained_home, "predict"))
    stored = groups(trained_home)
    assert [(g["rows"], g["version"], g["caller"], g["source"]) for g in stored] == [
        (294, "1.0.0", "scientist", "file hungary.csv")
    ]
    shown = {m.label: m.value for m in test.metric}
    assert shown["Rows answered"] == "294"
    assert shown["Rows with problems"] == str(stored[0]["problem_rows"])
    assert shown["Answered by version"] == "1.0.0"
    table = next(d.value for d in test.dataframe if "problems" in d.value)
    logged = log.read(trained_home, "heart_disease").set_index("prediction_id")
    assert len(table) == 294
    for row in table.head(5).to_dict("records"):
        assert row["prediction"] == logged.loc[row["prediction_id"], "out:prediction"]
        assert row["score"] == pytest.approx(logged.loc[row["prediction_id"], "out:score"])
        assert row["problems"] == logged.loc[row["prediction_id"], "out:problems"] != ""
    test.run()
    assert len(groups(trained_home)) == 1
    assert not any(b.label.startswith("Score 294") for b in test.button)


def test_a_file_that_is_refused_says_why_and_nothing_is_logged(trained_home, open_page):
    test = open_page(trained_home, "predict")
    uploader(test, "A table").upload("bad.csv", b"age,sex\n60,Male\n", "text/csv").run()
    assert test.error[0].value.startswith(r"bad\.csv lacks the columns cp, trestbps")
    assert groups(trained_home) == []
    assert len(test.metric) == 0


def test_a_refused_file_does_not_stand_beside_the_result_of_the_one_before(trained_home, open_page):
    test = score_hungary(open_page(trained_home, "predict"))
    uploader(test, "A table").set_value(("bad.csv", b"age,sex\n60,Male\n", "text/csv")).run()
    assert len(test.metric) == 0
    assert len(test.error) == 1


def test_a_large_file_becomes_a_job_whose_result_is_found_again(trained_home, open_page, monkeypatch):
    monkeypatch.setattr(tables, "AT_ONCE_ROWS", 100)
    test = score_hungary(open_page(trained_home, "predict"))
    [job] = jobs.list_jobs(trained_home, kind="score")
    assert test.query_params["job"] == str(job.id)
    assert "Waiting for a free worker" in test.get("progress")[0].proto.text
    assert worker.run(trained_home, job.id) == 0
    again = open_page(trained_home, "predict", "developer", job=str(job.id))
    assert {m.label: m.value for m in again.metric}["Rows answered"] == "294"
    assert "**hungary\\.csv**, job" in texts(again)


def test_a_job_can_be_stopped_and_run_again(trained_home, open_page):
    job_id = scoring_job.start_scoring(trained_home, SCIENTIST, "heart_disease", HUNGARY, file_name="h.csv")["id"]
    test = open_page(trained_home, "predict", job=str(job_id))
    button(test, "Stop").click().run()
    assert jobs.get_job(trained_home, job_id).state == "cancelled"
    test = open_page(trained_home, "predict", job=str(job_id))
    assert "ended as cancelled: Cancelled by scientist" in test.warning[0].value
    button(test, "Score it again").click().run()
    assert [(j.state, j.rerun_of) for j in jobs.list_jobs(trained_home, kind="score")] == [
        ("queued", job_id),
        ("cancelled", None),
    ]


def test_a_job_of_something_else_is_not_shown_as_a_result(trained_home, open_page):
    assert open_page(trained_home, "predict", job="1").warning[0].value == "Job 1 scores no file of this project."


def fill_case(test, case):
    for widget in [*test.number_input, *test.selectbox]:
        name = widget.label.split(" ")[0]
        if name in case:
            widget.set_value(case[name])
    return button(test, "Score this case").click().run()


def test_one_case_is_answered_with_its_problems_and_logged_once(trained_home, open_page):
    test = fill_case(open_page(trained_home, "predict"), {"age": 60, "chol": 9000.0, "sex": "Male"})
    [group] = groups(trained_home)
    assert (group["rows"], group["source"]) == (1, "form")
    logged = log.read(trained_home, "heart_disease").iloc[0]
    said = texts(test)
    assert ("Yes: num >0 is predicted" if logged["out:prediction"] == "1" else "No: num >0 is not predicted") in said.replace(
        "\\", ""
    )
    assert r"chol 9000 is outside 100\.\.600" in said
    assert "values are missing: cp, trestbps, " in said.replace("\\", "")
    assert not any(m.value.startswith("- age is missing") for m in test.markdown)
    assert {m.label: m.value for m in test.metric}["Score"] == f"{logged['out:score']:.1f}"
    button(test, "Score this case").click().run()
    assert len(groups(trained_home)) == 1
    fill_case(test, {"age": 61})
    assert len(groups(trained_home)) == 2


def test_what_turned_out_to_be_true_is_fed_beside_the_case(trained_home, open_page):
    test = fill_case(open_page(trained_home, "predict"), {"age": 60})
    next(s for s in test.selectbox if s.label.startswith("What turned out to be true")).set_value("1")
    button(test, "Keep this label").click().run()
    assert test.success[0].value == "The label **1** is kept."
    one = log.read(trained_home, "heart_disease")["prediction_id"].iloc[0]
    assert labelling.labels_by_prediction(trained_home, "heart_disease") == {one: "1"}
    director = fill_case(open_page(trained_home, "predict", "director"), {"age": 60})
    assert not any(s.label.startswith("What turned out") for s in director.selectbox)


def test_a_known_case_is_answered_as_the_project_expects(trained_home, open_page):
    from core.projects.projects import get_definition

    known = get_definition(trained_home, "heart_disease").known_cases[5]
    test = fill_case(open_page(trained_home, "predict"), dict(known.row))
    assert known.expected == "1"
    assert r"Yes: num \>0 is predicted" in texts(test)
    assert "No value is missing" in texts(test)


def test_labels_are_counted_and_quality_is_shown_beside_the_majority(trained_home, open_page):
    test = score_hungary(open_page(trained_home, "predict"))
    uid = groups(trained_home)[0]["uid"]
    predicted = log.read_group(trained_home, "heart_disease", uid)["out:prediction"].tolist()
    rows = [f"{uid}-{n},{predicted[n - 1] if n <= 3 else 1 - int(predicted[n - 1])}" for n in range(1, 5)]
    content = "\n".join(["prediction_id,label", *rows, "nobody-1,1", f"{uid}-9,"]) + "\n"
    uploader(test, "Labels").upload("truth.csv", content.encode(), "text/csv").run()
    button(test, "Keep these labels").click().run()
    assert test.success[0].value == (
        "**4** new labels, **0** corrected, 0 known already, 1 that no prediction has, 0 without a readable label, 1 left empty."
        "\n- Row 5: 'nobody\\-1' belongs to no logged prediction\\."
    )
    found = accuracy.live_quality(trained_home, "heart_disease", now=utc_now())
    assert (found["rows"], found["accuracy"]) == (4, 0.75)
    assert "**75 of 100** were right" in texts(test)


def test_one_label_is_fed_by_a_link_and_corrected_with_its_history(trained_home, open_page):
    score_hungary(open_page(trained_home, "predict"))
    wanted = f"{groups(trained_home)[0]['uid']}-3"
    for value, words in (("1", "is kept"), ("0", "is kept in place of the one before"), ("0", "stood there already")):
        test = open_page(trained_home, "predict", prediction=wanted)
        assert "Version 1\\.0\\.0 answered" in texts(test)
        box = next(s for s in test.selectbox if s.label.startswith("What turned out to be true"))
        assert box.options == ["0 (otherwise)", "1 (num >0)"]
        box.set_value(value)
        next(b for b in test.button if b.label in ("Keep this label", "Correct the label")).click().run()
        assert words in test.success[0].value
    assert labelling.labels_by_prediction(trained_home, "heart_disease") == {wanted: "0"}
    history = [c.value for c in open_page(trained_home, "predict", prediction=wanted).caption if "by scientist" in c.value]
    assert [h.split(",")[0] for h in history] == ["Label: **0**", "Corrected later: **1**"]


def test_a_label_needs_a_choice_and_a_prediction(trained_home, open_page):
    score_hungary(open_page(trained_home, "predict"))
    test = open_page(trained_home, "predict", prediction=f"{groups(trained_home)[0]['uid']}-3")
    button(test, "Keep this label").click().run()
    assert test.error[0].value == "Choose what turned out to be true first."
    test = open_page(trained_home, "predict", prediction="<b>-1")
    assert "There is no prediction" in test.error[0].value
    assert labelling.labels_by_prediction(trained_home, "heart_disease") == {}


def test_who_may_not_feed_labels_is_told_who_may(trained_home, open_page):
    test = open_page(trained_home, "predict", "director")
    assert not any(u.label.startswith("Labels") for u in test.file_uploader)
    assert "Labels are fed back by Data scientist or DevOps." in texts(test)


def test_after_undeploying_the_log_stays_and_nothing_can_be_scored(trained_home, open_page):
    score_hungary(open_page(trained_home, "predict"))
    deployment.undeploy(trained_home, Actor("devops"), "heart_disease", reason="test")
    test = open_page(trained_home, "predict")
    assert "No version is live" in texts(test)
    assert not any(u.label.startswith("A table") for u in test.file_uploader)
    assert next(d.value for d in test.dataframe if "Request" in d.value)["Rows"].tolist() == [294]


def test_a_class_that_was_never_answered_is_shown_with_0():
    figure = charts_predict.class_bars({"LOW": 3, "HIGH": 1}, ("LOW", "MEDIUM", "HIGH"))
    assert list(figure.data[0].x) == [3, 0, 1]
    assert list(figure.data[0].text) == ["3 (75%)", "0 (0%)", "1 (25%)"]


def test_a_probability_is_never_rounded_to_certainty():
    assert [charts_predict.say_share(p) for p in (0.9999, 1.0, 0.5, 0.001, 0.0)] == ["over 99%", "100%", "50%", "under 1%", "0%"]


def test_numbers_are_shown_without_digits_that_mean_nothing_and_empty_columns_not_at_all():
    from core.projects.definition import Column, Definition

    columns = (Column("x", "number"),)
    prices = Definition("p", "P", "regression", "y", columns)
    answers = pd.DataFrame({"prediction": ["88000.50759", "412.5"], "score": [88000.5, 412.5], "confidence": [None, None], "x": ["1", "2"]})
    shown = predict_file.tidy_answers(answers, prices)
    assert shown.to_dict("list") == {"prediction": [88001.0, 412.0], "x": ["1", "2"]}
    plain = Definition("p", "P", "multiclass", "y", columns, classes=("a", "b", "c"))
    answers = pd.DataFrame({"prediction": ["a"] * 3, "score": [None] * 3, "confidence": [0.9, 0.99997, 1.0], "x": ["1"] * 3})
    shown = predict_file.tidy_answers(answers, plain)
    assert list(shown) == ["prediction", "confidence", "x"]
    assert shown["confidence"].tolist() == [0.9, 0.999, 1.0]  # never rounded up to certainty
    assert predict_file.tidy_answers(answers.head(0), prices).empty


def test_a_predicted_number_stands_with_how_far_off_to_expect_it(monkeypatch):
    held = {"mae": 11334.6, "rows": 120}
    monkeypatch.setattr(predict_case, "get_version", lambda home, project, version: SimpleNamespace(summary={"holdout": held}))
    context = SimpleNamespace(home=None, project=SimpleNamespace(name="prices"))
    assert predict_case._say_error(context, "1.0.0") == "On 120 rows that it had never seen it was off by **11,335** on average."
    held.clear()
    assert "How far off it may be is not known" in predict_case._say_error(context, "1.0.0")
