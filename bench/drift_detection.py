"""How often drift is reported where there is none, and how soon it is found where there is: our score beside Evidently's preset.

Both judge the same rows. A report is a column in "warning" or "drift" for us, a column that DataDriftPreset as it comes calls
drifted for Evidently; "beyond chance" are the columns that our test finds changed, however little. Generated tables have 13
columns (9 numbers, 4 categories, 3 % missing); of a shifted column Evidently is given that column alone, because it judges each
by itself, and we are given the whole table, because our test corrects for the number of columns. All draws are seeded; the
figures of docs/drift.md are those of the defaults.

    python -m bench.drift_detection [--trials 200] [--evidently-trials 40] [--picture docs/drift_detection.svg]
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.line_charts import Chart, Line, draw_svg
from core.drift.bins import count, make_bins
from core.drift.compute import ColumnDrift, compare
from core.projects.definition import Column, Definition, Thresholds

DATA = Path(__file__).resolve().parent.parent / "samples" / "heart_disease" / "data"
NUMBERS = ("age", "trestbps", "chol", "thalch", "oldpeak", "ca")
SIZES = (50, 100, 200, 500, 1_000, 2_000, 5_000)
SHIFTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)  # in standard deviations
MIXES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)  # share of all rows that changes from the most to the least frequent value
MISSING = 0.03
Check = Callable[[pd.DataFrame, pd.DataFrame, Definition], set[str]]


@dataclass(frozen=True)
class Point:
    """Shares of checks that reported, and that found a change beyond chance, at one place of the x axis."""

    x: float
    ours: float
    beyond: float
    peer: float


def load_hospital(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / f"heart_{name}.csv").drop(columns="num")


def define(features: pd.DataFrame, numbers: tuple[str, ...]) -> Definition:
    columns = tuple(Column(n, kind="number" if n in numbers else "category") for n in features.columns)
    return Definition("bench", "Bench", "binary", "y", columns, positive="1", classes=("0", "1"))


def make_table(rows: int, generator: np.random.Generator, *, shift: float = 0.0, mix: float = 0.0) -> pd.DataFrame:
    """Thirteen columns of usual shapes; ``shift`` moves ``normal_0`` by standard deviations, ``mix`` the shares of ``mixed``."""
    columns = {f"normal_{k}": generator.normal(50, 10, rows) for k in range(3)}
    columns["normal_0"] += 10 * shift
    columns |= {f"skewed_{k}": generator.lognormal(3, 0.8, rows) for k in range(2)}
    columns |= {f"even_{k}": generator.uniform(0, 1, rows) for k in range(2)}
    columns |= {f"counted_{k}": generator.poisson(3, rows).astype(float) for k in range(2)}
    numbers = tuple(columns)
    columns["mixed"] = generator.choice(list("abcd"), rows, p=[0.5 - mix, 0.25, 0.15, 0.1 + mix]).astype(object)
    columns |= {f"named_{k}": generator.choice([f"v{i}" for i in range(k)], rows).astype(object) for k in (2, 5, 8)}
    table = pd.DataFrame(columns)
    for name in table:
        table.loc[generator.random(rows) < MISSING, name] = np.nan if name in numbers else None
    return table


def check_ours(reference: pd.DataFrame, current: pd.DataFrame, definition: Definition) -> set[str]:
    """Columns in warning or drift."""
    return {c.name for c in _compare(reference, current, definition) if c.status in ("warning", "drift")}


def check_beyond_chance(reference: pd.DataFrame, current: pd.DataFrame, definition: Definition) -> set[str]:
    """Columns that changed beyond chance, whether or not the change is large enough to be reported."""
    return {c.name for c in _compare(reference, current, definition) if c.score is not None and not c.within_chance}


def check_evidently(reference: pd.DataFrame, current: pd.DataFrame, definition: Definition) -> set[str]:
    """Columns that the drift preset, as it comes, calls drifted."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    shown = [c for c in definition.features if c.name in reference.columns]
    numbers = [c.name for c in shown if c.kind == "number"]
    kinds = DataDefinition(numerical_columns=numbers, categorical_columns=[c.name for c in shown if c.kind != "number"])
    now, before = (_text_categories(t, numbers) for t in (current, reference))
    snapshot = Report([DataDriftPreset()], include_tests=True).run(
        Dataset.from_pandas(now, data_definition=kinds), Dataset.from_pandas(before, data_definition=kinds)
    )
    failed = (t["metric_config"]["params"] for t in snapshot.dict()["tests"] if t["status"].value == "FAIL")
    return {params["column"] for params in failed if "column" in params}


def measure_false_alarms(check: Check, rows: int, trials: int, seed: int) -> float:
    """Share of checks that report any of 13 columns, both sides drawn alike, ``rows`` each."""
    generator = np.random.default_rng(seed)
    found = 0
    for _ in range(trials):
        reference, current = make_table(rows, generator), make_table(rows, generator)
        found += bool(check(reference, current, _generated(reference)))
    return found / trials


def measure_hits(check: Check, rows: int, trials: int, seed: int, column: str, *, shift: float = 0.0, mix: float = 0.0) -> float:
    """Share of checks that report the column that moved."""
    generator = np.random.default_rng(seed)
    found = 0
    for _ in range(trials):
        reference, current = make_table(rows, generator), make_table(rows, generator, shift=shift, mix=mix)
        if check is check_evidently:
            reference, current = reference[[column]], current[[column]]
        found += column in check(reference, current, _generated(reference))
    return found / trials


def measure_halves(check: Check, trials: int, seed: int) -> float:
    """Share of checks that report any column: half of the Cleveland patients against 50 to 150 of the others."""
    patients = load_hospital("cleveland")
    definition, generator = define(patients, NUMBERS), np.random.default_rng(seed)
    found = 0
    for _ in range(trials):
        order, rows = generator.permutation(len(patients)), int(generator.integers(50, 151))
        half = len(patients) // 2
        found += bool(check(patients.iloc[order[half:]], patients.iloc[order[:rows]], definition))
    return found / trials


def measure_hospitals(names: tuple[str, ...]) -> list[tuple[str, int, int, int, set[str]]]:
    """Hospital, columns that we report, that Evidently reports, that both do, and where the two differ; against Cleveland."""
    patients = load_hospital("cleveland")
    definition = define(patients, NUMBERS)
    found = []
    for name in names:
        other = load_hospital(name)
        kept = other.loc[:, other.notna().any()]  # one empty column would spoil Evidently's report as a whole
        ours, peer = check_ours(patients, other, definition), check_evidently(patients[list(kept)], kept, define(kept, NUMBERS))
        found.append((name, len(ours), len(peer), len(ours & peer), ours ^ peer))
    return found


def _compare(reference: pd.DataFrame, current: pd.DataFrame, definition: Definition) -> tuple[ColumnDrift, ...]:
    bins = make_bins(reference, definition)
    return compare(count(bins, reference), count(bins, current), bins=bins, thresholds=Thresholds()).columns


def _generated(table: pd.DataFrame) -> Definition:
    return define(table, tuple(n for n in table if not n.startswith(("mixed", "named"))))


def _text_categories(table: pd.DataFrame, numbers: list[str]) -> pd.DataFrame:
    columns = {
        n: table[n] if n in numbers else np.array([None if pd.isna(v) else str(v) for v in table[n]], dtype=object)
        for n in table
    }
    return pd.DataFrame(columns, index=table.index)


def sweep(
    title: str, head: str, places: tuple[float, ...], trials: int, peer_trials: int, run: Callable[..., float]
) -> list[Point]:
    """Measure and print one table, line by line; ``run(check, x, trials)`` gives the share of checks that report."""
    print(f"\n{title}\n{head:>18} | {'ours':>6} | {'beyond chance':>13} | {'Evidently':>9}")
    points = []
    for x in places:
        point = Point(x, run(check_ours, x, trials), run(check_beyond_chance, x, trials), run(check_evidently, x, peer_trials))
        print(f"{x:>18,g} | {point.ours:>6.1%} | {point.beyond:>13.1%} | {point.peer:>9.1%}", flush=True)
        points.append(point)
    return points


def lines(points: list[Point]) -> tuple[Line, ...]:
    return (
        Line("Greenlight reports", tuple((p.x, p.ours) for p in points)),
        Line("Evidently's preset reports", tuple((p.x, p.peer) for p in points)),
        Line("Greenlight: beyond chance", tuple((p.x, p.beyond) for p in points)),
    )


def measure_all(trials: int, peer_trials: int, seed: int) -> list[Chart]:
    """Every experiment; the charts of the picture."""
    alarms = sweep(
        "False alarms: both sides drawn alike, 13 columns; share of checks that report any column", "rows of each side", SIZES,
        trials, peer_trials, lambda check, x, n: measure_false_alarms(check, int(x), n, seed),
    )  # fmt: skip
    found = [Chart("False alarms (nothing changed)", "rows of each side", lines(alarms), logarithmic=True)]
    for rows in (200, 2_000):
        points = sweep(
            f"Hits: one number of 13 columns shifted, {rows} rows of each side; share of checks that report it",
            "shift (sd)", SHIFTS, trials, peer_trials, lambda check, x, n, rows=rows: measure_hits(check, rows, n, seed, "normal_0", shift=x),
        )  # fmt: skip
        found.append(Chart(f"A number shifted, {rows:,} rows", "shift in standard deviations", lines(points)))
    mixes = sweep(
        "Hits: one category of 13 columns with other shares, 200 rows of each side; share of checks that report it",
        "share that moved", MIXES, trials, peer_trials, lambda check, x, n: measure_hits(check, 200, n, seed, "mixed", mix=x),
    )  # fmt: skip
    found.append(Chart("A category with other shares, 200 rows", "share of rows that changed value", lines(mixes)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200, help="checks of ours at each place")
    parser.add_argument("--evidently-trials", type=int, default=40, help="checks of Evidently at each place (0.1 to 1 s each)")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--picture", type=Path, help="where to draw the four charts (SVG)")
    args = parser.parse_args()
    os.environ["DO_NOT_TRACK"] = "1"
    warnings.simplefilter("ignore")
    began = time.perf_counter()
    print("Hospitals against Cleveland (303 patients, 13 columns): columns reported")
    for name, ours, peer, both, differ in measure_hospitals(("hungary", "switzerland")):
        alone = ", ".join(sorted(differ)) or "none"
        print(f"{name:>22} | ours {ours} | Evidently {peer} | both {both} | one only: {alone}", flush=True)
    halves = measure_halves(check_ours, trials=3 * args.trials, seed=args.seed)
    peer_halves = measure_halves(check_evidently, trials=args.evidently_trials, seed=args.seed)
    print(f"{'Cleveland, halves':>22} | any column reported: ours {halves:.1%} | Evidently {peer_halves:.1%}", flush=True)
    charts = measure_all(args.trials, args.evidently_trials, args.seed)
    if args.picture:
        args.picture.write_text(draw_svg(charts, "Share of drift checks that report, Greenlight beside Evidently's preset"))
    seconds = time.perf_counter() - began
    print(f"\n{args.trials} checks of ours at each place, {args.evidently_trials} of Evidently; {seconds:.0f} s in all")


if __name__ == "__main__":
    main()
