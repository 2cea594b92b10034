"""Figures of a dataset: heights are the profile's counts, and words stand beside colours."""

from pages import charts_data

AGE = {"kind": "number", "unit": "years", "histogram": {"edges": [20.0, 40.0, 60.0], "counts": [3, 7]}}


def test_a_histogram_has_the_profiles_counts_between_its_edges():
    figure = charts_data.column_histogram("age", AGE, low=0, high=50)
    bars = figure.data[0]
    assert list(bars.y) == [3, 7]
    assert list(bars.x) == [30.0, 50.0]
    assert figure.layout.xaxis.title.text == "age (years)"
    assert [line.x0 for line in figure.layout.shapes] == [50]  # 0 lies outside of what is drawn


def test_categories_stand_in_order_and_the_rest_is_one_bar():
    column = {"kind": "category", "top": [{"value": "<i>a</i>", "count": 5}, {"value": "b", "count": 2}], "other": 4}
    bars = charts_data.column_histogram("plan", column).data[0]
    assert list(bars.x) == ["&lt;i&gt;a&lt;/i&gt;", "b", "(all further values)"]
    assert list(bars.y) == [5, 2, 4]


def test_a_class_without_rows_is_drawn_and_says_none():
    bars = charts_data.class_balance({"LOW": 30, "HIGH": 0}, {"LOW": "low"}).data[0]
    assert list(bars.y) == ["low", "HIGH"]
    assert list(bars.text) == ["30 (100%)", "0 (0%)"]
