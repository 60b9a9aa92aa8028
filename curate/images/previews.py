"""The previews, by content hash, in an SQLite file of their own: one fsync per batch.

They are data, not a cache: originals get rotated away, previews stay.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType

from curate.durable import sync_file
from curate.errors import StorageError

CHUNK = 500
_TABLE = "CREATE TABLE IF NOT EXISTS previews (sha256 TEXT PRIMARY KEY, bytes BLOB NOT NULL)"
_ADD = "INSERT INTO previews (sha256, bytes) VALUES (?, ?) ON CONFLICT (sha256) DO NOTHING"
_GET = "SELECT sha256, bytes FROM previews WHERE sha256 IN (SELECT value FROM json_each(?))"
_AGAIN = "put a backup in its place, or move it away and ingest and train on the originals again"
_ADVICE = {
    sqlite3.SQLITE_CORRUPT: _AGAIN,
    sqlite3.SQLITE_NOTADB: _AGAIN,
    sqlite3.SQLITE_FULL: "free some space and try again",
    sqlite3.SQLITE_BUSY: "stop the process that keeps it and try again",
}
_HASHES = "SELECT sha256 FROM previews WHERE sha256 > ? ORDER BY sha256 LIMIT 10000"
_HAS = "SELECT 1 FROM previews WHERE sha256 = ?"


class Previews:
    """Encoded previews by SHA-256; for any number of threads and processes at once.

    Every method raises StorageError when the file cannot be used.
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
                connection.execute(_TABLE)
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
        rows = list(items)
        if not rows:
            return
        with self._using() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_ADD, rows)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def get_many(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """The previews of those `hashes` that are there."""
        found: dict[str, bytes] = {}
        for start in range(0, len(hashes), CHUNK):
            wanted = json.dumps(list(hashes[start : start + CHUNK]))
            with self._using() as connection:
                found.update(connection.execute(_GET, (wanted,)))
        return found

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


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        advice = _ADVICE.get(code, "check its disk and permissions")
        raise StorageError(path, f"the previews cannot be used ({error}); {advice}") from error
