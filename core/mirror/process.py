"""The mirror's own process, seen from outside: started, found at work, ended. Imports nothing that takes time."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.home import Home
from core.jobs.worker import ONE_THREAD
from core.mirror.address import Address

log = logging.getLogger("greenlight.mlops")

_started: dict[str, subprocess.Popen[bytes]] = {}
_starting = threading.Lock()


def start_process(home: Home, address: Address, *, at_once: bool = False) -> subprocess.Popen[bytes]:
    """Start the worker; it ends by itself at once where another one is at work."""
    environment = {**os.environ, **ONE_THREAD, "MLFLOW_TRACKING_URI": address.uri}
    if address.user or address.password:
        environment |= {"MLFLOW_TRACKING_USERNAME": address.user, "MLFLOW_TRACKING_PASSWORD": address.password}
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(  # noqa: S603 - our own module and paths
        [sys.executable, "-m", "core.mirror.worker", str(home.root), str(home.models), *(["--now"] if at_once else [])],
        cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )


def is_running(home: Home) -> bool:
    """Whether a worker of any process of this installation is at work."""
    with (home.root / "mirror.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


@contextmanager
def only_one(home: Home) -> Iterator[bool]:
    """Hold the lock; yields False where another worker holds it. It goes with its process, however that ends."""
    with (home.root / "mirror.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def start_one(home: Home, address: Address) -> bool:
    """Start a worker unless one of this process is still at work."""
    reap(home)
    with _starting:
        if str(home.root) in _started:
            return False
        _started[str(home.root)] = start_process(home, address)
        return True


def reap(home: Home) -> None:
    """Take notice of a worker that ended, so that it leaves no zombie."""
    with _starting:
        last = _started.get(str(home.root))
        if last is None or last.poll() is None:
            return
        del _started[str(home.root)]
    if last.returncode < 0:
        log.warning("the mirror's worker was ended by signal %s; the next one goes on where it stood", -last.returncode)


def stop(home: Home) -> None:
    """End the worker that this process started: a console that was closed leaves nothing running behind."""
    with _starting:
        process = _started.pop(str(home.root), None)
    if process is not None:
        process.terminate()
        process.wait(timeout=10)
