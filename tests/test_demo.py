"""The generated pictures: the same every time, readable where they should be, and careful."""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from curate import demo
from curate.demo import write_demo
from curate.demo.broken import png_bomb
from curate.demo.pictures import contrasting, luminance
from curate.errors import StorageError, UsageError


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "new"
    write_demo(folder)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "LABELED_EACH", 2)
    monkeypatch.setattr(demo, "INBOX_OURS", 12)
    monkeypatch.setattr(demo, "INBOX_NEAR", 8)
    monkeypatch.setattr(demo, "INBOX_FAR", 5)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def truth(folder: Path) -> list[dict[str, str]]:
    with (folder / "inbox-truth.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def decodes(path: Path) -> bool:
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            image.load()
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
    return True


def test_it_holds_what_it_says(place: Path) -> None:
    classes = {path.name: len(list(path.iterdir())) for path in (place / "labeled").iterdir()}
    assert classes == dict.fromkeys(("cup", "fish", "house", "key", "leaf", "star"), 140)
    rows = truth(place)
    originals = [row for row in rows if "upload-" in row["file"]]
    assert Counter(row["truth"] for row in originals) == {"id": 400, "ood": 100}
    assert Counter(row["truth"] for row in rows)["unreadable"] == 6
    inbox = {path.relative_to(place / "inbox").as_posix() for path in files(place / "inbox")}
    assert {row["file"] for row in rows} == inbox
    assert len(rows) == len(inbox) == 510


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_only_the_broken_files_cannot_be_decoded(place: Path) -> None:
    refused = {row["file"] for row in truth(place) if not decodes(place / "inbox" / row["file"])}
    assert refused == {row["file"] for row in truth(place) if row["truth"] == "unreadable"}


def test_the_same_bytes_occur_twice_only_as_the_four_copies(place: Path) -> None:
    hashes = Counter(
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files(place / "inbox") + files(place / "labeled")
    )
    assert Counter(hashes.values()) == {1: 840 + 510 - 8, 2: 4}


def test_a_copy_shows_what_its_original_shows(place: Path) -> None:
    shown: dict[bytes, set[tuple[str, str]]] = {}
    for row in truth(place):
        content = (place / "inbox" / row["file"]).read_bytes()
        shown.setdefault(content, set()).add((row["truth"], row["class"]))
    assert all(len(meanings) == 1 for meanings in shown.values())


@pytest.mark.usefixtures("small")
def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    write_demo(first, seed=3)
    write_demo(again, seed=3)
    write_demo(other, seed=4)
    assert contents(first) == contents(again)
    shared = set(contents(first).values()) & set(contents(other).values())
    assert {content[:8] for content in shared} == {
        b"",
        b"Tuesday:",
        b"<!DOCTYP",
        b"\x89PNG\r\n\x1a\n",
    }
    assert len(shared) == 4


@pytest.mark.usefixtures("small")
def test_a_second_run_repairs_and_touches_nothing_else(tmp_path: Path) -> None:
    written = write_demo(tmp_path)
    before = contents(tmp_path)
    kept, damaged = sorted((tmp_path / "labeled" / "cup").iterdir())
    times = kept.stat().st_mtime_ns
    damaged.write_bytes(b"damaged")
    (written.inbox / "mine.txt").write_bytes(b"mine")
    assert write_demo(tmp_path) == written
    assert contents(tmp_path) == {**before, "inbox/mine.txt": b"mine"}
    assert kept.stat().st_mtime_ns == times


@pytest.mark.usefixtures("small")
def test_progress_counts_every_file(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    written = write_demo(tmp_path, on_image=lambda done, total: calls.append((done, total)))
    total = 6 * 2 + 12 + 8 + 5 + 4 + 6
    assert calls == [(done, total) for done in range(1, total + 1)]
    assert written.labeled_files + written.inbox_files == total


@pytest.mark.parametrize("marker", [None, "[1]", "not json", '{"made_by": "somebody"}'])
def test_a_folder_with_anything_else_is_refused_untouched(
    tmp_path: Path, marker: str | None
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    if marker is not None:
        (tmp_path / "curate-demo.json").write_text(marker)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="not empty and no demo; name a new or an empty folder"):
        write_demo(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("small")
def test_another_seeds_demo_is_refused(tmp_path: Path) -> None:
    write_demo(tmp_path, seed=1)
    with pytest.raises(UsageError, match=r"holds the demo of seed 1 .* name another folder"):
        write_demo(tmp_path, seed=2)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(UsageError, match="is a file; name a new folder"):
        write_demo(tmp_path / "x")


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(StorageError, match="Not a directory"):
        write_demo(tmp_path / "x" / "below")


def test_the_bomb_claims_its_size_in_few_bytes() -> None:
    bomb = png_bomb(50_000)
    assert bomb[16:24] == (50_000).to_bytes(4, "big") * 2
    assert len(bomb) < 100


def test_ink_stands_out_where_it_can() -> None:
    """Every brightness is at least 0.4 away from 0 or 1; between 0.2 and 0.8 nothing is."""
    ink = contrasting(Random(0), ((0, 0, 0),))
    assert luminance(ink) >= 0.4
    between = contrasting(Random(0), ((51, 51, 51), (204, 204, 204)))
    assert min(abs(luminance(between) - 0.2), abs(luminance(between) - 0.8)) >= 0.1
