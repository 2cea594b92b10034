"""When the clock looks again."""

from datetime import timedelta

from core import clock, deployment
from core.monitoring import checks
from core.registry import versions
from core.times import parse, stamp, utc_now
from storage.connection import writing


def test_an_answer_from_before_the_newest_version_is_not_kept_for_its_hour(trained_home):
    registered = parse(versions.get_version(trained_home, "heart_disease", "1.0.0").registered_at)
    live_from = parse(deployment.find_live(trained_home, "heart_disease").live_from)
    assert len(clock.tick(trained_home, now=registered - timedelta(minutes=1))) == 3
    again = clock.tick(trained_home, now=live_from + timedelta(minutes=1))
    assert [c.project for c in again] == ["heart_disease"]
    assert clock.tick(trained_home, now=live_from + timedelta(minutes=2)) == []


def test_a_clock_that_was_ahead_for_one_turn_does_not_stop_the_watching(trained_home):
    now = utc_now()
    for at in (now + timedelta(days=300), now):
        assert clock.turn(trained_home, now=at, steps=(clock.tick, clock.watch_all)) == []
    assert {w.at for w in checks.find_last(trained_home, "heart_disease")} == {stamp(now)}
    assert clock.tick(trained_home, now=now + timedelta(minutes=59)) == []
    assert len(clock.tick(trained_home, now=now + timedelta(minutes=60))) == 3


def test_a_project_that_cannot_be_read_keeps_no_other_from_being_looked_at(trained_home, caplog):
    with writing(trained_home.db) as db:
        db.execute("UPDATE definitions SET body = '{broken' WHERE project = 'future_skills'")
    assert [c.project for c in clock.tick(trained_home, now=utc_now())] == ["heart_disease", "recipe_ranking"]
    assert "whether a retraining of future_skills is due could not be found out" in caplog.text
