"""POST predict over HTTP: this API (log on, synchronous=FULL) against a plain FastAPI app around the same pipeline, and `mlflow models serve`.

The model is a 200-tree forest on 4 categorical and 7 numeric columns. The plain app does what most do first: a frame from
the rows, predict_proba, a list; n_jobs unset, one worker, nothing logged. MLflow is measured where it is importable
(`mlflow models serve -m MODEL --env-manager local --no-conda`; its input is dataframe_records). All are asked by the same
client in a process of its own, one after the other, over 8 connections that are kept open; printed are requests a second,
the median and the 95th percentile, and the ratios.

    python -m bench.http_predict [--seconds 5] [--connections 8] [--workers 1] [--rows 1 100]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.live_model import PROJECT, make_live, make_rows

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


@dataclass(frozen=True)
class Speed:
    """What one server did: requests a second, and milliseconds that half and 95 % of them took at most."""

    per_second: float
    p50: float
    p95: float


@dataclass(frozen=True)
class Server:
    """A command that serves on a port, what it is asked, and how a body is made of rows."""

    name: str
    command: list[str]
    environment: dict[str, str]
    path: str
    field: str
    headers: dict[str, str]


async def ask(port: int, request: bytes, seconds: float, connections: int) -> Speed:
    """Ask over ``connections`` at once, each one request after the other."""
    took: list[float] = []

    async def talk(until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(v) for n, _, v in (h.partition(b":") for h in head.split(b"\r\n")) if n.lower() == b"content-length")
            body = await reader.readexactly(length)
            if b" 200 " not in head[:20]:
                raise SystemExit(f"refused: {head[:100]!r} {body[:300]!r}")
            took.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(talk(began + seconds) for _ in range(connections)))
    passed = time.perf_counter() - began
    return Speed(len(took) / passed, 1000 * statistics.median(took), 1000 * statistics.quantiles(took, n=20)[-1])


@contextmanager
def serve(server: Server, port: int) -> Iterator[None]:
    command = [part.replace("PORT", str(port)) for part in server.command]
    process = subprocess.Popen(command, env={**os.environ, **server.environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def find_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def list_servers(root: Path, workers: int) -> list[Server]:
    """This API, the plain app, and MLflow where it is installed, all with the same pipeline."""
    import pickle

    from core import keys
    from core.acts import Actor
    from core.scoring.scorer import load_scorer

    home = make_live(root / "home", params={"n_estimators": 200})
    key = keys.add_key(home, Actor("admin"), "bench", ["predict"], per_minute=keys.MOST_PER_MINUTE)["key"]
    pipeline = load_scorer(home, PROJECT).pipeline
    model = root / "model.pkl"
    model.write_bytes(pickle.dumps(pipeline))
    (root / "plain_app.py").write_text(PLAIN_APP)
    uvicorn = [sys.executable, "-m", "uvicorn", "--port", "PORT", "--log-level", "warning", "--no-access-log"]
    ours = {"GREENLIGHT_HOME": str(home.root), "GREENLIGHT_MODELS": str(home.models)}
    servers = [
        Server("greenlight", [*uvicorn, "api:app", "--workers", str(workers)], ours, f"/api/v1/projects/{PROJECT}/predict", "rows",
               {"X-API-Key": key}),
        Server("plain FastAPI", [*uvicorn, "plain_app:app"], {"BENCH_MODEL": str(model), "PYTHONPATH": str(root)}, "/predict", "rows", {}),
    ]  # fmt: skip
    if importlib.util.find_spec("mlflow"):
        import mlflow.sklearn

        saved = root / "mlflow_model"
        mlflow.sklearn.save_model(pipeline, saved, pip_requirements=["scikit-learn"])
        command = ["mlflow", "models", "serve", "-m", str(saved), "-p", "PORT", "--env-manager", "local"]
        servers.append(Server("mlflow serve", command, {}, "/invocations", "dataframe_records", {}))
    return servers


def make_request(server: Server, rows: list[dict[str, Any]]) -> bytes:
    body = json.dumps({server.field: rows}).encode()
    headers = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body)), **server.headers}
    lines = [f"POST {server.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1, help="of this API")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 100])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found: dict[tuple[str, int], Speed] = {}
        for server in list_servers(Path(folder), args.workers):
            port = find_port()
            with serve(server, port):
                for rows in args.rows:
                    request = make_request(server, make_rows(rows))
                    asyncio.run(ask(port, request, 1.0, args.connections))  # imports, loading and the first compilation
                    found[server.name, rows] = asyncio.run(ask(port, request, args.seconds, args.connections))
        for (name, rows), speed in found.items():
            ours = found["greenlight", rows]
            ratio = f"{ours.per_second / speed.per_second:6.1f} x requests/s, p50 1/{speed.p50 / ours.p50:.1f}" if name != "greenlight" else ""
            print(f"{rows:4d} rows  {name:14s} {speed.per_second:8.0f} requests/s  p50 {speed.p50:7.2f} ms  p95 {speed.p95:7.2f} ms  {ratio}")


if __name__ == "__main__":
    main()
