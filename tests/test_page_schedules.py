"""Settings, Schedules, through the real frame: what is scheduled, what came of it, and each button as an act."""

import time
from datetime import timedelta

import pytest

from core import audit
from core.acts import Actor
from core.schedule import schedules, slots
from core.times import utc_now

DEVOPS, ADMIN = Actor("devops"), Actor("admin")
HEART = "heart_disease"
HOURLY = {"cron": "0 * * * *"}


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption] + [s.value for s in test.success]).replace("\\", "")


def button(test, label):
    return next(b for b in test.button if b.label == label)


def labels(test):
    return [b.label for b in test.button]


def table(test, column):
    return next(d.value for d in test.dataframe if column in d.value.columns)


def page(open_page, home, account="devops", **query):
    test = open_page(home, "settings", account, tab="schedules", **query)
    assert not test.exception
    return test


def test_without_a_schedule_the_page_says_so_and_offers_each_kind(demo_home, open_page):
    test = page(open_page, demo_home)
    assert "Nothing is scheduled" in texts(test)
    kinds = table(test, "Next run")
    assert list(kinds["What"]) == ["Drift check", "Quality check", "Retrain check", "Export", "Report", "Backup (installation)"]
    assert set(kinds["When"]) == {"not scheduled"}
    assert "Schedule it" in labels(test)


def test_a_rule_is_set_by_the_form_and_stands_in_the_table(demo_home, open_page):
    test = page(open_page, demo_home)
    next(s for s in test.selectbox if s.label == "How often").set_value("weekly").run()
    next(s for s in test.selectbox if s.label == "Day").set_value("sun")
    next(s for s in test.selectbox if s.label == "Time zone").set_value("Europe/Paris")
    button(test, "Schedule it").click().run()
    assert not test.exception
    assert "not scheduled before, weekly on Sunday at 06:00 (Europe/Paris) now" in texts(test)
    (made,) = schedules.list_schedules(demo_home, HEART)
    assert made.rule == {"weekly": "sun", "at": "06:00", "timezone": "Europe/Paris"}
    assert table(test, "Next run")["When"][0] == "weekly on Sunday at 06:00 (Europe/Paris)"


def test_a_rule_that_cannot_be_read_is_refused_in_a_sentence_and_nothing_changes(demo_home, open_page):
    test = page(open_page, demo_home)
    next(s for s in test.selectbox if s.label == "How often").set_value("cron").run()
    next(t for t in test.text_input if t.label == "Rule").input("61 * * * *")
    button(test, "Schedule it").click().run()
    assert "not within 0-59" in test.error[0].value.replace("\\", "")
    assert schedules.list_schedules(demo_home) == []


def test_run_now_runs_apart_and_its_outcome_comes_into_the_history(demo_home, open_page):
    schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", HOURLY)
    test = page(open_page, demo_home, kind="drift_check")
    button(test, "Run now").click().run()
    deadline = time.monotonic() + 20
    while schedules.count_slots(demo_home, 1) != {"skipped": 1} and time.monotonic() < deadline:
        time.sleep(0.05)
    test.run()
    history = table(test, "Due")
    assert list(history["Run by"]) == ["a person"]
    assert history["Came of it"][0] == "Nothing is live, so nothing can have drifted."
    assert audit.search(demo_home, action="run_schedule", limit=5)[1] == 1


def test_missed_slots_are_counted_in_the_verdict_and_can_be_shown_alone(demo_home, open_page):
    now = utc_now()
    schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", HOURLY, now=now - timedelta(hours=5, minutes=1))
    slots.run_due(demo_home, now=now)
    missed = schedules.count_slots(demo_home, 1)["missed"]
    test = page(open_page, demo_home, kind="drift_check")
    assert missed >= 4
    assert f"{missed} runs were missed in the last 7 days" in texts(test)
    test.button_group[-1].set_value("missed").run()
    history = table(test, "Due")
    assert set(history["State"]) == {"▲ Missed"}
    assert len(history) == missed


def test_pause_resume_and_remove_ask_for_a_reason_and_are_acts(demo_home, open_page):
    schedules.set_schedule(demo_home, DEVOPS, HEART, "export", HOURLY)
    test = page(open_page, demo_home, kind="export")
    button(test, "Pause").click().run()
    assert "Write a reason" in test.error[0].value
    test.text_area[0].input("Moving house")
    button(test, "Pause").click().run()
    assert schedules.get_schedule(demo_home, 1).paused
    assert table(test, "Next run")["Next run"][3] == "paused"
    test.text_area[0].input("Moved")
    button(test, "Resume").click().run()
    assert not schedules.get_schedule(demo_home, 1).paused
    test.text_area[1].input("No source any more")
    button(test, "Remove schedule").click().run()
    assert schedules.list_schedules(demo_home) == []
    done = [e["action"] for e in audit.search(demo_home, limit=3)[0]]
    assert done == ["remove_schedule", "resume_schedule", "pause_schedule"]


@pytest.mark.parametrize(("account", "kind", "may"), [
    ("devops", "drift_check", True), ("scientist", "drift_check", False), ("director", "drift_check", False),
    ("developer", "export", False), ("admin", "drift_check", False), ("admin", "backup", True), ("devops", "backup", False),
])  # fmt: skip
def test_who_may_not_schedule_sees_what_is_scheduled_and_whom_to_ask(demo_home, open_page, account, kind, may):
    schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", HOURLY)
    schedules.set_schedule(demo_home, ADMIN, "", "backup", HOURLY)
    test = page(open_page, demo_home, account, kind=kind)
    offered = {"Run now", "Pause", "Change schedule", "Schedule it"} & set(labels(test))
    assert bool(offered) == may
    assert list(table(test, "Next run")["When"][[0, 5]]) == ["cron 0 * * * * (UTC)"] * 2
    if not may:
        assert "Ask " in texts(test)


def test_a_backup_file_is_listed_for_the_administrator_alone(demo_home, open_page):
    schedules.set_schedule(demo_home, ADMIN, "", "backup", HOURLY)
    slots.run_now(demo_home, ADMIN, 1)
    test = page(open_page, demo_home, "admin", kind="backup")
    assert table(test, "File")["File"][0].startswith("greenlight_")
    other = page(open_page, demo_home, "devops", kind="backup")
    assert not [d for d in other.dataframe if "File" in d.value.columns]
