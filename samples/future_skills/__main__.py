"""Write the synthetic future-skills table: ``python -m samples.future_skills OUT.csv [--seed 42] [--shift 0] [--changed]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.datasets.hr_export import build_dataset
from core.datasets.write import write_csv
from samples.future_skills import changed_world, hr_source


def main(arguments: list[str] | None = None) -> None:
    """Write the judged pairs of one synthetic world."""
    parser = argparse.ArgumentParser(prog="python -m samples.future_skills", description="Write a synthetic future-skills table.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--shift", type=float, default=0.0, help="0 the year of training, 1 a later one, the same rule")
    parser.add_argument("--changed", action="store_true", help="a world in which planners judge by another rule")
    asked = parser.parse_args(arguments)
    made = changed_world.make_changed_source(asked.seed) if asked.changed else hr_source.make_source(asked.seed, shift=asked.shift)
    table = build_dataset(made, as_of=hr_source.AS_OF)
    judged = table[table["future_need_level"].notna()].reset_index(drop=True)
    write_csv(asked.out, judged)
    print(f"{asked.out}: {len(judged):,} synthetic rows")


if __name__ == "__main__":
    main()
