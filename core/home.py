"""Where one installation keeps its files. Paths are arguments everywhere else."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """One installation: its data folder and its models folder.

    Attributes
    ----------
    root : Path
        GREENLIGHT_HOME: databases, datasets, runs, reports, logs, the secret key.
    models : Path
        GREENLIGHT_MODELS: ``<project>/<version>/model.pkl`` and what stands beside it.
    """

    root: Path
    models: Path

    @cached_property  # a path is put together slowly, and a program's request asks for it many times
    def db(self) -> Path:
        """Acts and their objects."""
        return self.root / "greenlight.db"

    @cached_property
    def predictions_db(self) -> Path:
        """The prediction log, in a file of its own so that logging never waits for an act."""
        return self.root / "predictions.db"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def runs(self) -> Path:
        """Fitted candidates of every run, until one is registered."""
        return self.root / "runs"

    @property
    def work(self) -> Path:
        """Files of running jobs (uploads waiting to be scored, results waiting for download)."""
        return self.root / "work"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def audit_head(self) -> Path:
        """Count and hash of the last audit event, kept outside the database."""
        return self.root / "audit.head"

    def secret_key(self) -> bytes:
        """The installation's 32-byte key; made at first use, readable by the owner only."""
        path = self.root / "secret.key"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        self.root.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".secret.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # fails if another process was first: then theirs is the key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        return path.read_bytes()


def open_home(root: str | Path, models: str | Path | None = None) -> Home:
    """Make the folders, bring the databases to the current schema, and return the Home.

    Safe to repeat and to call from several processes at once.
    """
    from storage import migrations

    root = Path(root).resolve()
    home = Home(root, Path(models).resolve() if models else root / "models")
    for folder in (home.root, home.models, home.datasets, home.runs, home.work, home.reports, home.logs):
        folder.mkdir(parents=True, exist_ok=True)
    home.secret_key()
    migrations.migrate(home.db)
    migrations.migrate_predictions(home.predictions_db)
    return home
