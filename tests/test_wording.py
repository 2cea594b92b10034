"""Sentences of a release request: from tiny evidence to exact words."""

from dataclasses import replace

from core.approvals import Request
from core.projects.definition import from_dict
from core.registry import wording

PASSED = {"name": "metric", "passed": True, "value": 0.82, "threshold": 0.8, "sentence": "F1 0.820 reaches 0.8."}
FAILED = {"name": "class_recall", "passed": False, "value": 0.5, "threshold": 0.6, "sentence": "The lowest recall is 0.500."}
NOT_ASKED = {"name": "live", "passed": None, "value": None, "threshold": 0.0, "sentence": "No version is live."}
EVIDENCE = {
    "model": "Logistic regression", "metric": "f1", "gates": [PASSED, NOT_ASKED, FAILED], "holdout_rows": 50, "train_rows": 200,
    "metrics": {"rows": 50, "accuracy": 0.84, "tp": 20, "fn": 5, "tn": 22, "fp": 3}, "intervals": {"accuracy": [0.78, 0.9]},
    "baseline": {"holdout": {"accuracy": 0.5}}, "live": None,
}  # fmt: skip
REQUEST = Request(
    17, "heart", "release", 3, "1.1.0", "abc", 0.5, "def", EVIDENCE, None, "scientist", "scientist", "why",
    "2026-11-21T10:00:00.000Z", "2026-11-22T10:00:00.000Z", "pending", None, None, None, False, None, None,
)  # fmt: skip
HEART = from_dict(
    {"name": "heart", "title": "Heart", "task": "binary", "target": "num", "positive": ">0", "classes": ["0", "1"],
     "columns": [{"name": "age"}], "costs": {"false_negative": 5.0, "false_positive": 1.0}}
)  # fmt: skip


def answers(request=REQUEST, definition=HEART, live=None, recent=0):
    lines = wording.brief(request, definition, live=live, recent=recent, expires="Sunday", lapses="Friday")
    return {line.topic: line.answer for line in lines}


def with_evidence(**changes):
    return replace(REQUEST, evidence={**EVIDENCE, **changes})


def test_the_questions_stand_in_the_order_in_which_they_are_asked():
    lines = wording.brief(REQUEST, HEART, live=None, recent=0, expires="Sunday")
    assert [line.topic for line in lines] == ["change", "affected", "good", "nothing", "live", "sure", "risk", "silence"]


def test_what_changes_names_the_version_that_is_replaced_or_says_that_there_is_none():
    assert answers()["change"] == "Heart has no live version. Version 1.1.0 (Logistic regression) would be the first to answer."
    assert (
        answers(live="1.0.0")["change"] == "Version 1.1.0 (Logistic regression) would answer for Heart in place of version 1.0.0."
    )


def test_hits_misses_and_false_alarms_are_counted_not_rated():
    assert answers()["good"] == (
        "It answered 42 of 50 cases right that it had never seen (84 of 100). Of 25 cases that were positive it found 20 and "
        "missed 5; of 25 that were not, it raised a false alarm for 3."
    )
    assert answers()["nothing"] == "Without any model, always giving the most common answer, 50 of 100 would be right."


def test_the_interval_is_said_as_so_many_of_100():
    assert (
        answers()["sure"] == "From 50 cases only: on others like them, between 78 and 90 of 100 would be right (19 times in 20)."
    )


def test_another_threshold_has_other_counts_and_an_interval_of_its_own():
    request = with_evidence(at_threshold={"rows": 50, "accuracy": 0.8, "tp": 24, "fn": 1, "tn": 16, "fp": 9})
    assert "found 24 and missed 1" in answers(request)["good"]
    low, high = wording.accuracy_interval(request.evidence)
    assert (round(low, 3), round(high, 3)) == (0.670, 0.888)  # Wilson, 40 of 50


def test_against_the_live_version_it_is_better_worse_or_not_distinguishable():
    live = {"version": "1.0.0", "metric": "f1", "new": 0.8, "old": 0.7, "difference": 0.1, "low": 0.02, "high": 0.18, "rows": 50,
            "verdict": "better", "same_data": True}  # fmt: skip
    assert answers(with_evidence(live=live), live="1.0.0")["live"] == (
        "Better than version 1.0.0 on the same 50 cases: F1 0.80 against 0.70."
    )
    worse = {**live, "verdict": "worse", "same_data": False}
    assert answers(with_evidence(live=worse), live="1.0.0")["live"] == (
        "Worse than version 1.0.0 on the same 50 cases: F1 0.80 against 0.70. Version 1.0.0 may have been trained on some of "
        "these cases, which flatters it."
    )
    unclear = {**live, "verdict": "not distinguishable", "low": -0.05, "high": 0.2}
    assert "may lie anywhere between -0.05 and +0.20." in answers(with_evidence(live=unclear), live="1.0.0")["live"]
    alike = {**unclear, "new": 0.7, "difference": 0.0, "low": 0.0, "high": 0.0}
    assert answers(with_evidence(live=alike), live="1.0.0")["live"] == (
        "They do not differ on the same 50 cases: F1 0.70 for it and for version 1.0.0."
    )


def test_a_version_that_went_live_after_the_request_is_said_not_to_be_compared():
    assert answers(live="1.0.5")["live"] == (
        "Nothing was live when this was requested, so there was nothing to compare with. Since then version 1.0.5 has gone live, "
        "which was not compared."
    )


def test_the_risk_names_wrong_answers_costs_failed_conditions_and_the_way_back():
    assert answers(live="1.0.0")["risk"] == (
        "About 16 of 100 answers are wrong even on data like that it was tested on. A missed case counts 5 times as much as a "
        "false alarm in this project. It learned from 200 rows; on data unlike them it may do worse, and the Drift page "
        "helps to see that. It fails 1 of the conditions that the project has set: no class is neglected. Risk: high, as with "
        "every new version. Way back: one click returns to version 1.0.0."
    )


def test_silence_has_its_consequence():
    assert answers()["silence"] == "The request expires on Sunday. Nothing changes then, and it can be asked again."
    approved = replace(REQUEST, state="approved")
    assert answers(approved)["silence"] == "It is approved; DevOps can deploy it until Friday. After that the approval lapses."


def test_what_is_not_known_is_said_to_be_unknown():
    bare = answers(replace(REQUEST, evidence={}))
    assert bare["good"] == "How good it is, is unknown: the evidence holds no test on unseen cases."
    assert bare["nothing"] == "Unknown: no baseline stands beside it."
    assert bare["sure"] == "Unknown: no interval could be computed."
    assert "model unknown" in bare["change"]


def test_numbers_are_judged_by_their_error():
    prices = from_dict({"name": "prices", "title": "Prices", "task": "regression", "target": "price", "metric": "r2",
                        "columns": [{"name": "size"}]})  # fmt: skip
    request = with_evidence(metrics={"rows": 50, "mae": 1.25}, baseline={"holdout": {"mae": 4.0}}, intervals={"mae": [1.0, 1.5]})
    said = answers(request, prices)
    assert said["good"] == "On 50 cases that it had never seen it was off by 1.25 on average."
    assert said["nothing"] == "Without any model, always giving the average, the error would be 4."
    assert said["sure"] == "From 50 cases only: on others like them it would be off by 1 to 1.5 on average (19 times in 20)."
    dear = with_evidence(metrics={"rows": 50, "mae": 11334.6}, baseline={"holdout": {"mae": 49187.2}}, intervals={"mae": [9770.4, 13100.0]})
    said = answers(dear, prices)
    assert [said[k].split(" ")[-3:] for k in ("good", "nothing")] == [["11,335", "on", "average."], ["would", "be", "49,187."]]
    assert "by 9770 to 13,100 on average" in said["sure"]


def test_failed_conditions_come_first_and_what_was_not_asked_last():
    lines = wording.gate_lines(REQUEST)
    assert [(line.name, line.word) for line in lines] == [
        ("class_recall", "Failed"), ("metric", "Passed"), ("live", "Not asked"),
    ]  # fmt: skip


def test_every_language_has_every_sentence():
    for words in wording.TEMPLATES.values():
        assert set(words) == set(wording.TEMPLATES["en"])
