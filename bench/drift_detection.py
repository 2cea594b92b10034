"""How often drift is reported when there is none, how soon it is found when there is, and what a check costs.

Our score stands beside Evidently's preset on the same rows: random parts of the Cleveland patients,
unchanged or with one number shifted by a share of its standard deviation.

    python bench/drift_detection.py --trials 100 --evidently-trials 20 --rows 20000
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["DO_NOT_TRACK"] = "1"

from core.drift.bins import count, make_bins  # noqa: E402
from core.drift.compute import compare  # noqa: E402
from core.projects.definition import Column, Definition, Thresholds  # noqa: E402

NUMBERS = ("age", "trestbps", "chol", "thalch", "oldpeak", "ca")
SHIFTED = "thalch"
SHIFTS = (0.0, 0.25, 0.5, 1.0, 1.5)  # in standard deviations
Check = Callable[[pd.DataFrame, pd.DataFrame, Definition], set[str]]


def load_patients() -> pd.DataFrame:
    return pd.read_csv(ROOT / "samples" / "heart_disease" / "data" / "heart_cleveland.csv").drop(columns="num")


def define(features: pd.DataFrame, numbers: tuple[str, ...]) -> Definition:
    columns = tuple(Column(n, kind="number" if n in numbers else "category") for n in features.columns)
    return Definition("bench", "Bench", "binary", "y", columns, positive="1", classes=("0", "1"))


def check_ours(reference: pd.DataFrame, current: pd.DataFrame, definition: Definition) -> set[str]:
    """Columns in warning or drift."""
    bins = make_bins(reference, definition)
    result = compare(count(bins, reference), count(bins, current), bins=bins, thresholds=Thresholds())
    return {c.name for c in result.columns if c.status in ("warning", "drift")}


def check_evidently(reference: pd.DataFrame, current: pd.DataFrame, definition: Definition) -> set[str]:
    """Columns that the drift preset, as it comes, calls drifted."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numbers = [c.name for c in definition.features if c.kind == "number"]
    kinds = DataDefinition(
        numerical_columns=numbers, categorical_columns=[c.name for c in definition.features if c.kind != "number"]
    )
    now, before = (_text_categories(t, numbers) for t in (current, reference))
    snapshot = Report([DataDriftPreset()], include_tests=True).run(
        Dataset.from_pandas(now, data_definition=kinds), Dataset.from_pandas(before, data_definition=kinds)
    )
    failed = (t["metric_config"]["params"] for t in snapshot.dict()["tests"] if t["status"].value == "FAIL")
    return {params["column"] for params in failed if "column" in params}


def measure(check: Check, trials: int, shift: float, seed: int) -> tuple[float, float]:
    """Shares of trials in which any column, and in which the shifted column, is reported."""
    patients = load_patients()
    definition, generator = define(patients, NUMBERS), np.random.default_rng(seed)
    step = shift * patients[SHIFTED].std()
    any_column = shifted_column = 0
    for _ in range(trials):
        order, rows = generator.permutation(len(patients)), int(generator.integers(50, 151))
        half = len(patients) // 2
        reference, current = patients.iloc[order[half:]], patients.iloc[order[:rows]]
        found = check(reference, current.assign(**{SHIFTED: current[SHIFTED] + step}), definition)
        any_column += bool(found)
        shifted_column += SHIFTED in found
    return any_column / trials, shifted_column / trials


def measure_speed(rows: int, seed: int, repeats: int = 5) -> tuple[float, float, float]:
    """Seconds of: counting and comparing a period with stored bins, comparing stored counts, and Evidently's preset."""
    generator = np.random.default_rng(seed)
    data = {f"n{i}": generator.normal(size=rows) for i in range(12)}
    data |= {f"c{i}": generator.choice(["low", "medium", "high"], rows).astype(object) for i in range(8)}
    frame = pd.DataFrame(data)
    definition = define(frame, tuple(n for n in data if n.startswith("n")))
    reference, current = frame.iloc[: rows // 2], frame.iloc[rows // 2 :]
    bins = make_bins(reference, definition)
    before, now = count(bins, reference), count(bins, current)
    thresholds = Thresholds()
    whole = _best(lambda: compare(before, count(bins, current), bins=bins, thresholds=thresholds), repeats)
    counts = _best(lambda: compare(before, now, bins=bins, thresholds=thresholds), repeats)
    peer = _best(lambda: check_evidently(reference, current, definition), 1)
    return whole, counts, peer


def _best(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _text_categories(table: pd.DataFrame, numbers: list[str]) -> pd.DataFrame:
    columns = {
        n: table[n] if n in numbers else np.array([None if pd.isna(v) else str(v) for v in table[n]], dtype=object) for n in table
    }
    return pd.DataFrame(columns, index=table.index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100, help="trials of our score per shift")
    parser.add_argument("--evidently-trials", type=int, default=20, help="trials of Evidently's preset per shift (slow)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of the speed comparison, half of them the reference")
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"Cleveland, random half against 50 to 150 other rows; {SHIFTED} shifted; share of checks that report")
    print(f"{'shift (sd)':>10} | {'ours: any':>10} {'shifted':>8} | {'Evidently: any':>14} {'shifted':>8}")
    for shift in SHIFTS:
        ours = measure(check_ours, args.trials, shift, args.seed)
        peer = measure(check_evidently, args.evidently_trials, shift, args.seed)
        print(f"{shift:>10.2f} | {ours[0]:>10.0%} {ours[1]:>8.0%} | {peer[0]:>14.0%} {peer[1]:>8.0%}", flush=True)
    print(f"trials: {args.trials} ours, {args.evidently_trials} Evidently; at shift 0 every report is a false alarm")
    whole, counts, peer_seconds = measure_speed(args.rows, args.seed)
    print(f"\nOne check of {args.rows // 2:,} rows x 20 columns against as many (bins of the reference stored, as in use)")
    for what, seconds in (("rows counted and compared", whole), ("from the hourly counts", counts)):
        print(f"  ours, {what:<26}  {seconds * 1000:9.1f} ms   Evidently takes {peer_seconds / seconds:,.0f} times as long")
    print(f"  Evidently's preset, without HTML  {peer_seconds * 1000:9.1f} ms")


if __name__ == "__main__":
    main()
