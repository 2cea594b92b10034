"""Answer a few rows in one process: core.scoring.rows.score_rows against predict_proba of the same pipeline on a frame.

score_rows reads and checks typed values, scores, and makes what the log keeps (it does not write it). The pipeline is
given a finished frame, so what reading would cost it is not counted. Both take turns; printed are medians of time on the
clock and of processor time (which a busy machine changes less), and their ratios.

    python -m bench.rows [--candidate random_forest] [--rows 2000] [--turns 20]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.live_model import PROJECT, make_live, make_rows
from core.scoring.rows import make_frame, score_rows
from core.scoring.scorer import load_scorer

IN_A_ROW = 10


def measure(calls: list[Callable[[], object]], turns: int) -> list[tuple[float, float]]:
    """Median milliseconds (clock, processor) of each call.

    They take turns, so that a busy machine is busy for all of them; a turn is IN_A_ROW calls, as a server is asked many
    times and not once after something else.
    """
    found: list[list[tuple[float, float]]] = [[] for _ in calls]
    for turn in range(turns + 1):
        for call, seen in zip(calls, found, strict=True):
            for _ in range(IN_A_ROW):
                clock, processor = time.perf_counter(), time.process_time()
                call()
                if turn:
                    seen.append((time.perf_counter() - clock, time.process_time() - processor))
    return [(1000 * statistics.median(c for c, _ in seen), 1000 * statistics.median(p for _, p in seen)) for seen in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--candidate", default="random_forest")
    parser.add_argument("--rows", type=int, default=2_000, help="rows of the training data")
    parser.add_argument("--turns", type=int, default=20, help="turns of 10 calls at one row; fewer for more rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = make_live(Path(folder) / "var", options.candidate, options.rows)
        scorer = load_scorer(home, PROJECT)
        print(scorer.serving)
        assert scorer.reader is not None
        for number in (1, 10, 100, 1_000):
            given = make_rows(number)
            frame = make_frame(scorer, scorer.reader.read(given).features)
            ours, plain = measure(
                [
                    lambda given=given: score_rows(home, PROJECT, given, caller="bench", source="bench"),  # type: ignore[misc]
                    lambda frame=frame: scorer.pipeline.predict_proba(frame),  # type: ignore[misc]
                ],
                max(2, options.turns // max(1, number // 10)),
            )
            print(
                f"{options.candidate}, {number:>5,} rows: score_rows {ours[0]:8.3f} ms (processor {ours[1]:8.3f}), pipeline on a frame "
                f"{plain[0]:8.3f} ms ({plain[1]:8.3f}), ratio {plain[0] / ours[0]:6.1f} ({plain[1] / ours[1]:6.1f})"
            )


if __name__ == "__main__":
    main()
