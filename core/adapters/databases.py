"""Databases of other systems through SQLAlchemy: read in one read-only snapshot, written to in one table of our own.

Addresses come from the environment alone (GREENLIGHT_DATABASES). They hold passwords, so no sentence of here repeats what a
driver says: it names the connection, what is wrong, and the cure.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from core.adapters.optional import need
from core.errors import BadInput, GreenlightError, NotFound, Refused

if TYPE_CHECKING:
    from core.settings import Settings

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 60
MOST_ROWS = 1_000_000  # of one table; a view can hold less
AT_ONCE = 5_000

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg", "sqlite": "sqlite"}
_OURS = frozenset({"greenlight.db", "predictions.db"})
# what a driver's text tells, and how it is said here
_REASONS = (
    (r"password authentication failed|no password supplied|role .* does not exist|authentication failed|no pg_hba",
     "does not accept the account; check the user and the password in GREENLIGHT_DATABASES"),
    (r"database .* does not exist", "has no database of that name; check the address in GREENLIGHT_DATABASES"),
    (r"schema .* does not exist", "has no schema of that name; make it there, or name another"),
    (r"(relation|column) .* does not exist|no such (table|column)", "was changed while it was read; look at it anew"),
    (r"terminating connection|closed the connection|connection is closed|connection .* lost|crash of another|shutting down|starting up",
     "ended the connection; try again when it runs"),
    (r"statement timeout", "took too long for one statement; ask for an index, or join a smaller view"),
    (r"permission denied", "does not let the account do that; have SELECT granted for reading, and CREATE or INSERT for writing back"),
    (r"read-only transaction|readonly database", "is opened for reading only, so nothing was written"),
    (r"timeout|timed out", f"did not answer within {CONNECT_SECONDS} s; check the host, the port and the firewall"),
    (r"refused|resolve|translate|unreachable|no such file|No route", "cannot be reached; check the host and the port, and that it runs"),
    (r"unable to open|not a database|malformed", "cannot be opened as a SQLite database; check the path and the rights on the file"),
    (r"locked", "is locked by another program; try again when that has finished"),
    (r"decode|invalid byte sequence", "holds text in an encoding other than UTF-8, which cannot be read; leave it out by a view"),
    (r"too (large|small)|year .*out of range|infinity", "holds a day that no calendar has, such as infinity; leave it out by a view"),
)  # fmt: skip


@dataclass(frozen=True)
class Address:
    """One entry of GREENLIGHT_DATABASES; the url never shows itself."""

    name: str
    url: str = field(repr=False)


def read_addresses(settings: Settings | None = None) -> dict[str, Address]:
    """Name -> address of every database that the environment names.

    Raises
    ------
    BadInput
        An entry is not name=url, or a name stands there twice.
    """
    if settings is None:
        from core.settings import Settings

        settings = Settings.from_environment()
    found: dict[str, Address] = {}
    for number, entry in enumerate(settings.databases.get_secret_value().split(), 1):
        name, sign, url = entry.partition("=")
        if not sign or not _NAME.fullmatch(name) or "://" not in url:
            raise BadInput(
                f"Entry {number} of GREENLIGHT_DATABASES is not name=url, such as hr=sqlite:////srv/hr.sqlite; entries are separated by spaces."
            )
        if name in found:
            raise BadInput(f"GREENLIGHT_DATABASES names {name} twice; give each database a name of its own.")
        found[name] = Address(name, url)
    return found


def get_address(name: str, settings: Settings | None = None) -> Address:
    """One address by its name.

    Raises
    ------
    NotFound
        The environment names no such database; the sentence lists the names that it knows.
    """
    known = read_addresses(settings)
    if name not in known:
        listed = f"it names {', '.join(known)}" if known else "it is empty"
        raise NotFound(f"There is no database {str(name)[:40]!r} in GREENLIGHT_DATABASES ({listed}); add it as name=url and start again.")
    return known[name]


class Snapshot:
    """A database as of one moment, which cannot be written to; ``open_snapshot`` gives it. Tables are "name" or "schema.name"."""

    def __init__(self, name: str, connection: Any) -> None:
        import sqlalchemy

        self.name = name
        self._sa = sqlalchemy
        self._connection = connection
        self._inspector = sqlalchemy.inspect(connection)
        self._known: dict[str, dict[str, Any]] = {}  # table -> column -> its type

    def list_tables(self) -> tuple[str, ...]:
        """Tables and views of the account's own schema, sorted."""
        names = set(self._inspector.get_table_names()) | set(self._inspector.get_view_names())
        if self._connection.dialect.name == "postgresql":
            names |= set(self._inspector.get_materialized_view_names())
        return tuple(sorted(names))

    def list_columns(self, table: str) -> tuple[str, ...]:
        """Columns of a table or view, in its order; empty if there is none of this name."""
        if table not in self._known:
            schema, name = self._locate(table)
            try:
                with warnings.catch_warnings(action="ignore"):  # that a type has no name in SQLAlchemy
                    self._known[table] = {str(c["name"]): c["type"] for c in self._inspector.get_columns(name, schema=schema)}
            except self._sa.exc.NoSuchTableError:
                self._known[table] = {}
        return tuple(self._known[table])

    def find_order(self, table: str) -> tuple[str, ...]:
        """The columns that put the rows of a table in one order: its primary key, or all of them."""
        schema, name = self._locate(table)
        key = self._inspector.get_pk_constraint(name, schema=schema).get("constrained_columns") or ()
        return tuple(key) or self.list_columns(table)

    def count_rows(self, table: str) -> int:
        sa = self._sa
        return int(self._connection.execute(sa.select(sa.func.count()).select_from(self._table(table))).scalar_one())

    def read_rows(
        self, table: str, columns: Mapping[str, str], *, order: Sequence[str] = (), limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Rows with the wanted names as keys; otherwise as :meth:`read_values`."""
        names = list(columns)
        return [dict(zip(names, row, strict=True)) for row in self.read_values(table, list(columns.values()), order=order, limit=limit)]

    def read_values(
        self, table: str, columns: Sequence[str], *, order: Sequence[str] = (), limit: int | None = None
    ) -> list[tuple[Any, ...]]:
        """Rows as tuples, which take half the memory.

        Parameters
        ----------
        columns, order : sequence of str
            Columns of the table.

        Raises
        ------
        Refused
            The table has more than ``MOST_ROWS`` rows.
        """
        sa = self._sa
        known = self._table(table)
        sorts = [sa.cast(known.c[o], sa.Text) if self._has_no_order(table, o) else known.c[o] for o in order]
        statement = sa.select(*[known.c[real].label(f"c{n}") for n, real in enumerate(columns)]).order_by(*sorts)
        if limit is not None:
            statement = statement.limit(limit)
        elif (rows := self.count_rows(table)) > MOST_ROWS:
            raise Refused(
                f"Table {table} of database {self.name} has {rows:,} rows, and at most {MOST_ROWS:,} are read; join a view that holds fewer."
            )
        found = self._connection.execution_options(stream_results=True, max_row_buffer=AT_ONCE).execute(statement)
        return [tuple(row) for row in found]

    def _has_no_order(self, table: str, column: str) -> bool:
        """Whether PostgreSQL cannot sort a column: JSON, and what SQLAlchemy has no name for (XML, points)."""
        kind, sa = self._known[table].get(column), self._sa
        unsorted = isinstance(kind, sa.types.NullType) or getattr(kind, "__visit_name__", "") == "JSON"
        return unsorted and self._connection.dialect.name == "postgresql"

    def _locate(self, table: str) -> tuple[str | None, str]:
        """(schema or None, name): a dot may also be part of the name."""
        if "." in table and self._inspector.has_table(table):
            return None, table
        return split_table(table)

    def _table(self, table: str) -> Any:
        sa = self._sa
        schema, name = self._locate(table)
        return sa.table(name, *[sa.column(c) for c in self.list_columns(table)], schema=schema)


def split_table(table: str) -> tuple[str | None, str]:
    """(schema or None, name) of "name" or "schema.name"."""
    schema, _, name = table.rpartition(".")
    return schema or None, name


@contextmanager
def open_snapshot(address: Address) -> Iterator[Snapshot]:
    """Open a database for reading: one transaction, as of one moment, in which the database itself refuses every write.

    Raises
    ------
    BadInput
        The address is no address of PostgreSQL or SQLite.
    Refused
        A library is not installed, or the database cannot be reached or read; never with a word of the address.
    """
    with _connected(address, writable=False) as connection:
        yield Snapshot(address.name, connection)


PREDICTION_TABLE = "greenlight_prediction"
PREDICTION_COLUMNS = (
    "prediction_id", "run_id", "project", "row_key", "job_role_name", "skill_name", "job_department", "level", "score", "confidence",
    "rationale", "model_version", "predicted_at",
)  # fmt: skip


def write_predictions(address: Address, table: str, rows: Sequence[Mapping[str, Any]], *, run_id: str) -> int:
    """Add the predictions of one run to a table of their own, made if it is not there. All of them or, after a failure, none.

    Parameters
    ----------
    rows : sequence of mapping
        The columns of ``PREDICTION_COLUMNS``; ``predicted_at`` is a datetime in UTC.
    run_id : str
        A run that is in the table already is not written again.

    Returns
    -------
    int
        Rows written now.

    Raises
    ------
    Refused
        The table is another system's, or the database does not let the account write.
    """
    with _connected(address, writable=True) as connection:
        import sqlalchemy as sa

        known = _prediction_table(sa, table)
        if connection.dialect.name == "postgresql":  # two runs at once: the second waits, and sees what the first has written
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(0x67726565)))
        inspector = sa.inspect(connection)
        schema, name = split_table(table)
        if inspector.has_table(name, schema=schema):
            there = {str(c["name"]) for c in inspector.get_columns(name, schema=schema)}
            if there != set(PREDICTION_COLUMNS) or name in inspector.get_view_names(schema=schema):
                raise Refused(f"Table {table} of database {address.name} is not one that predictions were written to; name another table for them.")
        else:
            known.create(connection)
        done = connection.execute(sa.select(sa.func.count()).select_from(known).where(known.c.run_id == run_id)).scalar_one()
        if done:
            return 0
        for start in range(0, len(rows), AT_ONCE):
            connection.execute(known.insert(), [{c: row.get(c) for c in PREDICTION_COLUMNS} for row in rows[start : start + AT_ONCE]])
        return len(rows)


def _prediction_table(sa: Any, table: str) -> Any:
    schema, name = split_table(table)
    numbers = {"score", "confidence"}
    columns = [
        sa.Column(
            c, sa.Float() if c in numbers else sa.DateTime(timezone=True) if c == "predicted_at" else sa.Text(),
            primary_key=c == "prediction_id", nullable=c not in ("prediction_id", "run_id", "project", "model_version", "predicted_at"),
            index=c == "run_id",
        )
        for c in PREDICTION_COLUMNS
    ]  # fmt: skip
    return sa.Table(name, sa.MetaData(), *columns, schema=schema)


@contextmanager
def _connected(address: Address, *, writable: bool) -> Iterator[Any]:
    sa = need("sqlalchemy")
    engine = _make_engine(sa, address, writable=writable)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection = connection.execution_options(
                    isolation_level="READ COMMITTED" if writable else "REPEATABLE READ", postgresql_readonly=not writable
                )
            with connection.begin():
                yield connection
    except (sa.exc.SQLAlchemyError, UnicodeDecodeError) as error:
        raise _explain(address, error) from None
    finally:
        engine.dispose()


def _make_engine(sa: Any, address: Address, *, writable: bool) -> Any:
    try:
        url = sa.engine.make_url(address.url)
        driver = _DRIVERS.get(url.drivername)
    except (sa.exc.ArgumentError, ValueError):
        driver = None
    if driver is None:
        raise BadInput(
            f"The address of database {address.name} in GREENLIGHT_DATABASES is none of PostgreSQL or SQLite; "
            "write postgresql+psycopg://user:password@host/database or sqlite:////path/file."
        )
    if driver == "sqlite":
        return _make_sqlite(sa, address, url, writable=writable)
    need("psycopg")
    # in UTC, so that the same moments are the same text whatever the server's time zone is
    seconds = f"-c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout={CONNECT_SECONDS}s -c TimeZone=UTC"
    options = f"{seconds} -c default_transaction_read_only={'off' if writable else 'on'}"
    # a line that goes dead is noticed after half a minute; a server without an encoding of its own would give bytes
    line = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000, "client_encoding": "utf8"}
    arguments = {"connect_timeout": CONNECT_SECONDS, "application_name": "greenlight", "options": options, **line}
    return sa.create_engine(url.set(drivername=driver), connect_args=arguments, poolclass=sa.pool.NullPool, hide_parameters=True)


def _make_sqlite(sa: Any, address: Address, url: Any, *, writable: bool) -> Any:
    path = Path(url.database or "")
    if not url.database or not path.is_file():
        raise NotFound(
            f"The file of database {address.name} does not exist; check the path in GREENLIGHT_DATABASES (sqlite:////path/file, four slashes)."
        )
    if path.resolve().name in _OURS:  # it holds accounts and keys, and nothing but acts may write to it
        raise Refused(f"The file of database {address.name} is Greenlight's own; name the file of the other system in GREENLIGHT_DATABASES.")
    # a name with a % or a ? must not become an option; the file is never made by opening it
    file = f"file:{quote(str(path.resolve()))}"
    opened = sa.engine.URL.create("sqlite", database=file, query={"mode": "rw" if writable else "ro", "uri": "true"})
    engine = sa.create_engine(opened, connect_args={"timeout": CONNECT_SECONDS}, poolclass=sa.pool.NullPool, hide_parameters=True)

    # the driver begins a transaction only before a write: reads would each see another moment
    @sa.event.listens_for(engine, "connect")
    def _leave_begin_to_us(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writable else "BEGIN")

    return engine


def _explain(address: Address, error: Exception) -> GreenlightError:
    """One sentence about a failure: the driver's own words are looked at, never repeated."""
    cause = getattr(error, "orig", None) or error
    said = str(cause)
    for pattern, sentence in _REASONS:
        if re.search(pattern, said, re.IGNORECASE):
            return Refused(f"Database {address.name} {sentence}.")
    state = getattr(cause, "sqlstate", None)
    kind = f"{type(cause).__name__}{f', {state}' if state else ''}"
    return Refused(f"Database {address.name} could not be used ({kind}); try its address with another client on this machine.")
