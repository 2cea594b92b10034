"""Log files: JSON lines, one file a day, for people who look for what happened.

Everything that Greenlight logs hangs below the logger "greenlight". Times are UTC. A trace stands in the
file only, never on a page or in an answer.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from core.home import Home
from core.times import stamp

LARGEST_FILE = 50 * 1024 * 1024
OLDER_FILES = 5
CONTEXT = ("correlation_id", "user", "project", "version")


class JsonLine(logging.Formatter):
    """One record as one line; what the caller gave under ``extra`` with a name in CONTEXT stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": stamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in CONTEXT if getattr(record, name, None)}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class DailyFile(RotatingFileHandler):
    """``NAME_YYYYMMDD.log`` of the record's day; at 50 MB the older part moves to ``.1`` ... ``.5``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.log_name = folder, name
        path = self._path(datetime.now(UTC))
        super().__init__(path, maxBytes=LARGEST_FILE, backupCount=OLDER_FILES, encoding="utf-8", delay=True)

    def emit(self, record: logging.LogRecord) -> None:
        path = self._path(datetime.fromtimestamp(record.created, UTC))
        if path != self.baseFilename:
            self.close()
            self.baseFilename = path
        super().emit(record)

    def _path(self, moment: datetime) -> str:
        return str((self.folder / f"{self.log_name}_{moment:%Y%m%d}.log").absolute())


def keep_logs(home: Home, name: str = "app", level: int = logging.INFO) -> logging.Handler:
    """Write what this process logs to ``home.logs``; calling it again replaces the file of before."""
    logger = logging.getLogger("greenlight")
    for old in [h for h in logger.handlers if isinstance(h, DailyFile)]:
        logger.removeHandler(old)
        old.close()
    handler = DailyFile(home.logs, name)
    handler.setFormatter(JsonLine())
    logger.addHandler(handler)
    logger.setLevel(level)
    return handler
