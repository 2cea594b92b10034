"""A live model to measure with: a made-up table of 4 categorical and 7 numeric columns, one estimator trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import accounts, approvals, deployment
from core.acts import Actor
from core.datasets.read import read_table
from core.home import Home, open_home
from core.jobs import worker
from core.projects.creation import create_with_data, define_project
from core.registry import versions
from core.training import runs

PROJECT = "bench"
WORDS = {"region": 8, "channel": 5, "plan": 4, "contract": 3}
NUMBERS = ("age", "tenure", "income", "visits", "balance", "rating", "calls")


def make_table(rows: int, seed: int = 42) -> pd.DataFrame:
    """Customers who stay ("yes") or go ("no") for reasons that a forest can learn, with noise; some values are missing."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: np.round(rng.normal(50, 20, rows), 2) for name in NUMBERS})
    for name, size in WORDS.items():
        table[name] = rng.choice([f"{name} {chr(97 + n)}" for n in range(size)], rows)
    reason = (table["age"] - 50) / 20 + (table["income"] * table["visits"] / 2500 - 1) + (table["plan"] == "plan a") * 1.5
    table["stays"] = np.where(reason + rng.normal(0, 1, rows) > 0.4, "yes", "no")
    table.loc[rng.random(rows) < 0.02, "balance"] = np.nan
    return table


def make_rows(rows: int, seed: int = 7) -> list[dict[str, Any]]:
    """Rows as a program sends them: typed values, None where missing."""
    table = make_table(rows, seed).drop(columns="stays").astype(object)
    return [{str(k): v for k, v in row.items()} for row in table.where(table.notna(), None).to_dict("records")]


def make_live(root: Path, candidate: str = "random_forest", rows: int = 2_000, params: dict[str, Any] | None = None) -> Home:
    """An installation in ``root`` where ``candidate`` is live in project "bench"."""
    home = open_home(root)
    accounts.add_demo_accounts(home)
    scientist = Actor("scientist")
    content = make_table(rows).to_csv(index=False).encode()
    table = read_table(content, file_name="bench.csv")
    definition = define_project(
        table, name=PROJECT, title="Bench", target="stays", task="binary", positive="yes", synthetic=True
    )
    create_with_data(home, scientist, definition, content, file_name="bench.csv", label_provenance="synthetic")
    job = runs.start_training(home, scientist, PROJECT, candidates=[("dummy", {}), (candidate, params or {})], owner="cli")["id"]
    done = worker.wait_for(home, job, worker.start_process(home, job))
    assert done.state == "done", done.error
    assert done.outcome is not None
    row = next(c for c in runs.list_candidates(home, done.outcome["run"]) if c.name == candidate)
    version = versions.register(home, scientist, row.id)["version"]
    request = approvals.request_release(home, scientist, PROJECT, version, reason="bench")["id"]
    approvals.approve(home, Actor("director"), request, reason="bench", despite_gates=True)
    deployment.deploy(home, Actor("devops"), PROJECT, version)
    return home
