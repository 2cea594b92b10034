"""Whether a retraining is due: each trigger with its value beside its threshold."""

from datetime import timedelta

import pytest

from core import clock
from core.acts import Actor
from core.retraining import triggers
from core.scoring import files, labels
from core.times import parse, stamp, utc_now
from storage import labels as labels_store
from storage import retrainings as store
from storage import versions as versions_store
from storage.connection import reading, writing

PROJECT = "heart_disease"
DEVOPS, SCIENTIST = Actor("devops"), Actor("scientist")


@pytest.fixture
def registered(trained_home):
    return parse(versions_store.find_live(reading(trained_home.db), PROJECT)["registered_at"])


def fire(home, now):
    return {t.name: (t.value, t.threshold, t.fired) for t in triggers.check(home, PROJECT, now=now).triggers}


def score(home, name="heart_hungary.csv"):
    """Score another hospital; returns its predictions with the hospital's own answers."""
    import pandas as pd

    out = home.root / "out.csv"
    files.predict_file(home, DEVOPS, PROJECT, home.root / "samples" / PROJECT / name, out, source="test")
    return pd.read_csv(out)


def feed(home, frame, column="num"):
    table = frame[["prediction_id"]].assign(label=frame[column])
    labels.feed_labels(home, SCIENTIST, PROJECT, table.to_csv(index=False).encode(), file_name="labels.csv")


def test_a_young_version_without_labels_is_not_due_and_each_trigger_says_why(trained_home, registered):
    found = triggers.check(trained_home, PROJECT, now=registered + timedelta(days=1))
    assert (found.due, found.starts_as) == (False, "")
    assert [(t.name, t.value, t.threshold, t.fired) for t in found.triggers] == [
        ("time since training", 1.0, 30, False), ("new labelled rows", 0, 100, False), ("performance drop", None, 0.05, None),
        ("drift", None, 0.7, None),
    ]  # fmt: skip
    assert found.sentence == (
        "No retraining is due: version 1.0.0 is 1.0 days old; due from 30 days. 0 labels arrived since version 1.0.0; due from 100."
    )
    assert all(t.sentence for t in found.triggers)


def test_it_is_due_from_exactly_the_thirtieth_day(trained_home, registered):
    assert fire(trained_home, registered + timedelta(days=30) - timedelta(minutes=1))["time since training"][2] is False
    found = triggers.check(trained_home, PROJECT, now=registered + timedelta(days=30))
    assert (found.due, found.starts_as) == (True, "schedule")


def test_a_hundred_labels_start_it_and_ninety_nine_do_not(trained_home):
    scored = score(trained_home)
    feed(trained_home, scored.head(99))
    assert fire(trained_home, utc_now())["new labelled rows"] == (99, 100, False)
    feed(trained_home, scored.head(100))
    found = triggers.check(trained_home, PROJECT, now=utc_now())
    assert (found.triggers[1].value, found.starts_as) == (100, "new_data")


def test_time_and_labels_are_counted_anew_after_a_retraining_that_ended(trained_home, registered):
    feed(trained_home, score(trained_home).head(120))
    ended = utc_now() + timedelta(days=40)
    with writing(trained_home.db) as db:
        place = {
            "project": PROJECT, "trigger": "person", "reason": "x", "params": {}, "steps": [], "started_by": "scientist",
            "started_at": stamp(ended), "correlation_id": "c", "finished_at": stamp(ended),
        }  # fmt: skip
        store.insert_retraining(db, {**place, "state": "failed"})
    assert fire(trained_home, ended + timedelta(days=1))["new labelled rows"] == (120, 100, True)  # a failure changes nothing
    with writing(trained_home.db) as db:
        store.insert_retraining(db, {**place, "state": "done", "outcome": "worse"})
    found = fire(trained_home, ended + timedelta(days=1))
    assert (found["time since training"], found["new labelled rows"]) == ((1.0, 30, False), (0, 100, False))


def test_drift_in_the_live_rows_fires_but_starts_nothing_by_itself(trained_home):
    score(trained_home, "heart_switzerland.csv")
    found = triggers.check(trained_home, PROJECT, now=utc_now())
    drift = found.triggers[3]
    assert (drift.fired, found.due, found.starts_as) == (True, True, "")
    assert drift.value > 0.9  # every chol is 0
    assert drift.sentence.startswith("Column ")


def test_answers_that_turn_out_wrong_fire_the_performance_trigger(trained_home):
    scored = score(trained_home).head(80)
    feed(trained_home, scored.assign(wrong=1 - scored["prediction"]), "wrong")
    assert len(labels_store.read_answers(reading(trained_home.predictions_db), PROJECT, ("label",), since="", until="9999")) == 80
    performance = triggers.check(trained_home, PROJECT, now=utc_now()).triggers[2]
    assert (performance.value, performance.fired) == (pytest.approx(1.0), True)


def test_right_answers_leave_it_quiet(trained_home):
    scored = score(trained_home).head(80)
    feed(trained_home, scored, "prediction")
    performance = triggers.check(trained_home, PROJECT, now=utc_now()).triggers[2]
    assert (performance.value, performance.fired) == (0.0, False)


def test_a_project_that_was_never_trained_has_nothing_to_be_due(trained_home):
    found = triggers.check(trained_home, "recipe_ranking", now=utc_now())
    assert (found.due, found.triggers, found.starts_as) == (False, (), "")


def test_the_clock_asks_anew_once_a_retraining_has_ended(trained_home, registered):
    now = utc_now() + timedelta(days=31)
    clock.tick(trained_home, now=now)
    assert triggers.find_last_check(trained_home, PROJECT).due is True
    assert clock.tick(trained_home, now=now + timedelta(minutes=5)) == []
    with writing(trained_home.db) as db:
        store.insert_retraining(
            db,
            {
                "project": PROJECT, "trigger": "person", "reason": "x", "params": {}, "steps": [], "started_by": "scientist",
                "started_at": stamp(now), "correlation_id": "c", "finished_at": stamp(now + timedelta(minutes=6)), "state": "done",
            },
        )  # fmt: skip
    assert [c.due for c in clock.tick(trained_home, now=now + timedelta(minutes=7))] == [False]
