"""Copies of originals that were renamed, changed or cannot be read since they were catalogued."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from curate.catalog.query import Query
from curate.copies import BLOCK, UNCHECKED, Manner, place
from curate.export import Options, export
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.workspace import Workspace

from .program import draw


@pytest.fixture
def catalogued(tmp_path: Path, workspace: Workspace, decoder: Decoder) -> Callable[[], object]:
    """Catalogues what lies in `inbox/` now."""
    return lambda: ingest(workspace, [str(tmp_path / "inbox")], decoder)


def copies(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.rglob("*.png"))]


def test_a_copy_outlives_another_sighting_of_its_name_that_changed(
    tmp_path: Path, workspace: Workspace, catalogued: Callable[[], object]
) -> None:
    (first,) = draw(tmp_path / "inbox" / "a", "disc", range(1))
    (second,) = draw(tmp_path / "inbox" / "b", "disc", range(1))
    catalogued()
    content = first.read_bytes()
    second.write_bytes(bytes(len(content)))
    made = export(workspace, Query(), tmp_path / "out", "imagefolder", Options(all_paths=True))
    assert (made.rows, made.missing) == (2, (str(second),))
    assert copies(tmp_path / "out") == [content]
    assert not list((tmp_path / "out").rglob("unchecked"))


def test_a_renamed_original_is_copied_from_where_it_is(
    tmp_path: Path, workspace: Workspace, catalogued: Callable[[], object]
) -> None:
    (picture,) = draw(tmp_path / "inbox", "disc", range(1))
    content = picture.read_bytes()
    for name in ("between.png", "\udcff.png"):
        catalogued()
        picture = picture.rename(picture.with_name(name))
    catalogued()
    picture.with_name("between.png").write_bytes(bytes(len(content)))
    made = export(workspace, Query(), tmp_path / "out", "imagefolder")
    assert (made.rows, made.missing) == (1, ())
    assert copies(tmp_path / "out") == [content]
    every = export(workspace, Query(), tmp_path / "all", "imagefolder", Options(all_paths=True))
    assert [Path(path).name for path in every.missing] == ["disc-0.png", "between.png"]
    assert copies(tmp_path / "all") == [content]
    picture.unlink()
    assert len(export(workspace, Query(), tmp_path / "none", "imagefolder").missing) == 1
    assert copies(tmp_path / "none") == []


def test_an_original_that_the_disk_does_not_give_is_not_copied(tmp_path: Path) -> None:
    """Reading the first page of one's own memory fails as a bad block does: with EIO."""
    row = {"path": "/proc/self/mem", "bytes": 0, "sha256": "0" * 64, "tag": "ood", "label": None}
    assert not place(row, tmp_path / "_ood" / "1-a.png", Manner())
    assert [path.name for path in tmp_path.rglob("*")] == ["_ood"]


def test_a_file_that_grows_is_read_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown, real = tmp_path / "grown.png", os.fstat
    grown.write_bytes(bytes(5 * BLOCK))
    monkeypatch.setattr(
        os, "fstat", lambda file: os.stat_result((*real(file)[:6], 10, *real(file)[7:]))
    )
    row = {"path": str(grown), "bytes": 10, "sha256": sha256(bytes(5 * BLOCK)).hexdigest()}
    assert not place(row, tmp_path / "out" / "1-a.png", Manner())


def test_a_full_disk_still_ends_the_export(tmp_path: Path) -> None:
    (picture,) = draw(tmp_path, "disc", range(1))
    content = picture.read_bytes()
    row = {"path": str(picture), "bytes": len(content), "sha256": sha256(content).hexdigest()}
    (tmp_path / "_ood").mkdir()
    (tmp_path / "_ood" / UNCHECKED).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        place(row | {"format": "PNG"}, tmp_path / "_ood" / "1-a.png", Manner())
