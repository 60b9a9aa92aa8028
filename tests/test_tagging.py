"""A person's word falls on the bytes that lie at the path, or on none."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from curate.errors import UsageError
from curate.images.paths import encode, root_uri
from curate.tagging import tag, undo
from curate.workspace import Workspace

from .catalog.cases import NOW, after, image, name_of


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "inbox" / "nested" / "a.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"first")
    return path


def catalogue(workspace: Workspace, root: Path, path: Path, number: int, now: datetime) -> None:
    """What an ingest of `root` at `now` writes of a file whose content is `number`."""
    stat = path.lstat()
    seen = image(
        number,
        encode(path.relative_to(root)),
        mtime_ns=stat.st_mtime_ns,
        ctime_ns=stat.st_ctime_ns,
        inode=stat.st_ino,
    )
    source_id = workspace.catalog.source(root_uri(root), now)
    workspace.catalog.add_images(source_id, [replace(seen, bytes=stat.st_size)], now)


def judged(workspace: Workspace, *names: str | Path) -> list[str]:
    """The contents that a word on `names` falls on."""
    tag(workspace, [str(name) for name in names], "ood", None, "ann")
    return [sha256 for sha256, _, _ in workspace.catalog.reviews.standing()]


@pytest.mark.parametrize("age", [1, -1], ids=["later", "with the clock set back"])
@pytest.mark.parametrize("whole", [True, False], ids=["by the whole inbox", "by the same folder"])
def test_an_overwritten_file_means_what_lies_there_now(
    workspace: Workspace, upload: Path, age: int, whole: bool
) -> None:
    catalogue(workspace, upload.parent, upload, 1, NOW)
    upload.write_bytes(b"the second")
    catalogue(
        workspace, upload.parent.parent if whole else upload.parent, upload, 2, after(hours=age)
    )
    assert judged(workspace, upload) == [name_of(2)]


def test_a_file_that_changed_since_is_to_be_ingested_first(
    workspace: Workspace, upload: Path
) -> None:
    catalogue(workspace, upload.parent, upload, 1, NOW)
    other = upload.with_name("b.png")
    other.write_bytes(b"other")
    catalogue(workspace, upload.parent, other, 2, NOW)
    replacement = upload.with_name("replacement")
    replacement.write_bytes(b"FIRST")
    os.utime(replacement, ns=(0, upload.lstat().st_mtime_ns))
    replacement.replace(upload)
    with pytest.raises(UsageError, match=r"a\.png' is not in the catalog as it is now.*ingest"):
        judged(workspace, other, upload)
    assert workspace.catalog.reviews.standing() == []
    catalogue(workspace, upload.parent, upload, 3, after(hours=1))
    assert judged(workspace, other, upload) == sorted([name_of(2), name_of(3)])


def test_an_original_that_was_rotated_away_still_has_its_name(
    workspace: Workspace, upload: Path
) -> None:
    catalogue(workspace, upload.parent, upload, 1, NOW)
    upload.write_bytes(b"the second")
    catalogue(workspace, upload.parent.parent, upload, 2, after(hours=1))
    upload.unlink()
    assert judged(workspace, upload) == [name_of(2)]
    upload.parent.rmdir()
    upload.parent.write_bytes(b"a file in the folder's place")
    assert judged(workspace, upload) == [name_of(2)]


@pytest.mark.parametrize("name", ["none.png", "zero\0byte.png", "a" * 64])
def test_a_name_that_was_never_there(workspace: Workspace, name: str) -> None:
    with pytest.raises(UsageError, match="1 of 1 names are not in the catalog"):
        judged(workspace, name)


def test_what_cannot_be_looked_at_is_not_judged_by_its_name(
    workspace: Workspace, upload: Path
) -> None:
    catalogue(workspace, upload.parent, upload, 1, NOW)
    upload.parent.rename(upload.parent.with_name("moved"))
    upload.parent.symlink_to(upload.parent.name)
    with pytest.raises(UsageError, match="Too many levels of symbolic links; nothing was tagged"):
        judged(workspace, upload)
    assert judged(workspace, name_of(1)) == [name_of(1)]


def test_a_reviewer_is_text(workspace: Workspace, upload: Path) -> None:
    catalogue(workspace, upload.parent, upload, 1, NOW)
    with pytest.raises(UsageError, match=r"the reviewer .* is no text in UTF-8"):
        tag(workspace, [str(upload)], "ood", None, "\udcff")
    with pytest.raises(UsageError, match=r"the reviewer .* is no text in UTF-8"):
        undo(workspace, "\udcff")
    with pytest.raises(UsageError, match="is no name of a class"):
        tag(workspace, [str(upload)], "id", "\udcff", "ann")
    assert workspace.catalog.reviews.standing() == []
