"""How many jobs are worked on at the same time: a setting that the agent may raise by one at a time, up to a fixed most."""

from __future__ import annotations

from sqlite_utils import Database

from core.home import Home
from storage import accounts as settings_store
from storage.connection import reading

KEY = "jobs_at_once"
LEAST, MOST = 2, 4


def read_limit(home: Home) -> int:
    """Jobs at the same time, as set; the least where nothing was set."""
    text = settings_store.find_setting(reading(home.db), KEY)
    return int(text) if text else LEAST


def set_limit(db: Database, limit: int) -> None:
    """Set it inside the caller's act."""
    settings_store.set_setting(db, KEY, str(limit))
