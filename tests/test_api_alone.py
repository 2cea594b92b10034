"""The API without the console: ``uvicorn api:app --workers 2`` on the same files, as it is run."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.monitoring import traffic
from core.projects.projects import get_definition
from core.scoring import log
from core.times import utc_now
from tests.api_client import HEART, make_key


def ask(port, path, key=None, body=None):
    headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers, data=body and json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture
def served(trained_home):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "api:app", "--workers", "2", "--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "GREENLIGHT_HOME": str(trained_home.root), "GREENLIGHT_MODELS": str(trained_home.models)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            try:
                if ask(port, "/readyz")[0] == 200:
                    break
            except OSError:
                time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        output = process.communicate(timeout=60)[0].decode()
    assert "Traceback" not in output, output


def test_two_workers_answer_and_log_on_the_same_files(trained_home, served):
    key = make_key(trained_home, "predict", "read")
    row = dict(get_definition(trained_home, "heart_disease").known_cases[0].row)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(served, HEART + "/predict", key, {"rows": [row]}), range(80)))
    assert [status for status, _ in answers] == [200] * 80
    ids = {body["predictions"][0]["prediction_id"] for _, body in answers}
    assert len(ids) == 80
    assert log.count_today(trained_home, "heart_disease", now=utc_now()) == 80
    assert set(log.read(trained_home, "heart_disease")["prediction_id"]) == ids
    assert ask(served, "/api/v1/models", "wrong")[0] == 401
    time.sleep(1.5)  # what was recorded is on disk within a second
    assert len(traffic.find_requests(trained_home, answers[0][1]["request_id"])) == 1
