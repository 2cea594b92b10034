"""Log files: five loggers, one line a record, the context on each, and nothing lost where several processes write."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core import accounts, audit, logs, roles
from core.acts import Actor
from core.errors import BadInput, Refused
from core.home import Home

ROOT = Path(__file__).resolve().parents[1]
WRITER = """
import logging, sys
from pathlib import Path
from core import logs
handler = logs.LogFiles(Path(sys.argv[1]), largest=20_000, older=1_000)
logger = logging.getLogger("greenlight.mlops")
logger.addHandler(handler)
logger.setLevel(logging.INFO)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    logger.info("%s %s %s", sys.argv[2], number, "x" * (number % 97))
"""


@pytest.fixture
def kept(tmp_path):
    home = Home(tmp_path, tmp_path / "models")
    home.logs.mkdir()
    handler = logs.keep_logs(home)
    yield home
    logs.drop_logs(handler)
    logs.drop_logs(logs.keep_logs(home))  # the levels of before


def read(home):
    return {p.name: [json.loads(line) for line in p.read_text("utf-8").splitlines()] for p in sorted(home.logs.glob("*.log"))}


def today():
    return f"{datetime.now(UTC):%Y%m%d}"


def record_of(day, name="greenlight.clock", text="tick"):
    record = logging.getLogger(name).makeRecord(name, logging.INFO, "x.py", 1, text, (), None)
    record.created = datetime(2026, 11, day, 23, 59, tzinfo=UTC).timestamp()
    return record


def test_a_record_is_one_line_with_its_context_and_its_trace(kept):
    try:
        raise KeyError("thal")
    except KeyError:
        logging.getLogger("greenlight.pages").exception("two\nlines", extra={"correlation_id": "c0ffee", "project": "heart"})
    ((name, (line,)),) = read(kept).items()
    assert name == f"app_{today()}.log"
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "greenlight.pages", "two\nlines")
    assert (line["correlation_id"], line["project"]) == ("c0ffee", "heart")
    assert line["trace"].splitlines()[-1] == "KeyError: 'thal'"


def test_each_of_the_five_loggers_has_its_file_and_all_others_share_that_of_app(kept):
    for name in (*logs.LOGGERS, "clock", "api"):
        logging.getLogger(f"greenlight.{name}").info("from %s", name)
    found = {name.rpartition("_")[0]: [r["message"] for r in rows] for name, rows in read(kept).items()}
    assert found == {
        "app": ["from app", "from clock", "from api"], "mlops": ["from mlops"], "monitoring": ["from monitoring"],
        "model_training": ["from model_training"], "retraining": ["from retraining"],
    }


def test_each_day_has_its_file(kept):
    for day in (20, 21):
        logging.getLogger("greenlight.clock").handle(record_of(day))
    assert {n: [r["time"] for r in rows] for n, rows in read(kept).items()} == {
        "app_20261120.log": ["2026-11-20T23:59:00.000000Z"],
        "app_20261121.log": ["2026-11-21T23:59:00.000000Z"],
    }


def test_what_is_bound_stands_on_every_line_inside_and_on_none_outside(kept):
    log = logging.getLogger("greenlight.app")
    with logs.bound(correlation_id="c1", user="eva"):
        log.info("one")
        with logs.bound(project="heart", version="1.2.0", user=""):
            log.info("two")
        log.info("three", extra={"user": "somebody else"})
    log.info("four")
    (rows,) = read(kept).values()
    assert [{k: r[k] for k in logs.CONTEXT if k in r} for r in rows] == [
        {"correlation_id": "c1", "user": "eva"},
        {"correlation_id": "c1", "user": "eva", "project": "heart", "version": "1.2.0"},
        {"correlation_id": "c1", "user": "somebody else"},
        {},
    ]


def test_keeping_twice_writes_once(kept):
    handler = logs.keep_logs(kept)
    logging.getLogger("greenlight.app").info("once")
    assert [len(rows) for rows in read(kept).values()] == [1]
    logs.drop_logs(handler)


def test_full_files_move_aside_and_the_oldest_goes(tmp_path):
    handler = logs.LogFiles(tmp_path, largest=1_000, older=2)
    for number in range(30):
        handler.handle(record_of(20, text=f"{number:03} " + "x" * 100))
    handler.close()
    files = sorted(p.name for p in tmp_path.glob("*.log*"))
    assert files == ["app_20261120.log", "app_20261120.log.1", "app_20261120.log.2"]
    numbers = [int(json.loads(line)["message"][:3]) for name in reversed(files) for line in (tmp_path / name).read_text().splitlines()]
    assert numbers == list(range(numbers[0], 30))
    assert all((tmp_path / name).stat().st_size <= 1_000 for name in files)


def test_two_processes_that_move_files_aside_lose_no_line(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name, "1500"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # both at once
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdin.close()
        writer.stdout.close()
    files = list(tmp_path.glob("mlops_*.log*"))
    messages = [json.loads(line)["message"].split() for path in files for line in path.read_text().splitlines()]
    for name in ("a", "b"):
        assert sorted(int(m[1]) for m in messages if m[0] == name) == list(range(1500))
    assert len(files) > 10


def test_after_a_torn_line_the_next_one_begins_anew_and_says_what_is_missing(tmp_path, monkeypatch):
    import os

    handler = logs.LogFiles(tmp_path)
    handler.handle(record_of(20, text="first"))
    write, full = os.write, [True]

    def write_half(descriptor, data):
        return write(descriptor, data[:10]) if full[0] else write(descriptor, data)

    monkeypatch.setattr(os, "write", write_half)
    handler.handle(record_of(20, text="lost"))
    full[0] = False
    handler.handle(record_of(20, text="second"))
    handler.close()
    lines = (tmp_path / "app_20261120.log").read_text().splitlines()
    assert len(lines[1]) == 10
    assert [json.loads(lines[i])["message"] for i in (0, 2, 3)] == ["first", "1 lines could not be written", "second"]


def test_a_folder_that_is_gone_harms_nobody(tmp_path):
    handler = logs.LogFiles(tmp_path / "gone")
    handler.handle(record_of(20))
    (tmp_path / "gone").mkdir()
    handler.handle(record_of(20, text="again"))
    handler.close()
    assert len((tmp_path / "gone" / "app_20261120.log").read_text().splitlines()) == 2


def test_levels_are_read_for_all_and_for_single_loggers():
    info = dict.fromkeys(logs.LOGGERS, logging.INFO)
    assert logs.read_levels("") == logs.read_levels("info") == info
    assert logs.read_levels("monitoring=debug, WARNING") == {**dict.fromkeys(logs.LOGGERS, logging.WARNING), "monitoring": logging.DEBUG}
    for wrong in ("loud", "nobody=info", "=info", "app=loud"):
        with pytest.raises(BadInput, match="GREENLIGHT_LOG_LEVEL"):
            logs.read_levels(wrong)


def test_a_logger_says_nothing_below_its_level(kept):
    logs.drop_logs(logs.keep_logs(kept))
    handler = logs.keep_logs(kept, "warning,monitoring=info")
    for name in ("app", "clock", "monitoring"):
        logging.getLogger(f"greenlight.{name}").info("said")
    logs.drop_logs(handler)
    assert list(read(kept)) == [f"monitoring_{today()}.log"]


def test_each_act_is_told_once_with_its_correlation_id(home):
    accounts.add_first_account(home, "root", roles.ADMIN, os_user="me")
    handler = logs.keep_logs(home)
    accounts.add_account(home, Actor("root"), "eva", "devops")
    with pytest.raises(Refused):
        accounts.add_account(home, Actor("eva"), "bob", "devops")
    logs.drop_logs(handler)
    rows = read(home)[f"app_{today()}.log"]
    events = list(reversed(audit.search(home, limit=2)[0]))
    assert [(r["level"], r["user"], r["correlation_id"]) for r in rows] == [
        ("INFO", "root", events[0]["correlation_id"]), ("WARNING", "eva", events[1]["correlation_id"]),
    ]
    assert rows[0]["message"].startswith("add account done")
    assert "may not manage accounts" in rows[1]["message"]


def test_a_password_and_a_key_stand_in_no_line(home):
    from core import keys

    handler = logs.keep_logs(home, "debug")
    password = "planted-password-7351"
    accounts.create_first_admin(home, accounts.first_start_code(home), "root", password, address="127.0.0.1")
    made = keys.add_key(home, Actor("root"), "robot", ["predict"])
    logging.getLogger("greenlight.api").warning("somebody sent %s in a path", made["key"])
    logs.drop_logs(handler)
    text = "".join(p.read_text() for p in home.logs.glob("*.log"))
    assert f"gl_{made['id']}_(hidden)" in text
    assert password not in text
    assert made["key"] not in text


def test_an_act_that_a_program_asks_for_is_told_and_audited_with_the_id_of_its_request(demo_home):
    from tests.api_client import HEART, make_client, make_key

    handler = logs.keep_logs(demo_home)
    answer = make_client(demo_home, make_key(demo_home)).post(f"{HEART}/retrain/check")
    logs.drop_logs(handler)
    assert answer.status_code == 200
    rows = [json.loads(line) for line in (demo_home.logs / f"retraining_{today()}.log").read_text().splitlines()]
    assert [(r["correlation_id"], r["user"], r["project"]) for r in rows] == [(answer.headers["x-request-id"], "shop", "heart_disease")]
    assert audit.search(demo_home, action="check_retraining")[0][0]["correlation_id"] == answer.headers["x-request-id"]
