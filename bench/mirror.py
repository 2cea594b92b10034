"""How long a training job takes with the mirror at work beside it, and without, in turn.

One `mlflow server` on SQLite listens during both, so that only the mirror differs; it runs on the same cores, where in use it is
usually elsewhere. With the mirror, the trainings before wait to be given, and from the job's start on the clock's step is called
each second, as the console's clock does each minute. Two harder cases: --begun, where a round began the moment before the job, and
--saturated, where the mirror's notes are dropped whenever everything is given, so that it never rests; nothing in use does that.
A job's time is from the start of its worker process to its end. The order is drawn anew for each pair: a machine warms up.

Needs MLflow (pip install mlflow -c requirements.txt).

    python -m bench.mirror [--pairs 5] [--project heart_disease] [--candidates A,B] [--begun | --saturated]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.acts import Actor
from core.adapters import optional
from core.demo import prepare_demo
from core.home import Home, open_home
from core.jobs import jobs, worker
from core.mirror import mirror, process
from core.mirror.address import read_address
from core.projects.projects import get_definition
from core.settings import Settings
from core.times import utc_now
from core.training import runs
from core.training.catalogue import default_candidates
from storage import mirror as store
from storage.connection import reading, writing

SCIENTIST = Actor("scientist")


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """A tracking server on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "files"),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        ends = time.monotonic() + 300
        while time.monotonic() < ends:
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise SystemExit("The MLflow server did not start.")
        yield uri
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def train(home: Home, project: str, candidates: list[str], seed: int) -> float:
    """Seconds of one training job in its worker process."""
    job = runs.start_training(home, SCIENTIST, project, candidates=[(name, {}) for name in candidates], seed=seed, owner="cli")
    began = time.perf_counter()
    done = worker.wait_for(home, job["id"], worker.start_process(home, job["id"]))
    if done.state != "done":
        raise SystemExit(done.error)
    return time.perf_counter() - began


def count_given(home: Home, target: str) -> int:
    """Runs, candidates, versions and hours that the server has been given since the notes were dropped."""
    return sum(len(store.list_marks(reading(home.db), target, kind)) for kind in ("run", "candidate", "version", "series"))


@contextmanager
def mirroring(home: Home, settings: Settings, target: str, given: list[int], case: str) -> Iterator[None]:
    """The mirror as the clock calls it, or kept at work; how much it gave is added to ``given``."""
    ended = threading.Event()
    before, saturated = count_given(home, target), case == "saturated"

    def tick() -> None:
        while case == "waiting" and not jobs.list_jobs(home, states=("running",)) and not ended.wait(0.02):
            pass
        while not ended.is_set():
            if saturated and not process.is_running(home):
                given.append(count_given(home, target))
                with writing(home.db) as db:
                    store.forget(db, target)
            mirror.start_due(home, settings, now=utc_now())
            ended.wait(1.0)

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        yield
    finally:
        ended.set()
        ticking.join()
        process.stop(home)
        given.append(count_given(home, target) - (0 if saturated else before))
        if saturated:
            with writing(home.db) as db:
                store.forget(db, target)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--project", default="heart_disease")
    options.add_argument("--candidates", default="", help="the project's usual ones unless named")
    options.add_argument("--begun", action="store_const", const="begun", default="waiting", dest="case")
    options.add_argument("--saturated", action="store_const", const="saturated", dest="case")
    chosen = options.parse_args()
    if not optional.is_installed("mlflow"):
        print("MLflow is not installed, so there is no mirror to measure: pip install mlflow -c requirements.txt")
        return
    with tempfile.TemporaryDirectory() as place, serve(Path(place)) as uri:
        home = open_home(Path(place) / "home")
        prepare_demo(home)
        usual = default_candidates(get_definition(home, chosen.project))
        names = chosen.candidates.split(",") if chosen.candidates else list(usual)
        os.environ["MLFLOW_TRACKING_URI"] = uri
        settings, target = Settings.from_environment(), read_address(uri).shown
        train(home, chosen.project, names, 0)  # the first one warms the disk's cache
        pairs: list[tuple[float, float]] = []
        given: list[int] = []
        for number in range(1, chosen.pairs + 1):
            seconds: dict[bool, float] = {}
            for on in random.sample([True, False], 2):
                if on:
                    with mirroring(home, settings, target, given, chosen.case):
                        seconds[on] = train(home, chosen.project, names, number)
                else:
                    seconds[on] = train(home, chosen.project, names, number)
            pairs.append((seconds[False], seconds[True]))
            if chosen.case != "saturated" and number % 2 == 0:
                given.append(-count_given(home, target))
                mirror.run_now(home, settings, now=utc_now())  # between the jobs, as in use
                given[-1] += count_given(home, target)
            print(f"pair {number}: without {seconds[False]:.2f} s, with {seconds[True]:.2f} s, ratio {seconds[True] / seconds[False]:.3f}")
        without, beside = (statistics.median(p[k] for p in pairs) for k in (0, 1))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"median without the mirror {without:.2f} s, with it {beside:.2f} s; median ratio {ratio:.3f} (goal: below 1.05)")
        print(f"the mirror gave {sum(given)} runs, candidates, versions and series beside the jobs and between them")
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
