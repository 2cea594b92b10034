"""A real Dask cluster on this machine for tests: a scheduler and workers, each a process that can be killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def libraries() -> str:
    """The folder that Dask was imported from."""
    import distributed

    return str(Path(distributed.__file__).resolve().parents[1])


class Cluster:
    """``with Cluster(folder) as cluster``: a scheduler with two workers of one thread each."""

    def __init__(self, folder: Path, workers: int = 2, threads: int = 1, *, scheme: str = "tcp", environment: dict[str, str] | None = None) -> None:
        self.folder, self.count, self.threads, self.scheme, self.environment = folder, workers, threads, scheme, environment or {}
        self.workers: list[subprocess.Popen] = []

    def __enter__(self) -> "Cluster":
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"{self.scheme}://127.0.0.1:{self.port}"
        self.scheduler = self.start("scheduler", "--host", f"{self.scheme}://127.0.0.1", "--port", str(self.port), "--no-dashboard")
        for _ in range(self.count):
            self.add_worker()
        self.wait_for(self.count)
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, self.scheduler]:
            self.kill(process)

    def start(self, *arguments: str, path: str | None = None) -> subprocess.Popen:
        where = os.pathsep.join([str(ROOT), libraries()]) if path is None else path
        environment = {**os.environ, **self.environment, "PYTHONPATH": where}
        command = [sys.executable, "-m", "dask", *arguments]
        with (self.folder / f"{arguments[0]}_{len(self.workers)}.log").open("ab") as said:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=said, stderr=said, start_new_session=True)

    def add_worker(self, path: str | None = None) -> subprocess.Popen:
        process = self.start(
            "worker", self.address, "--nthreads", str(self.threads), "--no-nanny", "--no-dashboard", "--host", "127.0.0.1",
            "--local-directory", str(self.folder / "scratch"), path=path,
        )  # fmt: skip
        self.workers.append(process)
        return process

    def wait_for(self, workers: int, seconds: float = 60) -> None:
        from distributed import Client

        with Client(self.address, set_as_default=False, timeout=seconds) as client:
            until = time.monotonic() + seconds
            while len(client.nthreads()) != workers:
                assert time.monotonic() < until, f"{len(client.nthreads())} workers came"
                time.sleep(0.1)

    @staticmethod
    def kill(process: subprocess.Popen) -> None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
