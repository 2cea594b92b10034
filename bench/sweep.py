"""What a sweep costs beside a plain script: wall time and peak memory of the same 25 fits.

    python bench/sweep.py --rows 5000

Both run as processes of their own, one after the other, from their start on (imports counted). Compared is the
cross-validation of five candidates over five folds on two workers. The sweep's five fits of the baseline fall into
the same time; its final fits, importances and intervals, which the plain script does not make, are shown apart.
Memory is the proportional set size (pages that processes share are counted once) of the whole process tree.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import sleep, time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CANDIDATES = ("random_forest", "hist_gradient_boosting", "lasso", "ridge", "logistic_regression")
TIME_GOAL, MEMORY_GOAL = 1.15, 1.30


def run_ours(rows: int) -> None:
    from bench.plain_sweep import make_rows
    from core.projects.definition import from_dict
    from core.training.executor import LocalExecutor
    from core.training.sweep import run_sweep

    features, target = make_rows(rows)
    columns = [{"name": c, "kind": "category" if c.startswith("category") else "number"} for c in features]
    shape = {"task": "binary", "target": "label", "classes": ["0", "1"], "positive": ">0"}
    definition = from_dict({"name": "bench", "title": "Bench", "columns": columns, **shape})
    last_fold: dict[str, float] = {}

    def progress(done: int, total: int, candidate: str, fold: int | None, left: float | None) -> None:
        if fold is not None:
            last_fold["ended"] = time()

    with tempfile.TemporaryDirectory() as folder:
        sweep = run_sweep(
            features, target, None, definition, candidates=[(name, {}) for name in CANDIDATES],
            executor=LocalExecutor(2), artifact_dir=folder, progress=progress,
        )  # fmt: skip
    trained = [r for r in sweep.results if not r.baseline]
    fits = sum(len(r.fold_seconds) for r in trained)
    scores = {r.name: r.out_of_fold["f1"] for r in trained}
    print(json.dumps({**last_fold, "whole": time(), "fits": fits, "f1": scores}))


def measure(command: list[str]) -> tuple[dict, list[tuple[float, float, float]]]:
    """Run a command; return what it printed and (time, MB, CPU seconds so far) of its process tree twice a second."""
    began = time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    log: list[tuple[float, float, float]] = []
    cpu: dict[int, float] = {}
    while process.poll() is None:
        tree = _tree(process.pid)
        cpu.update({pid: max(cpu.get(pid, 0.0), _cpu(pid)) for pid in tree})
        log.append((time(), sum(map(_pss, tree)) / 1024, sum(cpu.values())))
        sleep(0.5)
    assert process.stdout is not None
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    told = json.loads(process.stdout.read())
    return {**told, "seconds": told["ended"] - began, "whole": told.get("whole", began) - began}, log


def _tree(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # ended between the two looks
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _cpu(pid: int) -> float:
    """User and system seconds of a process until now."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _until_last_fold(run: dict, log: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Highest memory (MB) and CPU seconds while the compared fits ran."""
    inside = [(mb, seconds) for when, mb, seconds in log if when <= run["ended"]]
    return max(mb for mb, _ in inside), inside[-1][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        run_ours(options.rows)
        return
    here, rows = Path(__file__), ["--rows", str(options.rows)]
    ours, our_log = measure([sys.executable, str(here), "--ours", *rows])
    plain, plain_log = measure([sys.executable, str(here.with_name("plain_sweep.py")), *rows])
    same = all(abs(ours["f1"][name] - plain["f1"][name]) < 0.005 for name in plain["f1"])
    if ours["fits"] != plain["fits"] or not same:
        raise SystemExit(f"The two did not do the same work: {ours} and {plain}")
    peak, cpu = _until_last_fold(ours, our_log)
    plain_peak, plain_cpu = _until_last_fold(plain, plain_log)
    time_ratio, memory_ratio = ours["seconds"] / plain["seconds"], peak / plain_peak
    print(f"rows {options.rows}, fits {ours['fits']} each, same F1 within 0.005")
    print(f"time    sweep {ours['seconds']:7.1f} s   plain {plain['seconds']:7.1f} s   ratio {time_ratio:.2f} (goal {TIME_GOAL})")
    print(f"cpu     sweep {cpu:7.1f} s   plain {plain_cpu:7.1f} s   ratio {cpu / plain_cpu:.2f} (steadier on a busy machine)")
    print(f"memory  sweep {peak:7.0f} MB  plain {plain_peak:7.0f} MB  ratio {memory_ratio:.2f} (goal {MEMORY_GOAL})")
    whole = max(mb for _, mb, _ in our_log)
    print(f"with final fits, importances and intervals: {ours['whole']:.1f} s, {whole:.0f} MB")
    raise SystemExit(0 if time_ratio <= TIME_GOAL and memory_ratio <= MEMORY_GOAL else 1)


if __name__ == "__main__":
    main()
