"""Repair the source: Switzerland's patients arrive, the agent names what is broken, advises against retraining, and closes when good
rows return. Played with the clock's own steps; time is an argument."""

from datetime import timedelta

import pandas as pd
import pytest

from core import agent, audit
from core.agent import agent_requests, incidents
from core.monitoring import alerts, checks
from core.reports import make, reports
from core.retraining import retraining
from core.scoring import predict
from core.times import utc_now
from tests.agent_cases import DEVOPS, HEART, steps


def score(home, name, rows, now):
    frame = pd.read_csv(home.root / "samples" / HEART / name)
    frame = frame.drop(columns=[c for c in ("num", "dataset") if c in frame])
    records = [{k: (None if pd.isna(v) else v) for k, v in r.items()} for r in frame.head(rows).to_dict("records")]
    predict.predict_rows(home, DEVOPS, HEART, records, source="test", now=now)


def score_good(home, now):
    """Rows like those it was trained on: the training table itself."""
    from core.datasets import versions

    content = versions.data_path(home, versions.get_version(home, HEART))
    frame = pd.read_csv(content)
    frame = frame.drop(columns=[c for c in ("num", "dataset") if c in frame])
    records = [{k: (None if pd.isna(v) else v) for k, v in r.items()} for r in frame.to_dict("records")]
    predict.predict_rows(home, DEVOPS, HEART, records, source="test", now=now)


def minute(home, now):
    checks.watch(home, HEART, now=now)
    return agent.turn(home, now=now)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_broken_source_is_named_not_retrained_and_closed_when_good_rows_return(trained_home):
    start = utc_now().replace(minute=5, second=0, microsecond=0) + timedelta(hours=1)
    score(trained_home, "heart_switzerland.csv", 123, start)
    minute(trained_home, start + timedelta(minutes=1))
    incident = incidents.list_incidents(trained_home)[0]
    assert (incident.kind, incident.diagnosis["cause"], incident.state) == ("data_drift", "broken_source", "watching")
    assert incident.diagnosis["retraining_helps"] is False
    named = {c["name"]: c["what"] for c in incident.diagnosis["columns"]}
    assert (named["chol"], named["fbs"]) == ("stuck", "empty")
    assert next(c for c in incident.diagnosis["columns"] if c["name"] == "chol")["impossible"] is True
    plan = steps(incident)
    assert plan["repair_source"] == "advised"
    assert "retrain" not in plan
    assert agent_requests.list_requests(trained_home) == []
    # the next day good rows come, and only those are in the last 24 hours
    for hours in (26, 27):
        score_good(trained_home, start + timedelta(hours=hours))
    later = start + timedelta(hours=27, minutes=10)
    for n in range(4):
        minute(trained_home, later + timedelta(minutes=11 * n))
    assert alerts.list_open(trained_home, HEART) == []
    ended = incidents.get_incident(trained_home, incident.id)
    assert ended.state == "closed"
    assert ended.outcome.startswith(f"All {len(incidents.list_alerts(trained_home, incident.id))} alerts have ended: ")
    assert "problem rows 1 before, " in ended.outcome
    assert retraining.list_retrainings(trained_home) == []
    make.write_due(trained_home, now=later + timedelta(hours=1))
    assert next((r.kind, r.subject) for r in reports.list_reports(trained_home, HEART) if r.kind == "incident") == ("incident", "1")
    story = [e["action"] for e in reversed(audit.search(trained_home, correlation_id=incident.correlation_id, limit=200)[0])]
    assert story[0] == "raise_alert"
    assert "open_incident" in story
    assert "close_incident" in story
    assert audit.verify(trained_home).intact
