"""The Comparison page: the numbers of the rows, the baseline always there, and registering with the chosen threshold."""

import math
from dataclasses import replace

import pytest

from core.acts import Actor
from core.errors import Refused
from core.registry import comparison, versions
from core.training import runs
from core.training import threshold as thresholds
from pages import charts_comparison
from pages.comparison import _form, leaderboard_rows
from tests.conftest import train_small


def texts(test):
    return "\n".join(m.value for m in test.markdown)


def button(test, label):
    return next(b for b in test.button if b.label == label)


def candidate(home, name, run=1):
    return next(c for c in runs.list_candidates(home, run) if c.name == name)


def test_the_leaderboard_shows_the_numbers_of_the_run_with_the_baseline(trained_home, open_page):
    test = open_page(trained_home, "comparison")
    board = test.dataframe[0].value.set_index("Candidate")
    sweep = runs.get_sweep(trained_home, runs.get_run(trained_home, 1))
    assert list(board.index) == ["Logistic regression", "Random forest", "Baseline"]
    for row in sweep.results:
        shown = board.loc[row.title]
        for column, metric in (("Accuracy", "accuracy"), ("Balanced", "balanced_accuracy"), ("F1", "f1"), ("AUC", "auc"),
                               ("Precision", "precision"), ("Recall", "recall")):  # fmt: skip
            expected = row.holdout[metric]
            assert math.isnan(shown[column]) if expected is None else shown[column] == expected
        assert shown["CV F1"] == row.cv["f1"]["mean"]
        assert shown["CV std"] == row.cv["f1"]["std"]
        assert shown["Fit"] == row.fit_seconds
    assert board.loc["Baseline", "Note"] == "baseline"
    assert board.loc["Logistic regression", "Version"] == "1.0.0"
    assert board.loc["Logistic regression", "Register gate"] == "✓ reached"


def test_the_verdict_is_the_runs_sentence_and_the_lead_over_the_baseline(trained_home, open_page):
    run = runs.get_run(trained_home, 1)
    choice, lead = comparison.verdict(trained_home, run)
    assert choice == run.choice["sentence"]
    assert lead.startswith("Logistic regression is +0.")
    assert lead.endswith("the baseline is beaten.")
    from pages.parts import plain

    assert plain(choice) in texts(open_page(trained_home, "comparison"))


def test_a_choice_that_is_right_less_often_than_the_baseline_is_said_to_be(trained_home):
    results = runs.get_sweep(trained_home, runs.get_run(trained_home, 1)).results
    chosen = next(r for r in results if r.name == "logistic_regression")
    assert comparison.compare_accuracy(chosen, results, "binary") == ""
    always = [replace(r, holdout={**r.holdout, "accuracy": 0.96}) if r.baseline else r for r in results]
    said = comparison.compare_accuracy(replace(chosen, holdout={"accuracy": 0.9}), always, "multiclass")
    assert said.startswith("On the hold-out it is right less often than Baseline (90.0% of the rows against 96.0%): F1 counts every class")
    assert "no more often" in comparison.compare_accuracy(replace(chosen, holdout={"accuracy": 0.96}), always, "binary")
    assert comparison.compare_accuracy(replace(chosen, holdout={}), always, "regression") == ""


def test_an_error_in_thousands_is_shown_without_decimals_that_mean_nothing():
    rows = [{"MAE": 11334.656, "R2": 0.9421}, {"MAE": None, "R2": -0.007}]
    assert [_form(rows, title) for title in ("MAE", "R2")] == ["%.0f", "%.3f"]
    assert _form([{"MAE": None}], "MAE") == "%.3f"


def test_a_version_brings_the_baseline_of_its_run(trained_home):
    board = comparison.compare_candidates(trained_home, "heart_disease", [], ["1.0.0"])
    assert [s.title for s in board.standings] == ["Logistic regression", "Baseline"]
    assert board.standings[0].versions == ("1.0.0",)
    assert board.same_rows


def test_runs_on_the_same_rows_share_a_baseline_and_others_are_said_to_differ(trained_home, open_page):
    again, other = train_small(trained_home), train_small(trained_home, seed=7)
    same = comparison.compare_candidates(trained_home, "heart_disease", [1, again])
    assert same.same_rows
    assert [s.baseline for s in same.standings].count(True) == 1
    assert len(same.standings) == 5
    mixed = comparison.compare_candidates(trained_home, "heart_disease", [1, other])
    assert not mixed.same_rows
    assert [s.baseline for s in mixed.standings].count(True) == 2
    test = open_page(trained_home, "comparison", run=str(other))
    picker = test.multiselect[0]
    assert picker.value == [("run", str(other))]
    assert "Different rows" not in texts(test)
    picker.set_value([("run", str(other)), ("run", "1")]).run()
    assert "Different rows" in texts(test)
    assert f"Random forest, run {other}" in list(test.dataframe[0].value["Candidate"])


def test_a_candidate_is_registered_under_the_next_version_with_notes(trained_home, open_page):
    test = open_page(trained_home, "comparison")
    forest = candidate(trained_home, "random_forest")
    next(s for s in test.selectbox if s.label == "Candidate to look at").set_value(forest.id).run()
    test.text_area(key=f"comparison-notes-{forest.id}").input("second opinion")
    button(test, "Register").click().run()
    made = versions.get_version(trained_home, "heart_disease", "1.1.0")
    assert (made.candidate_id, made.notes, made.threshold, made.stage) == (forest.id, "second opinion", 0.5, "validation")
    assert made.stage_reason == "evaluated; it reaches the register gate"
    assert test.success[0].value == "Random forest was not registered. Now: **version 1.1.0**, in stage validation."


def test_the_chosen_threshold_goes_with_the_version(trained_home, open_page):
    test = open_page(trained_home, "comparison")
    forest = candidate(trained_home, "random_forest")
    next(s for s in test.selectbox if s.label == "Candidate to look at").set_value(forest.id).run()
    test.session_state["comparison-tabs"] = "Decision threshold"
    test.run()
    result = runs.get_sweep(trained_home, runs.get_run(trained_home, 1)).result("random_forest")
    best = thresholds.cheapest(result.answers.target, result.answers.proba[:, 1], 5.0, 1.0)
    rounded = round(best.threshold, 3)
    button(test, f"Take the cheapest ({rounded:.3f})").click().run()
    at = thresholds.cost_at(result.answers.target, result.answers.proba[:, 1], rounded, 5.0, 1.0)
    shown = {m.label: m.value for m in test.metric}
    assert shown == {"Missed positives": str(at.fn), "False alarms": str(at.fp), "Cost": f"{at.cost:g}"}
    test.text_input(key=f"comparison-version-{forest.id}").input("3.0.0")
    button(test, "Register").click().run()
    assert versions.get_version(trained_home, "heart_disease", "3.0.0").threshold == rounded


def test_a_registered_candidate_is_offered_again_only_with_another_threshold(trained_home, open_page):
    test = open_page(trained_home, "comparison")
    assert "this candidate is version **1.0.0**" in texts(test)
    assert not [b for b in test.button if b.label == "Register"]
    test.session_state["comparison-tabs"] = "Decision threshold"
    test.run()
    test.slider[0].set_value(0.3).run()
    assert button(test, "Register")
    button(test, "Back to 0.5").click().run()
    assert not [b for b in test.button if b.label == "Register"]


def test_a_candidate_below_the_gate_and_a_baseline_have_no_register_button(trained_home, open_page):
    test = open_page(trained_home, "comparison")
    dummy = candidate(trained_home, "dummy")
    next(s for s in test.selectbox if s.label == "Candidate to look at").set_value(dummy.id).run()
    assert not [b for b in test.button if b.label == "Register"]
    assert "never released" in texts(test)
    with pytest.raises(Refused):
        versions.register(trained_home, Actor("scientist"), dummy.id)


def test_a_director_sees_the_comparison_and_no_register_button(trained_home, open_page):
    test = open_page(trained_home, "comparison", "director")
    assert len(test.dataframe) == 1
    assert not [b for b in test.button if b.label == "Register"]
    assert any("Data scientists and DevOps register" in c.value for c in test.caption)


@pytest.mark.parametrize(
    "tab",
    [
        "Criteria",
        "Confusion matrix",
        "ROC",
        "Precision and recall",
        "Calibration",
        "Per class",
        "Importances",
        "Decision threshold",
    ],
)
def test_every_tab_opens(trained_home, open_page, tab):
    test = open_page(trained_home, "comparison")
    test.session_state["comparison-tabs"] = tab
    test.run()
    assert not test.error
    assert not test.exception


def test_the_confusion_matrix_is_told_in_counts(trained_home, open_page):
    test = open_page(trained_home, "comparison")
    test.session_state["comparison-tabs"] = "Confusion matrix"
    test.run()
    metrics = runs.get_sweep(trained_home, runs.get_run(trained_home, 1)).result("logistic_regression").holdout
    assert f"**{metrics['fn']} were missed**" in texts(test)
    assert f"**{metrics['fp']} were false alarms**" in texts(test)


def test_without_a_run_the_page_says_what_to_do(demo_home, open_page):
    assert "Nothing was trained yet in this project" in texts(open_page(demo_home, "comparison"))


def test_a_link_to_a_run_of_elsewhere_is_answered(trained_home, open_page):
    assert "There is no run 99" in open_page(trained_home, "comparison", run="99").error[0].value


def test_the_interval_plot_draws_every_candidate_and_the_line_of_the_baseline(trained_home):
    board = comparison.compare_candidates(trained_home, "heart_disease", [1])
    figure = charts_comparison.intervals([s.title for s in board.standings], board.standings, "F1")
    drawn = {y: x for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True)}
    assert drawn == {s.title: s.pooled for s in board.standings}
    assert figure.layout.shapes[0].x0 == board.standings[-1].pooled


def test_confusion_shares_are_of_the_true_class():
    figure = charts_comparison.confusion([[8, 2], [0, 0]], ["no", "yes"])
    assert [list(row) for row in figure.data[0].z] == [[0.8, 0.2], [0.0, 0.0]]


def test_names_that_are_markup_stay_text():
    rows = charts_comparison.per_class({"<b>x</b>": {"precision": None, "recall": 0.5, "f1": 0.5, "support": 2}}, {})
    assert "&lt;b&gt;" in rows.data[0].x[0]
    assert rows.data[0].text == ("undefined",)


def test_the_plain_rows_name_every_metric_of_the_task(trained_home):
    board = comparison.compare_candidates(trained_home, "heart_disease", [1])
    labels = {s.candidate_id: s.title for s in board.standings}
    row = leaderboard_rows(board, labels, "binary")[0]
    assert row["Criteria"] == "{} of {}".format(*board.standings[0].criteria_met)
    assert {"Accuracy", "Balanced", "F1", "AUC", "Precision", "Recall", "F1 95 %", "CV F1", "CV std", "Fit"} <= set(row)
