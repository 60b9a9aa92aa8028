"""Transactions: whole or nothing, one state to a reader, and writers that wait for each other."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from curate.catalog import engine as engines
from curate.catalog.engine import chunks, make_engine, read, write
from curate.catalog.listing import statement
from curate.catalog.query import parse
from curate.catalog.schema import open_catalog
from curate.errors import StorageError

from .cases import NOW, Place, image, in_processes


@pytest.fixture
def engine(place: Place) -> Iterator[Engine]:
    """An engine on a table with the number 0."""
    made = make_engine(place)
    with write(made) as connection:
        connection.execute(text("CREATE TABLE counter (value INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))
    yield made
    made.dispose()


def value(connection: Connection) -> int:
    return int(connection.execute(text("SELECT value FROM counter")).scalar_one())


def test_every_connection_to_sqlite_is_set_up_alike(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "a ?#%b.db")
    with read(engine) as one, read(engine) as two:
        for connection in (one, two):
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in (
                    "journal_mode",
                    "synchronous",
                    "foreign_keys",
                    "busy_timeout",
                    "trusted_schema",
                )
            }
            assert found == {
                "journal_mode": "wal",
                "synchronous": 2,
                "foreign_keys": 1,
                "busy_timeout": 30_000,
                "trusted_schema": 0,
            }
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            assert raw.isolation_level is None
            assert raw.in_transaction
    engine.dispose()
    assert (tmp_path / "a ?#%b.db").is_file()


def test_tables_go_back_with_their_transaction(engine: Engine) -> None:
    def change_and_fail() -> None:
        with write(engine) as connection:
            connection.execute(text("CREATE TABLE other (value INTEGER NOT NULL)"))
            connection.execute(text("UPDATE counter SET value = 1"))
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        change_and_fail()
    with read(engine) as connection:
        assert inspect(connection).get_table_names() == ["counter"]
        assert value(connection) == 0


def test_a_reader_sees_one_state(engine: Engine) -> None:
    with read(engine) as reader:
        assert value(reader) == 0
        with write(engine) as writer:
            writer.execute(text("UPDATE counter SET value = 1"))
        assert value(reader) == 0
    with read(engine) as reader:
        assert value(reader) == 1


def test_a_writer_holds_the_place_from_its_first_moment(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it has written anything, that is, so a later one cannot read what it will change."""
    monkeypatch.setattr(engines, "PATIENCE_SECONDS", 0.0)
    if engine.dialect.name == "sqlite":
        refusal = "another process has kept the catalog"
        impatient = [text("PRAGMA busy_timeout=1"), text("ROLLBACK"), text("BEGIN IMMEDIATE")]
    else:
        refusal = "lock timeout"
        lock = f"SELECT pg_advisory_xact_lock({engines._WRITERS})"
        impatient = [text("SET LOCAL lock_timeout = 1"), text(lock)]

    def come_second() -> None:
        with read(engine) as connection:
            for step in impatient:
                connection.execute(step)

    with write(engine), pytest.raises((StorageError, DBAPIError), match=refusal):
        come_second()
    come_second()


def test_four_processes_lose_no_transaction(engine: Engine, place: Place) -> None:
    def count() -> None:
        own = make_engine(place)
        for _ in range(200):
            with write(own) as connection:
                new = value(connection) + 1
                connection.execute(text("UPDATE counter SET value = :new"), {"new": new})
            with read(own) as connection:
                assert value(connection) >= new
        own.dispose()

    engine.dispose()
    assert in_processes(*4 * [count]) == [0, 0, 0, 0]
    with read(engine) as connection:
        assert value(connection) == 800


def test_a_bug_stays_a_bug(engine: Engine) -> None:
    with pytest.raises(IntegrityError), write(engine) as connection:
        connection.execute(text("INSERT INTO counter VALUES (NULL)"))
    with pytest.raises(DBAPIError, match="nonsense"), read(engine) as connection:
        connection.execute(text("SELECT nonsense FROM counter"))


def test_a_full_disk_is_said_and_the_catalog_goes_on(tmp_path: Path) -> None:
    place = tmp_path / "catalog.db"
    catalog = open_catalog(place, create=True)
    source_id = catalog.source("file:///in", NOW)
    engine = catalog._engine
    with read(engine) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StorageError, match="the disk is full"):
        catalog.add_images(source_id, [image(number) for number in range(999)], NOW)
    engine.dispose()
    assert catalog.counts().images == 0
    assert catalog.add_images(source_id, [image(1)], NOW) == 1
    catalog.close()


def test_a_file_that_cannot_grow_is_said(tmp_path: Path) -> None:
    def create() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        with pytest.raises(StorageError, match="the disk"):
            open_catalog(tmp_path / "catalog.db", create=True)

    assert in_processes(create) == [0]


def test_a_catalog_without_permission_is_said() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "catalog.db"
        open_catalog(place, create=True).close()
        place.chmod(0o444)
        Path(folder).chmod(0o555)

        def add() -> None:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            with pytest.raises(StorageError, match="permission"):
                open_catalog(place, create=False).source("file:///x", NOW)

        assert in_processes(add) == [0]
        Path(folder).chmod(0o755)


def test_pieces_are_whole() -> None:
    assert list(chunks(range(5), 2)) == [(0, 1), (2, 3), (4,)]


def test_one_image_is_tagged_along_indexes(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path / "catalog.db", create=True)
    with read(catalog._engine) as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM current_tag WHERE sha256 = 'x'"
        ).all()
    steps = [str(row[3]) for row in plan]
    assert [step for step in steps if step.startswith("SCAN") and "alarm_rate" not in step] == []
    for table in ("review", "detector", "classifier", "image"):
        assert any(step.startswith(f"SEARCH {table} ") for step in steps), steps
    catalog.close()


@pytest.mark.parametrize("text", ["tag:ood", "p<=0.5", "score>1 tag:id", "label:shirt p>0.1"])
def test_a_page_walks_the_arrivals(tmp_path: Path, text: str) -> None:
    catalog = open_catalog(tmp_path / "catalog.db", create=True)
    sql = str(statement(parse(text), (NOW, "x"), 10).compile(catalog._engine))
    with read(catalog._engine) as connection:
        marks = ("x",) * sql.count("?")  # of no account to a plan
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", marks).all()
    steps = [str(row[3]) for row in plan]
    assert any("image_by_arrival" in step for step in steps), steps
    assert not any("USE TEMP B-TREE" in step for step in steps), steps
    scans = [s for s in steps if s.startswith("SCAN") and "alarm_rate" not in s]
    assert scans == [], steps
    catalog.close()
