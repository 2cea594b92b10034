"""One way from text, typed frames and dicts to features, with every problem named."""

import numpy as np
import pandas as pd
import pytest

from core.datasets.headers import match_headers
from core.datasets.prepare import prepare, problem_texts
from core.datasets.read import read_table, stream_table
from core.errors import BadInput
from core.projects.definition import from_dict


def heart(**changes):
    return from_dict(
        {
            "name": "heart", "title": "Heart", "task": "binary", "target": "num", "positive": ">0", "classes": ["0", "1"],
            "columns": [
                {"name": "chol", "low": 100, "high": 600},
                {"name": "thalch", "aliases": ["thalach"]},
                {"name": "ca", "low": 0, "high": 3, "integer": True},
                {"name": "fbs", "kind": "category", "allowed": ["False", "True"]},
                {"name": "thal", "kind": "category", "allowed": ["normal", "fixed defect"]},
            ],
            **changes,
        }
    )  # fmt: skip


HEAD = "chol,thalch,ca,fbs,thal,num\n"


def scored(text, **options):
    return prepare(read_table(text.encode()), heart(), purpose="scoring", **options)


def test_features_have_the_definitions_order_and_types():
    prepared = scored("num,thal,fbs,ca,thalch,chol\n2, normal ,true,1.0,150,233\n0,NA,FALSE,,140.5,?\n")
    assert list(prepared.features) == ["chol", "thalch", "ca", "fbs", "thal"]
    assert [str(t) for t in prepared.features.dtypes] == ["float64"] * 3 + ["object"] * 2
    assert prepared.features.iloc[0].tolist() == [233.0, 150.0, 1.0, "True", "normal"]
    assert prepared.features["thal"].isna().tolist() == [False, True]
    assert prepared.target.tolist() == ["1", "0"]


def test_every_problem_is_named_on_its_row():
    prepared = scored(HEAD + "0,abc,1.5,maybe,odd,0\n233,150,1,True,normal,1\n,150,1,True,normal,1\n")
    assert problem_texts(prepared) == [
        "chol 0 is outside 100..600; thalch: 'abc' is not a number, taken as missing; ca 1.5 is not a whole number; "
        "fbs: 'maybe' is not a known category; thal: 'odd' is not a known category",
        "",
        "chol is missing",
    ]
    assert [(p.column, p.code, p.rows.tolist()) for p in prepared.problems] == [
        ("chol", "missing", [2]), ("chol", "out_of_range", [0]), ("thalch", "unreadable", [0]),
        ("ca", "not_integer", [0]), ("fbs", "unknown_category", [0]), ("thal", "unknown_category", [0]),
    ]  # fmt: skip
    assert prepared.features["chol"].tolist()[0] == 0.0
    assert np.isnan(prepared.features["thalch"][0])


@pytest.mark.parametrize("written", ["true", "TRUE", "True", " True ", "1.0", "1"])
def test_booleans_are_the_same_however_written(written):
    assert scored(HEAD + f"233,150,1,{written},normal,1\n").features["fbs"].tolist() == ["True"]


@pytest.mark.parametrize(
    "row",
    [
        {"chol": 233, "thalch": 150.0, "ca": 1, "fbs": True, "thal": "normal"},
        {"chol": "233", "thalch": "150", "ca": "1.0", "fbs": "True", "thal": "normal "},
        {"chol": np.float64(233), "thalch": np.int64(150), "ca": 1.0, "fbs": np.bool_(True), "thal": "normal"},
        {"CHOL": 233, "thalach": 150, " Ca": 1, "fbs": "1", "Thal": "normal", "extra": "kept aside"},
    ],
)
def test_dicts_typed_frames_and_text_give_the_same_features(row):
    expected = scored(HEAD + "233,150,1,True,normal,1\n").features
    for data in ([row], pd.DataFrame([row]), pd.DataFrame([row]).astype(object)):
        prepared = prepare(data, heart(), purpose="scoring")
        pd.testing.assert_frame_equal(prepared.features, expected)
        assert prepared.problems == ()
        assert prepared.extra_columns == (("extra",) if "extra" in row else ())


def test_a_key_absent_in_one_row_is_a_missing_value():
    full = {"chol": 233, "thalch": 150, "ca": 1, "fbs": True, "thal": "normal"}
    prepared = prepare([full, {k: v for k, v in full.items() if k != "ca"}], heart(), purpose="scoring")
    assert problem_texts(prepared) == ["", "ca is missing"]


@pytest.mark.parametrize("value", [True, float("inf"), "inf", "1_000", "0x10", [1], {"a": 1}])
def test_what_is_not_a_finite_number_is_unreadable(value):
    rows = [{"chol": v, "thalch": 150, "ca": 1, "fbs": True, "thal": "normal"} for v in (233, value)]
    prepared = prepare(rows, heart(), purpose="scoring")
    assert [(p.column, p.code, p.rows.tolist()) for p in prepared.problems] == [("chol", "unreadable", [1])]


def test_missing_in_any_form_is_missing():
    for value in (None, float("nan"), pd.NA, pd.NaT, "NA", " "):
        rows = [{"chol": v, "thalch": 150, "ca": 1, "fbs": True, "thal": w} for v, w in ((233, "normal"), (value, value))]
        assert problem_texts(prepare(rows, heart(), purpose="scoring")) == ["", "chol is missing; thal is missing"]


def test_an_absent_column_is_refused_by_name():
    with pytest.raises(BadInput, match=r"Column 'ca' is absent; the table has: chol, thalch, fbs, thal\."):
        scored("chol,thalch,fbs,thal\n233,150,True,normal\n")
    with pytest.raises(BadInput, match="'num'"):
        prepare(read_table(b"chol,thalch,ca,fbs,thal\n233,150,1,True,normal\n"), heart(), purpose="training")


def test_two_headers_for_one_column_are_refused():
    with pytest.raises(BadInput, match="'Chol' and 'CHOL' could both be 'chol'"):
        scored("Chol,CHOL,thalch,ca,fbs,thal\n1,2,150,1,True,normal\n")


def test_the_exact_name_wins_over_an_alias():
    found, extra = match_headers(["thalach", "thalch", "chol", "ca", "fbs", "thal"], heart())
    assert found["thalch"] == "thalch"
    assert extra == ("thalach",)


def test_a_column_of_which_nothing_can_be_read_is_refused_in_scoring():
    text = HEAD + "233,fast,1,True,normal,1\n240,,1,True,normal,1\n"
    with pytest.raises(BadInput, match="No value of column 'thalch' is a number"):
        scored(text)
    assert prepare(read_table(text.encode()), heart(), purpose="training").unreadable_columns == ("thalch",)


def test_output_columns_are_refused_in_scoring_only():
    text = (HEAD.strip() + ",Score\n233,150,1,True,normal,1,5\n").encode()
    with pytest.raises(BadInput, match="'Score'"):
        prepare(read_table(text), heart(), purpose="scoring")
    assert len(prepare(read_table(text), heart(), purpose="training")) == 1


def test_decimal_commas_are_numbers_and_thousands_are_not_guessed():
    table = read_table(b"chol;thalch;ca;fbs;thal\n233,5;150,25;1;True;normal\n240;1.234;2;True;normal\n")
    prepared = prepare(table, heart(), purpose="scoring")
    assert prepared.features["chol"].tolist() == [233.5, 240.0]
    assert problem_texts(prepared) == ["", "thalch: '1.234' is not a number, taken as missing"]
    mixed = read_table(b'chol,thalch,ca,fbs,thal\n"1,234",150.5,1,True,normal\n233,150,1,True,normal\n')
    assert problem_texts(prepare(mixed, heart(), purpose="scoring"))[0] == "chol: '1,234' is not a number, taken as missing"


@pytest.mark.parametrize(
    ("positive", "expected"),
    [(">0", ["0", "1", "1", None]), (">=3", ["0", "0", "1", None]), ("<1", ["1", "0", "0", None]), ("3", ["0", "0", "1", None])],
)
def test_the_positive_class_is_a_value_or_a_comparison(positive, expected):
    rows = [{"chol": 233, "thalch": 150, "ca": 1, "fbs": True, "thal": "normal", "num": n} for n in (0, 1.0, "3", None)]
    prepared = prepare(rows, heart(positive=positive), purpose="training")
    assert prepared.target.tolist() == expected
    assert [(p.column, p.code, p.rows.tolist()) for p in prepared.target_problems] == [("num", "missing", [3])]


def test_multiclass_targets_keep_their_names_and_unknown_ones_are_missing():
    definition = from_dict(
        {"name": "m", "title": "M", "task": "multiclass", "target": "y", "classes": ["LOW", "HIGH"], "columns": [{"name": "x"}]}
    )
    prepared = prepare(read_table(b"x,y\n1, LOW\n2,HIGH\n3,Huge\n4,\n"), definition, purpose="training")
    assert prepared.target.tolist() == ["LOW", "HIGH", None, None]
    assert [(p.code, p.rows.tolist()) for p in prepared.target_problems] == [("missing", [3]), ("unknown_category", [2])]


def test_ranking_has_groups_and_keys():
    definition = from_dict(
        {
            "name": "r", "title": "R", "task": "ranking", "target": "y", "metric": "ndcg", "group": "q", "key": "id",
            "columns": [{"name": "x"}, {"name": "id", "kind": "category", "role": "key"}],
        }
    )  # fmt: skip
    prepared = prepare(read_table(b"id,q,x,y\n7.0,a ,1,3\n8,,2,0\n"), definition, purpose="training")
    assert prepared.target.tolist() == [3.0, 0.0]
    assert prepared.group.tolist() == ["a", None]
    assert prepared.key.tolist() == ["7", "8"]
    assert list(prepared.features) == ["x"]


def test_a_stream_refuses_only_in_its_first_chunk(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("chol,thalch,ca,fbs,thal\n" + "233,150,1,True,normal\n" * 3 + "233,fast,1,True,normal\n", encoding="utf-8")
    chunks = [
        prepare(frame, heart(), purpose="scoring", refuse_unreadable=number == 0)
        for number, frame in enumerate(stream_table(path, chunk_rows=3))
    ]
    assert [len(p) for p in chunks] == [3, 1]
    assert problem_texts(chunks[1]) == ["thalch: 'fast' is not a number, taken as missing"]


def test_odd_text_cannot_break_a_sentence():
    prepared = scored(HEAD + '233,150,1,True,"a\nb' + "\u202e" + "x" * 60 + '",1\n')
    assert problem_texts(prepared)[0] == "thal: 'a·b·" + "x" * 36 + "…' is not a known category"
