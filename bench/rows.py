"""Answer a few rows in one process: core.scoring.rows.score_rows against predict_proba of the same pipeline on a frame.

score_rows reads and checks typed values, scores, and makes what the log keeps (it does not write it). The pipeline is
given a finished frame, so what reading would cost it is not counted. Both take turns; printed are medians and their ratio.

    python -m bench.rows [--candidate random_forest] [--rows 2000] [--turns 200]
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


def measure(calls: list[Callable[[], object]], turns: int) -> list[float]:
    """Median milliseconds of each call; they take turns, so that a busy machine is busy for all of them."""
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(turns + 3):
        for call, found in zip(calls, seconds, strict=True):
            began = time.perf_counter()
            call()
            if turn >= 3:
                found.append(time.perf_counter() - began)
    return [1000 * statistics.median(found) for found in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--candidate", default="random_forest")
    parser.add_argument("--rows", type=int, default=2_000, help="rows of the training data")
    parser.add_argument("--turns", type=int, default=200, help="turns at one row; fewer for more rows")
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
                max(10, options.turns // max(1, number // 10)),
            )
            print(
                f"{options.candidate}, {number:>5,} rows: score_rows {ours:8.3f} ms, pipeline on a frame {plain:8.3f} ms, "
                f"ratio {plain / ours:6.1f}"
            )


if __name__ == "__main__":
    main()
