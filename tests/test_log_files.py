"""Reading log files backwards: what matches, in the order of time, in a bounded number of bytes; and what is appended."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from core import log_files
from core.errors import BadInput
from core.home import Home
from core.log_files import Filter, Tail, read_lines
from core.times import stamp_finely

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def logs_home(tmp_path):
    home = Home(tmp_path, tmp_path / "models")
    home.logs.mkdir()
    return home


def text_of(seconds, message, level="INFO", logger="app", **more):
    line = {"time": stamp_finely(NOON + timedelta(seconds=seconds)), "level": level, "logger": f"greenlight.{logger}", "message": message}
    return json.dumps({**line, **more}, ensure_ascii=False) + "\n"


def write(home, name, lines, day="20261121", end=""):
    with (home.logs / f"{name}_{day}.log{end}").open("a", encoding="utf-8") as file:
        file.write("".join(lines))


def messages(found):
    return [line.message for line in found.lines]


def test_the_newest_line_of_all_loggers_comes_first(logs_home):
    write(logs_home, "app", [text_of(0, "a0"), text_of(2, "a2")])
    write(logs_home, "mlops", [text_of(1, "m1", logger="mlops"), text_of(3, "m3", logger="mlops")])
    write(logs_home, "app", [text_of(-90_000, "yesterday")], day="20261120")
    assert messages(read_lines(logs_home, Filter())) == ["m3", "a2", "m1", "a0", "yesterday"]
    assert messages(read_lines(logs_home, Filter(("mlops",)))) == ["m3", "m1"]


def test_files_that_were_moved_aside_are_read_behind_the_one_that_is_written(logs_home):
    write(logs_home, "app", [text_of(0, "oldest")], end=".2")
    write(logs_home, "app", [text_of(1, "older")], end=".1")
    write(logs_home, "app", [text_of(2, "newest")])
    (logs_home.logs / "job_1.log").write_text(text_of(3, "of a worker"))
    (logs_home.logs / "app_20261121.log.part").write_text(text_of(4, "of nobody"))
    assert messages(read_lines(logs_home, Filter())) == ["newest", "older", "oldest"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(level="warning"), ["boom", "careful"]),
        (Filter(level="critical"), []),
        (Filter(correlation_id="c1"), ["careful", "plain"]),
        (Filter(correlation_id="c"), []),
        (Filter(text="CARE"), ["careful"]),
        (Filter(text="éva"), ["careful"]),
        (Filter(text='"said"'), ["boom"]),
        (Filter(text="secret place"), []),
        (Filter(since=NOON + timedelta(seconds=1)), ["boom", "careful"]),
        (Filter(until=NOON + timedelta(seconds=1)), ["plain"]),
        (Filter(level="info", text="plain", correlation_id="c1"), ["plain"]),
    ],
)
def test_only_lines_that_match_every_part_of_the_filter_are_found(logs_home, wanted, expected):
    write(logs_home, "app", [
        text_of(0, "plain", correlation_id="c1"),
        text_of(1, "careful", "WARNING", correlation_id="c1", user="Éva"),
        text_of(2, "boom", "ERROR", project='"said"', trace="Traceback\n in a secret place"),
    ])  # fmt: skip
    assert messages(read_lines(logs_home, wanted)) == expected


def test_a_line_says_where_its_trace_is_and_shows_it_only_when_asked(logs_home):
    write(logs_home, "app", [text_of(0, "boom", "ERROR", user="eva", facts={"n": 1}, trace="one\ntwo")])
    (line,) = read_lines(logs_home, Filter()).lines
    head = {"time": "2026-11-21T12:00:00.000000Z", "level": "ERROR", "logger": "greenlight.app", "message": "boom", "user": "eva",
            "facts": {"n": 1}}  # fmt: skip
    assert line.to_dict() == {**head, "trace": "2 lines in app_20261121.log"}
    assert line.to_dict(with_trace=True) == {**head, "trace": "one\ntwo"}
    assert json.loads(log_files.to_jsonl([line])) == line.to_dict()


def test_torn_lines_and_lines_of_nobody_are_passed_over(logs_home):
    write(logs_home, "app", [text_of(0, "good"), '{"time": "2026\n', "[]\n", "\n", '{"time": 1}\n', "\x00\xff\n", text_of(1, "good too")])
    assert messages(read_lines(logs_home, Filter())) == ["good too", "good"]


def test_lines_longer_than_a_block_are_read_whole(logs_home, monkeypatch):
    monkeypatch.setattr(log_files, "BLOCK", 64)
    write(logs_home, "app", [text_of(n, f"{n} " + "x" * (n * 37 % 400)) for n in range(50)])
    assert [m.split()[0] for m in messages(read_lines(logs_home, Filter()))] == [str(n) for n in reversed(range(50))]


def test_pages_of_older_lines_join_without_a_gap_and_without_a_double(logs_home):
    write(logs_home, "app", [text_of(n // 7, f"a{n}") for n in range(400)])  # seven lines share each moment
    write(logs_home, "mlops", [text_of(n // 3, f"m{n}") for n in range(300)])
    seen, until, pages = [], None, 0
    while True:
        found = read_lines(logs_home, Filter(until=until), limit=40)
        seen += messages(found)
        pages += 1
        until = found.older_until
        if until is None:
            break
    assert sorted(seen) == sorted([f"a{n}" for n in range(400)] + [f"m{n}" for n in range(300)])
    assert pages > 10


def test_where_the_bytes_do_not_last_it_says_how_far_it_looked_and_can_go_on(logs_home, monkeypatch):
    monkeypatch.setattr(log_files, "BLOCK", 1_000)
    monkeypatch.setattr(log_files, "SLACK_SECONDS", 0)
    write(logs_home, "app", [text_of(n, f"needle {n}" if n % 500 == 0 else "hay") for n in range(3_000)])
    write(logs_home, "mlops", [text_of(0, "needle of mlops")])
    wanted = Filter(("app", "mlops"), text="needle")
    found = read_lines(logs_home, wanted, most_bytes=160_000)
    assert messages(found) == ["needle 2500"]
    assert stamp_finely(NOON + timedelta(seconds=2000)) < found.searched_back_to < stamp_finely(NOON + timedelta(seconds=2500))
    seen = messages(found)
    while found.older_until is not None:
        found = read_lines(logs_home, Filter(("app", "mlops"), text="needle", until=found.older_until), most_bytes=160_000)
        seen += messages(found)
    assert sorted(seen) == sorted([f"needle {n}" for n in range(0, 3_000, 500)] + ["needle of mlops"])


def test_a_moment_in_the_middle_of_a_long_file_is_found_by_halves(logs_home, monkeypatch):
    monkeypatch.setattr(log_files, "BLOCK", 1_000)
    write(logs_home, "app", [text_of(n, f"n{n}") for n in range(20_000)])
    until = NOON + timedelta(seconds=5_000)
    found = read_lines(logs_home, Filter(("app",), until=until), limit=3, most_bytes=10_000)
    assert messages(found) == ["n4999", "n4998", "n4997"]


def test_many_long_files_are_searched_in_less_than_half_a_second(logs_home):
    # five loggers of 48 MB each; nothing in them matches
    block = "".join(text_of(n / 100, "a line like any other, of the usual length", project="heart", user="eva") for n in range(6_000))
    for name in ("app", "mlops", "monitoring", "model_training", "retraining"):
        for end in ("", ".1"):
            with (logs_home.logs / f"{name}_20261121.log{end}").open("w") as file:
                for _ in range(24_000_000 // len(block)):
                    file.write(block)
    for wanted in (Filter(), Filter(level="error"), Filter(text="not there"), Filter(correlation_id="c0ffee")):
        began = time.perf_counter()
        read_lines(logs_home, wanted)
        assert time.perf_counter() - began < 0.5


def test_an_unknown_logger_or_level_is_refused(logs_home):
    with pytest.raises(BadInput, match="no logger 'audit'"):
        Filter(("audit",))
    with pytest.raises(BadInput, match="no level 'loud'"):
        Filter(level="loud")


def test_a_tail_reads_what_is_appended_past_a_file_that_is_moved_aside(logs_home):
    write(logs_home, "app", [text_of(0, "before")])
    tail = Tail(logs_home, Filter(level="warning"))
    assert tail.read_new() == []
    write(logs_home, "app", [text_of(1, "one", "WARNING"), text_of(2, "not wanted"), text_of(3, "half", "ERROR")[:-5]])
    assert [line.message for line in tail.read_new()] == ["one"]
    write(logs_home, "app", [text_of(3, "half", "ERROR")[-5:]])
    path = logs_home.logs / "app_20261121.log"
    path.rename(path.with_name(path.name + ".1"))
    write(logs_home, "app", [text_of(4, "anew", "ERROR")])
    write(logs_home, "mlops", [text_of(-1, "of another", "ERROR")], day="20261122")
    assert [line.message for line in tail.read_new()] == ["of another", "half", "anew"]
    assert tail.read_new() == []


def test_a_line_for_a_terminal_stays_one_line(logs_home):
    write(logs_home, "app", [text_of(0, "two\nlines \u202e", "ERROR", user="eva", trace="x")])
    (line,) = read_lines(logs_home, Filter()).lines
    assert log_files.describe_line(line) == (
        "2026-11-21T12:00:00.000000Z ERROR    app two lines \ufffd [user=eva] (trace in app_20261121.log)"
    )


# ---- the command ----


@pytest.fixture
def command(home, monkeypatch, capsys):
    from core.cli.app import main

    monkeypatch.setenv("GREENLIGHT_HOME", str(home.root))
    monkeypatch.delenv("GREENLIGHT_MODELS", raising=False)

    def run(*arguments):
        code = main(["logs", *arguments])
        return code, *capsys.readouterr()

    write(home, "app", [text_of(n, f"line {n}", correlation_id=f"c{n}") for n in range(3)])
    write(home, "mlops", [text_of(5, "boom", "ERROR", logger="mlops", trace="Traceback")])
    return run


def test_the_command_shows_the_newest_line_last(command):
    code, out, err = command("--limit", "2")
    assert (code, err) == (0, "")
    assert [row.split(" [")[0] for row in out.splitlines()] == [
        "2026-11-21T12:00:02.000000Z INFO     app line 2",
        "2026-11-21T12:00:05.000000Z ERROR    mlops boom (trace in mlops_20261121.log)",
    ]
    assert command("--text", "nothing of the kind")[1] == "No line matches.\n"


def test_the_command_filters_and_gives_whole_lines_as_json(command):
    code, out, _ = command("--json", "--logger", "mlops", "--level", "warning", "--since", "2026-11-21T12:00:05", "--until", "2026-11-22")
    assert code == 0
    assert [(line["message"], line["trace"]) for line in json.loads(out)] == [("boom", "Traceback")]
    assert [line["message"] for line in json.loads(command("--json", "--correlation", "c1")[1])] == ["line 1"]


def test_a_wrong_logger_level_or_time_is_one_line(command):
    for arguments in (("--logger", "x"), ("--level", "x"), ("--since", "soon")):
        code, out, err = command(*arguments)
        assert (code, out, err.count("\n")) == (1, "", 1)


def test_a_span_is_counted_back_from_now():
    from core.cli.logs import read_moment

    assert read_moment("90m", NOON) == NOON - timedelta(minutes=90)
    assert read_moment("2d", NOON) == NOON - timedelta(days=2)
    assert read_moment("2026-11-21T13:00+01:00", NOON) == NOON
    assert read_moment("", NOON) is None


def test_the_command_follows_until_it_is_stopped(home, tmp_path):
    import os
    import signal
    import subprocess
    import sys
    from pathlib import Path

    write(home, "app", [text_of(0, "before")])
    process = subprocess.Popen(
        [sys.executable, "-m", "core", "logs", "--follow", "--json"], cwd=Path(__file__).resolve().parents[1], text=True,
        env={**os.environ, "GREENLIGHT_HOME": str(home.root)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert json.loads(process.stdout.readline())["message"] == "before"
    write(home, "app", [text_of(1, "after")])
    assert json.loads(process.stdout.readline())["message"] == "after"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
