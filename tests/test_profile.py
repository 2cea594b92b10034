"""Profiles: plain numbers of tiny tables."""

import json

import pytest

from core.datasets.prepare import prepare
from core.datasets.profile import profile
from core.projects.definition import from_dict


def make(rows, **column):
    definition = from_dict(
        {"name": "p", "title": "P", "task": "multiclass", "target": "y", "classes": ["a", "b", "c"],
         "columns": [{"name": "x", **column}]}
    )  # fmt: skip
    return profile(prepare(rows, definition, purpose="training"), definition)


def test_numbers_are_summed_up():
    found = make([{"x": v, "y": "a"} for v in (1, 2, 3, 4, None)], unit="mm")
    column = found["columns"]["x"]
    assert (column["kind"], column["unit"], column["missing"], column["missing_share"]) == ("number", "mm", 1, 0.2)
    assert (column["min"], column["max"], column["mean"], round(column["std"], 6)) == (1.0, 4.0, 2.5, 1.290994)
    assert column["quantiles"] == pytest.approx({"0.05": 1.15, "0.25": 1.75, "0.50": 2.5, "0.75": 3.25, "0.95": 3.85})
    assert column["histogram"] == {"edges": [0.5, 1.5, 2.5, 3.5, 4.5], "counts": [1, 1, 1, 1]}


def test_categories_are_counted_largest_first():
    column = make([{"x": v, "y": "a"} for v in ("r", "b", "b", None)], kind="category")["columns"]["x"]
    assert column["top"] == [{"value": "b", "count": 2}, {"value": "r", "count": 1}]
    assert (column["distinct"], column["other"], column["missing"]) == (2, 0, 1)


def test_many_categories_are_cut_and_the_rest_counted():
    column = make([{"x": f"v{i:02}", "y": "a"} for i in range(25)], kind="category")["columns"]["x"]
    assert (len(column["top"]), column["other"]) == (20, 5)


def test_classes_and_their_imbalance():
    found = make([{"x": 1, "y": y} for y in ("a", "a", "a", "b", None)])
    assert found["rows"] == 5
    assert found["classes"] == {"a": 3, "b": 1, "c": 0}
    assert found["imbalance_ratio"] == 3.0
    assert found["target"]["missing"] == 1


def test_odd_columns_stay_plain_data():
    for values in ([None, None], [5.5, 5.5], [1e308, -1e308], list(range(1000))):
        found = make([{"x": v, "y": "a"} for v in values])
        json.dumps(found, allow_nan=False)
        histogram = found["columns"]["x"]["histogram"]
        assert histogram is None or (len(histogram["counts"]) <= 20 and sum(histogram["counts"]) == len(values))
