"""What becomes of files and folders that are named to the catalog."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from curate.config import DecodeConfig
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.tagging import image_of
from curate.workspace import Workspace, open_workspace

from .program import picture, shut


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(str(tmp_path / "store" / "catalog.db"), create=True) as opened:
        yield opened


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeConfig(workers=1)) as made:
        yield made


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


@pytest.mark.parametrize("name", ["inbox/a.png", "store/../inbox/a.png", "link/a.png"])
def test_an_image_is_found_by_whatever_path(
    workspace: Workspace, decoder: Decoder, inbox: Path, name: str
) -> None:
    ingest(workspace, [os.fspath(inbox.parent / "link")], decoder)
    assert image_of(workspace, f"{inbox.parent}/{name}") == next(workspace.catalog.unlabeled())
