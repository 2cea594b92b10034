"""Repair the source, played with the whole clock: patients of another hospital come with values that cannot be right; the schedule's
check finds drift, the agent names the columns, advises against a retraining, tells people by mail, and closes when good rows return."""

from datetime import timedelta

import pandas as pd
import pytest

from core import accounts, audit
from core.acts import Actor
from core.agent import agent_requests, incidents
from core.agent.columns import NEWEST, find_broken, read_newest
from core.monitoring import alerts
from core.projects.projects import get_definition
from core.reports import reports
from core.retraining import retraining
from core.schedule import schedules, slots
from core.scoring import files
from core.times import utc_now
from storage import versions as versions_store
from storage.connection import reading
from tests.receivers import mail_server, make_authority
from tests.story_future import DEVELOPER, DEVOPS, connect_mail, subjects, tick

HEART = "heart_disease"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"))


def score(home, tmp_path, name, now):
    files.predict_file(home, DEVELOPER, HEART, home.root / "samples" / HEART / name, tmp_path / f"out_{now:%H%M}.csv", source="test", now=now)


def test_a_broken_source_found_by_the_schedule_is_named_not_retrained_and_closed_when_good_rows_return(
    trained_home, authority, tmp_path, monkeypatch
):
    home = trained_home
    for name in ("devops", "director"):
        accounts.set_email(home, Actor(name), name, f"{name}@example.org")
    morning = (utc_now() + timedelta(days=1)).replace(hour=8, minute=0, second=0, microsecond=0)
    made = schedules.set_schedule(home, DEVOPS, HEART, "drift_check", {"every_days": 1, "at": "09:00", "timezone": "UTC"}, now=morning)
    with mail_server(authority) as mail:
        connect_mail(monkeypatch, mail, authority)
        tick(home, morning)
        assert incidents.list_incidents(home) == []
        score(home, tmp_path, "heart_switzerland.csv", morning + timedelta(minutes=58))
        # the slot of nine o'clock: the schedule looks before the watching is due again
        slot = slots.run_due(home, now=morning + timedelta(hours=1))[0]
        assert (slot.schedule_id, slot.state, slot.trigger, slot.outcome["verdict"]) == (made["id"], "done", "schedule", "critical")
        drift = next(a for a in alerts.list_open(home, HEART) if a.kind == "drift")
        assert drift.severity == "critical"
        assert {"chol", "fbs"} <= set(drift.detail["columns"])
        tick(home, morning + timedelta(hours=1, minutes=1))

        incident = incidents.list_incidents(home)[0]
        assert drift.id in {a.id for a in incidents.list_alerts(home, incident.id)}
        assert (incident.kind, incident.diagnosis["cause"], incident.state) == ("data_drift", "broken_source", "watching")
        assert incident.severity >= 0.7
        said = incident.diagnosis["sentence"]
        assert "chol is always 0, which is impossible (100% of 123 rows since" in said
        assert "fbs is missing in 61% of 123 rows since" in said
        assert "retraining would learn them and is no cure" in said
        advised = [e for e in incidents.list_events(home, incident.id) if e.status == "advised"]
        assert [e.action for e in advised] == ["repair_source"]
        assert {"chol", "fbs"} <= set(advised[0].detail["columns"])
        assert any(to == "devops@example.org" and "incident 1" in s for to, s in subjects(mail))
        assert agent_requests.list_requests(home) == []
        assert retraining.list_retrainings(home) == []

        # a day later the source is repaired: rows like those of training come, and stay
        repaired = morning + timedelta(days=1, hours=2)
        score(home, tmp_path, "heart_cleveland.csv", repaired)
        for minutes in (5, 16, 27, 38):
            tick(home, repaired + timedelta(minutes=minutes))
        assert alerts.list_open(home, HEART) == []
        ended = incidents.get_incident(home, incident.id)
        assert ended.state == "closed"
        told = sorted(to for to, s in subjects(mail) if "An incident is over" in s and "incident 1" in s)
        assert told == ["devops@example.org", "director@example.org"]
    assert retraining.list_retrainings(home) == []
    assert ("incident", "1") in {(r.kind, r.subject) for r in reports.list_reports(home, HEART)}
    story = [e["action"] for e in reversed(audit.search(home, correlation_id=incident.correlation_id, limit=200)[0])]
    for action in ("raise_alert", "open_incident", "agent_alert", "agent_repair_source", "close_incident", "make_report"):
        assert action in story, action
    assert audit.verify(home).intact


def test_a_sorted_file_is_no_stuck_column(trained_home, tmp_path):
    """The last rows of a file are not newer than its first: a table sorted by sex is as good as any other."""
    home, now = trained_home, utc_now() + timedelta(hours=1)
    good = pd.read_csv(home.root / "samples" / HEART / "heart_cleveland.csv")
    table = pd.concat([good] * 4).sort_values("sex", kind="stable")
    assert table["sex"].tail(NEWEST).nunique() == 1
    table.to_csv(tmp_path / "in.csv", index=False)
    files.predict_file(home, DEVELOPER, HEART, tmp_path / "in.csv", tmp_path / "out.csv", source="test", now=now)
    rows = read_newest(home, HEART, "1.0.0", now)
    assert len(rows) == NEWEST
    assert rows["sex"].value_counts(normalize=True).round(1).to_dict() == good["sex"].value_counts(normalize=True).round(1).to_dict()
    live = versions_store.find_live(reading(home.db), HEART)
    assert find_broken(home, HEART, get_definition(home, HEART), live, now=now) == ()
