"""The Drift page through the real frame: run a check, read it, open an older one, watch the second opinion."""

import json
import time
from datetime import timedelta

import pandas as pd
import pytest

from core import audit
from core.acts import Actor
from core.drift import checks
from core.drift.checks import Period, Upload
from core.jobs import jobs, worker
from core.monitoring import checks as watching
from core.monitoring import quality
from core.scoring import labels, predict
from core.times import utc_now
from storage import drift as store
from storage.connection import writing
from tests.test_drift_periods import fill_log

HEART = "heart_disease"
SCIENTIST = Actor("scientist")


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption] + [s.value for s in test.success])


def button(test, label):
    return next(b for b in test.button if b.label == label)


def box(test, label):
    return next(s for s in test.selectbox if s.label == label)


def table(test, column):
    return next(d.value for d in test.dataframe if column in d.value.columns)


@pytest.fixture
def predicted(trained_home):
    """All of Hungary was predicted, and every true answer came back."""
    frame = pd.read_csv(trained_home.root / "samples" / HEART / "heart_hungary.csv")
    answer = predict.predict_rows(trained_home, SCIENTIST, HEART, frame.to_dict("records"), source="test")
    text = answer.outputs.assign(label=(frame["num"] > 0).astype(int).to_numpy())[["prediction_id", "label"]].to_csv(index=False)
    labels.feed_labels(trained_home, SCIENTIST, HEART, text.encode(), file_name="labels.csv")
    return trained_home


def test_without_predictions_there_is_no_check_to_run_and_the_page_says_why(trained_home, open_page):
    test = open_page(trained_home, "drift")
    assert "No drift check was made yet" in texts(test)
    assert "No predictions were logged in this period; choose a longer one, or a file." in texts(test)
    assert button(test, "Run check").disabled


def test_one_click_stores_one_check_and_shows_it(predicted, open_page):
    test = open_page(predicted, "drift")
    test.checkbox[0].uncheck()
    button(test, "Run check").click().run()
    assert not test.exception
    stored = checks.list_checks(predicted, HEART)
    assert len(stored) == 1
    check = checks.get_check(predicted, stored[0]["id"])
    assert (check.current["kind"], check.current["rows"], check.by) == ("log", 294, "scientist")
    assert test.query_params["check"] == [str(check.id)] or test.query_params["check"] == str(check.id)
    assert f"Check {check.id} is done: overall drift {check.overall:.2f}." in texts(test)
    shown = table(test, "Missing now")
    assert list(shown["Column"]) == [c.name for c in check.result.worst_first]
    assert shown["Status"].iloc[0] == "◆ Drift"
    assert set(shown[shown["Column"] == "exang"]["Status"]) == {"○ Within chance"}
    assert audit.search(predicted, action="check_drift")[1] == 1


def test_quality_stands_beside_the_hold_out_and_the_fixed_answer(predicted, open_page):
    content = (predicted.root / "samples" / HEART / "heart_hungary.csv").read_bytes()
    checks.run_check(predicted, SCIENTIST, HEART, current=Upload(content, "h.csv"), evidently=False)
    kept = checks.get_check(predicted, 1).quality
    test = open_page(predicted, "drift")
    metric = next(m for m in test.metric if m.label == "Accuracy now")
    assert metric.value == f"{kept['now']['accuracy']:.2f}"
    assert metric.delta.endswith(f"against {kept['training']['accuracy']:.2f} on the hold-out")
    base = f"Accuracy of always giving the most frequent answer: {kept['now']['baseline_accuracy']:.2f}."
    assert f"Version 1.0.0 on 294 labelled rows. {base}" in texts(test).replace("\\", "")


def test_quality_drift_names_each_metric_beside_training_also_in_a_check_of_the_clock(predicted, open_page):
    checks.store_measured(predicted, checks.measure(predicted, HEART), now=utc_now())
    kept = checks.get_check(predicted, 1)
    assert (kept.by, kept.quality) == (checks.CLOCK, None)
    now = utc_now()
    changes = quality.measure_change(predicted, HEART, since=now - timedelta(days=1), until=now)
    test = open_page(predicted, "drift")
    shown = table(test, "Verdict")
    assert list(shown["Metric"]) == ["Accuracy", "F1", "AUC"]
    assert list(shown["Now"]) == [f"{c.now.value:.2f}" for c in changes]
    assert list(shown["Training"]) == [f"{c.training.value:.2f}" for c in changes]
    words = {None: "✕ Unknown", True: "○ Within chance"}
    assert list(shown["Verdict"]) == [words.get(c.within_chance, "◆ Worse" if c.worse else "● Better") for c in changes]
    assert "on 294 labelled predictions, against the hold-out of its training" in texts(test)
    worse = [c for c in changes if c.within_chance is False and c.worse]
    said = max(worse, key=lambda c: abs(c.relative)).sentence if worse else changes[0].sentence
    assert said in texts(test).replace("\\", "")
    assert "No current row has a label" not in texts(test)


def test_without_labels_quality_is_unknown_and_not_zero(trained_home, open_page):
    content = pd.read_csv(trained_home.root / "samples" / HEART / "heart_hungary.csv").drop(columns="num").to_csv(index=False)
    checks.run_check(trained_home, SCIENTIST, HEART, current=Upload(content.encode(), "h.csv"), evidently=False)
    test = open_page(trained_home, "drift")
    assert "No current row has a label" in texts(test)
    assert not [m for m in test.metric if m.label == "Accuracy now"]


def test_few_rows_are_unknown_with_their_reason(trained_home, open_page):
    content = pd.read_csv(trained_home.root / "samples" / HEART / "heart_hungary.csv").head(12).to_csv(index=False)
    checks.run_check(trained_home, SCIENTIST, HEART, current=Upload(content.encode(), "few.csv"), evidently=False)
    test = open_page(trained_home, "drift")
    shown = table(test, "Missing now")
    assert set(shown["Status"]) == {"✕ Unknown"}
    assert set(shown["Why"]) == {"The current period has 12 rows; at least 30 are needed."}
    assert "Drift is unknown\\: 12 rows in this period, at least 30 are needed" in texts(test)


def test_a_link_opens_an_older_check_and_the_history_opens_the_newer(predicted, open_page):
    checks.run_check(predicted, SCIENTIST, HEART, current=Period(), evidently=False)
    swiss = (predicted.root / "samples" / HEART / "heart_switzerland.csv").read_bytes()
    checks.run_check(predicted, SCIENTIST, HEART, current=Upload(swiss, "swiss.csv"), evidently=False)
    test = open_page(predicted, "drift", check="1")
    assert "Check 1 by scientist" in texts(test)
    assert list(table(test, "Compared")["Compared"]) == ["file swiss.csv", "logged predictions"]
    box(test, "Open a check").set_value(2)
    button(test, "Open").click().run()
    assert "Check 2 by scientist" in texts(test)


@pytest.mark.parametrize("wanted", ["99", "x", "-1", "1" * 40])
def test_a_link_to_no_check_says_so_and_the_history_stays(predicted, open_page, wanted):
    checks.run_check(predicted, SCIENTIST, HEART, current=Period(), evidently=False)
    test = open_page(predicted, "drift", check=wanted)
    assert "There is no drift check" in test.error[0].value
    assert len(table(test, "Compared")) == 1
    assert not test.exception


def test_the_chosen_column_is_drawn(predicted, open_page):
    checks.run_check(predicted, SCIENTIST, HEART, current=Period(), evidently=False)
    test = open_page(predicted, "drift")
    assert box(test, "Column").value == "ca"
    box(test, "Column").set_value("sex").run()
    drawn = [json.loads(c.proto.spec)["layout"]["xaxis"]["title"].get("text") for c in test.get("plotly_chart")[1:2]]
    assert drawn == ["sex"]


def test_a_running_second_opinion_can_be_stopped_and_a_stopped_one_made_again(predicted, open_page):
    done = checks.run_check(predicted, SCIENTIST, HEART, current=Period(), evidently=True)
    test = open_page(predicted, "drift")
    button(test, "Stop").click().run()
    assert jobs.get_job(predicted, done["job"]).state == "cancelled"
    test = open_page(predicted, "drift")
    assert "Evidently has no verdict: Cancelled by scientist" in texts(test).replace("\\", "")
    button(test, "Make the report again").click().run()
    fresh = jobs.list_jobs(predicted, project=HEART, kind="drift")[0]
    assert (fresh.state, fresh.rerun_of, fresh.params) == ("queued", done["job"], {"check": done["id"]})
    assert [b.label for b in test.button if b.label == "Stop"] == ["Stop"]


def test_the_second_opinion_stands_beside_ours(predicted, open_page):
    done = checks.run_check(predicted, SCIENTIST, HEART, current=Period(), evidently=False)
    result = checks.get_check(predicted, done["id"]).result
    same = {"status": "drift", "reason": "", "score": 0.01, "method": "K-S p_value", "threshold": 0.05}
    said = [{**same, "name": c.name, "status": "ok" if c.name == "ca" else "drift"} for c in result.columns]
    verdict = {
        "version": "0.7.23", "columns": said, "sampled": False, "target": None, "prediction": None, "html": "evidently.html",
        "quality_html": None,
    }  # fmt: skip
    with writing(predicted.db) as db:
        store.set_evidently(db, done["id"], verdict=verdict, error=None, report=f"drift_{done['id']}/evidently.html")
    folder = checks.report_folder(predicted, done["id"])
    folder.mkdir()
    (folder / "evidently.html").write_text("<html>report</html>")
    test = open_page(predicted, "drift")
    ours = sum(c.status != "ok" and c.name != "ca" for c in result.columns)
    assert "finds drift in **12 of 13** columns" in texts(test)
    assert f"both agree on {ours} of the 13 columns" in texts(test)
    row = table(test, "Evidently").set_index("Column").loc["ca"]
    assert (row["Ours"], row["Evidently"]) == ("◆ Drift", "● OK")
    assert [d.proto.label for d in test.get("download_button")] == ["Table as CSV", "Full report by Evidently (HTML)"]


def test_a_director_is_told_who_analyses_drift(trained_home, open_page):
    test = open_page(trained_home, "drift", "director")
    assert test.info[0].value == "Drift is for Data scientist and DevOps; you are signed in as DRH manager."


def test_what_the_clock_measured_is_told_and_kept_as_a_check(predicted, open_page):
    watching.watch(predicted, HEART, now=utc_now())
    assert [(c["by"], c["current"]["rows"]) for c in checks.list_checks(predicted, HEART)] == [("clock", 294)]
    test = open_page(predicted, "drift")
    clock = next(m.value for m in test.markdown if "**The clock**, " in m.value)
    assert "It looks again at " in clock
    assert "Check 1 by clock" in texts(test)
    assert "Counted in whole hours \\(UTC\\)\\: from" in texts(test)


def test_the_counts_are_held_against_the_log_by_one_click_and_the_answer_stands_on_the_page(predicted, open_page):
    checks.run_check(predicted, SCIENTIST, HEART, current=Period(), evidently=False)
    with writing(predicted.predictions_db) as db:
        db.conn.execute("UPDATE hour_profiles SET rows = rows + 1")
    test = open_page(predicted, "drift")
    button(test, "Hold the counts against the log").click().run()
    assert not test.exception
    job = jobs.list_jobs(predicted, project=HEART, kind="recount")[0]
    assert (job.state, job.created_by) == ("queued", "scientist")
    assert "waits for a free worker" in "".join(e.text for e in test.get("progress"))
    assert worker.run(predicted, job.id) == 0
    assert "The counts differed from the log in 1 of 1 hours" in texts(open_page(predicted, "drift"))
    assert audit.search(predicted, action="recount_log")[1] == 1


def test_the_page_is_quick_with_five_million_logged_predictions(predicted, open_page):
    fill_log(predicted, HEART, rows=5_000_000, hours=90 * 24)
    checks.run_check(predicted, SCIENTIST, HEART, current=Period(), evidently=False)
    test = open_page(predicted, "drift")  # the first run imports
    began = time.perf_counter()
    test.run()
    assert not test.exception
    assert time.perf_counter() - began < 2.0  # 0.2 s on an idle machine; a count of rows would take half a minute
    assert checks.get_check(predicted, 1).current["rows"] == 5_000_294
