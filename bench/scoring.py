"""Score a CSV of 200,000 rows: `python -m core predict` (every row checked and logged) against a plain script.

The plain script reads the same file with pandas, calls predict_proba of the very same pipeline (as it was trained,
n_jobs unset) and writes the columns with the probability. Both are whole processes; runs alternate. Printed: the
ratio of wall time (median of pairs), and the peak memory of each.

    python -m bench.scoring [--rows 200000] [--pairs 3] [--candidate random_forest]
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

PLAIN = """
import pickle, sys
import pandas as pd
model, source, target = sys.argv[1:]
pipeline = pickle.load(open(model, "rb"))
frame = pd.read_csv(source, dtype={"fbs": object, "exang": object})
features = frame[list(pipeline.feature_names_in_)]
texts = features.columns[[d.kind not in "fi" for d in features.dtypes]]
features = features.astype(dict.fromkeys(texts, object))
frame["probability"] = pipeline.predict_proba(features)[:, 1]
frame.to_csv(target, index=False)
"""


def prepare(root: Path, candidate: str):
    """A demo with ``candidate`` live on heart disease."""
    from core import approvals, deployment
    from core.acts import Actor
    from core.demo import prepare_demo
    from core.home import open_home
    from core.jobs import worker
    from core.registry import versions
    from core.training import runs

    home = open_home(root)
    prepare_demo(home)
    scientist = Actor("scientist")
    job = runs.start_training(home, scientist, "heart_disease", candidates=[(candidate, {})], owner="cli")["id"]
    done = worker.wait_for(home, job, worker.start_process(home, job))
    assert done.state == "done", done.error
    row = next(c for c in runs.list_candidates(home, done.outcome["run"]) if c.name == candidate)
    version = versions.register(home, scientist, row.id)["version"]
    request = approvals.request_release(home, scientist, "heart_disease", version, reason="bench")["id"]
    approvals.approve(home, Actor("director"), request, reason="bench", despite_gates=True)
    deployment.deploy(home, Actor("devops"), "heart_disease", version)
    return home, home.models / "heart_disease" / version / "model.pkl"


def make_csv(path: Path, rows: int) -> None:
    """Cleveland's patients drawn with replacement, a little noise on the numbers, as many as wanted."""
    import numpy as np
    import pandas as pd

    source = pd.read_csv(Path(__file__).resolve().parents[1] / "samples/heart_disease/data/heart_cleveland.csv")
    rng = np.random.default_rng(42)
    frame = source.iloc[rng.integers(0, len(source), rows)].drop(columns="num").reset_index(drop=True)
    frame["chol"] = (frame["chol"] + rng.integers(-20, 20, rows)).clip(100, 600)
    frame.to_csv(path, index=False)


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """(wall seconds, peak MB of the largest process) of one command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command[:4]} failed"
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--candidate", default="random_forest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        home, model = prepare(root / "var", options.candidate)
        make_csv(root / "in.csv", options.rows)
        environment = {**os.environ, "GREENLIGHT_HOME": str(home.root), "GREENLIGHT_MODELS": str(home.models)}
        ratios, ours_mb, plain_mb = [], [], []
        for pair in range(options.pairs + 1):
            ours = run([sys.executable, "-m", "core", "predict", "heart_disease", str(root / "in.csv"), str(root / f"out{pair}.csv"),
                        "--as", "developer"], environment)  # fmt: skip
            plain = run([sys.executable, "-c", PLAIN, str(model), str(root / "in.csv"), str(root / "plain.csv")], environment)
            print(f"pair {pair}: ours {ours[0]:.2f} s, plain {plain[0]:.2f} s" + (" (warm-up, not counted)" if not pair else ""))
            if pair:
                ratios.append(ours[0] / plain[0])
                ours_mb.append(ours[1])
                plain_mb.append(plain[1])
        from core.scoring import log
        from core.times import parse

        logged = log.count_between(home, "heart_disease", parse("2000-01-01T00:00:00.000Z"))
        assert logged == options.rows * (options.pairs + 1), f"{logged} rows logged"
        print(
            f"{options.candidate}, {options.rows:,} rows, all logged: time ratio ours / plain {statistics.median(ratios):.2f} "
            f"(from {min(ratios):.2f} to {max(ratios):.2f}); peak memory {statistics.median(ours_mb):.0f} MB against "
            f"{statistics.median(plain_mb):.0f} MB"
        )


if __name__ == "__main__":
    main()
