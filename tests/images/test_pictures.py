"""The folders of an evaluation: what is read, counted and refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.errors import PicturesError
from curate.images.decode import Decoder
from curate.images.pictures import Pictures, class_indices, read_pictures
from curate.images.previews import Previews

from ..program import draw


@pytest.fixture
def previews(tmp_path: Path) -> Iterator[Previews]:
    with Previews.open(tmp_path / "previews.db") as opened:
        yield opened


def test_contents_are_read_once_and_the_rest_is_counted(
    tmp_path: Path, decoder: Decoder, previews: Previews
) -> None:
    folder, heard = tmp_path / "ours", []
    first, second = draw(folder / "disc", "disc", range(2))
    shutil.copy(first, folder / "again.png")
    (folder / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / ".hidden.png").write_bytes(b"")
    read = read_pictures(folder, decoder, previews, lambda *at: heard.append(at))
    assert sorted(read.images.values()) == [Path("again.png"), second.relative_to(folder)]
    assert [path for path, _ in read.unreadable] == [Path("cut.png")]
    assert "cut short" in read.unreadable[0][1]
    assert read.duplicates == 1
    assert heard[-1] == (4, 4)
    assert set(previews.get_many(list(read.images))) == set(read.images)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("missing", "spelling"), ("file", "a file"), ("empty", "no files"), ("broken", "cut.png")],
)
def test_folders_without_images_are_refused(
    tmp_path: Path, decoder: Decoder, previews: Previews, kind: str, reason: str
) -> None:
    folder = tmp_path / "ours"
    if kind == "file":
        folder.write_text("hello")
    elif kind != "missing":
        folder.mkdir()
    if kind == "broken":
        (folder / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(PicturesError, match=reason):
        read_pictures(folder, decoder, previews)


def pictures(*names: str) -> Pictures:
    return Pictures(Path("/ours"), {name: Path(name) for name in names}, (), 0)


CLASSES = ("bread", "soup")


def test_classes_are_the_top_folders() -> None:
    found = pictures("soup/1.png", "bread/monday/2.png", "3.png")
    assert class_indices(found, CLASSES) == [1, 0, None]


def test_folders_that_are_no_classes_at_all_say_nothing() -> None:
    assert class_indices(pictures("monday/1.png", "tuesday/2.png"), CLASSES) == [None, None]


def test_a_strange_folder_among_classes_is_refused() -> None:
    with pytest.raises(PicturesError, match=r"'soop' is no class .* knows bread, soup"):
        class_indices(pictures("bread/1.png", "soop/2.png"), CLASSES)
