"""What runs on a worker of the cluster: one task, in one thread, with the code and libraries of whoever sent it.

It needs nothing but Greenlight's own folders and their libraries; no home, no database, no key.
"""

from __future__ import annotations

import hashlib
import importlib
import pickle
import platform
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import Refused
from core.libraries import find_versions
from core.text import tell_error
from core.training.executor import PRELOAD, Outcome, Work, attempt

KEPT = 2  # shared values that a worker keeps unpacked
LIBRARIES = (
    "scikit-learn", "numpy", "pandas", "scipy", "pyarrow", "treelite", "threadpoolctl", "joblib",
    "xgboost-cpu", "xgboost", "lightgbm", "keras", "jax",
)  # fmt: skip


@dataclass(frozen=True)
class Returned:
    """What a worker sends back: the outcome, the files that the work wrote, by name, and its own address."""

    outcome: Outcome
    files: dict[str, bytes]
    worker: str


def hold(content: bytes) -> bytes:
    """Give back what was sent, so that the scheduler can have it made again when its holder dies."""
    return content


_unpacked: OrderedDict[str, Any] = OrderedDict()
_lock = threading.Lock()


def carry_out(number: int, task: bytes, content: bytes, *, work: Work, digest: str, here: dict[str, str]) -> Returned:
    """Do one task on a worker: what the work raises is its outcome, what goes wrong around it is tried again by the cluster."""
    from distributed import get_worker

    worker = str(get_worker().address)
    differs = find_difference("that the task went to", here, describe_here())
    if differs:
        raise Refused(differs)
    _limit_threads()
    shared = _unpack(digest, content)
    if not (is_dataclass(shared) and hasattr(shared, "artifact_dir")):
        return Returned(attempt(work, shared, number, pickle.loads(task)), {}, worker)  # noqa: S301 - sent by the process that we work for
    with tempfile.TemporaryDirectory(prefix="greenlight-") as name:
        own = replace(shared, artifact_dir=Path(name))  # type: ignore[type-var]
        outcome = attempt(work, own, number, pickle.loads(task))  # noqa: S301
        return Returned(outcome, {file.name: file.read_bytes() for file in Path(name).iterdir() if file.is_file()}, worker)


def _unpack(digest: str, content: bytes) -> Any:
    """The shared value, unpacked once per worker process."""
    with _lock:
        if digest not in _unpacked:
            _unpacked[digest] = pickle.loads(content)  # noqa: S301
            while len(_unpacked) > KEPT:
                _unpacked.popitem(last=False)
        _unpacked.move_to_end(digest)
        return _unpacked[digest]


def _limit_threads() -> None:
    """One thread for this thread's work, and for good: a limit lifted by one task would be lifted for its neighbour as well."""
    from threadpoolctl import threadpool_limits

    for module in PRELOAD:  # a library that loads later would not be limited
        importlib.import_module(module)
    threadpool_limits(1)


@lru_cache(maxsize=1)
def describe_here() -> dict[str, str]:
    """What must be equal on both sides: Python, kind of processor, libraries, and a hash of Greenlight's own code."""
    here = {"Python": platform.python_version(), "processor": platform.machine(), "Greenlight": hash_code()}
    return {**here, **find_versions(LIBRARIES)}


def hash_code(root: Path | None = None) -> str:
    """Twelve hexadecimal digits of the sha256 of every source file in core and storage, by path."""
    root = root or Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(p for folder in ("core", "storage") for p in (root / folder).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def find_difference(worker: str, here: dict[str, str], there: Any) -> str:
    """Why a worker may not work for us, or ""; a library that only the worker has does not matter."""
    if not isinstance(there, dict):
        return (
            f"Worker {worker} cannot run Greenlight ({tell_error(there)}); start it with Greenlight's folder on its PYTHONPATH and "
            "the same libraries installed."
        )
    for name, version in here.items():
        if there.get(name) == version:
            continue
        if name == "Greenlight":
            return f"Worker {worker} runs other code of Greenlight than this installation; bring both to one release and restart the worker."
        return (
            f"Worker {worker} has {name} {there.get(name, 'not installed')}, and this installation has {version}; "
            "results would differ, so bring both to the same and restart the worker."
        )
    return ""
