"""Signed alerts through listener, diagnosis and decision, beside a plain FastAPI route that only writes a row.

Both are asked by the same kind of client in one process, in turns of 250 requests one after the other, and write with
synchronous=FULL. Ours checks the signature, takes each message once, opens or joins the alert, gives it its incident, diagnoses
and decides by the policy, and audits what is new. The usual mix is a monitoring system that repeats what is firing: each of 100
subjects comes back until the end; the storm is as many alerts that were never seen before.

    python -m bench.alerts [--alerts 10000] [--storm 1000]
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import BaseModel

SUBJECTS = 100
PER_SENDER = 500  # one address may send 600 signed messages a minute
PATH = "/api/v1/alerts"
_SENDER, _MESSAGE = count(1), count(1)
TURN = 250


class Body(BaseModel):
    """One alert, as the yardstick takes it."""

    project: str
    subject: str
    sentence: str
    severity: str
    value: float
    id: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--storm", type=int, default=1_000)
    args = parser.parse_args()

    from api.build import make_api
    from core.agent import incidents, opening
    from core.demo import prepare_demo
    from core.home import open_home
    from core.monitoring import alerts, webhooks
    from core.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        home = open_home(Path(folder) / "home")
        prepare_demo(home)
        secret = webhooks.make_secret(home)

        def sign(body: bytes) -> dict[str, str]:
            at = str(int(datetime.now(UTC).timestamp()))
            return {"X-Greenlight-Timestamp": at, "X-Greenlight-Signature": webhooks.sign(secret, at, body)}

        def join(home: Any) -> None:
            while opening.take_alerts(home, now=datetime.now(UTC)):
                pass

        yardstick, api = make_plain(Path(folder) / "plain.db"), make_api(home, Settings())
        times = [0.0, 0.0]  # in turns, so that what else the machine does falls on both
        before = peak()
        for first in range(0, args.alerts, TURN):
            count_ = min(TURN, args.alerts - first)
            times[0] += count_ / measure(yardstick, count_, partial(pick, first), lambda body: {})
            times[1] += count_ / measure(api, count_, partial(pick, first), sign, lambda: join(home))
        plain, ours = args.alerts / times[0], args.alerts / times[1]
        usual = peak()
        storm = measure(make_api(home, Settings()), args.storm, lambda n: SUBJECTS + n, sign, lambda: join(home))
        opened = alerts.list_alerts(home, "heart_disease", limit=100_000)
        assert len(opened) == SUBJECTS + args.storm, len(opened)
        assert sum(a.times for a in opened) == args.alerts + args.storm
        found = incidents.list_incidents(home, "heart_disease")
        joined = sum(len(incidents.list_alerts(home, i.id)) for i in found)
        assert joined == len(opened), (joined, len(opened))
    print(f"plain route that writes a row        {plain:7,.0f} alerts/s")
    print(f"listener, diagnosis, decision        {ours:7,.0f} alerts/s  {ours / plain:.2f} x, {args.alerts:,} alerts of {SUBJECTS} subjects")
    print(f"the same, every alert a new one      {storm:7,.0f} alerts/s  {storm / plain:.2f} x, {args.storm:,} alerts, {len(found)} incident")
    print(f"memory at the most                   {usual:7,.0f} MB       {usual - before:+.0f} MB over the {args.alerts:,} alerts")


def pick(first: int, n: int) -> int:
    """Which subject the n-th alert of a turn is about."""
    return (first + n) % SUBJECTS


def make_plain(path: Path) -> Any:
    """The yardstick: a route that reads JSON and writes one row."""
    from fastapi import FastAPI

    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = wal")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE alerts (id TEXT PRIMARY KEY, project TEXT, subject TEXT, severity TEXT, value REAL, sentence TEXT, at TEXT)")
    app = FastAPI()

    @app.post(PATH, status_code=202)
    def take(body: Body) -> dict[str, str]:
        values = (body.id, body.project, body.subject, body.severity, body.value, body.sentence, datetime.now(UTC).isoformat())
        db.execute("INSERT INTO alerts VALUES (?,?,?,?,?,?,?)", values)
        return {"id": body.id}

    return app


def measure(
    app: Any, number: int, subject: Callable[[int], int], sign: Callable[[bytes], dict[str, str]], end: Callable[[], None] = lambda: None
) -> float:
    """Requests a second; each must be taken, and what is left for the agent's next round (``end``) is part of the time."""
    from contextlib import ExitStack

    from starlette.testclient import TestClient

    with ExitStack() as stack:
        senders = [
            stack.enter_context(TestClient(app, base_url="http://localhost", client=(str(ipaddress.ip_address("192.0.2.0") + next(_SENDER)), 50000)))
            for _ in range(number // PER_SENDER + 1)
        ]
        began = time.perf_counter()
        for n in range(number):
            client = senders[n % len(senders)]
            which = subject(n)
            body = json.dumps(
                {"project": "heart_disease", "subject": f"host {which}", "sentence": f"Disk of host {which} is {n % 100} % full.",
                 "severity": "warning", "value": float(n % 100), "id": f"{which}-{next(_MESSAGE)}"}
            ).encode()
            answer = client.post(PATH, content=body, headers={"content-type": "application/json", **sign(body)})
            assert answer.status_code == 202, answer.text
        end()
        return number / (time.perf_counter() - began)


def peak() -> float:
    """The most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
