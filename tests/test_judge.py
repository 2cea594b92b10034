"""One rule decides whether a retrained candidate is better, from exact numbers."""

from dataclasses import replace

import pytest

from core.retraining.evaluate import Evaluation, Paired
from core.retraining.judge import judge, tell
from core.training.selection import GateCheck

OPEN = GateCheck("metric", True, 0.80, 0.75, "F1 0.800 (mean of the folds) reaches 0.75, set for register.")
FINE = GateCheck("class_recall", True, 0.7, 0.6, "The lowest recall, of class 1, is 0.700 and reaches 0.6.")
LOW = GateCheck("class_recall", False, 0.5, 0.6, "The lowest recall, of class 1, is 0.500 and is below 0.6.")


def paired(low, high, *, rows=200, classes=None, which="rows that neither was fitted on"):
    return Paired(which, rows, 0.8, 0.8 - (low + high) / 2, (low + high) / 2, low, high, classes or {})


def found(unseen, **more):
    held_out = more.pop("held_out", paired(-0.02, 0.06, rows=40))
    return Evaluation("f1", "version 1.0.0", "1.0.0", unseen, held_out, more.pop("recent", None), 200, **more)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.01, 0.05, "better"), (0.0, 0.05, "unclear"), (-0.01, 0.05, "unclear"), (-0.05, -0.01, "worse"), (-0.05, 0.0, "unclear")],
)
def test_the_whole_interval_decides(low, high, outcome):
    assert judge(found(paired(low, high)), register=OPEN, recall=FINE).outcome == outcome


def test_the_sentence_gives_both_values_the_rows_and_the_interval():
    judged = judge(found(paired(0.01, 0.05)), register=OPEN, recall=FINE)
    assert judged.sentence == (
        "Better than version 1.0.0: F1 0.800 against 0.770 of version 1.0.0 on 200 rows that neither was fitted on: "
        "+0.030 (95 % interval +0.010 to +0.050), better."
    )


def test_below_the_register_gate_it_is_worse_whatever_the_interval_says():
    shut = replace(OPEN, passed=False, sentence="F1 0.400 (mean of the folds) is below 0.75, set for register.")
    judged = judge(found(paired(0.01, 0.05)), register=shut, recall=FINE)
    assert (judged.outcome, judged.reasons) == ("worse", (shut.sentence,))


def test_thirty_rows_are_needed_and_twenty_nine_are_too_few():
    assert judge(found(paired(0.1, 0.5, rows=30)), register=OPEN, recall=FINE).outcome == "better"
    judged = judge(found(paired(0.1, 0.5, rows=29)), register=OPEN, recall=FINE)
    assert judged.outcome == "unclear"
    assert judged.reasons == ("Only 29 rows are new to both; 30 are needed to tell the two apart.",)


def test_a_lost_class_is_worse_although_the_whole_is_better():
    judged = judge(found(paired(0.01, 0.05, classes={"0": [100, 0.9, 0.7], "1": [100, 0.5, 0.65]})), register=OPEN, recall=LOW)
    assert judged.outcome == "worse"
    assert judged.reasons[0] == "Class 1 is lost: recall 0.500 against 0.650 of the live version, with a floor of 0.6."


def test_a_class_below_the_floor_where_the_live_one_is_no_better_is_unclear():
    judged = judge(found(paired(0.01, 0.05, classes={"1": [100, 0.5, 0.4]})), register=OPEN, recall=LOW)
    assert judged.outcome == "unclear"


def test_a_served_model_that_falls_behind_on_the_held_out_rows_is_not_called_better():
    behind = paired(-0.05, 0.01, rows=40, which="held-out rows that neither was fitted on")
    assert judge(found(paired(0.01, 0.05), held_out=behind), register=OPEN, recall=FINE).outcome == "unclear"
    few = replace(behind, rows=29)
    assert judge(found(paired(0.01, 0.05), held_out=few), register=OPEN, recall=FINE).outcome == "better"


def test_live_answers_that_speak_against_it_make_it_unclear():
    against = paired(-0.09, -0.01, which="labelled predictions of the last 30 days")
    judged = judge(found(paired(0.01, 0.05), recent=against), register=OPEN, recall=FINE)
    assert judged.outcome == "unclear"
    assert "labelled predictions of the last 30 days" in judged.reasons[0]


def test_what_could_not_be_compared_is_unclear_and_says_why():
    judged = judge(found(Paired("rows", 0), reason="version 1.0.0 has another schema"), register=OPEN, recall=FINE)
    assert (judged.outcome, judged.reasons) == ("unclear", ("Version 1.0.0 has another schema.",))
    undefined = judge(found(Paired("rows that neither was fitted on", 50)), register=OPEN, recall=FINE)
    assert undefined.reasons == ("F1 is undefined on the 50 rows that are new to both.",)


def test_a_project_without_classes_has_no_floor():
    assert judge(replace(found(paired(0.01, 0.05)), metric="r2"), register=OPEN, recall=None).outcome == "better"


def test_a_comparison_that_is_undefined_says_so():
    assert tell(Paired("held-out rows", 1), "f1", "version 1.0.0") == "F1 cannot be compared on 1 held-out rows."
