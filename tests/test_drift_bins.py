"""Bins of a reference, and the counts that can be added up."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.drift import bins as B
from core.errors import BadInput
from core.projects.definition import Column, Definition

DEFINITION = Definition(
    name="tiny", title="Tiny", task="binary", target="y", positive="1", classes=("0", "1"),
    columns=(Column("age"), Column("sex", kind="category"), Column("note", kind="text", role="ignored")),
)


def frame(age, sex):
    return pd.DataFrame({"age": np.array(age, dtype=float), "sex": pd.Series(sex, dtype=object), "note": "x"})


REFERENCE = frame(range(1, 101), ["F", "M"] * 50)


def one(values, kind="number"):
    definition = Definition("tiny", "Tiny", "regression", "y", (Column("x", kind=kind),), metric="r2")
    table = pd.DataFrame({"x": values})
    bins = B.make_bins(table, definition)
    return bins, B.count(bins, table).counts["x"]


def test_a_number_gets_ten_quantile_bins_and_one_for_missing():
    bins = B.make_bins(REFERENCE, DEFINITION)
    assert [c.name for c in bins.columns] == ["age", "sex"]
    assert len(bins.columns[0].edges) == 9
    assert B.count(bins, REFERENCE).counts["age"] == (10,) * 10 + (0,)


def test_missing_infinite_and_unreadable_numbers_count_as_missing():
    bins = B.make_bins(REFERENCE, DEFINITION)
    current = pd.DataFrame({"age": ["5", "a lot", None, np.inf], "sex": ["F"] * 4})
    assert B.count(bins, current).counts["age"] == (1, *(0,) * 9, 3)


def test_a_category_counts_its_values_then_other_then_missing():
    bins = B.make_bins(REFERENCE, DEFINITION)
    counts = B.count(bins, frame([1, 1, 1, 1], ["M", "X", np.nan, None])).counts["sex"]
    assert bins.columns[1].labels == ("F", "M", "(other)", "(missing)")
    assert counts == (0, 1, 1, 2)


def test_true_and_the_text_true_are_the_same_category():
    bins, _ = one(["True", "False", None], kind="category")
    assert B.count(bins, pd.DataFrame({"x": [True, True, False]})).counts["x"] == (1, 2, 0, 0)


def test_an_integer_category_is_the_same_when_a_missing_value_makes_it_a_float():
    bins, _ = one([1, 2, 2], kind="category")
    assert B.count(bins, pd.DataFrame({"x": [1.0, np.nan, 2.0]})).counts["x"] == (1, 1, 0, 1)


def test_ties_merge_quantile_bins():
    bins, counts = one([0.0] * 85 + list(range(1, 16)))
    assert bins.columns[0].edges == pytest.approx((0.0, 5.1))
    assert counts == (85, 5, 10, 0)


def test_integers_are_counted_like_floats():
    assert one(np.arange(1, 101))[1] == (10,) * 10 + (0,)


def test_a_constant_column_shows_a_fall_and_a_rise():
    bins, counts = one([5.0] * 40)
    assert counts == (0, 40, 0, 0)
    assert bins.columns[0].labels == ("below 5", "5", "above 5", "(missing)")
    salaries = one(np.arange(30_000, 130_000, 1_000))[0].columns[0].labels
    assert salaries[0] == "up to 39,900"  # never 3.99e+04
    assert B.count(bins, pd.DataFrame({"x": [4.0, 5.0, 6.0, 7.0]})).counts["x"] == (1, 1, 2, 0)


def test_a_column_without_values_carries_its_reason_and_the_rest_stands():
    bins = B.make_bins(frame([np.nan] * 40, ["F"] * 40), DEFINITION)
    assert bins.columns[0].reason == "The reference holds no value of age, so there is nothing to compare with."
    assert bins.columns[1].reason == ""
    assert B.count(bins, REFERENCE).counts["age"] == (100, 0)


def test_an_absent_column_counts_nothing():
    profile = B.count(B.make_bins(REFERENCE, DEFINITION), REFERENCE.drop(columns="age"))
    assert sum(profile.counts["age"]) == 0
    assert profile.rows == 100


def test_many_categories_keep_the_most_frequent():
    values = ["often"] * 5 + [f"v{i:04d}" for i in range(300)]
    bins, counts = one(values, kind="category")
    assert len(bins.columns[0].values) == 200
    assert "often" in bins.columns[0].values
    assert counts[-2:] == (101, 0)


def test_predictions_are_counted_by_class_even_if_a_class_never_occurred():
    bins = B.make_bins(REFERENCE, DEFINITION, predictions=["0"] * 100)
    assert B.count(bins, REFERENCE.head(3), ["1", "1", "0"]).prediction == (1, 2, 0, 0)
    assert B.count(bins, REFERENCE.head(3)).prediction == (0, 0, 0, 0)


def test_predicted_integers_are_the_same_classes():
    bins = B.make_bins(REFERENCE, DEFINITION, predictions=["0"] * 100)
    assert B.count(bins, REFERENCE.head(3), np.array([1, 1, 0])).prediction == (1, 2, 0, 0)


def test_predictions_of_another_length_are_refused():
    bins = B.make_bins(REFERENCE, DEFINITION, predictions=["0"] * 100)
    with pytest.raises(BadInput, match="2 came with 3 rows"):
        B.count(bins, REFERENCE.head(3), ["1", "0"])


def test_the_same_reference_has_the_same_id_and_another_has_another():
    assert B.make_bins(REFERENCE, DEFINITION).bins_id == B.make_bins(REFERENCE.sample(frac=1, random_state=1), DEFINITION).bins_id
    assert B.make_bins(REFERENCE, DEFINITION).bins_id != B.make_bins(REFERENCE.head(50), DEFINITION).bins_id


def test_bins_and_profiles_survive_json():
    odd = frame([0.1 + 0.2, 1 / 3, np.nan, 7], ["é", "<b>", None, "M"])
    bins = B.make_bins(odd, DEFINITION, predictions=["0", "1", "1", "0"])
    again = B.bins_from_json(B.bins_to_json(bins))
    assert again == bins
    assert again.bins_id == bins.bins_id
    profile = B.count(bins, REFERENCE, ["0"] * 100)
    assert B.profile_from_json(B.profile_to_json(profile)) == profile


def test_an_unknown_format_is_refused():
    text = json.dumps({"format": 99, "columns": [], "prediction": None})
    with pytest.raises(BadInput, match="unknown format"):
        B.bins_from_json(text)


def test_profiles_of_different_bins_are_not_added():
    a, b = B.make_bins(REFERENCE, DEFINITION), B.make_bins(REFERENCE.head(50), DEFINITION)
    with pytest.raises(BadInput, match="different bins"):
        B.add(B.count(a, REFERENCE), B.count(b, REFERENCE))


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(allow_nan=True, width=32), st.integers(0, 3).map(float)),
        st.sampled_from(["F", "M", "X", None]),
        st.sampled_from(["0", "1"]),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.lists(st.integers(0, 60), max_size=5), ROWS)
def test_the_sum_over_hours_is_the_profile_of_the_whole(rows, cuts, reference):
    def table(some):
        return frame([r[0] for r in some], [r[1] for r in some])

    bins = B.make_bins(table(reference), DEFINITION, predictions=[r[2] for r in reference])
    places = [0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]
    hours = [rows[a:b] for a, b in pairwise(places)]
    summed = B.sum_profiles(bins, [B.count(bins, table(h), [r[2] for r in h]) for h in hours])
    whole = B.count(bins, table(rows), [r[2] for r in rows])
    assert summed == whole
    assert all(sum(counts) == len(rows) for counts in whole.counts.values())
