"""The figures of a drift check say in words what their colours say."""

import numpy as np
import pandas as pd

from core.drift.bins import count, make_bins
from core.drift.compute import compare
from core.projects.definition import Column, Definition, Thresholds
from pages import charts_drift as charts

DEFINITION = Definition(
    "tiny", "Tiny", "binary", "y", (Column("same"), Column("moved"), Column("gone"), Column("<b>c", kind="category")),
    positive="1", classes=("0", "1"),
)  # fmt: skip


def result(rows=100):
    reference = pd.DataFrame({"same": np.arange(100.0), "moved": np.arange(100.0), "gone": 1.0, "<b>c": ["a", "<i>b"] * 50})
    current = reference.head(rows).assign(moved=500.0).drop(columns="gone")
    bins = make_bins(reference, DEFINITION, ["0", "1"] * 50)
    before, now = count(bins, reference, ["0", "1"] * 50), count(bins, current, (["1"] * 100)[:rows])
    return compare(before, now, bins=bins, thresholds=Thresholds())


def test_bars_stand_worst_first_and_carry_their_status_in_words():
    bar = charts.drift_bars(result()).data[0]
    assert bar.y[0] == "moved"
    assert bar.y[-1] == "gone"
    assert bar.text[0].endswith(" Drift")
    assert set(bar.text[1:3]) == {"0.00 within chance"}
    assert bar.text[3] == "unknown"
    assert "No current row has gone." in bar.customdata[3]


def test_a_p_value_is_never_said_to_be_zero():
    assert [charts.say_p(p) for p in (None, 0.0, 0.00099, 0.001, 0.0432)] == [
        "p unknown", "p < 0.001", "p < 0.001", "p = 0.001", "p = 0.043",
    ]  # fmt: skip


def test_bars_draw_both_limits():
    figure = charts.drift_bars(result())
    assert [s.x0 for s in figure.layout.shapes] == [0.5, 0.7]
    assert [a.text for a in figure.layout.annotations] == ["warning 0.5", "drift 0.7"]


def test_a_distribution_shows_both_sides_with_their_sizes_and_only_bins_that_occur():
    reference, current = charts.distribution(result(50), "<b>c").data
    assert (reference.name, current.name) == ("Reference (100 rows)", "Current (50 rows)")
    assert reference.y == (0.5, 0.5)
    assert reference.x == ("&lt;i&gt;b", "a")


def test_the_distribution_of_the_predictions_is_there_too():
    _, current = charts.distribution(result(), "prediction").data
    assert dict(zip(current.x, current.y, strict=True)) == {"0": 0.0, "1": 1.0}


def test_many_categories_are_drawn_as_the_largest_and_the_rest():
    definition = Definition("tiny", "Tiny", "binary", "y", (Column("c", kind="category"),), positive="1", classes=("0", "1"))
    table = pd.DataFrame({"c": [f"v{i:02d}" for i in range(40) for _ in range(i + 1)]})
    bins = make_bins(table, definition)
    profile = count(bins, table)
    bar = charts.distribution(compare(profile, profile, bins=bins, thresholds=Thresholds()), "c").data[0]
    assert len(bar.x) == 15
    assert bar.x[-1] == "(26 further values)"
    assert abs(sum(bar.y) - 1) < 1e-9


def test_the_gauge_says_its_status_and_an_unknown_one_has_no_number():
    known, unknown = charts.overall_gauge(result()), charts.overall_gauge(result(10))
    assert known.data[0].title.text == "Overall drift: OK"
    assert known.data[0].value == result().overall
    assert (unknown.data[0].value, unknown.data[0].mode) == (None, "gauge")
    assert "Unknown" in unknown.layout.annotations[0].text
