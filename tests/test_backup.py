"""A project copied while it changes, and made again from the copy: nothing lost, nothing mixed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from curate.backup import CHECKPOINTS, back_up, restore
from curate.catalog.columns import Base
from curate.catalog.copying import copy_catalog
from curate.catalog.engine import read
from curate.catalog.runs import ABANDONED
from curate.catalog.schema import open_catalog
from curate.catalog.store import Catalog
from curate.errors import NoCatalog, StorageError, UsageError
from curate.images.previews import Previews
from curate.workspace import Workspace, hold, open_workspace

from .catalog.cases import ROOT, image
from .program import abandoned, draw, run

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def rows(place: Path | str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that the catalog at a place holds."""
    with closing(open_catalog(place, create=False)) as catalog, read(catalog.engine) as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(table.select())), key=str)
            for table in Base.metadata.sorted_tables
        }


@pytest.fixture(scope="module")
def filled_once(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with uploads, a review and a fine-tuned network."""
    folder = tmp_path_factory.mktemp("filled") / "project"
    shutil.copytree(trained_once, folder)
    draw(folder / "inbox", "disc", range(5000, 5040))
    draw(folder / "inbox", "noise", range(30))
    run(folder, "ingest", "inbox")
    run(folder, "tag", "ood", "inbox/noise-1.png", "--reviewer", "me")
    run(folder, "rate", "0.1")
    run(folder, "finetune", "--recipe", "paper", "--epochs", 1, "--margin", "0.5")
    return folder


@pytest.fixture
def filled(filled_once: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    folder = tmp_path / "project"
    shutil.copytree(filled_once, folder)
    return folder


def test_a_project_comes_back_whole(filled: Path) -> None:
    before, listed = rows(filled / ".curate" / "catalog.db"), run(filled, "list", "--json").stdout
    assert len(before["image"]) == 70
    assert len(before["checkpoint"]) == 2
    done = run(filled, "backup", "kept", "--json")
    assert json.loads(done.stdout) == {"images": 70, "checkpoints": 2, "missing": []}
    assert "70 images and 2 networks in kept" in done.stderr
    looked = run(filled, "list", "--json", "--catalog", "kept").stdout
    assert looked == listed
    shutil.rmtree(filled / ".curate")
    run(filled, "status", code=4)
    run(filled, "restore", "kept")
    assert rows(filled / ".curate" / "catalog.db") == before
    assert run(filled, "list", "--json").stdout == listed
    assert not list(filled.glob("*.tmp-*"))
    draw(filled / "more", "cross", range(7000, 7003))
    run(filled, "ingest", "more")
    counts = json.loads(run(filled, "status", "--json").stdout)["counts"]
    assert (counts["images"], counts["pending"]) == (73, 0)


def test_between_both_databases_and_back(filled: Path, database: str, tmp_path: Path) -> None:
    children_first(filled / ".curate" / "catalog.db")
    before = rows(filled / ".curate" / "catalog.db")
    run(filled, "backup", "kept")
    away = tmp_path / "away"
    away.mkdir()
    run(away, "restore", filled / "kept", "--catalog", database)
    assert rows(database) == before
    run(away, "backup", "again", "--catalog", database)
    assert rows(away / "again" / "catalog.db") == before
    with Previews.open(away / "again" / "previews.db") as previews:
        assert {row[0] for row in before["image"]} <= set(previews.hashes())
    refused = run(tmp_path, "restore", filled / "kept", "--catalog", database, code=2)
    assert "holds something (alarm_rate)" in refused.stderr
    assert not (tmp_path / ".curate").exists()


def children_first(file: Path) -> None:
    """Make checkpoints that others come from the last, as SQLite hands them out."""
    with closing(sqlite3.connect(file)) as connection:
        for statement in (
            "CREATE TEMP TABLE roots AS SELECT * FROM checkpoint WHERE kind = 'pretrained'",
            "DELETE FROM checkpoint WHERE kind = 'pretrained'",
            "INSERT INTO checkpoint SELECT * FROM roots",
        ):
            connection.execute(statement)
        connection.commit()


def adding(workspace: Workspace, done: threading.Event) -> Iterator[int]:
    """Keep image after image as an ingest does, until told that it is done."""
    source, number = workspace.catalog.source(ROOT, NOW), 0
    while not done.is_set():
        some = [image(number + extra) for extra in range(50)]
        workspace.previews.add(
            (each.sha256, b"preview of " + each.sha256.encode()) for each in some
        )
        workspace.catalog.add_images(source, some, NOW)
        number += 50
        yield number


def test_what_arrives_meanwhile_does_not_tear_it(workspace: Workspace, tmp_path: Path) -> None:
    done, begun = threading.Event(), threading.Event()

    def add() -> None:
        for number in adding(workspace, done):
            if number >= 500:
                begun.set()

    with ThreadPoolExecutor() as threads:
        ended = threads.submit(add)
        assert begun.wait(60)
        counts = [back_up(workspace, tmp_path / f"kept-{number}").images for number in range(5)]
        done.set()
        ended.result()
    assert counts == sorted(counts)
    assert counts[0] >= 500
    for number, count in enumerate(counts):
        folder = tmp_path / f"kept-{number}"
        held = rows(folder / "catalog.db")
        assert len(held["image"]) == len(held["sighting"]) == count
        assert count % 50 == 0
        with Previews.open(folder / "previews.db") as previews:
            hashes = {row[0] for row in held["image"]}
            assert previews.get_many(sorted(hashes)).keys() == hashes
        for name in ("catalog.db", "previews.db"):
            with closing(sqlite3.connect(folder / name)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_no_row_is_copied_without_its_preview(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = adding(workspace, threading.Event())
    real = copy_catalog

    def copy(old: Catalog, new: Path | str) -> None:
        next(numbers)
        real(old, new)
        next(numbers)

    monkeypatch.setattr("curate.backup.copy_catalog", copy)
    assert back_up(workspace, tmp_path / "kept").images == 50
    hashes = {row[0] for row in rows(tmp_path / "kept" / "catalog.db")["image"]}
    with Previews.open(tmp_path / "kept" / "previews.db") as previews:
        assert hashes <= set(previews.hashes())


@pytest.mark.parametrize("url", [False, True])
def test_nobody_works_on_a_copy(
    workspace: Workspace,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    url: bool,
) -> None:
    """Whoever watches and fine-tunes the original, this very process, does so to no other."""
    place = request.getfixturevalue("database") if url else tmp_path / "home" / "catalog.db"
    monkeypatch.chdir(tmp_path)
    now, name = datetime.now(UTC), "watch:inbox"
    workspace.catalog.runs.start("guarded", os.getpid(), socket.gethostname(), now)
    with hold(workspace, name, "the inbox") as lease:
        back_up(workspace, tmp_path / "kept")
        for copied in (tmp_path / "kept" / "catalog.db", place):
            if copied == place:
                restore(tmp_path / "kept", str(place))
            with closing(open_catalog(copied, create=False)) as catalog:
                assert catalog.leases.list() == ()
                (run,) = catalog.runs.list()
                assert (run.outcome, run.reason) == ("failed", ABANDONED)
                again = catalog.leases.acquire(name, "it", os.getpid(), "here", now, 600)
                assert again > lease.fence
        assert [row.name for row in workspace.catalog.leases.list()] == [name]
        assert [run.outcome for run in workspace.catalog.runs.list()] == [None]


def test_nothing_is_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").touch()
    with pytest.raises(UsageError, match="exists and is not empty"):
        back_up(workspace, full)
    with pytest.raises(NoCatalog):
        restore(full, None)
    back_up(workspace, tmp_path / "kept")
    with pytest.raises(UsageError, match="exists and is not empty"):
        restore(tmp_path / "kept", str(full))
    assert [path.name for path in full.iterdir()] == ["mine"]


def test_an_empty_folder_is_a_new_one(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("kept", "home"):
        (tmp_path / name).mkdir()
    back_up(workspace, tmp_path / "kept")
    restore(tmp_path / "kept", str(tmp_path / "home"))
    with open_workspace(str(tmp_path / "home"), create=False) as made:
        assert made.catalog.counts().images == 0


@pytest.mark.parametrize("damage", ["model.safetensors", "checkpoint.json", "gone"])
def test_a_damaged_network_is_named_and_left_out(filled: Path, damage: str) -> None:
    checkpoint = min((filled / ".curate" / "checkpoints").iterdir())
    if damage == "gone":
        shutil.rmtree(checkpoint)
    else:
        content = bytearray((checkpoint / damage).read_bytes())
        content[-2] ^= 1
        (checkpoint / damage).write_bytes(content)
    done = run(filled, "backup", "kept")
    assert f"1 network missing or damaged and not copied; the first is {checkpoint.name[:12]}" in (
        " ".join(done.stderr.split())
    )
    others = [path.name for path in (filled / ".curate" / "checkpoints").iterdir()]
    kept = [path.name for path in (filled / "kept" / CHECKPOINTS).iterdir()]
    assert kept == [name for name in others if name != checkpoint.name]


def test_a_full_disk_leaves_nothing(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("curate.backup.write_synced", full)
    with (
        open_workspace(str(filled / ".curate"), create=False) as workspace,
        pytest.raises(StorageError, match="free some space"),
    ):
        back_up(workspace, tmp_path / "kept")
    assert not list(tmp_path.glob("kept*"))


def test_what_a_killed_backup_left_is_swept(workspace: Workspace, tmp_path: Path) -> None:
    left = abandoned(tmp_path / "kept")
    left.mkdir()
    (left / "catalog.db").touch()
    back_up(workspace, tmp_path / "kept")
    assert [path.name for path in tmp_path.glob("kept*")] == ["kept"]
