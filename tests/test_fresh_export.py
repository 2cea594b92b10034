"""Which labelled predictions are put below a table, how their label is written, and which rows neither model was fitted on."""

import numpy as np
import pandas as pd
import pytest

from core.datasets.prepare import prepare
from core.projects.definition import Column, Definition, check
from core.retraining import evaluate, export

X, C = Column("x", low=0, high=100), Column("c", kind="category", allowed=("a", "b"))
BINARY = check(Definition("tiny", "Tiny", "binary", "y", (X, C), positive=">0", classes=("0", "1")))
RANKING = check(Definition("tiny", "Tiny", "ranking", "y", (X, C), group="q", metric="ndcg"))


def below(definition, base, found):
    """(rows that are kept, impossible values by column, rows that stand in the base)."""
    raw = pd.DataFrame(base).astype(str)
    kept, impossible, known = export._labelled_frame(
        pd.DataFrame(found), definition, raw, prepare(raw, definition, purpose="training")
    )
    return kept.to_dict("records"), impossible, known


def row(x, c, **more):
    return {"x": x, "c": c, **more}


BASE = [row(1, "a", y=0), row(2, "b", y=3), row(2, "b", y=3), row(3, "a", y=1), row(4, "b", y=3)]


def test_a_label_is_written_as_the_table_writes_its_class_most_often():
    assert below(BINARY, BASE, [row(5.0, "a", label="1"), row(6.0, "b", label="0")])[0] == [row(5.0, "a", y="3"), row(6.0, "b", y="0")]


def test_the_same_case_with_the_same_answer_is_known_and_with_another_it_is_new():
    kept, _, known = below(BINARY, BASE, [row(1.0, "a", label="0"), row(1.0, "a", label="1")])
    assert (kept, known) == ([row(1.0, "a", y="3")], 1)


def test_a_kind_of_case_that_the_table_holds_often_is_no_repetition():
    assert below(BINARY, BASE, [row(2.0, "b", label="1")])[::2] == ([row(2.0, "b", y="3")], 0)


@pytest.mark.parametrize(("one", "column"), [(row(101.0, "a"), "x"), (row(1.5, "z"), "c"), (row("much", "a"), "x")])
def test_a_value_that_cannot_be_right_leaves_its_row_out_and_is_counted(one, column):
    kept, impossible, known = below(BINARY, BASE, [{**one, "label": "1"}, row(7.0, "a", label="1")])
    assert (len(kept), impossible, known) == (1, {column: 1}, 0)


def test_a_missing_value_is_no_reason_to_leave_a_row_out():
    kept, impossible, _ = below(BINARY, BASE, [row(None, "a", label="1")])
    assert (len(kept), impossible) == (1, {})


def test_in_a_ranking_the_same_features_in_another_query_are_another_case():
    base = [row(1, "a", q="q1", y=2), row(2, "b", q="q1", y=0)]
    found = [row(1.0, "a", q="q1", label="2.0"), row(1.0, "a", q="q2", label="2.0")]
    kept, _, known = below(RANKING, base, found)
    assert (kept, known) == ([row(1.0, "a", q="q2", y=2.0)], 1)


def hashes(*rows):
    return export.row_hashes(prepare(pd.DataFrame(rows), BINARY, purpose="scoring").features)


def test_equal_rows_have_equal_hashes_however_they_were_written():
    assert hashes(row(1.0, "a"), row(2.0, "b")).tolist() == hashes(row("1", "a"), row("2.0", "b")).tolist()
    assert len(set(hashes(row(1, "a"), row(1, "b"), row(2, "a"), row(None, "a")).tolist())) == 4


def test_rows_that_were_fitted_on_and_rows_that_occur_twice_are_not_judged_on():
    mine = hashes(row(1, "a"), row(2, "a"), row(3, "a"), row(2, "a"))
    assert evaluate._fresh(mine, None, hashes(row(3, "a"))).tolist() == [True, False, False, False]


def test_of_a_query_that_was_fitted_on_in_part_no_row_is_judged_on():
    mine = hashes(row(1, "a"), row(2, "a"), row(3, "a"), row(4, "a"))
    asked = np.array(["q1", "q1", "q2", "q2"], dtype=object)
    assert evaluate._fresh(mine, asked, mine[:1]).tolist() == [False, False, True, True]
