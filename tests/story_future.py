"""The sixteen steps from alert to remediation, as functions that the quick story and the one in the browser share.

The clock is an argument. What happened before the retraining is played in the past, because a worker writes the real time.
"""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from core import accounts, approvals, clock, deployment
from core.acts import Actor
from core.agent import agent_requests, incidents
from core.agent.agent_requests import AgentRequest
from core.agent.incidents import Incident
from core.home import Home
from core.jobs import worker
from core.registry import versions
from core.retraining import retraining
from core.retraining.retraining import Retraining
from core.scoring import files, labels
from core.training import runs
from samples.future_skills import __main__ as worlds
from tests.conftest import chosen_candidate
from tests.receivers import PASSWORD, USER, Authority, MailServer

PROJECT = "future_skills"
SCIENTIST, DIRECTOR, DEVOPS, DEVELOPER = (Actor(name) for name in ("scientist", "director", "devops", "developer"))
FOREST = [("dummy", {}), ("random_forest", {"n_estimators": 40})]


def put_live(home: Home, *, now: datetime) -> None:
    """Version 1.0.0, a small forest, trained on the old world and released; two people have an e-mail address."""
    job = runs.start_training(home, SCIENTIST, PROJECT, candidates=FOREST, folds=3, owner="cli")
    done = worker.wait_for(home, job["id"], worker.start_process(home, job["id"]))
    assert done.state == "done", done.error
    versions.register(home, SCIENTIST, chosen_candidate(home, done.outcome["run"]).id, now=now)
    approvals.request_release(home, SCIENTIST, PROJECT, "1.0.0", reason="First model", now=now)
    approvals.approve(home, DIRECTOR, 1, reason="Better than doing nothing", now=now)
    deployment.deploy(home, DEVOPS, PROJECT, "1.0.0", now=now)
    for name in ("scientist", "director"):
        accounts.set_email(home, Actor(name), name, f"{name}@example.org", now=now)


def connect_mail(monkeypatch, server: MailServer, authority: Authority) -> None:
    """The environment of a console that sends its mail to a server on loopback, expressly allowed."""
    told = {
        "SMTP_HOST": "localhost", "SMTP_PORT": str(server.port), "SMTP_USER": USER, "SMTP_PASSWORD": PASSWORD,
        "SMTP_FROM": "greenlight@example.org", "CA_FILE": authority.file, "ALLOW_PRIVATE_TARGETS": f"localhost:{server.port}",
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(f"GREENLIGHT_{name}", value)


def subjects(server: MailServer) -> list[tuple[str, str]]:
    """(recipient, subject) of every mail that arrived."""
    return [(to[0], str(email.message_from_bytes(raw, policy=email.policy.default)["subject"])) for _, to, raw in server.mails]


def tick(home: Home, now: datetime) -> None:
    """One turn of the whole clock, in which nothing may fail."""
    assert clock.turn(home, now=now) == []


@dataclass(frozen=True)
class World:
    """Predictions of a changed world: the table with prediction_id, prediction and the true level."""

    scored: pd.DataFrame

    @property
    def right(self) -> float:
        return float((self.scored["prediction"] == self.scored["future_need_level"]).mean())

    def label(self, home: Home, values: pd.Series, *, now: datetime) -> dict[str, object]:
        """Send a label for each prediction, in the order of the table."""
        table = self.scored[["prediction_id"]].assign(label=values.to_numpy())
        return labels.feed_labels(home, SCIENTIST, PROJECT, table.to_csv(index=False).encode(), file_name="labels.csv", now=now)


def predict_changed_world(home: Home, folder: Path, *, part: int, now: datetime) -> World:
    """One half (0 or 1) of the pairs of a world whose trends, scarcity and rule have moved is scored by whatever is live."""
    table, half, out = folder / "changed.csv", folder / f"changed_{part}.csv", folder / f"scored_{part}.csv"
    worlds.main([str(table), "--changed"])
    mixed = pd.read_csv(table).sample(frac=1, random_state=5)
    mixed.iloc[part::2].to_csv(half, index=False)
    files.predict_file(home, DEVELOPER, PROJECT, half, out, source="test", now=now)
    return World(pd.read_csv(out))


def let_the_world_change(home: Home, folder: Path, *, now: datetime) -> World:
    """All is well; rows of another world come, ten minutes later their labels; the clock sees it."""
    tick(home, now - timedelta(minutes=20))
    assert incidents.list_incidents(home) == []
    world = predict_changed_world(home, folder, part=0, now=now)
    world.label(home, world.scored["future_need_level"], now=now + timedelta(minutes=10))
    tick(home, now + timedelta(minutes=20))
    return world


def the_incident(home: Home) -> Incident:
    found = incidents.list_incidents(home, PROJECT)
    assert len(found) == 1
    return found[0]


def the_request(home: Home, *, now: datetime) -> AgentRequest:
    found = agent_requests.list_requests(home, now=now)
    assert [r.action for r in found] == ["retrain"]
    return found[0]


def work_on_it(home: Home) -> Retraining:
    """Run the newest retraining's job in a worker process, as the console's supervisor does."""
    found = retraining.list_retrainings(home, PROJECT)[0]
    job = worker.wait_for(home, found.job_id, worker.start_process(home, found.job_id))
    assert job.state == "done", job.error
    return retraining.get(home, found.id)
