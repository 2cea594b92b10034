"""Signed alerts through listener, diagnosis and decision, beside a plain FastAPI route that only writes a row.

Both are asked by the same kind of client in one process, in turns of 250 requests, and write with synchronous=FULL. Of the usual mix
one request comes after the other; in the storm eight senders send at once, to either.

Ours checks the signature, takes each message once, opens or joins the alert, gives it its incident, diagnoses
and decides by the policy, and audits what is new. The usual mix is a monitoring system that repeats what is firing: each of 100
subjects comes back until the end; the storm is as many alerts that were never seen before.

    python -m bench.alerts [--alerts 10000] [--storm 10000]
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
TURN, STORM_TURN = 250, 1_000
SENDERS = 8


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
    parser.add_argument("--storm", type=int, default=10_000)
    args = parser.parse_args()

    from api.build import make_api
    from core import audit
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
        times = [0.0, 0.0]
        for first in range(0, args.storm, STORM_TURN):
            count_ = min(STORM_TURN, args.storm - first)
            new = partial(number_new, first)
            times[0] += count_ / measure(yardstick, count_, new, lambda body: {}, senders=SENDERS)
            times[1] += count_ / measure(api, count_, new, sign, lambda: join(home), senders=SENDERS)
        plain_storm, storm = args.storm / times[0], args.storm / times[1]
        opened = alerts.list_alerts(home, "heart_disease", limit=100_000)
        assert len(opened) == SUBJECTS + args.storm, len(opened)
        assert sum(a.times for a in opened) == args.alerts + args.storm
        found = incidents.list_incidents(home, "heart_disease")
        joined = sum(len(incidents.list_alerts(home, i.id)) for i in found)
        assert joined == min(len(opened), 10_000), (joined, len(opened))
        assert audit.verify(home).intact
    print("One request after the other, 100 subjects")
    print(f"  plain route that writes a row      {plain:7,.0f} alerts/s")
    print(f"  listener, diagnosis, decision      {ours:7,.0f} alerts/s  {ours / plain:.2f} x, {args.alerts:,} alerts")
    print(f"{SENDERS} senders at once, every alert a new one")
    print(f"  plain route that writes a row      {plain_storm:7,.0f} alerts/s")
    print(f"  listener, diagnosis, decision      {storm:7,.0f} alerts/s  {storm / plain_storm:.2f} x, {args.storm:,} alerts, {len(found)} incident")
    grown = f"{usual - before:+.0f} MB over the mix, {peak() - usual:+.0f} MB over the storm"
    print(f"memory at the most                   {peak():7,.0f} MB       {grown}")


def number_new(first: int, n: int) -> int:
    """A subject that was never seen before."""
    return SUBJECTS + first + n


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
    app: Any, number: int, subject: Callable[[int], int], sign: Callable[[bytes], dict[str, str]], end: Callable[[], None] = lambda: None,
    *, senders: int = 1,
) -> float:  # fmt: skip
    """Requests a second; each must be taken, and what is left for the agent's next round (``end``) is part of the time."""
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import ExitStack

    from starlette.testclient import TestClient

    def send(client: TestClient, numbers: range) -> None:
        for n in numbers:
            which = subject(n)
            body = json.dumps(
                {"project": "heart_disease", "subject": f"host {which}", "sentence": f"Disk of host {which} is {n % 100} % full.",
                 "severity": "warning", "value": float(n % 100), "id": f"{which}-{next(_MESSAGE)}"}
            ).encode()
            answer = client.post(PATH, content=body, headers={"content-type": "application/json", **sign(body)})
            assert answer.status_code == 202, answer.text

    count_ = max(senders, -(-number // PER_SENDER))
    with ExitStack() as stack, ThreadPoolExecutor(senders) as pool:
        clients = [
            stack.enter_context(TestClient(app, base_url="http://localhost", client=(str(ipaddress.ip_address("192.0.2.0") + next(_SENDER)), 50000)))
            for _ in range(count_)
        ]
        began = time.perf_counter()
        for sent in [pool.submit(send, client, range(k, number, count_)) for k, client in enumerate(clients)]:
            sent.result()
        end()
        return number / (time.perf_counter() - began)


def peak() -> float:
    """The most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
