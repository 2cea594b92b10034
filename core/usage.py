"""How much room an installation takes on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.home import Home


@dataclass(frozen=True)
class Usage:
    """One kind of thing that is stored: what it is, bytes and files on disk."""

    name: str
    path: Path
    bytes: int
    files: int


@dataclass(frozen=True)
class Disk:
    """The disk that the data folder is on."""

    total: int
    free: int


def measure_usage(home: Home) -> list[Usage]:
    """Sizes as they are on disk now, a database with its write-ahead files; the largest first."""
    kinds = {
        "Acts, accounts and audit": (home.db, True),
        "Prediction log": (home.predictions_db, True),
        "Datasets": (home.datasets, False),
        "Training runs": (home.runs, False),
        "Model files": (home.models, False),
        "Files of jobs": (home.work, False),
        "Reports": (home.reports, False),
        "Backups": (home.root / "backups", False),
        "Logs": (home.logs, False),
    }
    found = [_measure(name, path, database) for name, (path, database) in kinds.items()]
    return sorted(found, key=lambda u: -u.bytes)


def measure_disk(home: Home) -> Disk:
    """Room on the disk of the data folder."""
    import shutil

    usage = shutil.disk_usage(home.root)
    return Disk(usage.total, usage.free)


def _measure(name: str, path: Path, database: bool) -> Usage:
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))] if database else path.rglob("*")
    sizes = [size for file in files if (size := _size(file)) is not None]
    return Usage(name, path, sum(sizes), len(sizes))


def _size(path: Path) -> int | None:
    # A file may vanish while we look: jobs tidy up behind themselves.
    try:
        return path.stat().st_size if path.is_file() else None
    except FileNotFoundError:
        return None
