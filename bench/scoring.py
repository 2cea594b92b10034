"""Score a CSV of 200,000 rows by both doors, every row checked and logged, against a plain script.

The command line: `python -m core predict`, a whole process. The console: from filing the job, as the Predict page does after an
upload, until its result lies there; its spare worker was ready before, as it is between jobs (--no-spare: without one).
The model: 200 trees on 4 categorical and 7 numeric columns (bench.live_model). The plain script reads the same file with
pandas, calls predict_proba of the very same pipeline (as it was trained, n_jobs unset) and writes the columns with the
probability; a whole process, start and imports included. Runs alternate. Printed: how many times faster (median of the
rounds; wall time, and processor time, which other work on the machine disturbs less), and the peak memory of each.

    python -m bench.scoring [--rows 200000] [--rounds 3] [--candidate random_forest] [--no-spare]

Memory of a long file, without the plain script: `--rows 2000000 --rounds 1 --alone`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import live_model
from core.acts import Actor
from core.deployment import find_live
from core.home import Home
from core.jobs import jobs
from core.jobs.supervisor import Supervisor
from core.scoring import log
from core.scoring.job import result_path, start_scoring
from core.times import parse

PLAIN = """
import pickle, sys
import pandas as pd
model, source, target = sys.argv[1:]
pipeline = pickle.load(open(model, "rb"))
frame = pd.read_csv(source)
features = frame[list(pipeline.feature_names_in_)]
texts = features.columns[[d.kind not in "fi" for d in features.dtypes]]
features = features.astype(dict.fromkeys(texts, object))
frame["probability"] = pipeline.predict_proba(features)[:, 1]
frame.to_csv(target, index=False)
"""


def make_csv(path: Path, rows: int) -> None:
    """Cleveland's patients drawn with replacement, a little noise on the numbers, as many as wanted."""
    import numpy as np
    import pandas as pd

    source = pd.read_csv(Path(__file__).resolve().parents[1] / "samples/heart_disease/data/heart_cleveland.csv")
    rng = np.random.default_rng(42)
    frame = source.iloc[rng.integers(0, len(source), rows)].drop(columns="num").reset_index(drop=True)
    frame["chol"] = (frame["chol"] + rng.integers(-20, 20, rows)).clip(100, 600)
    frame.to_csv(path, index=False)


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """(wall seconds, processor seconds, peak MB) of one command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command[:4]} failed"
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


class Console:
    """What of the console runs jobs: its supervisor, in this process."""

    def __init__(self, home: Home, spare: bool) -> None:
        self.home = home
        self.supervisor = Supervisor(home, spare=spare)
        self.supervisor.start()
        if spare:
            self.supervisor.keep_spare()

    def wait(self) -> None:
        """Until the spare worker is ready: what starts it must not disturb what is measured next."""
        spare = self.supervisor._spare
        while spare is not None and not spare.is_ready():
            time.sleep(0.2)

    def score(self, source: Path, target: Path) -> tuple[float, float, float]:
        """(wall seconds, processor seconds and peak MB of the worker) of one job; what it spent on getting ready is not counted."""
        self.wait()
        spare = self.supervisor._spare
        expected = None if spare is None else spare.pid
        before = look_at(expected)[0]
        content, processor, peak = source.read_bytes(), 0.0, 0.0
        started = time.perf_counter()
        job_id = start_scoring(self.home, Actor("developer"), live_model.PROJECT, content, file_name=source.name)["id"]
        while not (job := jobs.get_job(self.home, job_id)).finished:
            now = look_at(job.pid)
            processor, peak = max(processor, now[0] - before), max(peak, now[1])
            time.sleep(0.02)
        spent = time.perf_counter() - started
        assert job.state == "done", job.error
        assert expected in (None, job.pid), "the spare worker was not used; did code or libraries change meanwhile?"
        target.write_bytes(result_path(self.home, job_id).read_bytes())
        return spent, processor, peak


def look_at(pid: int | None) -> tuple[float, float]:
    """Processor seconds and peak MB of a process so far, 0 where there is none."""
    try:
        usage = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    peak = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
    return (int(usage[11]) + int(usage[12])) / os.sysconf("SC_CLK_TCK"), peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--candidate", default="random_forest")
    parser.add_argument("--alone", action="store_true", help="without the plain script")
    parser.add_argument("--no-spare", action="store_true", help="the console starts each job's worker when it is filed")
    options = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        home = live_model.make_live(root / "var", options.candidate)
        live = find_live(home, live_model.PROJECT)
        assert live is not None
        model = home.models / live_model.PROJECT / live.version / "model.pkl"
        source, plain = root / "in.csv", root / "plain.csv"
        targets = {"command line": root / "out.csv", "console": root / "console.csv"}
        live_model.make_table(options.rows, seed=7).drop(columns="stays").to_csv(source, index=False)
        environment = {**os.environ, "GREENLIGHT_HOME": str(home.root), "GREENLIGHT_MODELS": str(home.models)}
        ours = [sys.executable, "-m", "core", "predict", live_model.PROJECT, str(source), str(targets["command line"]), "--as", "developer"]
        theirs = [sys.executable, "-c", PLAIN, str(model), str(source), str(plain)]
        console = Console(home, not options.no_spare)
        rounds: list[dict[str, tuple[float, float, float]]] = []
        try:
            for number in range(options.rounds + 1):
                found = {"console": console.score(source, targets["console"])}
                console.wait()
                found["command line"] = run(ours, environment)
                if not options.alone:
                    found["plain"] = run(theirs, environment)
                said = ", ".join(f"{who} {spent[0]:.2f} s ({spent[1]:.2f} s of processor)" for who, spent in found.items())
                print(f"round {number}: {said}{'' if number else ' (warm-up, not counted)'}", flush=True)
                if number:
                    rounds.append(found)
        finally:
            console.supervisor.stop()
        logged = log.count_between(home, live_model.PROJECT, parse("2000-01-01T00:00:00.000Z"))
        assert logged == 2 * options.rows * (options.rounds + 1), f"{logged} rows logged"
        for door, target in targets.items():
            if not options.alone:
                compare(target, plain)
            print(f"{options.candidate}, {options.rows:,} rows, all logged, {door}: {describe(rounds, door)}")
        print(f"load of the machine after: {os.getloadavg()[0]:.1f}")


def describe(rounds: list[dict[str, tuple[float, float, float]]], door: str) -> str:
    """Seconds and peak memory of a door, and how many times faster than the plain script it was, where that ran."""
    spent, peak = (statistics.median(found[door][kind] for found in rounds) for kind in (0, 2))
    if "plain" not in rounds[0]:
        return f"{spent:.2f} s; peak memory {peak:.0f} MB"
    wall, processor = ([found["plain"][kind] / found[door][kind] for found in rounds] for kind in (0, 1))
    theirs, room = (statistics.median(found["plain"][kind] for found in rounds) for kind in (0, 2))
    return (
        f"{statistics.median(wall):.2f} x faster than the plain script ({spent:.2f} s against {theirs:.2f} s; from {min(wall):.2f} to "
        f"{max(wall):.2f}; of processor time {statistics.median(processor):.2f} x); peak memory {peak:.0f} MB against {room:.0f} MB"
    )


def compare(ours: Path, plain: Path) -> None:
    """The same labels and probabilities, row by row."""
    import numpy as np
    import pandas as pd

    answers, wanted = pd.read_csv(ours), pd.read_csv(plain)["probability"].to_numpy()
    assert np.abs(answers["score"].to_numpy() / 100 - wanted).max() <= 1e-6, "a probability differs"
    print(f"largest difference of a probability: {np.abs(answers['score'].to_numpy() / 100 - wanted).max():.1e}")


if __name__ == "__main__":
    main()
