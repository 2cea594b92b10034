"""Candidates that a person puts together: voting and stacking over chosen members, and an allowed class of a library.

Their names say what they are: ``voting:ridge+random_forest`` and ``class:package.module.Class``. Nothing here imports what a
name stands for; that is done by the worker process that fits it.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import BadInput

if TYPE_CHECKING:
    from core.training.catalogue import Candidate

ENSEMBLES = ("voting", "stacking")
CLASS = "class:"
MOST_MEMBERS = 6
_CLASS_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*){1,12}", re.ASCII)
# Greenlight's own packages: a candidate made of them would stand on what changes with every release.
_OURS = frozenset({"core", "api", "pages", "storage", "app", "tests", "bench"})
_MOST_TEXT = 4000
_DEEPEST = 5
CHECK_SECONDS = 60.0


def make_named(name: str) -> Candidate:
    """The candidate that a name with a colon stands for.

    Raises
    ------
    BadInput
        The part before the colon is none of these, or what follows it cannot be used.
    """
    kind, _, rest = name.partition(":")
    if kind in ENSEMBLES:
        return _make_ensemble(kind, rest)
    if kind == "class":
        return _make_class(rest)
    raise BadInput(f"{name[:60]!r} is no candidate: before a colon stands voting, stacking or class.")


def _make_ensemble(kind: str, rest: str) -> Candidate:
    from dataclasses import replace

    from core.training import builders
    from core.training.catalogue import get_candidate

    names = [n.strip() for n in rest.split("+")]
    for n in names:
        if ":" in n or n in ENSEMBLES or get_candidate(n).baseline:
            raise BadInput(f"{n[:60]!r} cannot be a member of {kind}; choose candidates of the catalogue that are no baseline.")
    if len(set(names)) != len(names) or not 2 <= len(names) <= MOST_MEMBERS:
        raise BadInput(f"{kind.capitalize()} needs 2 to {MOST_MEMBERS} different members, such as {kind}:ridge+random_forest.")
    members = [get_candidate(n) for n in names]
    whole = get_candidate(kind)
    titles = [m.title for m in members]
    lacking = next((m for m in members if not m.available), None)
    return replace(
        whole,
        name=f"{kind}:{'+'.join(names)}",
        title=f"{whole.title} of {', '.join(titles[:-1])} and {titles[-1]}",
        tasks=tuple(t for t in whole.tasks if all(t in m.tasks for m in members)),
        cost=sum(m.cost for m in members) * (1 if kind == "voting" else 4),
        make=partial(getattr(builders, kind), members=tuple(names)),
        needs=lacking.needs if lacking else next((m.needs for m in members if m.needs), ""),
        also=lacking.also if lacking else tuple(n for m in members for n in (m.needs, *m.also) if n),
        install=lacking.install if lacking else "",
        scaled=any(m.scaled for m in members),
    )


def _make_class(path: str) -> Candidate:
    from core.training import builders
    from core.training.catalogue import CLASSES, VALUES, Candidate

    check_class_path(path)
    top, short = path.split(".")[0], path.rpartition(".")[2]
    return Candidate(
        f"{CLASS}{path}", f"{short} ({top})", CLASSES + VALUES,
        f"The class {path}, allowed in this project by an approved request.",
        cost=20.0, simplicity=99, make=partial(builders.imported_class, path=path), scaled=True, free=True,
        needs="" if top == "sklearn" else top, install=f"pip install {top}",
    )  # fmt: skip


def check_class_path(path: str) -> str:
    """The path of a class, if it may be asked for at all.

    Raises
    ------
    BadInput
        It is no dotted name, or names Python's own library or Greenlight's own code.
    """
    parts = path.split(".")
    if len(path) > 200 or not _CLASS_PATH.fullmatch(path) or any(p.startswith("__") for p in parts):
        raise BadInput(f"{path[:60]!r} is no class: write it as package.module.Class, in letters, digits, _ and dots.")
    if parts[0] in sys.stdlib_module_names or parts[0] in _OURS:
        whose = "Greenlight" if parts[0] in _OURS else "Python"
        raise BadInput(f"{path[:60]!r} belongs to {whose} itself; only classes of installed packages can be used.")
    return path


def check_in_child(path: str) -> dict[str, Any]:
    """What a class is (core.training.imported), asked of a process of its own, so that nothing of its package runs in this one.

    Raises
    ------
    BadInput
        It is not there, belongs to no installed package, has no fit and predict, or its package ended the process or hung.
    """
    check_class_path(path)
    kept = {n: v for n, v in os.environ.items() if not n.startswith("GREENLIGHT_")}  # no credentials for somebody else's code
    root = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(  # noqa: S603 - our own module; the name is checked above
            [sys.executable, "-m", "core.training.imported", path], cwd=root, env={**kept, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
            capture_output=True, text=True, timeout=CHECK_SECONDS, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"{path} took longer than {CHECK_SECONDS:.0f} seconds to import; it cannot be used.") from error
    try:
        said = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise BadInput(f"{path} ended the process that imported it (exit {done.returncode}); it cannot be used.") from error
    if "error" in said:
        raise BadInput(said["error"])
    return dict(said)


def find_class_path(name: str) -> str | None:
    """The class that a candidate's name asks for; None for every other candidate."""
    return name[len(CLASS) :] if name.startswith(CLASS) else None


def check_free_params(candidate: Candidate, params: dict[str, Any]) -> dict[str, Any]:
    """Hyperparameters of an allowed class: names and JSON values; whether the class knows them shows when it is made."""
    for name in params:
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise BadInput(f"{str(name)[:40]!r} is no name of a hyperparameter of {candidate.title}.")
    if not _is_plain(params):
        raise BadInput(
            f"The hyperparameters of {candidate.title} must be JSON values (numbers, texts, true, false, null, lists), "
            f"nested {_DEEPEST} times at most."
        )
    text = json.dumps(params)
    if len(text) > _MOST_TEXT:
        raise BadInput(f"The hyperparameters of {candidate.title} are longer than {_MOST_TEXT:,} characters.")
    return dict(params)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether a value can be kept, shown and given to a class: no half characters, no endless numbers, no deep nesting."""
    if isinstance(value, dict | list):
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        return depth <= _DEEPEST and all(_is_plain(part, depth + 1) for part in parts)
    if isinstance(value, str):
        return value.isprintable()
    return value is None or (isinstance(value, int) and abs(value) < 2**63) or (isinstance(value, float) and math.isfinite(value))
