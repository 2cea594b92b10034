import json
import logging
from datetime import UTC, datetime

import pytest

from core import logs
from core.home import Home


@pytest.fixture
def kept(tmp_path):
    home = Home(tmp_path, tmp_path / "models")
    home.logs.mkdir()
    handler = logs.keep_logs(home)
    yield home
    logging.getLogger("greenlight").removeHandler(handler)
    handler.close()


def read(home):
    return {p.name: [json.loads(line) for line in p.read_text("utf-8").splitlines()] for p in sorted(home.logs.iterdir())}


def test_a_record_is_one_line_with_its_context_and_its_trace(kept):
    try:
        raise KeyError("thal")
    except KeyError:
        logging.getLogger("greenlight.pages").exception("two\nlines", extra={"correlation_id": "c0ffee", "project": "heart"})
    ((name, (line,)),) = read(kept).items()
    assert name == f"app_{datetime.now(UTC):%Y%m%d}.log"
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "greenlight.pages", "two\nlines")
    assert (line["correlation_id"], line["project"]) == ("c0ffee", "heart")
    assert line["trace"].splitlines()[-1] == "KeyError: 'thal'"


def test_each_day_has_its_file(kept):
    logger = logging.getLogger("greenlight.clock")
    for day in (20, 21):
        record = logger.makeRecord(logger.name, logging.INFO, "x.py", 1, "tick", (), None)
        record.created = datetime(2026, 11, day, 23, 59, tzinfo=UTC).timestamp()
        logger.handle(record)
    assert {n: [r["time"] for r in rows] for n, rows in read(kept).items()} == {
        "app_20261120.log": ["2026-11-20T23:59:00.000Z"],
        "app_20261121.log": ["2026-11-21T23:59:00.000Z"],
    }


def test_keeping_twice_writes_once(kept):
    handler = logs.keep_logs(kept)
    logging.getLogger("greenlight.app").info("once")
    assert [len(rows) for rows in read(kept).values()] == [1]
    logging.getLogger("greenlight").removeHandler(handler)
    handler.close()


def test_a_full_file_moves_aside(kept, monkeypatch):
    handler = next(h for h in logging.getLogger("greenlight").handlers if isinstance(h, logs.DailyFile))
    handler.maxBytes = 300
    for _ in range(4):
        logging.getLogger("greenlight.app").info("x" * 100)
    assert len(list(kept.logs.iterdir())) > 1
