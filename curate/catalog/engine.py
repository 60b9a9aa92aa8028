"""Connections and transactions, alike on SQLite and PostgreSQL; the only maker of engines.

Writers take turns: BEGIN IMMEDIATE on SQLite, an advisory lock on PostgreSQL. A transaction that
reads sees one state from beginning to end.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase

from curate.durable import sync_file
from curate.errors import StorageError, UsageError

T = TypeVar("T")

BUSY_MILLISECONDS = 30_000
PATIENCE_SECONDS = 120.0
CHUNK = 1_000
_WRITERS = 0x63757261
_WRITING = "curate_writing"
_PRAGMAS = (
    f"busy_timeout={BUSY_MILLISECONDS}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "trusted_schema=OFF",
)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SQLITE_REASONS = {
    sqlite3.SQLITE_PERM: "no permission to write; check who owns the folder",
    sqlite3.SQLITE_BUSY: "another process has kept the catalog for minutes; stop it and try again",
    sqlite3.SQLITE_LOCKED: "another process has kept the catalog; stop it and try again",
    sqlite3.SQLITE_READONLY: "the catalog cannot be written; check the permissions of its folder",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write; check it and try again",
    sqlite3.SQLITE_CORRUPT: "the catalog is damaged; put a backup in its place",
    sqlite3.SQLITE_FULL: "the disk is full; free some space and try again",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that the folder exists and its permissions",
    sqlite3.SQLITE_NOTADB: "this file is not a catalog; choose another place with --catalog",
}
# Classes of SQLSTATE: connection, authorization, resources, operator, system; then single codes:
# read-only transaction, insufficient privilege, no such database.
_POSTGRESQL_TROUBLE = ("08", "28", "53", "57", "58", "25006", "42501", "3D000")


def make_engine(place: Path | str) -> Engine:
    """An engine for a SQLite file (a path or `sqlite:` URL) or a `postgresql:` URL.

    Raises UsageError for any other address.
    """
    try:
        url = URL.create("sqlite", database=str(place)) if _is_path(place) else make_url(str(place))
    except ArgumentError as error:
        raise UsageError(f"{place!r} is no catalog's address; give a path or a URL") from error
    if url.drivername == "sqlite" and url.database:
        return _sqlite_engine(url)
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return _postgresql_engine(url.set(drivername="postgresql+psycopg"))
    raise UsageError(
        f"no catalog can lie at a {url.drivername}: address; use postgresql: or a path"
    )


def _is_path(place: Path | str) -> bool:
    return isinstance(place, Path) or "://" not in place


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _postgresql_engine(url: URL) -> Engine:
    try:
        return create_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise UsageError(
            "PostgreSQL needs psycopg: install curate with its extra `postgres`"
        ) from error


def file_of(engine: Engine) -> Path | None:
    """The file of a SQLite catalog; None for PostgreSQL."""
    return Path(str(engine.url.database)) if engine.dialect.name == "sqlite" else None


def copy_file(old: Path, new: Path) -> None:
    """Copy what is committed to the SQLite file `old`; when it returns, it is on the disk.

    Raises StorageError, with `new` left as far as it came.
    """
    try:
        with closing(sqlite3.connect(old)) as source, closing(sqlite3.connect(new)) as target:
            source.backup(target)
        sync_file(new)
    except sqlite3.Error as error:
        reason = _SQLITE_REASONS.get(_sqlite_code(error), "check both disks and try again")
        raise StorageError(new, f"no copy could be made ({error}); {reason}") from error


def place_of(engine: Engine) -> str:
    """The catalog's address as people may see it, without a password."""
    return str(file_of(engine) or engine.url.render_as_string(hide_password=True))


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        # Two first connections may both turn WAL on; the busy handler is not asked then.
        _patiently(partial(connection.execute, f"PRAGMA {pragma}"))


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get(_WRITING):
        _patiently(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        connection.exec_driver_sql("BEGIN")


def _patiently(action: Callable[[], object]) -> None:
    """Try again while SQLite is busy, after a random pause, for two minutes at most."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            action()
            return
        except (sqlite3.OperationalError, OperationalError) as error:
            if _sqlite_code(error) not in _BUSY or time.monotonic() > end:
                raise
        time.sleep(random.uniform(0.005, 0.05))  # noqa: S311  (a pause, not a secret)


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, and sees one state of the catalog.

    Raises StorageError where the place cannot be read.
    """
    options: dict[str, object] = {}
    if engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with storage_errors(engine), engine.connect() as connection:
        connection.execution_options(**options)
        with connection.begin():
            yield connection


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes; no other one writes meanwhile. All or nothing is kept.

    Raises StorageError where the place cannot be written.
    """
    with storage_errors(engine), engine.connect() as connection:
        connection.execution_options(**{_WRITING: True})
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_WRITERS)))
            yield connection


def insert(connection: Connection, table: type[DeclarativeBase]) -> sqlite.Insert:
    """An INSERT that knows ON CONFLICT; both databases spell it alike."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return cast("sqlite.Insert", dialect.insert(table))


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """`items` in pieces that fit a statement's parameters."""
    rest = iter(items)
    while piece := tuple(islice(rest, size)):
        yield piece


@contextmanager
def storage_errors(engine: Engine) -> Iterator[None]:
    """Turn the database's errors about its place into StorageError; a bug stays what it is."""
    try:
        yield
    except DBAPIError as error:
        reason = None if isinstance(error, IntegrityError) else _reason(error)
        if reason is None:
            raise
        raise StorageError(place_of(engine), reason) from error


def _reason(error: DBAPIError) -> str | None:
    if isinstance(error.orig, sqlite3.Error):
        return _SQLITE_REASONS.get(_sqlite_code(error))
    state = getattr(error.orig, "sqlstate", None)
    lost = state is None and isinstance(error, OperationalError)
    if lost or (state or "").startswith(_POSTGRESQL_TROUBLE):
        return f"PostgreSQL says: {str(error.orig).strip().splitlines()[0]}"
    return None


def _sqlite_code(error: BaseException) -> int:
    """SQLite's primary result code, 0 when there is none."""
    code: int = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)
    return code & 0xFF
