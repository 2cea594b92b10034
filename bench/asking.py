"""A lean client that keeps connections open and asks over each of them, one request after the other; a process of its own.

    python -m bench.asking PORT FILE [--seconds 5] [--connections 8]

FILE holds one HTTP request as it goes over the wire. Printed is one JSON object: requests, refused, broken (connections that
ended), seconds, p50_ms, p95_ms, p99_ms, and the client's own processor time per request in ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Asked:
    """What came of asking.

    Attributes
    ----------
    requests : int
        Answered with 200; ``refused`` were answered with anything else.
    broken : int
        Connections that the server ended or never took.
    client_ms : float
        Processor time of the client itself, a request.
    """

    requests: int
    refused: int
    broken: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    client_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


class _Connection(asyncio.Protocol):
    """Sends the request anew whenever its answer is complete."""

    def __init__(self, request: bytes, until: float, took: list[float], ended: asyncio.Future[bool]) -> None:
        self.request, self.until, self.took, self.ended = request, until, took, ended
        self.refused = 0
        self.buffer = b""
        self.wanted = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.buffer, self.wanted = b"", 0
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if not self.wanted:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            at = self.buffer.lower().find(b"content-length:", 0, head)
            self.wanted = head + 4 + int(self.buffer[at + 15 : self.buffer.find(b"\r", at)])
        if len(self.buffer) < self.wanted:
            return
        now = time.perf_counter()
        if self.buffer[9:12] == b"200":
            self.took.append(now - self.began)
        else:
            self.refused += 1
        if now < self.until:
            self.ask()
        else:
            self.ended.set_result(True)
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(False)


async def _ask(port: int, request: bytes, seconds: float, connections: int) -> Asked:
    loop = asyncio.get_running_loop()
    took: list[float] = []
    talks: list[_Connection] = []
    began, processor = time.perf_counter(), time.process_time()
    for _ in range(connections):
        _, talk = await loop.create_connection(
            lambda: _Connection(request, began + seconds, took, loop.create_future()), "127.0.0.1", port
        )
        talks.append(talk)
    whole = await asyncio.gather(*(talk.ended for talk in talks))
    passed, processor = time.perf_counter() - began, time.process_time() - processor
    took.sort()
    refused = sum(talk.refused for talk in talks)
    p50, p95, p99 = (1000 * took[int(share * (len(took) - 1))] if took else float("nan") for share in (0.50, 0.95, 0.99))
    return Asked(len(took), refused, whole.count(False), passed, p50, p95, p99, 1000 * processor / max(1, len(took) + refused))


def ask(port: int, request: bytes, *, seconds: float, connections: int = 8) -> Asked:
    """Ask a server on this machine from a process of its own."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(request)
        file.flush()
        command = [sys.executable, "-m", "bench.asking", str(port), file.name]
        command += ["--seconds", str(seconds), "--connections", str(connections)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 60, cwd=Path(__file__).parents[1])
    return Asked(**json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=8)
    args = parser.parse_args()
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        run = asyncio.run
    print(json.dumps(vars(run(_ask(args.port, args.file.read_bytes(), args.seconds, args.connections)))))


if __name__ == "__main__":
    main()
