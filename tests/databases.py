"""Databases for tests: files of SQLite, and a PostgreSQL server of our own that only its test knows."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

PASSWORD = "pl@nted/s%cret:9"  # every sign that a url must not hold as it is


@dataclass(frozen=True)
class Server:
    """A running server: one database "hr" owned by "owner", with "reader" and "writer"; all with PASSWORD."""

    port: int

    def url(self, user: str = "reader", password: str = PASSWORD, database: str = "hr") -> str:
        return f"postgresql+psycopg://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"


@contextmanager
def run_postgres() -> Iterator[Server]:
    """Start PostgreSQL on a free port of this machine; it refuses to run as root, so root starts it as nobody."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert programs, "PostgreSQL is not installed; on Debian: apt-get install postgresql"
    bin_folder = programs[-1].parent
    other: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="greenlight-pg-", dir="/tmp"))  # pytest's own folder is closed to others
    if other:
        shutil.chown(folder, "nobody", "nogroup")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    word = folder / "word"
    word.write_text(PASSWORD)
    word.chmod(0o644)
    home = {"HOME": str(folder), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    command = [bin_folder / "initdb", "-D", folder / "data", "-U", "owner", f"--pwfile={word}", "-A", "scram-sha-256", "-E", "UTF8", "-N"]
    subprocess.run(command, check=True, capture_output=True, env=home, cwd="/", **other)
    options = ["-c", "fsync=off", "-c", f"unix_socket_directories={folder}", "-c", "listen_addresses=127.0.0.1", "-p", str(port)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([bin_folder / "postgres", "-D", folder / "data", *options], stdout=log, stderr=log, env=home, cwd="/", **other)
    try:
        _prepare(Server(port), server, folder / "log")
        yield Server(port)
    finally:
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for whoever is still connected
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(server: Server, process: subprocess.Popen, log: Path) -> None:
    import psycopg

    plain = server.url("owner", database="postgres").replace("+psycopg", "")
    end = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(plain, autocommit=True, connect_timeout=5) as db:
                db.execute("CREATE DATABASE hr")
                for role in ("reader", "writer"):
                    db.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
            break
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.1)
    with psycopg.connect(server.url("owner").replace("+psycopg", ""), autocommit=True) as db:
        db.execute("GRANT CREATE ON SCHEMA public TO writer")
        db.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader")


def fill(url: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Make tables from rows through SQLAlchemy; the types follow the first row's values."""
    import sqlalchemy as sa

    kinds = {int: sa.Integer(), float: sa.Float(), str: sa.Text(), bool: sa.Boolean()}
    engine = sa.create_engine(url)
    with engine.begin() as db:
        for name, rows in tables.items():
            columns = [sa.Column(c, kinds.get(type(v), sa.Text()), primary_key=c == "id", autoincrement=False) for c, v in rows[0].items()]
            table = sa.Table(name, sa.MetaData(), *columns)
            table.create(db)
            db.execute(table.insert(), rows)
    engine.dispose()
