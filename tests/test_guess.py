"""What the wizard guesses, and what it builds of a person's choices."""

from datetime import UTC, datetime, timedelta

import pytest

from core.datasets.guess import build_definition, describe, guess_columns, guess_task
from core.datasets.read import read_table
from core.errors import BadInput

CLEVELAND = "samples/heart_disease/data/heart_cleveland.csv"
TOWNS, LEVELS = ("Rom", "Bern", "Graz"), ("HIGH", "LOW", "MEDIUM")
LINES = "patient_id,age,dose,smoker,town,note,empty,level\n" + "".join(
    f"{100 + i},{20 + i % 9},{i / 4},{'TRUE' if i % 2 else 'false'},{TOWNS[i % 3]},he said {i} times,,{LEVELS[i % 3]}\n"
    for i in range(30)
)


@pytest.fixture
def table():
    return read_table(LINES.encode(), file_name="patients.csv")


def test_kinds_and_roles_are_guessed(table):
    guesses = {g.name: g for g in guess_columns(table)}
    assert {n: (g.kind, g.role) for n, g in guesses.items()} == {
        "patient_id": ("category", "key"), "age": ("number", "feature"), "dose": ("number", "feature"),
        "smoker": ("category", "feature"), "town": ("category", "feature"), "note": ("text", "ignored"),
        "empty": ("category", "ignored"), "level": ("category", "feature"),
    }  # fmt: skip
    assert (guesses["age"].integer, guesses["dose"].integer) == (True, False)
    assert (guesses["age"].suggested_low, guesses["age"].suggested_high) == (20.0, 28.0)
    assert guesses["smoker"].allowed == ("False", "True")
    assert guesses["town"].allowed == ("Bern", "Graz", "Rom")


@pytest.mark.parametrize(
    ("values", "task", "positive", "classes"),
    [
        ("no yes", "binary", "yes", ("0", "1")),
        ("0 1", "binary", "1", ("0", "1")),
        ("TRUE FALSE", "binary", "TRUE", ("0", "1")),
        ("2 10", "binary", "10", ("0", "1")),
        ("HIGH LOW MEDIUM", "multiclass", "", ("LOW", "MEDIUM", "HIGH")),
        ("10 9 0", "multiclass", "", ("0", "9", "10")),
        ("x z y", "multiclass", "", ("x", "y", "z")),
        ("1.5 2.5 3", "regression", "", ()),
        (" ".join(map(str, range(30))), "regression", "", ()),
    ],
)
def test_the_task_is_guessed_from_the_target(values, task, positive, classes):
    table = read_table(("y,x\n" + "".join(f"{v},1\n" for v in values.split())).encode())
    guess = guess_task(table, "y")
    assert (guess.task, guess.positive, guess.classes) == (task, positive, classes)
    assert guess.reason.startswith("y h")


def test_a_target_that_cannot_be_one_is_refused(table):
    for target, words in (("nothing", "no column"), ("empty", "0 value"), ("note", "different texts")):
        with pytest.raises(BadInput, match=words):
            guess_task(table, target)


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%y %H:%M"])
def test_dates_are_said_to_be_dates_and_are_neither_key_nor_feature(form):
    days = [(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n)).strftime(form) for n in range(40)]
    lines = [f"{day},{days[n % 12]},{n % 2},{n}-x" for n, day in enumerate(days)]
    found = {g.name: g for g in guess_columns(read_table("\n".join(["hired,month,left,code", *lines]).encode(), file_name="t.csv"))}
    assert [(found[n].kind, found[n].role) for n in ("hired", "month", "code")] == [("text", "ignored")] * 2 + [("category", "key")]
    assert found["hired"].reason.startswith("It holds dates, which are not used")


def test_a_definition_is_built_of_the_choices(table):
    built = build_definition("towns", "Towns", table, "level", "multiclass", overrides={"age": {"low": 0, "high": 120}})
    assert [c.name for c in built.features] == ["age", "dose", "smoker", "town"]
    assert built.classes == ("LOW", "MEDIUM", "HIGH")
    assert built.level_weights == {"LOW": 0.0, "MEDIUM": 0.5, "HIGH": 1.0}
    assert (built.key, built.metric) == ("patient_id", "f1")
    assert (built.column("age").low, built.column("age").high, built.column("dose").low) == (0, 120, None)
    assert (built.gates.register, built.gates.production) == (None, None)
    sentences = describe(built)
    assert sentences[0] == "Predicts level as one of LOW, MEDIUM, HIGH."
    assert "Leaves out note, empty." in sentences
    assert "No gate is set yet: any candidate may be registered, judged by F1." in sentences
    assert "Whoever approves a release is told whether it beats the baseline and finds at least 60% of every class." in sentences


def test_heart_disease_with_a_comparison_as_positive():
    built = build_definition("heart", "Heart", read_table(CLEVELAND), "num", "binary", ">0")
    assert (built.classes, built.positive, len(built.features)) == (("0", "1"), ">0", 13)


def test_ranking_needs_its_group():
    table = read_table(b"q,x,y\n1,2,3\n1,3,4\n2,5,1\n")
    built = build_definition("rank", "Rank", table, "y", "ranking", group="q")
    assert (built.group, built.metric, [c.name for c in built.features]) == ("q", "ndcg", ["x"])
    with pytest.raises(BadInput, match="group column"):
        build_definition("rank", "Rank", table, "y", "ranking")


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"target": "nothing", "task": "binary"}, "no column 'nothing'"),
        ({"target": "level", "task": "binary"}, "more than two values"),
        ({"target": "level", "task": "binary", "positive": "EXTREME"}, "in no row"),
        ({"target": "level", "task": "regression"}, "must be a number"),
        ({"target": "level", "task": "magic"}, "Task 'magic' is unknown"),
        ({"target": "level", "task": "multiclass", "overrides": {"age": {"colour": 1}}}, "'age' cannot be changed"),
    ],
)
def test_impossible_choices_are_refused(table, choices, words):
    with pytest.raises(BadInput, match=words):
        build_definition("p", "P", table, **choices)
