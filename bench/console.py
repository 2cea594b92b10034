"""How quick the console feels: sign-in after start, Home after signing in, page changes by click, in a real browser.

    python -m bench.console [--rounds 5] [--full FOLDER] [--chromium /usr/bin/chromium]

The same clicks run on an installation with 100 versions, 100,000 logged predictions and 10,000 audit events, on one
with nothing but the sample data, and on the full one while a training runs. A page counts as changed when its own
heading stands, the script has ended, nothing faded is left of the page before and every chart is drawn; the time is
taken by the browser's own clock from the click on. ``--full`` keeps the full installation for the next time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bench.full_home import PROJECT, SCIENTIST, describe, fill_home, make_empty_home
from core.home import Home, open_home
from core.jobs import jobs
from core.training import runs
from pages import contents

ROOT = Path(__file__).resolve().parent.parent
SIGN_IN_GOAL, HOME_GOAL, CHANGE_GOAL, BUSY_GOAL = 4.0, 3.0, 0.5, 1.0
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run")
READY = """title => {
    const app = document.querySelector('[data-testid="stApp"]');
    const heading = document.querySelector('[data-testid="stMain"] h1');
    if (!app || !heading || heading.textContent.trim() !== title) return false;
    if (app.dataset.testScriptState !== 'notRunning') return false;
    if (document.querySelector('[data-stale="true"], [data-testid="stSkeleton"]')) return false;
    return [...document.querySelectorAll('[data-testid="stPlotlyChart"]')].every(c => c.querySelector('.main-svg'));
}"""
CHANGE = (
    """async ([link, title]) => {
    const ready = """
    + READY
    + """;
    const began = performance.now();
    document.querySelector(link).click();
    while (performance.now() - began < 30000) {
        await new Promise(requestAnimationFrame);
        if (!ready(title)) continue;
        const seen = performance.now() - began;
        await new Promise(go => setTimeout(go, 120));
        if (ready(title)) return seen / 1000;  // it stayed so
    }
    return null;
}"""
)


@dataclass(frozen=True)
class Start:
    """Seconds from the process's start to the first answer, and from the click on a persona to Home complete."""

    sign_in: float
    home: float


@contextmanager
def running_console(home: Home) -> Iterator[tuple[str, float]]:
    """The real console on a free port: its address, and the seconds until GET /sign-in was answered."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"GREENLIGHT_HOME": str(home.root), "GREENLIGHT_MODELS": str(home.models), "GREENLIGHT_DEMO": "1"}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.address", "127.0.0.1", "--server.port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        yield address, _wait_for_answer(f"{address}/sign-in", process, began)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for_answer(url: str, process: subprocess.Popen, began: float) -> float:
    while process.poll() is None and time.perf_counter() - began < 60:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert answer.status == 200
                return time.perf_counter() - began
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    raise SystemExit("The console did not answer.")


def enter(page: Page, address: str) -> float:
    """Sign in as the data scientist; seconds until Home is complete."""
    page.goto(f"{address}/sign-in")
    began = time.perf_counter()
    page.click("button[value=scientist]")
    page.wait_for_function(READY, arg="Home", timeout=60_000, polling=50)
    return time.perf_counter() - began


def change_pages(page: Page, rounds: int) -> dict[str, list[float]]:
    """Seconds of each page change; the first round, which loads code and styles once, is not counted."""
    titles = [p.title for p in contents.PAGES]
    seconds: dict[str, list[float]] = {title: [] for title in titles}
    for number in range(rounds + 1):
        for place, title in enumerate(titles):
            if number == 0 and place == 0:
                continue  # it stands there already
            url = contents.PAGES[place].url
            path = "/" if contents.PAGES[place].default else f"/{url}"
            link = f'[data-testid="stSidebarNavLink"][href$="{path}"], [data-testid="stSidebarNavLink"][href*="{path}?"]'
            taken = page.evaluate(CHANGE, [link, title])
            shown = page.inner_text("[data-testid=stMain]")
            if taken is None or page.query_selector("[data-testid=stException]") or "Something went wrong" in shown:
                raise SystemExit(f"The page {title} was not complete after 30 s, or shows an error:\n{shown[:400]}")
            if number:
                seconds[title].append(taken)
    return seconds


def measure(home: Home, chromium: str, rounds: int, busy: bool) -> tuple[Start, dict[str, list[float]], dict[str, list[float]]]:
    """Start the console and click through it; with ``busy`` once more while a training runs."""
    with running_console(home) as (address, sign_in), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        start = Start(sign_in, enter(page, address))
        calm = change_pages(page, rounds)
        under_load = change_pages_while_training(home, page, rounds) if busy else {}
        browser.close()
    return start, calm, under_load


def change_pages_while_training(home: Home, page: Page, rounds: int) -> dict[str, list[float]]:
    """A training long enough for all clicks, on every core; cancelled afterwards."""
    big = [("random_forest", {"n_estimators": 2000}), ("gradient_boosting", {"n_estimators": 2000}), ("stacking", {})]
    job = runs.start_training(home, SCIENTIST, PROJECT, candidates=big, folds=10, seed=int(time.time()))["id"]
    while jobs.get_job(home, job).done < 1:
        assert not jobs.get_job(home, job).finished, jobs.get_job(home, job).error
        time.sleep(0.2)
    seconds = change_pages(page, rounds)
    state = jobs.get_job(home, job).state
    if state != "running":
        print(f"The training ended before the clicks did ({state}); those times are partly calm.")
    else:
        jobs.cancel(home, SCIENTIST, job)
    return seconds


def show(full: Start, empty: Start, times: tuple[dict, dict, dict]) -> bool:
    """The table, and whether every goal was met; ``times`` are those of the full and empty one, and under load."""
    print(f"{'':24}{'full':>9}{'empty':>9}{'ratio':>8}{'goal':>9}")
    for what, here, there, goal in (
        ("sign-in after start", full.sign_in, empty.sign_in, SIGN_IN_GOAL),
        ("Home after signing in", full.home, empty.home, HOME_GOAL),
    ):
        print(f"{what:24}{here:8.2f}s{there:8.2f}s{here / there:8.2f}{goal:8.1f}s")
    print(f"\n{'page change, median':24}{'full':>9}{'empty':>9}{'ratio':>8}{'training':>10}{'ratio':>8}")
    for title in times[0]:
        _show_row(title, *(statistics.median(t[title]) for t in times))
    whole = [statistics.median(s for page in t.values() for s in page) for t in times]
    _show_row("all pages", *whole)
    print(f"{'goal':24}{CHANGE_GOAL:8.1f}s{'':17}{BUSY_GOAL:9.1f}s")
    calm_met = full.sign_in <= SIGN_IN_GOAL and full.home <= HOME_GOAL and whole[0] <= CHANGE_GOAL
    return calm_met and whole[2] <= BUSY_GOAL


def _show_row(title: str, full: float, empty: float, busy: float) -> None:
    print(f"{title:24}{full:8.2f}s{empty:8.2f}s{full / empty:8.2f}{busy:9.2f}s{busy / full:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full", type=Path, help="where the full installation is, or is to be kept")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.full or Path(folder) / "full"
        if root.exists():
            full_home = open_home(root)
        else:
            full_home = make_empty_home(root)
            fill_home(full_home, wanted_versions=100, predictions=100_000, events=10_000)
        print(describe(full_home))
        empty_start, bare, _ = measure(make_empty_home(Path(folder) / "empty"), options.chromium, options.rounds, busy=False)
        full_start, calm, busy = measure(full_home, options.chromium, options.rounds, busy=True)
        sys.exit(0 if show(full_start, empty_start, (calm, bare, busy)) else 1)


if __name__ == "__main__":
    main()
