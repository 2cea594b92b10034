"""The API under load for ten minutes: `make soak`; SOAK_SHARE=0.1 holds it for one."""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bench.asking import ask
from core.projects.projects import get_definition
from core.scoring import log
from tests.api_client import HEART, make_key

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]

PROJECT = "heart_disease"
SECONDS = max(20.0, 600 * float(os.environ.get("SOAK_SHARE", "1")))
WARM_SHARE = 0.25  # caches, the allocator and the database's own cache have grown by then
MOST_GROWTH_MB = 40.0
MOST_MORE_FILES = 8
PAGE_SECONDS = 1.0


@contextmanager
def served(home):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "api:app", "--port", str(port), "--log-level", "warning", "--no-access-log"]
    environment = {**os.environ, "GREENLIGHT_HOME": str(home.root), "GREENLIGHT_MODELS": str(home.models)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        yield process, port
    finally:
        process.kill()
        process.wait()


def make_request(home):
    row = dict(get_definition(home, PROJECT).known_cases[0].row)
    body = json.dumps({"rows": [row]}).encode()
    lines = [
        f"POST {HEART}/predict HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json",
        f"Content-Length: {len(body)}", f"X-API-Key: {make_key(home, 'predict', per_minute=1_000_000)}",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def weigh(process):
    """Megabytes in memory and open files of a process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) / 1024, len(os.listdir(f"/proc/{process.pid}/fd"))


def count_logged(home):
    return sum(group["rows"] for group in log.list_groups(home, PROJECT, limit=100_000_000))


def test_under_load_memory_and_files_stay_level_pages_open_and_all_is_logged(trained_home, open_page):
    request, asked = make_request(trained_home), []
    with served(trained_home) as (process, port):
        load = threading.Thread(target=lambda: asked.append(ask(port, request, seconds=SECONDS)))
        load.start()
        began, weights, pages = time.monotonic(), [], []
        while load.is_alive():
            opened = time.perf_counter()
            page = open_page(trained_home, ("home", "monitoring")[len(pages) % 2])
            pages.append(time.perf_counter() - opened)
            assert not page.exception
            if time.monotonic() - began > WARM_SHARE * SECONDS:
                weights.append(weigh(process))
            load.join(timeout=SECONDS / 60)
        load.join()
    assert (asked[0].refused, asked[0].broken) == (0, 0)
    assert count_logged(trained_home) == asked[0].requests > 0
    third = max(1, len(weights) // 3)
    early, late = (statistics.median(mb for mb, _ in part) for part in (weights[:third], weights[-third:]))
    assert late - early < MOST_GROWTH_MB, weights
    assert weights[-1][1] - weights[0][1] <= MOST_MORE_FILES, weights
    assert statistics.median(pages[2:]) < PAGE_SECONDS, pages  # the first of each imports and fills its caches


def test_killed_under_load_no_answered_prediction_is_missing(trained_home):
    """Every id that was answered before kill -9 is in the log; what was never answered may be."""
    request = make_request(trained_home)
    ids, stop = [], threading.Event()

    def talk(port):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:  # it is killed
            file = connection.makefile("rb")
            while not stop.is_set():
                connection.sendall(request)
                length = 0
                while (line := file.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = file.read(length)
                if len(body) < length or not length:
                    return
                ids.append(json.loads(body)["predictions"][0]["prediction_id"])

    with served(trained_home) as (process, port):
        threads = [threading.Thread(target=talk, args=(port,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(3)
        process.send_signal(signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    assert len(ids) > 100
    assert set(ids) <= set(log.read(trained_home, PROJECT)["prediction_id"])
