"""Pages at 5,000,000 logged predictions beside the same pages of an empty log.

The log is filled by the functions that log real answers: one large group of every hour (really scored once, then repeated under
other ids and times) and single rows as programs send them, with their hourly counts, profiles and traffic, over 30 days. Pages are
run through the console's own frame, without a browser: the time is the server's, from the call to the finished page.

    python -m bench.full_log [--predictions 5000000] [--single 100000] [--turns 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from bench.live_model import PROJECT, make_live, make_rows
from core import accounts
from core.home import Home
from core.monitoring import traffic
from core.scoring import journal, log, payload, rows
from core.times import utc_now
from pages import contents, session
from storage.connection import close_all, writing

DAYS = 30
PAGES = ("home", "monitoring", "drift", "trends", "predict")
GOAL = 0.5


def fill(home: Home, predictions: int, single: int, now: datetime) -> None:
    """Put groups and requests into the log, spread evenly over the last 30 days."""
    hours = DAYS * 24
    each = (predictions - single) // hours
    answers = [(_score(home, number), number) for number in (each, 1)]
    for (group, size), number in zip(answers, (hours, predictions - hours * each), strict=True):
        began = now - timedelta(days=DAYS)
        step = timedelta(days=DAYS) / number
        at_once = 500 if size == 1 else 10
        for first in range(0, number, at_once):
            places = range(first, min(first + at_once, number))
            some = [replace(group, uid=log.new_uid(), request_id=f"{size}-{n}", at=began + n * step) for n in places]
            requests = [
                traffic.Request(g.request_id, g.at, PROJECT, "predict", "api", 200, g.rows, g.version, "bench", 2.0 + g.rows / 100, g.stages)
                for g in some
            ]
            with writing(home.predictions_db) as db:
                log.write_groups(db, some)
                traffic.write_requests(db, requests, traffic.count(requests))


def _score(home: Home, number: int) -> log.Group:
    """The group of so many rows, as the log keeps it: many rows as Parquet."""
    answer = rows.score_rows(home, PROJECT, make_rows(number), caller="bench", source="api")
    if number == 1:
        return answer.group
    return replace(answer.group, payload=payload.write_parquet(payload.read_payload(answer.group.payload)))


def open_pages(home: Home, turns: int) -> Iterator[tuple[str, float]]:
    """Each page with the median of its seconds; the first time, which fills the caches of a page, does not count."""
    from streamlit.testing.v1 import AppTest

    os.environ["GREENLIGHT_HOME"], os.environ["GREENLIGHT_MODELS"] = str(home.root), str(home.models)
    session.current_account = lambda home, now: accounts.find_account(home, "scientist")  # type: ignore[assignment]
    pages = contents.PAGES
    frame = str(Path(__file__).resolve().parents[1] / "pages" / "frame.py")
    for url in PAGES:
        contents.PAGES = tuple(replace(page, default=page.url == url) for page in pages)
        took = []
        for _ in range(turns + 1):
            test = AppTest.from_file(frame, default_timeout=120)
            test.query_params["project"] = PROJECT
            began = time.perf_counter()
            test.run()
            took.append(time.perf_counter() - began)
            if test.exception:
                raise SystemExit(f"{url}: {test.exception[0].message}")
        yield url, statistics.median(took[1:])
    contents.PAGES = pages


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--predictions", type=int, default=5_000_000)
    parser.add_argument("--single", type=int, default=100_000, help="predictions among them that came one by one")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        empty = make_live(Path(folder) / "empty")
        close_all()
        full = Home(Path(folder) / "full", Path(folder) / "full" / "models")
        shutil.copytree(empty.root, full.root)
        began = time.perf_counter()
        fill(full, options.predictions, options.single, utc_now())
        size = full.predictions_db.stat().st_size / 2**20
        logged = log.count_between(full, PROJECT, utc_now() - timedelta(days=DAYS + 1))
        print(f"{logged:,} predictions logged in {time.perf_counter() - began:.0f} s, {size:,.0f} MB")
        alone, beside = dict(open_pages(empty, options.turns)), dict(open_pages(full, options.turns))
        for url in PAGES:
            word = "" if beside[url] <= GOAL else f", over the goal of {GOAL} s"
            print(f"{url:10s}  full {beside[url]:6.3f} s   empty {alone[url]:6.3f} s   {beside[url] / alone[url]:4.1f} x{word}")
        journal.close_journals()
        close_all()


if __name__ == "__main__":
    main()
