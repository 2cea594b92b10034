"""When the clock looks again."""

from datetime import timedelta

from core import clock, deployment
from core.registry import versions
from core.times import parse


def test_an_answer_from_before_the_newest_version_is_not_kept_for_its_hour(trained_home):
    registered = parse(versions.get_version(trained_home, "heart_disease", "1.0.0").registered_at)
    live_from = parse(deployment.find_live(trained_home, "heart_disease").live_from)
    assert len(clock.tick(trained_home, now=registered - timedelta(minutes=1))) == 3
    again = clock.tick(trained_home, now=live_from + timedelta(minutes=1))
    assert [c.project for c in again] == ["heart_disease"]
    assert clock.tick(trained_home, now=live_from + timedelta(minutes=2)) == []
