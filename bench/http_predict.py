"""POST predict over HTTP: this API (log on, synchronous=FULL) against `mlflow models serve` and a plain FastAPI app.

All three have the same pipeline: a 200-tree forest on 4 categorical and 7 numeric columns. They are asked by the same client
(bench.asking, a process of its own), one server after the other, over 8 connections that are kept open. Before it counts, the
client is held against a server that answers at once, so that its own ceiling is known. Afterwards the log must hold exactly
the predictions that were answered.

What the servers are:

    this API        uvicorn api:app --workers N --no-access-log
    plain FastAPI   uvicorn plain_app:app --no-access-log      a frame from the rows, predict_proba, a list; n_jobs unset, nothing logged
    MLflow          mlflow models serve -m MODEL -p PORT --env-manager local      (its input is dataframe_records)

MLflow is measured with the interpreter that --mlflow-python names, which must have mlflow and the same scikit-learn; without the
option it is left out. The processor time is that of all processes of a server: a busy machine changes it less than the clock.

    python -m bench.http_predict [--seconds 5] [--connections 8] [--workers 1 2] [--rows 1 100] [--mlflow-python PATH]
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.asking import Asked, ask
from bench.live_model import PROJECT, make_live, make_rows
from core.home import Home
from core.scoring import log

PLAIN_APP = '''
import os, pickle
import pandas as pd
from fastapi import FastAPI
with open(os.environ["BENCH_MODEL"], "rb") as file:
    pipeline = pickle.load(file)
app = FastAPI()
@app.post("/predict")
def predict(body: dict):
    table = pd.DataFrame(body["rows"])[list(pipeline.feature_names_in_)]
    return {"predictions": pipeline.predict_proba(table).tolist()}
'''


EMPTY_APP = '''
async def app(scope, receive, send):
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})
'''
SAVE_MLFLOW = """
import pickle, sys
import mlflow.sklearn
with open(sys.argv[1], "rb") as file:
    mlflow.sklearn.save_model(pickle.load(file), sys.argv[2], pip_requirements=["scikit-learn"], serialization_format="cloudpickle")
"""


@dataclass(frozen=True)
class Measured:
    """What one server did, and milliseconds of processor time that a request cost it."""

    asked: Asked
    processor_ms: float


@dataclass(frozen=True)
class Server:
    """A command that serves on a port, what it is asked, and how a body is made of rows."""

    name: str
    command: list[str]
    environment: dict[str, str]
    path: str
    field: str
    headers: dict[str, str]


@contextmanager
def serve(server: Server, port: int) -> Iterator[int]:
    """Run the command until the block ends; its process id. What it says goes to a file that is shown where it does not start."""
    command = [part.replace("PORT", str(port)) for part in server.command]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, env={**os.environ, **server.environment}, stdout=said, stderr=said, start_new_session=True
        )
        try:
            for _ in range(1200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if process.poll() is not None:
                    said.seek(0)
                    sys.exit(f"{server.name} did not start:\n{said.read().decode(errors='replace')[-2000:]}")
                time.sleep(0.1)
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def processor_seconds(group: int) -> float:
    """Processor time so far of all processes of a group."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == group:
                    ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def find_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def prepare(root: Path, workers: list[int], mlflow_python: str | None) -> tuple[Home, list[Server]]:
    """This API, the plain app, and MLflow where an interpreter is named for it, all with the same pipeline."""
    from core import keys
    from core.acts import Actor
    from core.scoring.scorer import load_scorer

    home = make_live(root / "home", params={"n_estimators": 200})
    key = keys.add_key(home, Actor("admin"), "bench", ["predict"], per_minute=keys.MOST_PER_MINUTE)["key"]
    model = root / "model.pkl"
    model.write_bytes(pickle.dumps(load_scorer(home, PROJECT).pipeline))
    (root / "plain_app.py").write_text(PLAIN_APP)
    (root / "empty_app.py").write_text(EMPTY_APP)
    uvicorn = [sys.executable, "-m", "uvicorn", "--port", "PORT", "--log-level", "warning", "--no-access-log"]
    ours = {"GREENLIGHT_HOME": str(home.root), "GREENLIGHT_MODELS": str(home.models)}
    path, headers = f"/api/v1/projects/{PROJECT}/predict", {"X-API-Key": key}
    servers = [Server("answers at once", [*uvicorn, "empty_app:app"], {"PYTHONPATH": str(root)}, "/", "rows", {})]
    for number in workers:
        command = [*uvicorn, "api:app", "--workers", str(number)]
        servers.append(Server(f"greenlight, {number} worker{'s' if number > 1 else ''}", command, ours, path, "rows", headers))
    plain = {"BENCH_MODEL": str(model), "PYTHONPATH": str(root)}
    servers.append(Server("plain FastAPI", [*uvicorn, "plain_app:app"], plain, "/predict", "rows", {}))
    if mlflow_python:
        saved = root / "mlflow_model"
        subprocess.run([mlflow_python, "-c", SAVE_MLFLOW, str(model), str(saved)], check=True, stdout=subprocess.DEVNULL)
        command = [mlflow_python, "-m", "mlflow", "models", "serve", "-m", str(saved), "-p", "PORT", "--env-manager", "local"]
        # it starts uvicorn by name
        beside = {"PATH": f"{Path(mlflow_python).parent}{os.pathsep}{os.environ['PATH']}"}
        servers.append(Server("mlflow serve", command, beside, "/invocations", "dataframe_records", {}))
    return home, servers


def make_request(server: Server, rows: list[dict[str, Any]]) -> bytes:
    body = json.dumps({server.field: rows}).encode()
    headers = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body)), **server.headers}
    lines = [f"POST {server.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def measure(home: Home, servers: list[Server], rows: list[int], *, seconds: float, connections: int) -> dict[tuple[str, int], Measured]:
    """Ask each server for each number of rows.

    Raises
    ------
    SystemExit
        Something was refused, or the log does not hold exactly what was answered.
    """
    found: dict[tuple[str, int], Measured] = {}
    for server in servers:
        port = find_port()
        answered, before = 0, count_logged(home)
        with serve(server, port) as process:
            for number in rows:
                request = make_request(server, make_rows(number))
                warm = ask(port, request, seconds=1.0, connections=connections)  # imports, loading and the first compilation
                spent = processor_seconds(process)
                asked = ask(port, request, seconds=seconds, connections=connections)
                spent = processor_seconds(process) - spent
                if asked.refused or asked.broken:
                    sys.exit(f"{server.name}: {asked.refused} requests were refused, {asked.broken} connections broke.")
                found[server.name, number] = Measured(asked, 1000 * spent / asked.requests)
                answered += number * (warm.requests + asked.requests)
        logged = count_logged(home) - before
        if logged != (answered if server.name.startswith("greenlight") else 0):
            sys.exit(f"{server.name}: {answered:,} predictions were answered and {logged:,} are in the log.")
    return found


def count_logged(home: Home) -> int:
    """Rows of the groups themselves, not of the counts beside them."""
    return sum(group["rows"] for group in log.list_groups(home, PROJECT, limit=100_000_000))


def describe(found: dict[tuple[str, int], Measured], servers: list[Server], rows: list[int]) -> list[str]:
    """One line a server and number of rows, ours with its ratios to the peers."""
    lines = []
    peers = [s.name for s in servers if not s.name.startswith(("greenlight", "answers"))]
    for number in rows:
        for server in servers:
            seen, cost = found[server.name, number].asked, found[server.name, number].processor_ms
            line = f"{number:4d} rows  {server.name:22s} {seen.per_second:8.1f} requests/s  p50 {seen.p50_ms:7.2f} ms  p95 {seen.p95_ms:7.2f}"
            lines.append(f"{line}  p99 {seen.p99_ms:7.2f}  processor {cost:7.3f} ms a request (client {seen.client_ms:.3f})")
            if server.name.startswith("greenlight"):
                for peer in peers:
                    other = found[peer, number]
                    lines.append(
                        f"{'':12s}against {peer}: {seen.per_second / other.asked.per_second:.1f} x the requests/s, "
                        f"p50 1/{other.asked.p50_ms / seen.p50_ms:.1f}, processor time 1/{other.processor_ms / cost:.1f}"
                    )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of this API")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--mlflow-python", help="an interpreter that has mlflow and the same scikit-learn")
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, {args.connections} connections, {args.seconds:g} s each, load before {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        home, servers = prepare(Path(folder), args.workers, args.mlflow_python)
        found = measure(home, servers, args.rows, seconds=args.seconds, connections=args.connections)
        print("\n".join(describe(found, servers, args.rows)))
        print("Every prediction that was answered is in the log, and no other.")


if __name__ == "__main__":
    main()
