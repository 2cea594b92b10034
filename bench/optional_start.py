"""What the optional tools cost at start: the app imported with all of them absent and with all of them there, in turns.

    make .venv-extra/.installed && python -m bench.optional_start

Two processes in turn import what the console imports at its start (the app's own modules, without opening an installation);
the best of each counts, because noise only ever adds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRA = ROOT / ".venv-extra"
ROUNDS = 9
GOAL = 0.3  # seconds
WHAT = """
import api.build, core.clock, core.jobs.supervisor, core.training.catalogue, core.adapters.standing, pages.door, pages.forms, pages.contents
from core.training.catalogue import _CATALOGUE as CANDIDATES
from core.adapters.optional import LIBRARIES
print(sum(library.is_installed for library in LIBRARIES.values()), sum(c.available for c in CANDIDATES))
"""


def start(extra: bool) -> tuple[float, str]:
    """Seconds from the start of a process to its end, and how many tools it found."""
    path = os.pathsep.join([str(ROOT), *([str(EXTRA)] if extra else [])])
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WHAT], env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - begin, done.stdout.strip()


def main() -> None:
    if not (EXTRA / ".installed").exists():
        raise SystemExit("The optional tools are not there; make .venv-extra/.installed sets them up.")
    seconds: dict[bool, list[float]] = {False: [], True: []}
    found = {}
    for turn in range(ROUNDS + 1):
        for extra in (False, True):
            took, found[extra] = start(extra)
            if turn:  # the first one compiles
                seconds[extra].append(took)
    without, having = min(seconds[False]), min(seconds[True])
    print(f"tools found and candidates available: {found[False]} without, {found[True]} with")
    print(f"start without {without:.2f} s, with all {having:.2f} s: {having - without:+.2f} s, {having / without:.2f} x (goal: less than {GOAL} s)")


if __name__ == "__main__":
    main()
