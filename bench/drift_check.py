"""A drift check of many logged rows: Evidently's DataDriftPreset on the frames, a count of the raw log, a sum of hourly profiles.

All three answer for the same reference and the same current rows, each in a process of its own, Evidently first. Its time is
that of the report alone, with the frames already in memory; ours begins with the database closed. Imports are left out on both
sides. Memory is the peak of the whole process. The raw count is what a rebuild costs; the sum over hours is the routine check.

    python -m bench.drift_check [--rows 1000000] [--columns 20] [--reference-rows 100000] [--skip-evidently]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT, VERSION = "bench", "1.0.0"
CHUNK = 20_000  # rows of a group, as files are logged
HOURS = 72
START = datetime(2026, 3, 1, tzinfo=UTC)
CATEGORIES = ("a", "b", "c", "d", "e", "f")


def make_frame(rows: int, columns: int, seed: int, shift: float):
    """Two thirds numbers, one third categories, a little missing; the first number is shifted."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    frame = {}
    for n in range(columns):
        if n % 3 < 2:
            values = rng.normal(50 + (shift if n == 0 else 0), 10, rows)
            values[rng.random(rows) < 0.02] = np.nan
            frame[f"number_{n}"] = pd.Series(values)
        else:
            frame[f"category_{n}"] = pd.Series(rng.choice(np.array(CATEGORIES, dtype=object), rows), dtype=object)
    return pd.DataFrame(frame)


def define(columns: list[str]):
    from core.projects.definition import Column, Definition

    kinds = tuple(Column(n, kind="number" if n.startswith("number") else "category") for n in columns)
    return Definition(PROJECT, "Bench", "binary", "y", kinds, positive="1", classes=("0", "1"))


def prepare(folder: Path, rows: int, columns: int, reference_rows: int) -> None:
    """Both frames as Parquet for Evidently, and the same current rows in a log with a version that has the reference's bins."""
    import numpy as np
    import pandas as pd

    from core.drift import bins as drift_bins
    from core.home import open_home
    from core.scoring import log
    from core.scoring.scorer import Scorer
    from storage import versions as versions_store
    from storage.connection import connect

    reference = make_frame(reference_rows, columns, 1, 0.0)
    current = make_frame(rows, columns, 2, 5.0)
    reference.to_parquet(folder / "reference.parquet")
    current.to_parquet(folder / "current.parquet")
    home = open_home(folder / "home")
    definition = define(list(reference.columns))
    rng = np.random.default_rng(3)
    answers = rng.choice(np.array(["0", "1"], dtype=object), reference_rows)
    made = drift_bins.make_bins(reference, definition, answers)
    db = connect(home.db)
    db.conn.execute("PRAGMA foreign_keys = OFF")  # a version without a training: only its bins are of interest here
    db.conn.execute(
        """INSERT INTO versions(id, project, version, candidate_id, dataset_id, definition_sha, stage, sha256, trained_by,
           registered_by, registered_at, summary) VALUES (1, ?, ?, 1, 1, 'x', 'production', 'x', 'b', 'b', '2026', '{}')""",
        (PROJECT, VERSION),
    )
    reference_counts = drift_bins.count(made, reference, answers)
    versions_store.insert_profile(db, 1, drift_bins.bins_to_json(made), drift_bins.profile_to_json(reference_counts))
    scorer = Scorer(PROJECT, VERSION, 1, definition, None, 0.5, "x")
    for number, start in enumerate(range(0, rows, CHUNK)):
        part = current.iloc[start : start + CHUNK]
        share = rng.random(len(part))
        outputs = pd.DataFrame(
            {
                "prediction": pd.Series(np.where(share >= 0.5, "1", "0"), dtype=object), "score": 100 * share,
                "confidence": np.maximum(share, 1 - share), "problems": pd.Series([""] * len(part), dtype=object),
                "probability:0": 1 - share, "probability:1": share,
            }
        )  # fmt: skip
        group = log.make_group(
            home, scorer, part, outputs, uid=f"g{number:06}", request_id="bench", at=START + timedelta(hours=number % HOURS),
            caller="bench", source="bench", latency_ms=None,
        )
        log.append(home, group)


def measure_evidently(folder: Path) -> dict:
    os.environ["DO_NOT_TRACK"] = "1"
    import warnings

    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    reference, current = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "current"))
    kinds = DataDefinition(
        numerical_columns=[c for c in reference if c.startswith("number")],
        categorical_columns=[c for c in reference if c.startswith("category")],
    )
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Report([DataDriftPreset()]).run(Dataset.from_pandas(current, kinds), Dataset.from_pandas(reference, kinds))
    return {"seconds": time.perf_counter() - began}


def measure_raw(folder: Path) -> dict:
    """Every logged row counted anew, then compared."""
    import numpy  # noqa: F401
    import scipy.stats  # noqa: F401

    import core.drift.compute  # noqa: F401
    from core.home import Home
    from core.scoring import profiles

    home = Home(folder / "home", folder / "home" / "models")
    began = time.perf_counter()
    counter = profiles.counter_of(home, 1, "x")
    assert counter is not None
    hours = profiles.count_log(home, PROJECT, VERSION, counter)
    rows = sum(n for n, _ in hours.values())
    current = profiles.to_profile(counter.bins, rows, sum(counts for _, counts in hours.values()))
    result = _compare(home, counter.bins, current)
    return {"seconds": time.perf_counter() - began, "rows": rows, "overall": result.overall, "worst": result.worst_first[0].name}


def measure_hours(folder: Path) -> dict:
    """The hourly profiles summed, then compared; the median of many, after one that imports and opens everything."""
    import statistics

    from core.home import Home
    from core.scoring import profiles

    home = Home(folder / "home", folder / "home" / "models")

    def check():
        bins, current = profiles.sum_hours(home, PROJECT)
        return current.rows, _compare(home, bins, current)

    began = time.perf_counter()
    check()
    first = time.perf_counter() - began
    times = []
    for _ in range(50):
        began = time.perf_counter()
        rows, result = check()
        times.append(time.perf_counter() - began)
    return {"seconds": statistics.median(times), "first": first, "rows": rows, "overall": result.overall, "worst": result.worst_first[0].name}


def _compare(home, bins, current):
    from core.drift.bins import profile_from_json
    from core.drift.compute import compare
    from core.projects.definition import Thresholds
    from storage import versions as versions_store
    from storage.connection import reading

    reference = profile_from_json(versions_store.find_profile(reading(home.db), 1)[1])
    return compare(reference, current, bins=bins, thresholds=Thresholds())


STEPS = {"evidently": measure_evidently, "raw": measure_raw, "hours": measure_hours}


def run(step: str, folder: Path) -> dict:
    """One step in a process of its own: what it measured, and its peak memory in MB."""
    command = [sys.executable, "-m", "bench.drift_check", "--step", step, "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    output, problems = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, problems.decode()[-2000:]
    return {**json.loads(output.splitlines()[-1]), "mb": usage.ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--reference-rows", type=int, default=100_000)
    parser.add_argument("--skip-evidently", action="store_true")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(STEPS[args.step](args.folder)))
        return
    if args.folder:
        prepare(args.folder, args.rows, args.columns, args.reference_rows)
        return
    with tempfile.TemporaryDirectory() as folder:
        # in a process of its own: a child's peak begins with the memory of the process that started it
        sizes = ["--rows", args.rows, "--columns", args.columns, "--reference-rows", args.reference_rows]
        subprocess.run([sys.executable, "-m", "bench.drift_check", "--folder", folder, *map(str, sizes)], check=True, cwd=ROOT)
        print(f"{args.rows:,} logged rows x {args.columns} columns against {args.reference_rows:,} of the reference")
        peer = None if args.skip_evidently else run("evidently", Path(folder))
        raw, hours = run("raw", Path(folder)), run("hours", Path(folder))
        assert raw["rows"] == hours["rows"] == args.rows
        assert raw["overall"] == hours["overall"]
        if peer:
            print(f"Evidently DataDriftPreset   {peer['seconds']:9.3f} s  {peer['mb']:6.0f} MB")
        for name, found in (("ours, from the raw log", raw), ("ours, from hourly profiles", hours)):
            ratio = f"  {peer['seconds'] / found['seconds']:8.0f} x faster, {found['mb'] / peer['mb']:.2f} of its memory" if peer else ""
            print(f"{name:27} {found['seconds']:9.4f} s  {found['mb']:6.0f} MB{ratio}")
        print(f"The first check of a process, imports included: {hours['first']:.3f} s.")
        print(f"Overall drift {hours['overall']:.3f}, most changed {hours['worst']}; the same from both.")


if __name__ == "__main__":
    main()
