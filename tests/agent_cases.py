"""Alerts and incidents that the tests of the agent start from; they come about as they do in use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core import agent
from core.acts import Actor
from core.agent import incidents
from core.agent.incidents import Incident
from core.home import Home
from core.monitoring import alerts
from core.scoring import files

HEART = "heart_disease"
SCIENTIST, DIRECTOR, DEVOPS, DEVELOPER, ADMIN = (Actor(n) for n in ("scientist", "director", "devops", "developer", "admin"))
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def alarm(home: Home, kind: str, value: float | None = None, *, subject: str = "", minutes: float = 0, now: datetime | None = None,
          severity: str = "warning", sentence: str = "It was measured.", project: str = HEART, **more: Any) -> alerts.Alert:  # fmt: skip
    """Raise one alert as a check would."""
    at = (now or NOW) + timedelta(minutes=minutes)
    return alerts.raise_alert(home, project, kind, subject, severity=severity, sentence=sentence, value=value, now=at, **more)


def drifted(home: Home, value: float = 0.8, columns: tuple[str, ...] = ("age", "thalch", "chol"), *, now: datetime | None = None,
            project: str = HEART) -> alerts.Alert:  # fmt: skip
    """Drift of plausible values: severity is the value."""
    severity = "critical" if value >= 0.7 else "warning"
    detail = {"columns": list(columns), "overall": 0.42, "scores": {}}
    said = f"Column {columns[0] if columns else 'none'} has drifted ({value:.2f})."
    return alarm(home, "drift", value, severity=severity, threshold=0.5, unit="score", detail=detail, sentence=said, now=now, project=project)


def asked_to_retrain(home: Home, *, now: datetime = NOW) -> Incident:
    """An incident with request 1, to retrain, waiting."""
    drifted(home, now=now)
    found = agent.turn(home, now=now)
    assert [i.state for i in found] == ["waiting"]
    return found[0]


def steps(incident: Incident) -> dict[str, str]:
    """Action of the plan -> how it stands."""
    return {s["action"]: s["status"] for s in incident.diagnosis["plan"]["steps"]}


def told(home: Home, incident: Incident, kind: str) -> list[tuple[str, str, str]]:
    """(action, status, approver) of the events of one kind, oldest first."""
    return [(e.action, e.status, e.approver) for e in incidents.list_events(home, incident.id) if e.kind == kind]


def predict(home: Home, name: str, tmp_path: Path) -> None:
    """Score one of the sample's files now."""
    files.predict_file(home, DEVOPS, HEART, home.root / "samples" / HEART / name, tmp_path / "out.csv", source="test")
