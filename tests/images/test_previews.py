"""The preview store: what it was given, it keeps, whoever else writes."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from curate.errors import StorageError
from curate.images.previews import CHUNK, Previews


def name(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def previews(tmp_path: Path) -> Iterator[Previews]:
    with Previews.open(tmp_path / "previews.db") as made:
        yield made


def test_kept_over_reopening(tmp_path: Path) -> None:
    with Previews.open(tmp_path / "previews.db") as previews:
        previews.add([(name(1), b"one"), (name(2), b"\0\xff")])
    with Previews.open(tmp_path / "previews.db") as previews:
        assert previews.get(name(1)) == b"one"
        assert previews.get_many([name(2), name(3), name(1)]) == {
            name(1): b"one",
            name(2): b"\0\xff",
        }
        assert previews.get(name(3)) is None
        assert name(2) in previews
        assert name(3) not in previews


def test_what_is_there_stays(previews: Previews) -> None:
    previews.add([(name(1), b"first")])
    previews.add([(name(1), b"second"), (name(2), b"new")])
    previews.add([])
    assert previews.get_many([name(1), name(2)]) == {name(1): b"first", name(2): b"new"}


def test_more_than_one_chunk(previews: Previews) -> None:
    names = [name(number) for number in range(2 * CHUNK + 1)]
    previews.add((name, name.encode()) for name in names)
    assert previews.get_many(names) == {name: name.encode() for name in names}


def test_all_of_a_batch_or_nothing(previews: Previews) -> None:
    with pytest.raises(StorageError, match="binding"):
        previews.add([(name(1), b"one"), (2j, b"two")])  # type: ignore[list-item]
    previews.add([(name(3), b"three")])
    assert previews.get_many([name(1), name(3)]) == {name(3): b"three"}


def test_threads_and_processes_at_once(tmp_path: Path, previews: Previews) -> None:
    code = f"""
from pathlib import Path
from curate.images.previews import Previews
with Previews.open(Path({str(tmp_path / "previews.db")!r})) as previews:
    for number in range(1000, 1100):
        previews.add([(f"{{number:064x}}", b"theirs")])
"""
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda n: previews.add([(name(n), b"ours")]), range(100)))
        assert other.wait() == 0
    found = previews.get_many([name(number) for number in range(1100)])
    assert list(found.values()).count(b"ours") == 100
    assert list(found.values()).count(b"theirs") == 100


def test_durable_settings(previews: Previews) -> None:
    connection = previews._connection
    for pragma, value in (
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("busy_timeout", 30000),
        ("trusted_schema", 0),
    ):
        assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)


def test_full_disk(previews: Previews) -> None:
    previews._connection.execute("PRAGMA max_page_count = 10")
    with pytest.raises(StorageError, match="database or disk is full") as caught:
        previews.add([(name(1), bytes(100_000))])
    assert caught.value.exit_code == 6
    previews.add([(name(2), b"small")])
    assert previews.get_many([name(1), name(2)]) == {name(2): b"small"}


def test_read_only(previews: Previews) -> None:
    previews._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="readonly"):
        previews.add([(name(1), b"one")])


def test_places_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="unable to open"):
        Previews.open(tmp_path / "nowhere" / "previews.db")
    (tmp_path / "text.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError, match="not a database"):
        Previews.open(tmp_path / "text.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StorageError):
        Previews.open(tmp_path / "folder.db")


def test_nothing_half_written_after_a_kill(tmp_path: Path) -> None:
    """Killed between two batches, and in the middle of one: whole batches only."""
    code = f"""
import os, signal
from pathlib import Path
from curate.images.previews import _ADD, _KEEP, Previews
previews = Previews.open(Path({str(tmp_path / "previews.db")!r}))
previews.add([("a" * 64, b"kept")])
previews._connection.execute("BEGIN IMMEDIATE")
previews._connection.execute(_ADD + _KEEP, ("b", b"half", b"digest"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    with Previews.open(tmp_path / "previews.db") as previews:
        assert previews.get_many(["a" * 64, "b"]) == {"a" * 64: b"kept"}
    with sqlite3.connect(tmp_path / "previews.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_file_of_an_earlier_version_gets_its_digests_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "previews.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE previews (sha256 TEXT PRIMARY KEY, bytes BLOB NOT NULL)")
        old.execute("INSERT INTO previews VALUES (?, ?)", (name(1), b"old"))
        old.commit()
    with Previews.open(path) as previews, Previews.open(path) as other:
        other.add([(name(2), b"two"), (name(3), b"three")])
        with closing(sqlite3.connect(path)) as direct:
            direct.execute("UPDATE previews SET bytes = ? WHERE sha256 <> ?", (b"2", name(3)))
            direct.commit()
        names = [name(number) for number in range(5)]
        assert [row for row in previews.checked(names) if not row[2]] == [(name(2), b"2", False)]
        previews.replace([(name(1), b"one"), (name(2), b"two")])
        assert all(kept for *_, kept in previews.checked(names))
        assert previews.get_many(names) == {name(1): b"one", name(2): b"two", name(3): b"three"}
