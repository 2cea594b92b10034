"""What a Dask cluster costs beside this machine's own workers: per task, per megabyte, for a sweep and for a long file.

The cluster is a scheduler and two workers of one thread each, on this machine: it has no processor more than LocalExecutor with two
workers, so every difference is what the way over the wire costs. From it follows how long a task must take before sending it away
pays: with W workers elsewhere instead of 2 here, n tasks of t seconds take n (t + overhead) / W instead of n t / 2.

    python -m bench.scaling [--tasks 200] [--rows 200000] [--sweep-rows 2000]

Needs Dask: pip install dask distributed -c requirements.txt
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import live_model
from core.acts import Actor
from core.adapters.dask_cluster import DaskExecutor
from core.adapters.optional import LIBRARIES
from core.projects.definition import from_dict
from core.scoring import files
from core.training.executor import Executor, LocalExecutor, Work
from core.training.sweep import run_sweep

CANDIDATES: list[tuple[str, dict[str, Any]]] = [("random_forest", {}), ("logistic_regression", {})]


def nothing(shared: Any, task: Any) -> None:
    """A task of no work: what it takes is overhead."""


def measure_length(shared: Any, task: Any) -> int:
    return len(shared)


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock, and of processor time of this process and everything that it started."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:8.2f} s ({self.processor:6.2f} s of processor time)"


@contextmanager
def spending() -> Iterator[list[Spent]]:
    """What the block spends; on a busy machine the processor time says more than the clock."""
    found: list[Spent] = []
    began, processor = time.perf_counter(), processor_seconds()
    yield found
    found.append(Spent(time.perf_counter() - began, processor_seconds() - processor))


def processor_seconds() -> float:
    """Of this process's whole tree so far, ended processes included."""
    total, waiting = 0.0, [os.getpid()]
    while waiting:
        pid = waiting.pop()
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
            waiting += [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
        except OSError:
            continue  # ended between the two looks: its time is its parent's now
    return total


def run_tasks(executor: Executor, work: Work, tasks: int, shared: Any = None) -> Spent:
    with spending() as spent:
        for outcome in executor.run(work, range(tasks), shared):
            assert outcome.error is None, outcome.error
    return spent[0]


def run_a_sweep(executor: Executor, rows: int, folder: Path) -> tuple[Spent, dict[str, float]]:
    """A sweep of two candidates and the baseline over five folds, and its scores."""
    from bench.plain_sweep import make_rows

    features, target = make_rows(rows)
    columns = [{"name": c, "kind": "category" if c.startswith("category") else "number"} for c in features]
    definition = from_dict({
        "name": "bench", "title": "Bench", "columns": columns, "task": "binary", "target": "label", "classes": ["0", "1"], "positive": ">0",
    })  # fmt: skip
    with spending() as spent:
        sweep = run_sweep(features, target, None, definition, candidates=CANDIDATES, executor=executor, artifact_dir=folder)
    return spent[0], {r.name: r.out_of_fold["f1"] for r in sweep.results}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--sweep-rows", type=int, default=2_000)
    options = parser.parse_args()
    library = LIBRARIES["distributed"]
    if not library.is_installed:
        print(f"{library.title} is not installed, so there is nothing to measure: {library.install}")
        return
    from tests.cluster import Cluster

    print(f"load of the machine when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "cluster") as cluster:
        root = Path(name)
        local, far = LocalExecutor(2, root), DaskExecutor(cluster.address)
        with spending() as spent:
            far.prepare()
        print(f"connect and compare workers      {spent[0]}")
        for executor, place in ((local, "here   "), (far, "cluster")):
            print(f"first task, libraries loaded     {place} {run_tasks(executor, nothing, 2)}")
            few, many = run_tasks(executor, nothing, 2), run_tasks(executor, nothing, 2 + options.tasks)
            wall, processor = (1000 * (b - a) / options.tasks for a, b in ((few.wall, many.wall), (few.processor, many.processor)))
            print(f"one more task of no work         {place} {wall:8.2f} ms ({processor:.2f} ms of processor time)")
            value = np.random.default_rng(0).random(25 * 2**17)
            print(f"25 MB that two tasks share       {place} {run_tasks(executor, measure_length, 2, value)}")
        told = {}
        for executor, place in ((local, "here   "), (far, "cluster")):
            spent_on, told[place] = run_a_sweep(executor, options.sweep_rows, root / place.strip())
            print(f"sweep of {options.sweep_rows:,} rows, 18 fits    {place} {spent_on}")
        if len(set(map(str, told.values()))) != 1:
            raise SystemExit(f"The two did not give the same scores: {told}")
        far.close()
        home = live_model.make_live(root / "var", "random_forest")
        source = root / "in.csv"
        live_model.make_table(options.rows, seed=7).drop(columns="stays").to_csv(source, index=False)
        files.CLUSTER_ROWS = 1
        for address in ("", cluster.address, "", cluster.address):  # the first of each loads and warms
            out = root / "out.csv"
            with spending() as spent:
                done = files.predict_file(home, Actor("developer"), live_model.PROJECT, source, out, source="bench", cluster=address)
            print(f"CSV of {done.rows:,} rows           {'cluster' if address else 'here   '} {spent[0]}")
            out.unlink()
        steps = ", ".join(f"{name} {value / 1000:.2f} s" for name, value in done.stages.items())
        print(f"    of which on the workers, and logging here: {steps}")


if __name__ == "__main__":
    main()
