"""Single rows logged durably, a second: from threads that each wait for their row, and with many in flight.

Each submit is one row of a model with 11 columns, with its profile, written with synchronous=FULL. The plain way, one
transaction a row, stands beside it.

    python -m bench.journal [--rows 8000] [--threads 8]
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--threads", type=int, default=8)
    args = parser.parse_args()

    import numpy as np

    from core.home import open_home
    from core.scoring import journal, log
    from core.scoring.payload import json_head, write_json
    from core.scoring.profiles import Counts

    numbers, texts = [f"number_{n}" for n in range(7)], [f"category_{n}" for n in range(4)]
    outputs = [f"out:{n}" for n in ("prediction", "score", "confidence", "problems", "probability:0", "probability:1")]
    head = json_head([*numbers, *texts, *outputs], [True] * 7 + [False] * 4 + [False, True, True, False, True, True])

    def make():
        uid = log.new_uid()
        payload = write_json(head, [[1.5] * 7 + ["abc"] * 4 + ["1", 55.5, 0.555, "", 0.445, 0.555]])
        counts = Counts("bins", np.bincount(np.arange(12) * 11, minlength=140))
        return log.Group(
            uid, "bench", "1.0.0", uid, datetime.now(UTC), "bench", "api", 1.5, {"inference": 0.5}, 1, payload, {"1": (1, 0, 1)}, counts
        )

    with tempfile.TemporaryDirectory() as folder:
        home = open_home(Path(folder))
        plain = max(1, args.rows // 8)
        began = time.perf_counter()
        for _ in range(plain):
            log.append(home, make())
        alone = plain / (time.perf_counter() - began)
        writer = journal.of(home)
        waits: list[float] = []

        def work():
            mine = []
            for _ in range(args.rows // args.threads):
                group, began = make(), time.perf_counter()
                writer.submit(group).result()
                mine.append(time.perf_counter() - began)
            waits.extend(mine)

        threads = [threading.Thread(target=work) for _ in range(args.threads)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        together = len(waits) / (time.perf_counter() - began)
        waits.sort()
        began = time.perf_counter()
        futures = [writer.submit(make()) for _ in range(args.rows)]
        for future in futures:
            future.result()
        in_flight = args.rows / (time.perf_counter() - began)
        writer.close()
    half, most = (1000 * waits[int(len(waits) * share)] for share in (0.5, 0.99))
    print(f"one transaction a row       {alone:8,.0f} rows/s")
    print(f"journal, {args.threads:2} threads that wait {together:6,.0f} rows/s  {together / alone:.1f} x, p50 {half:.2f} ms, p99 {most:.2f} ms")
    print(f"journal, all in flight      {in_flight:8,.0f} rows/s  {in_flight / alone:.1f} x")


if __name__ == "__main__":
    main()
