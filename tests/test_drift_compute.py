"""The drift score on tables small enough to check by hand, and on real hospitals."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.drift import compute as C
from core.drift.bins import add, count, make_bins
from core.drift.verdict import judge
from core.errors import BadInput
from core.projects.definition import Column, Definition, Thresholds

DATA = Path(__file__).parent.parent / "samples" / "heart_disease" / "data"
NUMBERS = ("age", "trestbps", "chol", "thalch", "oldpeak", "ca")
CATEGORIES = ("sex", "cp", "fbs", "restecg", "exang", "slope", "thal")
HEART = Definition(
    name="heart", title="Heart", task="binary", target="num", positive=">0", classes=("0", "1"),
    columns=(*(Column(n) for n in NUMBERS), *(Column(n, kind="category") for n in CATEGORIES)),
)
THRESHOLDS = Thresholds()


def hospital(name):
    return pd.read_csv(DATA / f"heart_{name}.csv").drop(columns="num")


def two_columns(x, z):
    return pd.DataFrame({"x": np.array(x, dtype=float), "z": pd.Series(z, dtype=object)})


TINY = Definition("tiny", "Tiny", "binary", "y", (Column("x"), Column("z", kind="category")), positive="1", classes=("0", "1"))


def check(reference, current, definition=HEART, predictions=(None, None), thresholds=THRESHOLDS):
    bins = make_bins(reference, definition, predictions[0])
    return C.compare(
        count(bins, reference, predictions[0]), count(bins, current, predictions[1]), bins=bins, thresholds=thresholds
    )


def test_psi_is_the_sum_over_bins_that_occur_with_half_a_count_added():
    raw, expected = C.psi(np.array([50, 50, 0]), np.array([80, 20, 0]))
    r, c = (0.505, 0.505), (0.805, 0.205)
    assert raw == pytest.approx(sum((b - a) * math.log(b / a) for a, b in zip(r, c, strict=True)))
    assert expected == pytest.approx((2 - 1) * (1 / 100 + 1 / 100))


def test_chi_square_agrees_with_a_table_worked_by_hand():
    # Expected 65 and 35 in each row: 4 cells, sum of (15^2 / 65 + 15^2 / 35) x 2 = 19.78 at one degree of freedom.
    p = C.chi_square_p(np.array([50, 50, 0]), np.array([80, 20, 0]))
    assert p == pytest.approx(math.erfc(math.sqrt(2 * (225 / 65 + 225 / 35) / 2)))
    assert C.chi_square_p(np.array([50, 0]), np.array([20, 0])) == 1.0


def test_p_values_are_adjusted_over_the_columns():
    assert C.adjust([0.04, 0.01, 0.03, 0.9]) == pytest.approx([0.04 * 4 / 3, 0.04, 0.04 * 4 / 3, 0.9])


def test_the_score_of_one_moved_category_is_exact():
    reference = two_columns(range(100), ["a", "b"] * 50)
    current = two_columns(range(100), ["a"] * 80 + ["b"] * 20)
    column = check(reference, current, TINY).column("z")
    raw = (0.805 - 0.505) * math.log(0.805 / 0.505) + (0.205 - 0.505) * math.log(0.205 / 0.505)
    assert column.psi == pytest.approx(raw)
    assert column.expected == pytest.approx(0.02)
    assert column.score == pytest.approx((raw - 0.02) / (raw - 0.02 + 0.1))
    assert column.status == "drift"
    assert (column.reference_shares, column.current_shares) == ((0.5, 0.5, 0.0, 0.0), (0.8, 0.2, 0.0, 0.0))


def test_equal_rows_are_ok_with_score_zero():
    reference = two_columns(range(100), ["a", "b"] * 50)
    result = check(reference, reference, TINY)
    assert (result.overall, result.status) == (0.0, "ok")
    assert [c.score for c in result.columns] == [0.0, 0.0]


def test_a_column_within_chance_shows_its_score_and_counts_zero():
    reference = two_columns(range(200), ["a", "b"] * 100)
    current = two_columns(range(0, 200, 5), ["a"] * 27 + ["b"] * 13)  # chi-square 4.097: p 0.043, of two columns 0.086
    column = check(reference, current, TINY).column("z")
    assert column.p_value == pytest.approx(0.04295, abs=0.00005)
    assert column.score == pytest.approx(0.4836, abs=0.0001)  # PSI 0.12367, less 0.03 expected
    assert (column.within_chance, column.counted, column.status) == (True, 0.0, "ok")


def test_under_thirty_rows_everything_is_unknown():
    result = check(two_columns(range(100), ["a", "b"] * 50), two_columns(range(29), ["c"] * 29), TINY)
    assert (result.overall, result.status) == (None, "unknown")
    assert {c.status for c in result.columns} == {"unknown"}
    assert result.sentence == "Drift is unknown: 29 rows in this period, at least 30 are needed."


def test_a_reference_under_thirty_rows_is_unknown_too():
    result = check(two_columns(range(20), ["a", "b"] * 10), two_columns(range(100), ["a", "b"] * 50), TINY)
    assert result.sentence == "Drift is unknown: 20 rows in the reference, at least 30 are needed."


def test_no_rows_at_all_are_unknown():
    reference = two_columns(range(100), ["a", "b"] * 50)
    assert check(reference, reference.head(0), TINY).status == "unknown"


def test_one_column_that_cannot_be_measured_leaves_the_rest_standing():
    result = check(two_columns([np.nan] * 100, ["a", "b"] * 50), two_columns(range(100), ["a"] * 100), TINY)
    assert (result.column("x").status, result.column("x").score) == ("unknown", None)
    assert "holds no value of x" in result.column("x").reason
    assert result.column("z").status == "drift"
    assert result.overall == result.column("z").score


def test_an_absent_column_is_unknown_with_its_reason():
    reference = two_columns(range(100), ["a", "b"] * 50)
    column = check(reference, reference.drop(columns="x"), TINY).column("x")
    assert (column.status, column.reason) == ("unknown", "No current row has x.")


def test_a_column_that_became_empty_has_drifted():
    reference = two_columns(range(100), ["a", "b"] * 50)
    column = check(reference, two_columns([np.nan] * 100, ["a", "b"] * 50), TINY).column("x")
    assert (column.status, column.reference_missing, column.current_missing) == ("drift", 0.0, 1.0)


def test_a_constant_that_falls_has_drifted_and_one_that_stays_has_not():
    reference = two_columns([5] * 100, ["a", "b"] * 50)
    assert check(reference, reference, TINY).column("x").status == "ok"
    assert check(reference, two_columns([4] * 100, ["a", "b"] * 50), TINY).column("x").status == "drift"


def test_prediction_drift_uses_the_same_score_and_stays_out_of_the_overall():
    reference = two_columns(range(100), ["a", "b"] * 50)
    result = check(reference, reference, TINY, (["0", "1"] * 50, ["0"] * 80 + ["1"] * 20))
    assert result.prediction.status == "drift"
    assert result.prediction.current_shares == (0.8, 0.2, 0.0, 0.0)
    assert result.overall == 0.0


def test_predictions_of_a_regression_are_compared_as_numbers():
    definition = Definition("tiny", "Tiny", "regression", "y", (Column("x"),), metric="r2")
    reference = two_columns(range(100), ["a", "b"] * 50)
    result = check(reference, reference, definition, (np.arange(100.0), np.arange(100.0) + 60))
    assert (result.prediction.kind, result.prediction.status) == ("number", "drift")


def test_predictions_that_were_not_given_are_unknown():
    reference = two_columns(range(100), ["a", "b"] * 50)
    result = check(reference, reference, TINY, (["0", "1"] * 50, None))
    assert (result.prediction.status, result.prediction.reason) == ("unknown", "No current row has prediction.")


def test_profiles_of_other_bins_are_refused():
    a, b = two_columns(range(100), ["a", "b"] * 50), two_columns(range(50), ["a", "b"] * 25)
    bins = make_bins(a, TINY)
    with pytest.raises(BadInput, match="current profile was counted with other bins"):
        C.compare(count(bins, a), count(make_bins(b, TINY), b), bins=bins, thresholds=THRESHOLDS)


def test_thresholds_of_the_project_move_the_bands():
    result = check(hospital("cleveland"), hospital("hungary"), thresholds=Thresholds(drift_warning=0.2, drift=0.3))
    assert result.status == "drift"
    assert result.column("trestbps").status == "drift"


def test_a_result_survives_json():
    result = check(hospital("cleveland"), hospital("hungary"), predictions=(["0", "1"] * 151 + ["0"], ["1"] * 294))
    assert C.result_from_json(C.result_to_json(result)) == result


def test_hungary_scores_069_with_eight_columns_in_drift_and_three_in_warning():
    result = check(hospital("cleveland"), hospital("hungary"))
    assert result.overall == pytest.approx(0.69, abs=0.005)
    statuses = [c.status for c in result.columns]
    assert (statuses.count("drift"), statuses.count("warning")) == (8, 3)
    assert result.status == "warning"
    assert result.sentence == (
        "Overall drift 0.69: a warning. 8 of 13 columns drifted and 3 warn; "
        "294 rows against 303 of the reference. Most changed: ca (0.99)."
    )


def test_switzerland_scores_077_with_cholesterol_and_blood_sugar_at_098():
    result = check(hospital("cleveland"), hospital("switzerland"))
    assert result.overall == pytest.approx(0.77, abs=0.005)
    statuses = [c.status for c in result.columns]
    assert (statuses.count("drift"), statuses.count("warning")) == (10, 1)
    assert result.column("chol").score == pytest.approx(0.98, abs=0.005)
    assert result.column("fbs").score == pytest.approx(0.98, abs=0.005)
    assert result.status == "drift"


def test_random_parts_of_cleveland_rarely_raise_a_column():
    table, generator, raised = hospital("cleveland"), np.random.default_rng(42), 0
    trials = 150
    for _ in range(trials):
        order, rows = generator.permutation(len(table)), generator.integers(50, 151)
        result = check(table.iloc[order[150:]], table.iloc[order[:rows]])
        raised += any(c.status in ("warning", "drift") for c in result.columns)
    assert raised / trials <= 0.08


def test_two_hours_added_give_the_score_of_both_together():
    reference, current = hospital("cleveland"), hospital("hungary")
    bins = make_bins(reference, HEART)
    both = add(count(bins, current.head(100)), count(bins, current.iloc[100:]))
    whole = C.compare(count(bins, reference), count(bins, current), bins=bins, thresholds=THRESHOLDS)
    assert C.compare(count(bins, reference), both, bins=bins, thresholds=THRESHOLDS) == whole


def test_one_drifted_column_alerts_although_the_overall_score_is_low():
    table = hospital("cleveland")
    result = check(table, table.assign(thalch=table["thalch"] - 40))
    verdict = judge(result)
    assert result.overall < 0.1
    assert (verdict.level, verdict.columns) == ("high", ("thalch",))
    assert verdict.severity == result.column("thalch").score
    assert verdict.sentence == f"Column thalch has drifted ({verdict.severity:.2f}); overall drift is {result.overall:.2f}."


def test_a_drifted_column_that_the_model_does_not_use_does_not_alert():
    table = hospital("cleveland")
    verdict = judge(check(table, table.assign(thalch=table["thalch"] - 40)), importances={"thalch": 0.0, "age": 0.2})
    assert (verdict.level, verdict.columns) == ("none", ())
    assert "not used by the model: thalch" in verdict.sentence


def test_a_column_that_became_empty_is_named_with_its_missing_share():
    verdict = judge(check(hospital("cleveland"), hospital("hungary")))
    assert verdict.level == "high"
    assert verdict.sentence.startswith("Column ca has drifted (0.99), and 7 more columns with it; overall drift is 0.69.")
    assert "ca is missing in 99% of the rows, in 1% of the reference." in verdict.sentence


def test_the_overall_warning_is_of_medium_severity():
    result = check(hospital("cleveland"), hospital("hungary"))
    assert judge(result, importances={c.name: 0.0 for c in result.columns}).level == "medium"


def test_unknown_drift_is_an_unknown_verdict():
    verdict = judge(check(hospital("cleveland"), hospital("hungary").head(10)))
    assert (verdict.level, verdict.severity) == ("unknown", None)
