"""The previews, by content hash, in an SQLite file of their own: one fsync per batch.

They are data, not a cache: originals get rotated away, previews stay.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from curate.durable import sync_file
from curate.errors import StorageError

CHUNK = 500
_TABLE = (
    "CREATE TABLE IF NOT EXISTS previews "
    "(sha256 TEXT PRIMARY KEY, bytes BLOB NOT NULL, digest BLOB)"
)
_COLUMNS = "SELECT name FROM pragma_table_info('previews')"
_DIGEST = "ALTER TABLE previews ADD COLUMN digest BLOB"
_ADD = "INSERT INTO previews (sha256, bytes, digest) VALUES (?, ?, ?) ON CONFLICT (sha256) DO "
_KEEP, _REPLACE = "NOTHING", "UPDATE SET bytes = excluded.bytes, digest = excluded.digest"
_GET = "SELECT sha256, bytes FROM previews WHERE sha256 IN (SELECT value FROM json_each(?))"
_AGAIN = "put a backup in its place, or move it away and ingest and train on the originals again"
_ADVICE = {
    sqlite3.SQLITE_CORRUPT: _AGAIN,
    sqlite3.SQLITE_NOTADB: _AGAIN,
    sqlite3.SQLITE_FULL: "free some space and try again",
    sqlite3.SQLITE_BUSY: "stop the process that keeps it and try again",
}
_HASHES = "SELECT sha256 FROM previews WHERE sha256 > ? ORDER BY sha256 LIMIT 10000"
_WITH_DIGEST = _GET.replace("bytes", "bytes, digest")
_HAS = "SELECT 1 FROM previews WHERE sha256 = ?"


class Previews:
    """Encoded previews by the SHA-256 of their originals; for any number of threads and processes.

    A digest of each preview itself tells whether it is still what was kept; those of files of
    earlier versions have none. Every method raises StorageError when the file cannot be used.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Previews:
        """Open the file at `path`, making it where there is none."""
        with _storage(path):
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                for pragma in (
                    "busy_timeout = 30000",
                    "journal_mode = WAL",
                    "synchronous = FULL",
                    "trusted_schema = OFF",
                ):
                    connection.execute(f"PRAGMA {pragma}")
                _make_table(connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def __enter__(self) -> Previews:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def add(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep (sha256, preview) pairs in one transaction; hashes already there stay as they are.

        When it returns, they are on the disk.
        """
        self._write(_ADD + _KEEP, items)

    def replace(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep (sha256, preview) pairs in place of what is there, like `add`."""
        self._write(_ADD + _REPLACE, items)

    def _write(self, statement: str, items: Iterable[tuple[str, bytes]]) -> None:
        rows = [(name, preview, hashlib.sha256(preview).digest()) for name, preview in items]
        if rows:
            with self._using() as connection, _writing(connection):
                connection.executemany(statement, rows)

    def get_many(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """The previews of those `hashes` that are there."""
        return dict(self._rows(_GET, hashes))

    def checked(self, hashes: Sequence[str]) -> Iterator[tuple[str, bytes, bool]]:
        """Each preview of those `hashes`, and whether it is what was kept, as far as one knows."""
        for name, preview, digest in self._rows(_WITH_DIGEST, hashes):
            yield name, preview, digest in (None, hashlib.sha256(preview).digest())

    def _rows(self, statement: str, hashes: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(hashes), CHUNK):
            wanted = json.dumps(list(hashes[start : start + CHUNK]))
            with self._using() as connection:
                rows = connection.execute(statement, (wanted,)).fetchall()
            yield from rows

    def faults(self, deep: bool) -> list[str]:
        """What SQLite finds wrong with the file; `deep` compares its index with the table too."""
        check = "integrity_check" if deep else "quick_check"
        with self._using() as connection:
            found = [str(row[0]) for row in connection.execute(f"PRAGMA {check}")]
        return [fault for fault in found if fault != "ok"]

    def copy_to(self, path: Path) -> None:
        """Copy what is committed to the new file `path`; when it returns, it is on the disk."""
        with self._using() as connection, _storage(path), closing(sqlite3.connect(path)) as new:
            connection.backup(new)
        sync_file(path)

    def hashes(self) -> Iterator[str]:
        """What there are previews of, in order."""
        page = [("",)]
        while page:
            with self._using() as connection:
                page = connection.execute(_HASHES, page[-1]).fetchall()
            yield from (row[0] for row in page)

    def get(self, sha256: str) -> bytes | None:
        """The preview of one image, or None."""
        return self.get_many([sha256]).get(sha256)

    def __contains__(self, sha256: object) -> bool:
        with self._using() as connection:
            return connection.execute(_HAS, (sha256,)).fetchone() is not None

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _storage(self.path):
            yield self._connection


def _make_table(connection: sqlite3.Connection) -> None:
    """The table, with the column that files of earlier versions lack."""
    connection.execute(_TABLE)
    if ("digest",) not in connection.execute(_COLUMNS).fetchall():
        with _writing(connection):
            if ("digest",) not in connection.execute(_COLUMNS).fetchall():
                connection.execute(_DIGEST)


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that no other process can come between."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        advice = _ADVICE.get(code, "check its disk and permissions")
        raise StorageError(path, f"the previews cannot be used ({error}); {advice}") from error
