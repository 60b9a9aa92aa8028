"""The labeled folder: what is refused and how, what is kept, and how it is divided."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from curate.config import SplitConfig
from curate.errors import LabeledFolderError, UnreadableInputs
from curate.images.decode import Decoder
from curate.images.folder import Labeled, assign_splits, find_classes, read_labeled
from curate.images.previews import Previews


def draw(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (number, 1, 2)).save(path)


def two_classes(root: Path, each: int = 4) -> None:
    for number in range(each):
        draw(root / "cat" / f"{number}.png", number)
        draw(root / "dog" / f"{number}.png", 100 + number)


@pytest.fixture
def previews(tmp_path: Path) -> Iterator[Previews]:
    with Previews.open(tmp_path / "previews.db") as made:
        yield made


def test_find_classes(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpg", "b/.hidden.jpg", "b/note.txt", "a/x.heic", ".git/y.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "README.md").touch()
    (tmp_path / "a" / "empty").mkdir()
    assert find_classes(tmp_path) == {
        "a": [tmp_path / "a/x.heic"],
        "b": [tmp_path / "b/1.jpg", tmp_path / "b/2.PNG"],
    }
    assert list(find_classes(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "it is empty; make one sub-folder of images per class"),
        (["a.jpg", "b.jpg"], "images lie directly in it; put them into one sub-folder per class"),
        (["a.jpg", "cat/b.jpg", "dog/c.jpg"], "images lie directly in it"),
        (["cat/a.jpg"], "only one class, 'cat'; at least two are needed"),
        (["cat/a.jpg", "dog/note.txt"], "class 'dog' holds no images; add some, or remove"),
        (["test/cat/a.jpg", "train/cat/b.jpg"], "hold only folders; point curate at '.*/train'"),
        (["x/cat/a.jpg", "x/dog/b.jpg"], "hold only folders; point curate at '.*/x'"),
        (["cat/a.jpg", "dog/b.jpg", "dog/old/c.jpg"], "too deep, in 'dog/old'; move them up"),
    ],
)
def test_folders_that_are_refused(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(LabeledFolderError, match=message) as caught:
        find_classes(tmp_path)
    assert caught.value.exit_code == 2


def test_places_that_are_no_folder(tmp_path: Path) -> None:
    with pytest.raises(LabeledFolderError, match="no such folder; check the spelling"):
        find_classes(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(LabeledFolderError, match="a file; give the folder"):
        find_classes(tmp_path / "file")


@pytest.mark.skipif(not os.getuid(), reason="root may read everything")
def test_unreadable_folder(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir(mode=0)
    with pytest.raises(LabeledFolderError, match="cannot be read"):
        find_classes(tmp_path)


def read(
    root: Path, decoder: Decoder, previews: Previews, split: SplitConfig | None = None
) -> Labeled:
    return read_labeled(root, decoder, previews, split or SplitConfig())


def test_read_labeled(tmp_path: Path, decoder: Decoder, previews: Previews) -> None:
    root = tmp_path / "labeled"
    two_classes(root)
    draw(root / "cat" / "\udcff 9.png", 9)
    told: list[tuple[int, int]] = []
    labeled = read_labeled(
        root, decoder, previews, SplitConfig(), lambda done, total: told.append((done, total))
    )
    assert told == [(done, 9) for done in range(1, 10)]
    assert labeled.classes == ("cat", "dog")
    assert [image.path for image in labeled.images] == [
        *("cat/%FF%209.png", "cat/0.png", "cat/1.png", "cat/2.png", "cat/3.png"),
        *("dog/0.png", "dog/1.png", "dog/2.png", "dog/3.png"),
    ]
    assert all(image.class_name == image.path[:3] for image in labeled.images)
    for image in labeled.images[1:]:
        assert image.sha256 == hashlib.sha256((root / image.path).read_bytes()).hexdigest()
    kept = previews.get_many([image.sha256 for image in labeled.images])
    assert len(kept) == 9
    assert (labeled.unreadable, labeled.conflicting, labeled.duplicates) == ((), (), 0)


def test_copies_conflicts_and_unreadable(
    tmp_path: Path, decoder: Decoder, previews: Previews
) -> None:
    root = tmp_path / "labeled"
    two_classes(root)
    draw(root / "cat" / "copy of 0.png", 0)
    draw(root / "cat" / "both.png", 50)
    draw(root / "cat" / "both again.png", 50)
    draw(root / "dog" / "both.png", 50)
    (root / "dog" / "broken.png").write_bytes(b"")
    labeled = read(root, decoder, previews)
    assert [image.path for image in labeled.images] == [
        f"{name}/{number}.png" for name in ("cat", "dog") for number in range(4)
    ]
    assert labeled.duplicates == 1
    assert labeled.conflicting == ("cat/both%20again.png", "cat/both.png", "dog/both.png")
    assert labeled.unreadable == (("dog/broken.png", "an empty file"),)


def test_strict(tmp_path: Path, decoder: Decoder, previews: Previews) -> None:
    root, strict = tmp_path / "labeled", SplitConfig(strict=True)
    two_classes(root)
    assert len(read(root, decoder, previews, strict).images) == 8
    (root / "dog" / "broken.png").write_bytes(b"")
    with pytest.raises(UnreadableInputs, match=r"1 input .* is 'dog/broken.png' \(an empty"):
        read(root, decoder, previews, strict)
    (root / "dog" / "broken.png").unlink()
    draw(root / "dog" / "a cat.png", 0)
    with pytest.raises(LabeledFolderError, match=r"2 files .* first is 'cat/0.png'"):
        read(root, decoder, previews, strict)


def test_too_few_usable_images(tmp_path: Path, decoder: Decoder, previews: Previews) -> None:
    root = tmp_path / "labeled"
    two_classes(root, each=3)
    assert len(read(root, decoder, previews).images) == 6
    (root / "dog" / "1.png").write_bytes(b"")
    with pytest.raises(LabeledFolderError, match="class 'dog' has 2 usable images, at least 3"):
        read(root, decoder, previews)


def test_links_in_the_labeled_folder_are_followed(
    tmp_path: Path, decoder: Decoder, previews: Previews
) -> None:
    root = tmp_path / "labeled"
    two_classes(tmp_path / "store")
    root.mkdir()
    (root / "cat").symlink_to(tmp_path / "store" / "cat")
    (root / "dog").mkdir()
    for number in range(4):
        (root / "dog" / f"{number}.png").symlink_to(tmp_path / "store" / "dog" / f"{number}.png")
    (root / "dog" / "broken.png").symlink_to("nowhere.png")
    labeled = read(root, decoder, previews)
    assert len(labeled.images) == 8
    assert labeled.unreadable == (("dog/broken.png", "it vanished"),)


def test_loops_of_links_are_no_folders(
    tmp_path: Path, decoder: Decoder, previews: Previews
) -> None:
    root = tmp_path / "labeled"
    two_classes(root)
    for loop in (root / "loop", root / "cat" / "loop", root / "dog" / "loop.png"):
        loop.symlink_to(loop.name)
    labeled = read(root, decoder, previews)
    assert len(labeled.images) == 8
    assert labeled.unreadable == (("dog/loop.png", "a symbolic link"),)


def test_splits_follow_the_hashes() -> None:
    # SHA-256 begins: "0:a" 9d, "0:b" e0, "0:c" be, "0:d" 7d, "0:e" e0; so the order is dacbe.
    # 0.2 x 5 = 1 to calibrate with; 0.1 x 5 = 0.5, rounded up, to validate on.
    splits = assign_splits({"x": list("abcde")}, SplitConfig())
    expected = ["calibration", "validation", "train", "train", "train"]
    assert [splits[name] for name in "dacbe"] == expected


@pytest.mark.parametrize(
    ("count", "calibration", "validation"),
    [(1, 0, 0), (3, 1, 1), (4, 1, 1), (5, 1, 1), (9, 2, 1), (10, 2, 1), (100, 20, 10)],
)
def test_sizes_of_splits(count: int, calibration: int, validation: int) -> None:
    splits = assign_splits({"x": [f"{n:064x}" for n in range(count)]}, SplitConfig())
    found = list(splits.values())
    assert found.count("calibration") == calibration
    assert found.count("validation") == validation
    assert found.count("train") == count - calibration - validation


@pytest.mark.parametrize("fractions", [(0.01, 0.01), (0.5, 0.5), (0.9, 0.9)])
def test_every_split_holds_something_of_a_class_of_ten(fractions: tuple[float, float]) -> None:
    config = SplitConfig(validation=fractions[0], calibration=fractions[1])
    splits = assign_splits({"x": [f"{n:064x}" for n in range(10)]}, config)
    assert "train" in splits.values()
    assert list(splits.values()).count("calibration") == {0.01: 1, 0.5: 5, 0.9: 9}[fractions[1]]


def test_splits_depend_on_content_and_seed_alone() -> None:
    hashes = [f"{number:064x}" for number in range(60)]
    first = assign_splits({"x": hashes[:30], "y": hashes[30:]}, SplitConfig())
    assert assign_splits({"b": hashes[:29:-1], "a": hashes[29::-1]}, SplitConfig()) == first
    assert assign_splits({"x": hashes[:30], "y": hashes[30:]}, SplitConfig(seed=1)) != first


@pytest.mark.parametrize("place", [b"labeled/\xff", b"\xff/cup"])
def test_a_name_that_is_no_text_is_refused(tmp_path: Path, place: bytes) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), place)))
    for path in (folder, folder.parent / "key"):
        path.mkdir(parents=True)
        (path / "1.png").write_bytes(b"x")
    with pytest.raises(LabeledFolderError, match="not UTF-8"):
        find_classes(folder.parent)
