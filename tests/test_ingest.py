"""What becomes of files and folders that are named to the catalog."""

from __future__ import annotations

import os
import signal
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest

from curate.images import child, frames
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.tagging import tag
from curate.workspace import Workspace

from .program import picture, shut


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An inbox of one picture, with a link to it beside it."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    picture("disc", 1).save(folder / "a.png")
    (tmp_path / "link").symlink_to(folder)
    return folder


@pytest.mark.parametrize("name", ["inbox", "store/../inbox", "link", "link/a.png", "inbox/a.png"])
def test_a_folder_is_one_source_by_whatever_path(
    workspace: Workspace, decoder: Decoder, inbox: Path, name: str
) -> None:
    stored = workspace.catalog.source(inbox.as_uri(), datetime.now(UTC))
    assert ingest(workspace, [os.fspath(inbox)], decoder).images == 1
    again = ingest(workspace, [f"{inbox.parent}/{name}"], decoder)
    assert (again.skipped, again.images, again.known_content) == (1, 0, 0)
    assert [source.source_id for source in workspace.catalog.sources()] == [stored]


def test_a_folder_that_cannot_be_read_is_told_of(
    workspace: Workspace, decoder: Decoder, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut(monkeypatch, inbox / "shut")
    found = ingest(workspace, [os.fspath(inbox)], decoder)
    assert (found.images, found.unreadable) == (1, 1)
    assert found.reasons == [(inbox / "shut", "cannot be read: Permission denied")]


def test_a_lost_preview_is_made_again_however_many_others_there_are(
    workspace: Workspace, decoder: Decoder, inbox: Path
) -> None:
    for number in range(2, 6):
        picture("disc", number).save(inbox / f"{number}.png")
    ingest(workspace, [os.fspath(inbox)], decoder)
    contents = list(workspace.catalog.contents())
    workspace.previews.add((digit * 64, b"labeled") for digit in "0123456789abcdef")
    lost = [contents[0], contents[2], contents[4]]
    with sqlite3.connect(workspace.previews.path) as database:
        database.executemany("DELETE FROM previews WHERE sha256 = ?", [(name,) for name in lost])
    database.close()
    again = ingest(workspace, [os.fspath(inbox)], decoder)
    assert (again.known_content, again.skipped, again.images) == (3, 2, 0)
    assert set(workspace.previews.get_many(contents)) == set(contents)


def test_what_no_worker_survived_is_tried_again_at_the_next_scan(
    workspace: Workspace, decoder: Decoder, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the system kills every worker for want of memory."""
    killed = 0

    def send(stream: IO[bytes], header: frames.Header, body: bytes) -> None:
        nonlocal killed
        killed += 1
        os.kill(decoder.pids[0], signal.SIGSTOP)  # no answer can slip out before
        os.kill(decoder.pids[0], signal.SIGKILL)
        frames.send(stream, header, body)

    with monkeypatch.context() as pressure:
        pressure.setattr(child, "send", send)
        found = ingest(workspace, [os.fspath(inbox)], decoder)
    assert (found.unreadable, found.images, killed) == (1, 0, 3)
    assert "not the file's fault" in found.reasons[0][1]
    assert ingest(workspace, [os.fspath(inbox)], decoder).images == 1
    assert list(workspace.catalog.iter_unreadable()) == []


@pytest.mark.parametrize("name", ["inbox/a.png", "store/../inbox/a.png", "link/a.png"])
def test_an_image_is_found_by_whatever_path(
    workspace: Workspace, decoder: Decoder, inbox: Path, name: str
) -> None:
    ingest(workspace, [os.fspath(inbox.parent / "link")], decoder)
    assert tag(workspace, [f"{inbox.parent}/{name}"], "ood", None, "a reviewer") == 1
