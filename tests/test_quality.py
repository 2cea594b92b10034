"""Quality of labelled predictions: every number beside one worked by hand, steps without labels absent, chance named."""

import math
from datetime import timedelta

import numpy as np
import pytest

from core import deployment
from core.errors import BadInput
from core.home import open_home
from core.monitoring import estimates, quality
from core.monitoring.estimates import Metric
from core.scoring import accuracy, labels
from core.times import parse, utc_now
from tests.test_labels import PROJECT, SCIENTIST, feed, level, make_project, predict, write_group

SINCE, UNTIL = parse("2026-11-01T00:00:00.000Z"), parse("2026-12-01T00:00:00.000Z")


def near(metric, value, low, high, baseline):
    assert (metric.value, metric.low, metric.high, metric.baseline) == pytest.approx((value, low, high, baseline), abs=1e-9)


# estimates


def test_accuracy_and_f1_of_four_cells_with_their_intervals_and_baselines():
    found = estimates.measure_classes(np.array([[3, 1], [2, 4]]), "binary")
    near(found["accuracy"], 0.7, *accuracy.wilson(7, 10), 0.6)
    # F1 = 8 / 11, a function of 4 / 7; always answering class 1: 12 / 16
    low, high = accuracy.wilson(4, 7)
    near(found["f1"], 8 / 11, 2 * low / (1 + low), 2 * high / (1 + high), 0.75)


def test_f1_of_a_class_that_never_occurs_is_unknown_and_not_zero():
    f1 = estimates.measure_classes(np.array([[5, 0], [0, 0]]), "binary")["f1"]
    assert (f1.value, f1.reason) == (None, "class 1 neither occurred nor was answered")


def test_the_macro_f1_of_right_answers_only_still_has_an_interval():
    f1 = estimates.measure_classes(np.diag([4, 4, 0]), "multiclass")["f1"]
    low, _ = accuracy.wilson(4, 4)
    near(f1, 1.0, 2 * low / (1 + low), 1.0, 1 / 3)


def test_auc_and_delongs_interval_of_four_rows():
    truth, score = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.5, 0.1])
    proba = np.column_stack([1 - score, score])
    auc = estimates.measure_auc(truth, proba, [1])
    # three of four pairs are in order; the structural components 1, 0.5 and 0.5, 1 have variance 1/8 each: 1/16 + 1/16
    reach = estimates.Z * math.sqrt(1 / 8) / (0.75 * 0.25)
    ends = [1 / (1 + math.exp(-(math.log(3) + sign * reach))) for sign in (-1, 1)]
    near(auc, 0.75, *ends, 0.5)


def test_auc_of_one_class_is_unknown_and_of_a_perfect_order_has_no_interval():
    proba = np.array([[0.2, 0.8], [0.6, 0.4], [0.7, 0.3], [0.1, 0.9]])
    assert estimates.measure_auc(np.array([1, 1, 1, 1]), proba, [1]).reason == "only one class has labels"
    assert estimates.measure_auc(np.array([1, 0, 0, 1]), proba, [1]) == Metric(1.0, None, None, 0.5)


def test_delongs_interval_holds_the_truth_in_about_95_of_100_samples():
    rng = np.random.default_rng(1)
    true, hits = 0.7602, 0  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt(2))
    for _ in range(300):
        truth = rng.integers(2, size=80)
        score = rng.normal(truth, 1.0)
        auc = estimates.measure_auc(truth, np.column_stack([score, score]), [1])
        hits += auc.low <= true <= auc.high
    assert 0.91 <= hits / 300 <= 0.98


def test_errors_of_numbers_beside_always_answering_the_mean():
    found = estimates.measure_numbers(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 6.0]))
    assert (found["mae"].value, found["mae"].baseline) == pytest.approx((1.0, 2 / 3))
    assert (found["rmse"].value, found["rmse"].baseline) == pytest.approx((math.sqrt(3), math.sqrt(2 / 3)))
    assert (found["r2"].value, found["r2"].baseline) == pytest.approx((-3.5, 0.0))
    assert found["mae"].low == 0.0  # an error is not below 0, however wide the interval


def test_labels_that_do_not_vary_have_no_r2():
    assert estimates.measure_numbers(np.array([2.0, 2.0]), np.array([1.0, 2.0]))["r2"].value is None


def test_a_difference_takes_its_interval_from_both():
    found = estimates.subtract(Metric(0.7, 0.6, 0.8), Metric(0.9, 0.86, 0.93))
    assert (found.value, found.low, found.high) == pytest.approx((-0.2, -0.2 - math.hypot(0.1, 0.03), -0.2 + math.hypot(0.1, 0.04)))
    assert estimates.subtract(Metric(None), Metric(0.9)) is None
    assert estimates.subtract(Metric(0.7), Metric(0.9, 0.8, 1.0)).low is None


# over time


@pytest.fixture
def cases(tmp_path):
    """Two versions, three days: 1.0.0 right in 3 of 4 on Sunday the 1st, 1.1.0 right in 1 of 2 on the 9th and 16th."""
    home = open_home(tmp_path / "home")
    make_project(home)
    low, high = level("LOW", 0.8, 0.1, 0.1), level("HIGH", 0.1, 0.2, 0.7)
    write_group(home, "a" * 24, "2026-11-01T10:30:00.000Z", [low, low, high, high])
    write_group(home, "b" * 24, "2026-11-09T10:30:00.000Z", [low, high], version="1.1.0")
    write_group(home, "c" * 24, "2026-11-16T23:59:59.000Z", [low, high], version="1.1.0")
    truth = {"a": ("LOW", "LOW", "HIGH", "MEDIUM"), "b": ("LOW", "LOW"), "c": ("HIGH", "HIGH")}
    rows = [{"prediction_id": f"{u * 24}-{n}", "label": t} for u, ts in truth.items() for n, t in enumerate(ts, 1)]
    assert labels.feed_label_rows(home, SCIENTIST, "cases", rows, source="api")["new"] == 8
    return home


def test_days_without_labels_are_absent_and_each_step_names_its_version(cases):
    found = quality.over_time(cases, "cases", since=SINCE, until=UNTIL)
    seen = [(p.start[:10], p.version, p.rows, p.metrics["accuracy"].value) for p in found.points]
    assert seen == [("2026-11-01", "1.0.0", 4, 0.75), ("2026-11-09", "1.1.0", 2, 0.5), ("2026-11-16", "1.1.0", 2, 0.5)]
    assert [(p.version, p.rows, p.metrics["accuracy"].value) for p in found.versions] == [("1.0.0", 4, 0.75), ("1.1.0", 4, 0.5)]
    # of all eight labels LOW 4, MEDIUM 1, HIGH 3: always LOW is right in half of them
    assert (found.whole.rows, found.whole.metrics["accuracy"].value, found.whole.metrics["accuracy"].baseline) == (8, 0.625, 0.5)
    assert found.whole.version == ""


@pytest.mark.parametrize(
    ("step", "starts"),
    [
        ("hour", ["2026-11-01T10", "2026-11-09T10", "2026-11-16T23"]),
        ("week", ["2026-10-26T00", "2026-11-09T00", "2026-11-16T00"]),  # Mondays
        ("month", ["2026-11-01T00"]),
    ],
)
def test_steps_begin_where_a_calendar_has_them(cases, step, starts):
    found = quality.over_time(cases, "cases", since=SINCE, until=UNTIL, step=step)
    assert [p.start[:13] for p in found.points] == starts


def test_a_period_is_whole_hours_and_can_be_of_one_version(cases):
    since, until = parse("2026-11-01T10:59:00.000Z"), parse("2026-11-16T23:01:00.000Z")
    assert quality.over_time(cases, "cases", since=since, until=until).whole.rows == 8
    assert quality.over_time(cases, "cases", since=since + timedelta(minutes=1), until=until).whole.rows == 4
    assert quality.over_time(cases, "cases", since=since, until=until, version="1.1.0").whole.rows == 4
    assert quality.over_time(cases, "cases", since=since, until=until, version="9.9.9").whole is None


def test_a_corrected_label_is_seen_at_once(cases):
    before = quality.over_time(cases, "cases", since=SINCE, until=UNTIL)
    labels.feed_label_rows(cases, SCIENTIST, "cases", [{"prediction_id": "a" * 24 + "-4", "label": "HIGH"}], source="api")
    after = quality.over_time(cases, "cases", since=SINCE, until=UNTIL)
    assert (before.points[0].metrics["accuracy"].value, after.points[0].metrics["accuracy"].value) == (0.75, 1.0)
    assert after.whole.rows == 8


def test_an_unknown_step_is_refused(cases):
    with pytest.raises(BadInput, match="'year' is none of them"):
        quality.over_time(cases, "cases", since=SINCE, until=UNTIL, step="year")


def test_the_confusion_matrix_and_the_predictions_of_a_cell(cases):
    found = quality.confusion(cases, "cases", SINCE, UNTIL)
    assert found.classes == ("LOW", "MEDIUM", "HIGH")
    assert found.matrix == ((3, 0, 1), (0, 0, 1), (1, 0, 2))
    assert quality.confusion(cases, "cases", SINCE, UNTIL, "1.1.0").matrix == ((1, 0, 1), (0, 0, 0), (1, 0, 1))
    cell = quality.list_cell(cases, "cases", label="LOW", predicted="HIGH", since=SINCE, until=UNTIL)
    assert [(c["prediction_id"], c["by"]) for c in cell] == [("b" * 24 + "-2", "scientist")]
    assert quality.confusion(cases, "cases", UNTIL, UNTIL + timedelta(days=1)) is None


def test_labels_from_before_probabilities_were_kept_say_why_there_is_no_auc(cases):
    from storage.connection import writing

    with writing(cases.predictions_db) as db:
        db.conn.execute("UPDATE labels SET probabilities = NULL")
    quality._over_time.cache_clear()
    auc = quality.over_time(cases, "cases", since=SINCE, until=UNTIL).whole.metrics["auc"]
    assert (auc.value, auc.reason) == (None, "the labels were fed before probabilities were kept with them")


def test_numbers_have_errors_and_no_confusion_matrix(tmp_path):
    home = open_home(tmp_path / "home")
    make_project(home, "regression")
    rows = [{"x": 1.0, "out:prediction": v, "out:score": v} for v in (1.0, 2.0, 6.0)]
    write_group(home, "a" * 24, "2026-11-01T10:30:00.000Z", rows)
    fed = [{"prediction_id": "a" * 24 + f"-{n}", "y": n} for n in (1, 2, 3)]
    labels.feed_label_rows(home, SCIENTIST, "cases", fed, source="api")
    found = quality.over_time(home, "cases", since=SINCE, until=UNTIL)
    assert found.names == ("mae", "rmse", "r2")
    assert {n: m.value for n, m in found.points[0].metrics.items()} == pytest.approx({"mae": 1.0, "rmse": math.sqrt(3), "r2": -3.5})
    assert quality.confusion(home, "cases", SINCE, UNTIL) is None


def test_queries_that_all_agree_give_no_interval_of_width_0():
    grade, score = np.array([4.0, 0.0] * 3), np.array([2.0, 1.0] * 3)
    same = estimates.measure_ranking(grade, score, np.repeat(["a", "b", "c"], 2))
    assert (same.value, same.low, same.high) == (1.0, None, None)
    apart = estimates.measure_ranking(grade, np.array([2.0, 1.0, 2.0, 1.0, 1.0, 2.0]), np.repeat(["a", "b", "c"], 2))
    assert apart.low < apart.value < apart.high == 1.0
    assert estimates.subtract(same, Metric(0.9, 0.8, 0.95)).low is None  # so the change stays of unknown certainty


@pytest.mark.parametrize("logged", [True, False])
def test_ranking_is_judged_by_query_where_the_log_holds_it(tmp_path, logged):
    home = open_home(tmp_path / "home")
    make_project(home, "ranking")
    query = {"query": "soup"} if logged else {}
    rows = [{"x": 1.0, **query, "out:prediction": v, "out:score": v} for v in (3.0, 2.0, 1.0)]
    write_group(home, "a" * 24, "2026-11-01T10:30:00.000Z", rows)
    fed = [{"prediction_id": "a" * 24 + f"-{n}", "y": grade} for n, grade in ((1, 0), (2, 4), (3, 0))]
    labels.feed_label_rows(home, SCIENTIST, "cases", fed, source="api")
    ndcg = quality.over_time(home, "cases", since=SINCE, until=UNTIL).whole.metrics["ndcg"]
    if not logged:
        assert (ndcg.value, ndcg.reason) == (None, "the log does not hold the query of these predictions")
        return
    # the only good item stands second: 1 / log2(3); in a random order it gets the mean of 1, 1 / log2(3), 1 / 2
    second = 1 / math.log2(3)
    assert (ndcg.value, ndcg.baseline) == pytest.approx((second, (1 + second + 0.5) / 3))


# against training


def test_the_live_version_is_compared_with_its_training_and_chance_is_named(trained_home):
    now = utc_now()
    ids = predict(trained_home, 40)
    answer = quality.measure_change(trained_home, PROJECT, since=now - timedelta(days=1), until=now + timedelta(hours=1))
    assert answer == []  # no label, no change
    predicted = feed(trained_home, [{"prediction_id": i, "label": 1} for i in ids])
    assert predicted["new"] == 40
    summary = deployment.find_live(trained_home, PROJECT).summary
    found = {c.name: c for c in quality.measure_change(trained_home, PROJECT, since=now - timedelta(days=1), until=now + timedelta(hours=1))}
    accuracy = found["accuracy"]
    assert accuracy.training.value == summary["holdout"]["accuracy"]
    assert accuracy.difference.value == pytest.approx(accuracy.now.value - accuracy.training.value)
    assert accuracy.within_chance is (accuracy.difference.low <= 0 <= accuracy.difference.high)
    assert found["auc"].difference is None
    assert found["auc"].sentence == "AUC cannot be compared with training: only one class has labels."


def test_a_change_beyond_chance_says_so():
    now = quality.Point("2026-11-01T00:00:00.000Z", "1.0.0", 400, {"accuracy": Metric(0.5, 0.45, 0.55, 0.6)})
    (change,) = quality.compare_training(now, {"accuracy": Metric(0.9, 0.8, 0.95)})
    assert (change.within_chance, change.worse) == (False, True)
    assert change.relative == pytest.approx(-4 / 9)
    assert change.sentence == (
        "Accuracy is 0.5 on 400 labelled predictions, 0.9 in training: a change unlike training by more than chance explains."
    )
