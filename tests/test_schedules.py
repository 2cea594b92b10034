"""When schedules are due, in local time; and the acts that make, change and end them."""

import json
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import audit
from core.acts import Actor
from core.cli.app import main
from core.errors import BadInput, NotFound, Refused
from core.projects import projects
from core.schedule import rules, schedules, slots

DEVOPS, ADMIN = Actor("devops"), Actor("admin")
HEART = "heart_disease"
NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
DAILY = {"every_days": 1, "at": "02:30", "timezone": "Europe/Paris"}


def moments(rule, after, count):
    """The next slots as text to the minute, UTC."""
    return [m.strftime("%Y-%m-%d %H:%M") for m in islice(rules.slots_after(rules.check_rule(rule, now=after), after), count)]


def test_a_time_that_the_spring_night_leaves_out_is_the_first_moment_after_the_gap():
    assert moments(DAILY, NOON, 3) == ["2026-03-29 01:00", "2026-03-30 00:30", "2026-03-31 00:30"]


def test_a_time_that_the_autumn_night_has_twice_is_one_slot():
    evening = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert moments(DAILY, evening, 3) == ["2026-10-25 00:30", "2026-10-26 01:30", "2026-10-27 01:30"]


def test_an_hourly_rule_has_23_slots_in_the_spring_night_day_and_24_in_the_autumn_one():
    def on(day):
        zone = ZoneInfo("Europe/Paris")
        begin, end = (datetime.combine(d, time(), zone) for d in (day, day + timedelta(days=1)))
        rule = rules.check_rule({"cron": "0 * * * *", "timezone": "Europe/Paris"}, now=begin)
        return sum(1 for m in islice(rules.slots_after(rule, begin - timedelta(seconds=1)), 40) if m < end)

    assert (on(date(2026, 3, 28)), on(date(2026, 3, 29)), on(date(2026, 10, 25))) == (24, 23, 24)


def test_a_gap_of_half_an_hour_and_one_at_midnight_end_where_they_end():
    lord_howe = ZoneInfo("Australia/Lord_Howe")  # 2026-10-04 02:00 becomes 02:30
    assert rules.to_moment(datetime.fromisoformat("2026-10-04T02:10"), lord_howe) == datetime(2026, 10, 3, 15, 30, tzinfo=UTC)
    beirut = ZoneInfo("Asia/Beirut")  # 2026-03-29 00:00 becomes 01:00
    assert rules.to_moment(datetime.fromisoformat("2026-03-29T00:00"), beirut) == datetime(2026, 3, 28, 22, 0, tzinfo=UTC)


def test_every_few_days_counts_from_the_day_it_was_set_and_not_from_the_last_run():
    assert moments({"every_days": 3, "at": "06:00"}, NOON, 3) == ["2026-03-31 06:00", "2026-04-03 06:00", "2026-04-06 06:00"]


def test_a_week_a_month_and_a_last_day():
    assert moments({"weekly": "Monday", "at": "06:00"}, NOON, 2) == ["2026-03-30 06:00", "2026-04-06 06:00"]
    assert moments({"monthly": 31, "at": "06:00"}, NOON, 3) == ["2026-03-31 06:00", "2026-04-30 06:00", "2026-05-31 06:00"]
    assert moments({"monthly": 30}, datetime(2027, 2, 1, tzinfo=UTC), 1) == ["2027-02-28 00:00"]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("*/20 9-10 * * *", ["2026-03-29 09:00", "2026-03-29 09:20", "2026-03-29 09:40", "2026-03-29 10:00"]),
        ("0 6 * * mon-fri", ["2026-03-30 06:00", "2026-03-31 06:00", "2026-04-01 06:00", "2026-04-02 06:00"]),
        ("0 6 1 * 7", ["2026-03-29 06:00", "2026-04-01 06:00", "2026-04-05 06:00", "2026-04-12 06:00"]),  # either day suffices
        ("0 0 29 feb *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00", "2040-02-29 00:00"]),
        ("5,35 0 1 1,7 *", ["2026-07-01 00:05", "2026-07-01 00:35", "2027-01-01 00:05", "2027-01-01 00:35"]),
        ("0 0 * * 5/1", ["2026-04-03 00:00", "2026-04-04 00:00", "2026-04-10 00:00", "2026-04-11 00:00"]),
    ],
)
def test_cron_rules_mean_what_they_mean_elsewhere(cron, expected):
    assert moments({"cron": cron}, NOON, 4) == expected


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "exactly one form"),
        ({"every_days": 1, "weekly": "mon"}, "exactly one form"),
        ({"every_days": 0}, "from 1 to 366"),
        ({"every_days": True}, "from 1 to 366"),
        ({"monthly": 32}, "from 1 to 31"),
        ({"weekly": "someday"}, "no day of the week"),
        ({"every_days": 1, "at": "24:00"}, "no time of day"),
        ({"every_days": 1, "timezone": "Europe/Atlantis"}, "no time zone"),
        ({"every_days": 1, "timezone": "../../etc/passwd"}, "no time zone"),
        ({"every_days": 1, "since": "yesterday"}, "is no day"),
        ({"every_days": 1, "command": "rm"}, "'command' is no part of a rule"),
        ({"cron": "0 0 * *"}, "five fields"),
        ({"cron": "60 0 * * *"}, "not within 0-59"),
        ({"cron": "9-5 * * * *"}, "cannot be read"),
        ({"cron": "*/0 * * * *"}, "cannot be read"),
        ({"cron": f"*/{'1' * 5000} * * * *"}, "at most 400 characters"),
        ({"cron": "0 0 31 2 *"}, "never comes"),
        ({"cron": "0 0 * * *", "at": "06:00"}, "leave at away"),
    ],
)
def test_a_rule_that_cannot_be_one_is_refused_with_its_cure(rule, said):
    with pytest.raises(BadInput, match=said):
        rules.check_rule(rule, now=NOON)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "UTC"]),
    st.integers(0, 3 * 366 * 24 * 60),
    st.sampled_from([{"every_days": 1, "at": "02:30"}, {"cron": "*/15 * * * *"}, {"cron": "30 1,2 * * *"}, {"monthly": 29, "at": "00:00"}]),
)
def test_slots_only_grow_and_the_next_one_is_found_from_anywhere_before_it(zone, minutes, form):
    after = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    rule = rules.check_rule({**form, "timezone": zone}, now=after)
    found = list(islice(rules.slots_after(rule, after), 30))
    assert found == sorted(set(found))
    assert found[0] > after
    for before, moment in pairwise(found):
        assert rules.next_slot(rule, before) == moment
        assert rules.next_slot(rule, moment - timedelta(seconds=1)) == moment


def test_a_schedule_is_set_once_per_project_and_kind_and_set_again_changes_it(demo_home):
    first = schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", DAILY, now=NOON)
    again = schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", {"weekly": "sun", "at": "04:00"}, now=NOON)
    assert first["id"] == again["id"] == 1
    (only,) = schedules.list_schedules(demo_home, HEART)
    assert (only.said, only.next_at) == ("weekly on Sunday at 04:00 (UTC)", "2026-03-29T04:00:00.000Z")
    event = audit.search(demo_home, limit=1)[0][0]
    assert event["action"] == "set_schedule"
    assert event["before"]["rule"]["every_days"] == 1
    assert event["after"]["rule"]["weekly"] == "sun"


def test_a_pause_is_no_downtime_and_resuming_begins_with_the_next_slot(demo_home):
    schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", DAILY, now=NOON)
    schedules.pause(demo_home, DEVOPS, 1, reason="holidays", now=NOON)
    assert slots.run_due(demo_home, now=NOON + timedelta(days=9)) == []
    schedules.resume(demo_home, DEVOPS, 1, now=NOON + timedelta(days=10))
    assert schedules.get_schedule(demo_home, 1).next_at == "2026-04-08T00:30:00.000Z"
    assert schedules.list_slots(demo_home, 1) == []


def test_slots_that_came_before_a_change_and_were_not_run_stay_visible(demo_home):
    schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", DAILY, now=NOON)
    schedules.pause(demo_home, DEVOPS, 1, now=NOON + timedelta(days=2))  # the console was down since NOON
    assert schedules.count_slots(demo_home, 1) == {"missed": 2}
    schedules.resume(demo_home, DEVOPS, 1, now=NOON + timedelta(days=4))
    schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", DAILY, now=NOON + timedelta(days=5))
    schedules.remove(demo_home, DEVOPS, 1, now=NOON + timedelta(days=6))
    assert schedules.count_slots(demo_home, 1) == {"missed": 4}
    assert [s.slot_at[:10] for s in schedules.list_slots(demo_home, 1)] == ["2026-04-03", "2026-04-02", "2026-03-30", "2026-03-29"]


def test_resuming_what_is_not_paused_moves_no_slot(demo_home):
    schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", DAILY, now=NOON)
    schedules.resume(demo_home, DEVOPS, 1, now=NOON + timedelta(days=10))
    assert schedules.get_schedule(demo_home, 1).next_at == "2026-03-29T01:00:00.000Z"


def test_a_removed_schedule_runs_no_more_and_keeps_its_history(demo_home):
    schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", DAILY, now=NOON)
    slots.run_due(demo_home, now=NOON + timedelta(days=1))
    schedules.remove(demo_home, DEVOPS, 1, now=NOON + timedelta(days=1))
    assert slots.run_due(demo_home, now=NOON + timedelta(days=5)) == []
    assert schedules.list_schedules(demo_home) == []
    assert len(schedules.list_slots(demo_home, 1)) == 1
    with pytest.raises(NotFound, match="was removed"):
        schedules.pause(demo_home, DEVOPS, 1)
    assert schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", DAILY, now=NOON)["id"] == 2


def test_an_archived_project_has_no_slots_until_it_is_back(demo_home):
    schedules.set_schedule(demo_home, DEVOPS, HEART, "drift_check", DAILY, now=NOON)
    projects.archive_project(demo_home, DEVOPS, HEART)
    assert slots.run_due(demo_home, now=NOON + timedelta(days=1)) == []
    projects.restore_project(demo_home, DEVOPS, HEART)
    assert [s.trigger for s in slots.run_due(demo_home, now=NOON + timedelta(days=1))] == ["catch_up"]


def test_a_backup_is_of_the_whole_installation_and_the_administrators(demo_home):
    with pytest.raises(BadInput, match="name no project"):
        schedules.set_schedule(demo_home, ADMIN, HEART, "backup", DAILY, now=NOON)
    with pytest.raises(Refused, match="may not backup; who may: Administrator"):
        schedules.set_schedule(demo_home, DEVOPS, "", "backup", DAILY, now=NOON)
    schedules.set_schedule(demo_home, ADMIN, "", "backup", DAILY, params={"keep": 3}, now=NOON)
    assert schedules.find_schedule(demo_home, "", "backup").params == {"keep": 3}
    with pytest.raises(Refused, match="may not schedule; who may: DevOps"):
        schedules.set_schedule(demo_home, ADMIN, HEART, "drift_check", DAILY, now=NOON)


@pytest.mark.parametrize(
    ("project", "kind", "params", "said"),
    [
        ("", "drift_check", None, "Name the project"),
        (HEART, "dance", None, "no schedule of kind 'dance'"),
        (HEART, "drift_check", {"keep": 3}, "has no setting 'keep'"),
        ("", "backup", {"keep": 0}, "from 1 to 1000"),
        (HEART, "report", {"kind": "incident"}, "one of weekly, drift"),
    ],
)
def test_a_schedule_that_cannot_be_one_is_refused(demo_home, project, kind, params, said):
    with pytest.raises(BadInput, match=said):
        schedules.set_schedule(demo_home, ADMIN, project, kind, DAILY, params=params, now=NOON)
    assert schedules.list_schedules(demo_home) == []


def test_the_commands_set_show_pause_and_run_a_schedule(demo_home, monkeypatch, capsys):
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)

    def answer(*words):
        assert main([*words, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    rule = ("--weekly", "mon", "--at", "06:00", "--timezone", "Europe/Paris")
    made = answer("schedule", "set", "drift_check", "--project", HEART, *rule, "--as", "devops")
    assert (made["id"], made["rule"]) == (1, {"weekly": "mon", "at": "06:00", "timezone": "Europe/Paris"})
    assert answer("schedule", "set", "backup", "--every-days", "2", "--keep", "3", "--as", "admin")["id"] == 2
    assert answer("schedule", "run", "1", "--as", "devops")["state"] == "skipped"
    assert answer("schedule", "pause", "1", "--as", "devops")["paused"] == 1
    listed = answer("schedule", "list")["schedules"]
    assert [(s["kind"], s["paused"], s["params"]) for s in listed] == [("drift_check", True, {}), ("backup", False, {"keep": 3})]
    assert listed[0]["last"]["trigger"] == "person"
    assert answer("schedule", "history", "1")["counts"] == {"skipped": 1}
    assert answer("schedule", "resume", "1", "--as", "devops")["next_at"]
    assert answer("schedule", "remove", "1", "--as", "devops")["removed_at"]
    assert main(["schedule", "list"]) == 0
    assert "every 2 days at 00:00 (UTC)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", "drift_check", "--project", HEART], "exactly one form"),
        (["set", "drift_check", "--every-days", "1"], "Name the project"),
        (["set", "drift_check", "--project", "nowhere", "--every-days", "1"], "There is no project"),
        (["run", "7"], "There is no schedule 7"),
    ],
)
def test_a_command_that_cannot_be_done_is_one_line_and_exit_1(demo_home, monkeypatch, capsys, words, said):
    monkeypatch.setenv("GREENLIGHT_HOME", str(demo_home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)
    assert main(["schedule", *words, "--as", "devops"]) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
