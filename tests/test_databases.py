"""Databases of other systems: named by the environment, read as of one moment, written to in one table of our own."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from core.adapters import databases, optional
from core.adapters.databases import Address
from core.errors import BadInput, GreenlightError, NotFound, Refused
from core.settings import Settings
from tests.databases import PASSWORD, Server, fill, run_postgres

PEOPLE = {"people": [{"id": 2, "full name": "Ann", "age": 41}, {"id": 1, "full name": "Bob", "age": 7}]}
FILE = "h%20r ?mode=rw#1.db"  # a name that could be taken for another, or for an option
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with run_postgres() as server:
        fill(server.url("owner"), PEOPLE)
        yield server


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.extra), pytest.param("postgres", marks=[pytest.mark.extra, pytest.mark.server])])
def kind(request) -> str:
    return request.param


@pytest.fixture
def address(kind, request, tmp_path) -> Address:
    """A database with the table people, opened by the most powerful account that there is."""
    if kind == "postgres":
        return Address("hr", request.getfixturevalue("postgres").url("owner"))
    path = tmp_path / FILE
    fill(f"sqlite:///{quote(str(path))}", PEOPLE)
    assert path.is_file()
    return Address("hr", f"sqlite:///{quote(str(path))}")


def named(text: str, monkeypatch) -> Settings:
    monkeypatch.setenv("GREENLIGHT_DATABASES", text)
    return Settings.from_environment()


# the environment


def test_databases_are_named_by_the_environment_and_their_addresses_do_not_show_themselves(monkeypatch):
    settings = named(f"hr=postgresql://u:{PASSWORD}@h/hr  old-one=sqlite:////srv/x.db", monkeypatch)
    known = databases.read_addresses(settings)
    assert list(known) == ["hr", "old-one"]
    assert known["old-one"].url == "sqlite:////srv/x.db"
    assert PASSWORD not in repr(known) + repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize("entry", [f"hr:{PASSWORD}", f"{PASSWORD}=x://y", "hr=", "hr=nothing", f"=postgresql://u:{PASSWORD}@h/d"])
def test_an_entry_that_is_no_name_and_address_is_refused_by_its_number_and_not_repeated(entry, monkeypatch):
    settings = named(f"ok=sqlite:////x.db {entry}", monkeypatch)
    with pytest.raises(BadInput, match=r"^Entry 2 of GREENLIGHT_DATABASES is not name=url") as told:
        databases.read_addresses(settings)
    assert PASSWORD not in str(told.value)


def test_a_name_that_stands_twice_or_nowhere_is_said(monkeypatch):
    with pytest.raises(BadInput, match="names hr twice"):
        databases.read_addresses(named("hr=sqlite:////a hr=sqlite:////b", monkeypatch))
    with pytest.raises(NotFound, match=r"no database 'payroll' in GREENLIGHT_DATABASES \(it names hr\)"):
        databases.get_address("payroll", named("hr=sqlite:////a", monkeypatch))
    with pytest.raises(NotFound, match="it is empty"):
        databases.get_address("hr", named("", monkeypatch))


@pytest.mark.skipif(optional.is_installed("sqlalchemy"), reason="SQLAlchemy is here")
def test_without_sqlalchemy_one_sentence_says_how_to_install_it():
    wanted = r'^SQLAlchemy is not installed, .*: pip install sqlalchemy "psycopg\[binary\]" -c requirements\.txt\.$'
    with pytest.raises(Refused, match=wanted), databases.open_snapshot(Address("hr", "sqlite:////x.db")):
        pass


# reading


def test_tables_columns_counts_and_rows_are_read_in_order(address):
    with databases.open_snapshot(address) as snapshot:
        assert "people" in snapshot.list_tables()
        assert snapshot.list_columns("people") == ("id", "full name", "age")
        assert snapshot.list_columns("nothing") == ()
        assert snapshot.count_rows("people") == 2
        assert snapshot.find_order("people") == ("id",)
        rows = snapshot.read_rows("people", {"name": "full name", "years": "age"}, order=("id",))
    assert rows == [{"name": "Bob", "years": 7}, {"name": "Ann", "years": 41}]


def test_a_name_of_a_table_or_column_is_a_name_whatever_stands_in_it(address):
    evil = 'people"; DROP TABLE people; --'
    with databases.open_snapshot(address) as snapshot:
        assert snapshot.list_columns(evil) == ()
    with databases.open_snapshot(address) as snapshot:
        assert snapshot.count_rows("people") == 2


WRITES = ("INSERT INTO people VALUES (3, 'Eve', 9)", "DELETE FROM people", "DROP TABLE people", "CREATE TABLE t (a INT)")


@pytest.mark.parametrize("statement", WRITES)
def test_the_database_itself_refuses_every_write_through_a_snapshot(address, statement):
    wanted = r"^Database hr is opened for reading only, so nothing was written\.$"
    with pytest.raises(Refused, match=wanted), databases.open_snapshot(address) as snapshot:
        snapshot._connection.exec_driver_sql(statement)
    with databases.open_snapshot(address) as snapshot:
        assert (snapshot.count_rows("people"), "t" in snapshot.list_tables()) == (2, False)


def add_and_remove(kind: str, address: Address) -> tuple[Callable[[], None], Callable[[], None]]:
    import sqlalchemy as sa

    engine = sa.create_engine(address.url, poolclass=sa.pool.NullPool)

    def run(statement: str) -> None:
        with engine.begin() as db:
            db.exec_driver_sql(statement)

    return (lambda: run("INSERT INTO people VALUES (9, 'New', 1)")), (lambda: run("DELETE FROM people WHERE id = 9"))


@pytest.fixture
def in_use(kind, address, tmp_path) -> Iterator[None]:
    """The other system has its database open, as it has in life."""
    if kind == "postgres":
        yield
        return
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("SELECT count(*) FROM people").fetchone()
        yield


def test_everything_is_read_as_of_one_moment(kind, address, in_use):
    add, remove = add_and_remove(kind, address)
    with databases.open_snapshot(address) as snapshot:
        assert snapshot.count_rows("people") == 2
        add()
        assert snapshot.count_rows("people") == 2
    with databases.open_snapshot(address) as snapshot:
        assert snapshot.count_rows("people") == 3
    remove()


def test_a_table_that_is_too_long_is_refused_before_it_is_read(address, monkeypatch):
    monkeypatch.setattr(databases, "MOST_ROWS", 1)
    with pytest.raises(Refused, match="Table people of database hr has 2 rows, and at most 1 are read"), databases.open_snapshot(address) as snapshot:
        snapshot.read_rows("people", {"age": "age"})


# what goes wrong


def complaint(url: str) -> str:
    with pytest.raises(GreenlightError) as told, databases.open_snapshot(Address("hr", url)) as snapshot:
        snapshot.count_rows("people")
    sentence = str(told.value)
    assert sentence.count("\n") == 0
    for secret in (PASSWORD, "pl%40nted", "planted"):
        assert secret not in sentence
    return sentence


@pytest.mark.extra
def test_what_is_wrong_with_an_address_is_said_without_a_word_of_it(tmp_path):
    word = "pl%40nted"
    assert "none of PostgreSQL or SQLite" in complaint(f"mysql://u:{word}@h/d")
    assert "none of PostgreSQL or SQLite" in complaint(f"postgresql+psycopg2://u:{word}@h/d")
    assert "none of PostgreSQL or SQLite" in complaint(f"postgresql://u:{word}@h:port/d")
    assert "The file of database hr does not exist" in complaint(f"sqlite:///{tmp_path}/planted.db")
    assert "cannot be reached" in complaint(f"postgresql://u:{word}@127.0.0.1:1/d")
    assert "cannot be reached" in complaint(f"postgresql://u:{word}@nowhere.invalid/d")
    (tmp_path / "greenlight.db").touch()
    (tmp_path / "other.db").symlink_to(tmp_path / "greenlight.db")
    assert "is Greenlight's own" in complaint(f"sqlite:///{tmp_path}/other.db")
    (tmp_path / "no.db").write_text("this is no database at all, only words that are long enough to be looked at")
    assert "cannot be opened as a SQLite database" in complaint(f"sqlite:///{tmp_path}/no.db")


@pytest.mark.extra
@pytest.mark.server
def test_what_a_server_refuses_is_said_without_the_password(postgres):
    assert "does not accept the account" in complaint(postgres.url(password="planted-and-wrong"))
    assert "does not accept the account" in complaint(postgres.url("stranger"))
    assert "has no database of that name" in complaint(postgres.url(database="payroll"))
    assert "does not let the account do that" in complaint(postgres.url("writer"))


@pytest.mark.extra
@pytest.mark.server
def test_what_postgresql_can_hold_and_others_cannot_is_read_or_said(postgres):
    """Types that have no order, names with dots and signs, moments in another zone, an infinite day, a database without an encoding."""
    import psycopg

    def run(statement: str, database: str = "hr") -> None:
        with psycopg.connect(postgres.url("owner", database=database).replace("+psycopg", ""), autocommit=True) as db:
            db.execute(statement)

    run("""CREATE TABLE odd (j json, x xml, p point, t timestamptz);
           INSERT INTO odd VALUES ('{"b": 1}', '<b/>', '(2,1)', '2026-01-02 10:00+02'), ('{"a": 1}', '<a/>', '(1,2)', null);
           CREATE VIEW odd_view AS SELECT * FROM odd; CREATE TABLE "Select.from" ("order%" int, "x(""y"")" int);
           INSERT INTO "Select.from" VALUES (1, 2); CREATE TABLE endless (d date); INSERT INTO endless VALUES ('infinity');
           ALTER ROLE reader SET TimeZone = 'Asia/Tokyo'""")
    run("CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    run("CREATE TABLE names (id int, name text); INSERT INTO names VALUES (1, 'Ann'); GRANT SELECT ON names TO reader", "plain")
    address, plain = Address("hr", postgres.url()), Address("plain", postgres.url(database="plain"))
    with databases.open_snapshot(address) as snapshot:
        for table in ("odd", "odd_view"):
            rows = snapshot.read_values(table, ["j", "t"], order=(*snapshot.list_columns(table), *snapshot.find_order(table)))
            assert [(j, str(t)) for j, t in rows] == [({"a": 1}, "None"), ({"b": 1}, "2026-01-02 08:00:00+00:00")]
        assert snapshot.find_order("Select.from") == ("order%", 'x("y")')
        assert snapshot.read_rows("Select.from", {"a": "order%", "b": 'x("y")'}, order=("order%",)) == [{"a": 1, "b": 2}]
    with pytest.raises(Refused, match=r"^Database hr holds a day that no calendar has"), databases.open_snapshot(address) as snapshot:
        snapshot.read_values("endless", ["d"])
    with databases.open_snapshot(plain) as snapshot:
        assert snapshot.read_values("names", ["name"]) == [("Ann",)]
    run("INSERT INTO names VALUES (2, convert_from('\\x41ff'::bytea, 'SQL_ASCII'))", "plain")
    with pytest.raises(Refused, match=r"^Database plain holds text in an encoding other than UTF-8"), databases.open_snapshot(plain) as snapshot:
        snapshot.read_values("names", ["name"])
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'greenlight'"
    with pytest.raises(Refused, match=r"^Database hr ended the connection"), databases.open_snapshot(address) as snapshot:
        _ = [act() for act in (lambda: run(ended), lambda: snapshot.count_rows("odd"))]


@pytest.mark.extra
@pytest.mark.server
def test_a_statement_that_takes_too_long_is_ended(postgres, monkeypatch):
    monkeypatch.setattr(databases, "STATEMENT_SECONDS", 1)
    with pytest.raises(Refused, match="took too long for one statement"), databases.open_snapshot(Address("hr", postgres.url())) as snapshot:
        snapshot._connection.exec_driver_sql("SELECT pg_sleep(30)")


# writing back


def prediction(number: int, run: str = "run-1") -> dict:
    return {
        "prediction_id": f"{run}-{number}", "run_id": run, "project": "p", "row_key": "Dev | Python", "job_role_name": "Dev",
        "skill_name": "Python", "job_department": "IT", "level": "HIGH", "score": 81.5, "confidence": 0.7, "rationale": "Because.",
        "model_version": "1.0.0", "predicted_at": AT,
    }  # fmt: skip


def read_back(address: Address, table: str) -> list[dict]:
    with databases.open_snapshot(address) as snapshot:
        if not snapshot.list_columns(table):
            return []
        return snapshot.read_rows(table, {c: c for c in databases.PREDICTION_COLUMNS}, order=("prediction_id",))


def test_predictions_are_written_to_a_table_of_their_own_once_for_each_run(address):
    table = "greenlight_prediction"
    assert databases.write_predictions(address, table, [prediction(1), prediction(2)], run_id="run-1") == 2
    assert databases.write_predictions(address, table, [prediction(1), prediction(2)], run_id="run-1") == 0
    assert databases.write_predictions(address, table, [prediction(1, "run-2")], run_id="run-2") == 1
    rows = read_back(address, table)
    assert [r["prediction_id"] for r in rows] == ["run-1-1", "run-1-2", "run-2-1"]
    when = rows[0].pop("predicted_at")
    assert rows[0] == {k: v for k, v in prediction(1).items() if k != "predicted_at"}
    when = when if isinstance(when, datetime) else datetime.fromisoformat(when)
    assert when.replace(tzinfo=when.tzinfo or UTC) == AT


def test_a_failure_half_way_leaves_nothing(address, monkeypatch):
    monkeypatch.setattr(databases, "AT_ONCE", 2)
    twice = [prediction(1), prediction(2), prediction(3), prediction(1)]
    with pytest.raises(Refused, match="Database hr could not be used"):
        databases.write_predictions(address, "halfway", twice, run_id="run-1")
    assert read_back(address, "halfway") == []
    assert databases.write_predictions(address, "halfway", twice[:3], run_id="run-1") == 3


def test_no_other_table_is_ever_written_to(address):
    with pytest.raises(Refused, match="Table people of database hr is not one that predictions were written to"):
        databases.write_predictions(address, "people", [prediction(1)], run_id="run-1")
    with databases.open_snapshot(address) as snapshot:
        assert snapshot.count_rows("people") == 2


@pytest.mark.extra
@pytest.mark.server
def test_an_account_that_may_only_read_cannot_write_back_and_one_that_may_write_needs_nothing_else(postgres):
    with pytest.raises(Refused, match="does not let the account do that"):
        databases.write_predictions(Address("hr", postgres.url("reader")), "by_reader", [prediction(1)], run_id="run-1")
    assert databases.write_predictions(Address("hr", postgres.url("writer")), "by_writer", [prediction(1)], run_id="run-1") == 1


@pytest.mark.extra
def test_a_file_of_sqlite_is_never_made_by_opening_it(tmp_path):
    for opened in (lambda a: databases.open_snapshot(a).__enter__(), lambda a: databases.write_predictions(a, "t", [], run_id="r")):
        with pytest.raises(NotFound):
            opened(Address("hr", f"sqlite:///{tmp_path}/new.db"))
    assert list(Path(tmp_path).glob("new*")) == []
