"""An installation as it looks after a year of use, made by real acts: versions, logged predictions, labels, audit events.

    python -m bench.full_home FOLDER [--versions 100] [--predictions 100000] [--events 10000]
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from bench.scoring import make_csv
from core import accounts, approvals, audit, deployment, roles
from core.acts import Actor
from core.demo import prepare_demo
from core.drift import checks
from core.errors import Refused
from core.home import Home, open_home
from core.jobs import worker
from core.registry import versions
from core.scoring import labels, log
from core.scoring.files import predict_file
from core.times import parse, utc_now
from core.training import runs

PROJECT = "heart_disease"
CANDIDATES = [("dummy", {}), ("logistic_regression", {}), ("random_forest", {"n_estimators": 50})]
SCIENTIST, DIRECTOR, DEVOPS, ADMIN = (Actor(name) for name in ("scientist", "director", "devops", "admin"))
DAYS = 20  # over so many days the predictions are spread


def make_empty_home(root: Path) -> Home:
    """The demo as it is at its first start: projects and data, nothing trained."""
    home = open_home(root)
    prepare_demo(home)
    return home


def fill_home(home: Home, *, wanted_versions: int, predictions: int, events: int) -> None:
    """Train once, register the candidates at many thresholds, deploy one, predict, label, measure drift, fill the audit."""
    job = runs.start_training(home, SCIENTIST, PROJECT, candidates=CANDIDATES, owner="cli")["id"]
    done = worker.wait_for(home, job, worker.start_process(home, job))
    assert done.state == "done", done.error
    trained = [c for c in runs.list_candidates(home, done.outcome["run"]) if c.name != "dummy"]
    began = utc_now() - timedelta(days=DAYS + 1)
    for number in range(wanted_versions):
        threshold = 0.5 if number < len(trained) else 0.2 + 0.0055 * number  # never 0.5 again: that one is registered
        made = versions.register(home, SCIENTIST, trained[number % len(trained)].id, threshold=threshold, now=began)
        if number == 0:
            _release(home, made["version"], began)
        elif number % 2 == 0:
            request = approvals.request_release(home, SCIENTIST, PROJECT, made["version"], reason="A better balance")["id"]
            if number % 4 == 0:
                approvals.withdraw(home, SCIENTIST, request)
            elif number % 20 != 2:
                approvals.reject(home, DIRECTOR, request, reason="No better than what is live")
    _predict(home, predictions)
    checks.run_check(home, SCIENTIST, PROJECT, current=checks.Period(since=utc_now() - timedelta(days=3)), evidently=False)
    _fill_audit(home, events)


def _release(home: Home, version: str, at: datetime) -> None:
    request = approvals.request_release(home, SCIENTIST, PROJECT, version, reason="The first model", now=at)["id"]
    approvals.approve(home, DIRECTOR, request, reason="Better than doing nothing", despite_gates=True, now=at)
    deployment.deploy(home, DEVOPS, PROJECT, version, now=at)


def _predict(home: Home, rows: int) -> None:
    """A file a day, and labels for the first rows of each."""
    source, target = home.work / "year.csv", home.work / "year-out.csv"
    make_csv(source, rows // DAYS)
    for day in range(DAYS):
        at = utc_now() - timedelta(days=DAYS - 1 - day, minutes=1)
        predict_file(home, DEVOPS, PROJECT, source, target, source="file year.csv", now=at)
        group = log.list_groups(home, PROJECT, limit=1)[0]
        answers = log.read_group(home, PROJECT, group["uid"]).head(25)
        # every fifth answer was wrong
        truth = [str(int(p) ^ (n % 5 == 0)) for n, p in enumerate(answers["out:prediction"])]
        table = "\n".join(["prediction_id,label", *(f"{i},{t}" for i, t in zip(answers["prediction_id"], truth, strict=True))])
        labels.feed_labels(home, SCIENTIST, PROJECT, table.encode(), file_name="labels.csv")
    source.unlink()
    target.unlink()


def _fill_audit(home: Home, events: int) -> None:
    """Cheap acts, every third of them refused."""
    if accounts.find_account(home, "visitor") is None:
        accounts.add_account(home, ADMIN, "visitor", roles.DEVELOPER)
    missing = events - audit.search(home, limit=1)[1]
    for number in range(missing):
        if number % 3 == 2:
            with suppress(Refused):
                accounts.change_role(home, Actor("developer"), "visitor", roles.ADMIN)
        elif number % 3 == 1:
            accounts.reopen_account(home, ADMIN, "visitor")
        else:
            accounts.close_account(home, ADMIN, "visitor")


def describe(home: Home) -> str:
    """What there is, counted."""
    logged = log.count_between(home, PROJECT, parse("2000-01-01T00:00:00.000Z"))
    count = len(versions.list_versions(home, PROJECT))
    return f"{count} versions, {logged:,} logged predictions, {audit.search(home, limit=1)[1]:,} audit events"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--versions", type=int, default=100)
    parser.add_argument("--predictions", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=10_000)
    options = parser.parse_args()
    if options.folder.exists():
        sys.exit(f"{options.folder} exists already; name a folder that does not.")
    home = make_empty_home(options.folder)
    fill_home(home, wanted_versions=options.versions, predictions=options.predictions, events=options.events)
    print(describe(home))


if __name__ == "__main__":
    main()
