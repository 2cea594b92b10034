"""The demo is ready to be looked at, and what somebody changed in it stays as it is."""

from core.acts import Actor
from core.demo import plan_demo, prepare_demo
from core.schedule import schedules
from tests.agent_cases import NOW


def planned(home):
    return sorted((s.project, s.kind, s.created_by) for s in schedules.list_schedules(home))


def test_every_sample_project_has_its_schedules_and_the_installation_its_backup(demo_home):
    made = plan_demo(demo_home, now=NOW)
    assert len(made) == 13
    kinds = ("drift_check", "quality_check", "report", "retrain_check")
    names = ("future_skills", "heart_disease", "recipe_ranking")
    assert planned(demo_home) == [("", "backup", "admin"), *((p, k, "devops") for p in names for k in kinds)]
    weekly = schedules.find_schedule(demo_home, "future_skills", "retrain_check")
    assert (weekly.next_at, weekly.paused) == ("2026-11-23T05:30:00.000Z", False)  # the Monday after


def test_what_was_changed_or_removed_is_not_set_again(demo_home):
    devops = Actor("devops")
    plan_demo(demo_home, now=NOW)
    drift = schedules.find_schedule(demo_home, "heart_disease", "drift_check")
    schedules.set_schedule(demo_home, devops, "heart_disease", "drift_check", {"monthly": 1, "at": "01:00"}, now=NOW)
    schedules.remove(demo_home, devops, schedules.find_schedule(demo_home, "heart_disease", "report").id, now=NOW)
    prepare_demo(demo_home)
    assert plan_demo(demo_home, now=NOW) == []
    assert schedules.get_schedule(demo_home, drift.id).rule["monthly"] == 1
    assert schedules.find_schedule(demo_home, "heart_disease", "report") is None
