"""The Training page: the form becomes a job with exactly its settings, and jobs are shown as they stand."""

import pytest

from core.acts import Actor
from core.datasets import versions
from core.jobs import jobs
from core.times import stamp, utc_now
from core.training import runs
from pages.training import duration, say_step
from pages.training_candidates import describe_cost
from storage.connection import writing


def texts(test):
    return "\n".join(m.value for m in test.markdown)


def button(test, label):
    return next(b for b in test.button if b.label == label)


def set_job(home, job_id, **values):
    """Put a job into a state that a worker would have written."""
    with writing(home.db) as db:
        columns = ", ".join(f"{name} = ?" for name in values)
        db.conn.execute(f"UPDATE jobs SET {columns} WHERE id = ?", (*values.values(), job_id))


def start(test):
    button(test, "Start training").click().run()
    return test


def test_the_form_becomes_a_job_with_its_settings(demo_home, open_page):
    test = open_page(demo_home, "training")
    assert test.checkbox(key="training-heart_disease-dummy").disabled
    test.checkbox(key="training-heart_disease-hist_gradient_boosting").set_value(False)
    test.number_input(key="training-heart_disease-random_forest-n_estimators").set_value(20)
    test.number_input(key="training-folds").set_value(3)
    test.number_input(key="training-seed").set_value(7)
    start(test)
    (job,) = jobs.list_jobs(demo_home, project="heart_disease", kind="train")
    chosen = dict(job.params["candidates"])
    assert list(chosen) == ["dummy", "logistic_regression", "random_forest"]
    assert chosen["random_forest"]["n_estimators"] == 20
    assert (job.params["folds"], job.params["holdout"], job.params["seed"]) == (3, 0.2, 7)
    assert test.success[0].value == f"Training {job.id} is on its way; it goes on when you leave this page."
    assert test.query_params["job"] == str(job.id)


def test_two_clicks_start_one_training_and_a_later_one_another(demo_home, open_page, monkeypatch):
    test = open_page(demo_home, "training")
    start(test)
    start(test)
    assert len(jobs.list_jobs(demo_home, kind="train")) == 2  # each was answered: the person wanted a second
    # A script that Streamlit stopped before it could show the answer sends the same key again.
    import pages.sending

    monkeypatch.setattr(pages.sending, "note_sent", lambda form, sentence, **more: None)
    start(test)
    start(test)
    assert len(jobs.list_jobs(demo_home, kind="train")) == 3


def test_a_running_job_shows_how_far_it_is_and_can_be_cancelled(demo_home, open_page):
    test = start(open_page(demo_home, "training"))
    now = stamp(utc_now())
    set_job(demo_home, 1, state="running", started_at=now, heartbeat_at=now, done=6, total=24, note="random_forest, fold 2 of 5",
            seconds_left=75.0)  # fmt: skip
    test = open_page(demo_home, "training")  # another visit finds it again
    bar = test.get("progress")[0].proto
    assert bar.value == 25
    assert bar.text.startswith("Random forest, fold 2 of 5, 6 of 24 fits; ")
    assert "about 1 min 15 s left" in bar.text
    button(test, "Cancel").click().run()
    assert jobs.get_job(demo_home, 1).cancel_by == "scientist"
    assert any("scientist asked to stop" in c.value for c in test.caption)


def test_a_search_under_way_says_that_its_time_is_not_the_whole(demo_home, open_page):
    start(open_page(demo_home, "training"))
    now = stamp(utc_now())
    set_job(demo_home, 1, state="running", started_at=now, heartbeat_at=now, done=3, total=8, seconds_left=5.0,
            note="search, Logistic regression: trial 3 of 8, best F1 0.812 so far")  # fmt: skip
    said = open_page(demo_home, "training").get("progress")[0].proto.text.replace("\\", "")
    assert said.startswith("Search, Logistic regression: trial 3 of 8, best F1 0.812 so far; ")
    assert said.endswith("about 5.0 s left for the search; the fits follow")


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ("logistic_regression_searched, final fit", "Logistic regression (searched), final fit"),
        ("voting:ridge+lasso, fold 1 of 5", "Voting of Ridge and Lasso, fold 1 of 5"),
        ("validating the data", "Validating the data"),
        ("", "Starting"),
    ],
)
def test_a_step_names_candidates_as_their_cards_do(note, said):
    assert say_step(note).replace("\\", "") == said


def test_what_was_trained_is_told_by_titles(demo_home, open_page):
    test = start(open_page(demo_home, "training"))
    (told,) = [c.value for c in open_page(demo_home, "training").caption if c.value.startswith("Data version 1, 5 folds")]
    assert r"Baseline; Logistic regression \(Inverse penalty 1\.0, Class weights balanced\);" in told
    assert not test.exception


def test_when_a_watched_job_ends_the_page_says_how(demo_home, open_page, monkeypatch):
    test = start(open_page(demo_home, "training"))
    listed = jobs.list_jobs

    def list_just_before_the_end(*args, **options):
        found = listed(*args, **options)
        set_job(demo_home, 1, state="failed", finished_at=stamp(utc_now()), error="The disk is full.")
        return found

    monkeypatch.setattr(jobs, "list_jobs", list_just_before_the_end)
    test.run()
    assert test.error[0].value == r"Training 1 has ended: ✕ Failed. The disk is full\."


def test_an_interrupted_job_can_be_run_again(demo_home, open_page):
    test = start(open_page(demo_home, "training"))
    set_job(demo_home, 1, state="interrupted", finished_at=stamp(utc_now()), error="The worker stopped answering.")
    test = open_page(demo_home, "training", job="1")
    assert "⚡ Interrupted" in texts(test)
    assert "The worker stopped answering" in texts(test)
    button(test, "Run again").click().run()
    assert [(j.id, j.rerun_of) for j in jobs.list_jobs(demo_home, kind="train")] == [(2, 1), (1, None)]
    assert test.success[0].value == "Training 1 was interrupted. Now: training 2 runs it again."


def test_the_history_names_outcome_and_time(trained_home, open_page):
    test = open_page(trained_home, "training")
    row = test.dataframe[0].value.iloc[0]
    job = jobs.get_job(trained_home, 1)
    assert (row["Training"], row["State"], row["By"], row["Data"], row["Candidates"]) == (
        1,
        "✓ Done",
        "scientist",
        "version 1",
        3,
    )
    assert row["Outcome"] == job.outcome["sentence"]
    assert row["Ran on"] == job.outcome["ran_on"] == runs.get_run(trained_home, 1).settings["ran_on"]
    assert row["Ran on"].endswith("of this machine")
    assert not [b for b in test.button if b.label == "Run again"]


def test_data_with_labels_of_a_model_is_refused_in_one_sentence(demo_home, open_page):
    with writing(demo_home.db) as db:
        db.conn.execute("UPDATE datasets SET label_provenance = 'model' WHERE project = 'heart_disease'")
    test = start(open_page(demo_home, "training"))
    assert "made by a model" in test.error[0].value
    assert jobs.list_jobs(demo_home, kind="train") == []


def test_the_newest_data_that_can_be_trained_on_is_proposed(demo_home, open_page):
    content = versions.data_path(demo_home, versions.get_version(demo_home, "heart_disease")).read_bytes()
    few = b"\n".join(content.splitlines()[:30])
    versions.add_dataset(demo_home, Actor("scientist"), "heart_disease", few, file_name="few.csv")
    assert not versions.get_version(demo_home, "heart_disease", 2).validation["ok"]
    assert open_page(demo_home, "training").selectbox(key="training-data-heart_disease").value == 1


def test_a_candidate_whose_library_is_absent_says_how_to_install_it(demo_home, open_page, monkeypatch):
    from core.training.catalogue import Candidate

    monkeypatch.setattr(Candidate, "available", property(lambda self: self.needs != "xgboost"))
    test = open_page(demo_home, "training")
    assert test.checkbox(key="training-heart_disease-xgboost").disabled
    assert any(c.value == "pip install xgboost-cpu -c requirements.txt" for c in test.code)


def test_without_data_the_page_says_where_to_get_some(demo_home, open_page):
    with writing(demo_home.db) as db:
        db.conn.execute("DELETE FROM datasets WHERE project = 'heart_disease'")
    test = open_page(demo_home, "training")
    assert "There is nothing to train on yet" in texts(test)
    assert not [b for b in test.button if b.label == "Start training"]


def test_a_link_to_a_training_of_elsewhere_is_answered(trained_home, open_page):
    assert "There is no job 99" in open_page(trained_home, "training", job="99").error[0].value


def test_who_may_not_train_is_told_who_may(demo_home, open_page):
    test = open_page(demo_home, "training", "director")
    assert test.info[0].value == "Training is for Data scientist and DevOps; you are signed in as DRH manager."


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.44, "0.4 s"), (42, "42 s"), (75, "1 min 15 s"), (7260, "2 h 1 min"), (-3, "0.0 s")]
)
def test_a_time_reads_as_people_say_it(seconds, words):
    assert duration(seconds) == words


def test_cost_is_a_word():
    assert [describe_cost(c) for c in (0.05, 1.0, 6.0, 60.0, 160.0)] == ["very quick", "very quick", "quick", "slower", "slow"]
