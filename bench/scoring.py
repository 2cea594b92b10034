"""Score a CSV of 200,000 rows: `python -m core predict` (every row checked and logged) against a plain script.

The model: 200 trees on 4 categorical and 7 numeric columns (bench.live_model). The plain script reads the same file with
pandas, calls predict_proba of the very same pipeline (as it was trained, n_jobs unset) and writes the columns with the
probability. Both are whole processes, start and imports included; runs alternate. Printed: how many times faster (median
of pairs; wall time, and processor time, which other work on the machine disturbs less), and the peak memory of each.

    python -m bench.scoring [--rows 200000] [--pairs 3] [--candidate random_forest]

Memory of a long file, without the plain script: `--rows 2000000 --pairs 1 --alone`.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import live_model
from core.deployment import find_live
from core.scoring import log
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--candidate", default="random_forest")
    parser.add_argument("--alone", action="store_true", help="without the plain script")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        home = live_model.make_live(root / "var", options.candidate)
        live = find_live(home, live_model.PROJECT)
        assert live is not None
        model = home.models / live_model.PROJECT / live.version / "model.pkl"
        source = root / "in.csv"
        live_model.make_table(options.rows, seed=7).drop(columns="stays").to_csv(source, index=False)
        environment = {**os.environ, "GREENLIGHT_HOME": str(home.root), "GREENLIGHT_MODELS": str(home.models)}
        runs: list[tuple[tuple[float, float, float], tuple[float, float, float]]] = []
        for pair in range(options.pairs + 1):
            target = root / f"out{pair}.csv"
            ours = run(
                [sys.executable, "-m", "core", "predict", live_model.PROJECT, str(source), str(target), "--as", "developer"], environment
            )
            command = [sys.executable, "-c", PLAIN, str(model), str(source), str(root / "plain.csv")]
            plain = (math.nan,) * 3 if options.alone else run(command, environment)
            print(
                f"pair {pair}: ours {ours[0]:.2f} s ({ours[1]:.2f} s of processor), plain {plain[0]:.2f} s ({plain[1]:.2f} s)"
                + (" (warm-up, not counted)" if not pair else ""),
                flush=True,
            )
            if pair:
                runs.append((ours, plain))
        if not options.alone:
            compare(target, root / "plain.csv")
        logged = log.count_between(home, live_model.PROJECT, parse("2000-01-01T00:00:00.000Z"))
        assert logged == options.rows * (options.pairs + 1), f"{logged} rows logged"
        wall, processor = ([plain[kind] / ours[kind] for ours, plain in runs] for kind in (0, 1))
        memory = [statistics.median(pair[who][2] for pair in runs) for who in (0, 1)]
        print(
            f"{options.candidate}, {options.rows:,} rows, all logged: {statistics.median(wall):.2f} x faster than the plain script "
            f"(from {min(wall):.2f} to {max(wall):.2f}; of processor time {statistics.median(processor):.2f} x); "
            f"peak memory {memory[0]:.0f} MB against {memory[1]:.0f} MB"
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
