"""Every kind of spec, on files written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from curate.errors import UsageError
from examples.paper.datasets import Images, has_part, load, parse

from .pictures import coloured, write_labeled, write_pngs, write_sheet


def read(text: str, part: str = "test", size: int = 32, limit: int | None = None) -> Images:
    return load(parse(text, Path("nowhere")), part, size, limit)


def test_sheets_are_read_in_order_and_shuffled_with_their_labels(tmp_path: Path) -> None:
    labels = [0] * 50 + [1] * 45
    pictures = write_labeled(tmp_path, "train", labels, seed=1)
    images = read(f"sheets:{tmp_path}", "train")
    assert images.pixels.shape == (95, 3, 32, 32)
    assert images.pixels.dtype == torch.uint8
    assert images.classes == ("class 0", "class 1")
    assert images.labels is not None
    assert len(set(images.labels[:20].tolist())) == 2
    known = {picture.tobytes(): label for picture, label in zip(pictures, labels, strict=True)}
    found = [picture.permute(1, 2, 0).numpy().tobytes() for picture in images.pixels]
    assert len(set(found)) == 95
    assert [known[one] for one in found] == images.labels.tolist()


def test_sheets_follow_one_another_and_may_lack_labels(tmp_path: Path) -> None:
    one, other = coloured([0] * 40, seed=1), coloured([1] * 80, seed=2)
    write_sheet(tmp_path / "crop-00.webp", one)
    write_sheet(tmp_path / "crop-01.webp", other)
    images = read(f"sheets:{tmp_path}#crop")
    assert len(images) == 120
    assert images.labels is None
    assert images.classes == ()


def test_a_limit_draws_from_the_whole_set(tmp_path: Path) -> None:
    write_labeled(tmp_path, "test", [0] * 40 + [1] * 40, seed=1)
    images = read(f"sheets:{tmp_path}", limit=20)
    assert images.labels is not None
    assert len(images) == len(images.labels) == 20
    assert 4 <= int(images.labels.sum()) <= 16


def test_sub_folders_are_classes_and_parts_lie_above_them(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 2)):
        for name in ("hats", "shoes"):
            write_pngs(tmp_path / part / name, count, side=50)
    images = read(f"folder:{tmp_path}", "train", size=16)
    assert images.pixels.shape == (6, 3, 16, 16)
    assert images.classes == ("hats", "shoes")
    assert images.labels is not None
    assert sorted(images.labels.tolist()) == [0, 0, 0, 1, 1, 1]
    assert len(read(f"folder:{tmp_path}#test", "train")) == 4
    assert has_part(parse(f"folder:{tmp_path}", tmp_path), "train")
    assert not has_part(parse(f"folder:{tmp_path}", tmp_path), "val")


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    write_pngs(tmp_path, 5)
    (tmp_path / "notes.txt").write_text("no image")
    images = read(f"folder:{tmp_path}")
    assert sorted(images.pixels[:, 0, 0, 0].tolist()) == [0, 1, 2, 3, 4]
    assert images.labels is None


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("TINc", "Imagenet/test"),
        ("TINr", "Imagenet_resize/Imagenet_resize"),
        ("LSUNc", "LSUN/test"),
        ("LSUNr", "LSUN_resize/LSUN_resize"),
        ("iSUN", "iSUN/iSUN_patches"),
    ],
)
def test_the_archives_of_odin_are_known_by_the_papers_names(
    tmp_path: Path, name: str, place: str
) -> None:
    write_pngs(tmp_path / place, 3)
    assert len(read(f"odin:{tmp_path}#{name}")) == 3


def test_pictures_are_squashed_to_squares(tmp_path: Path) -> None:
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 20:] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    pixels = read(f"folder:{tmp_path}", size=8).pixels
    assert pixels[0, 0, :, 1].max() < 30
    assert pixels[0, 0, :, 6].min() > 225


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mnist", "names no data set; the kinds are cifar10"),
        ("sheets:", "names no data set"),
        ("folder:/no/such/place", "there is no folder"),
        ("odin:.#SVHN", "needs one of #TINc"),
        ("odin:.#TINc", "is missing; unpack ODIN's archive"),
        ("sheets:.#train", "has no sheets train-"),
        ("folder:.#nothing", "has no sub-folder 'nothing'"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG and no more")
    with pytest.raises(UsageError, match=r"broken\.png' cannot be read"):
        read(f"folder:{tmp_path}")


def test_an_empty_folder_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no images in folder"):
        read(f"folder:{tmp_path}")


class Cifar:
    """As torchvision's: an array of pixels and `targets`."""

    url = "https://example.org/cifar.tar.gz"
    classes: ClassVar = ["plane", "car"]
    here = True

    def __init__(self, root: str, train: bool, download: bool = False) -> None:
        if not self.here:
            raise (OSError("no route to host") if download else RuntimeError("not found"))
        self.data = coloured([0, 1] * (6 if train else 2), seed=1)
        self.targets = [0, 1] * (6 if train else 2)


class Food:
    """As torchvision's: paths of files and `_labels`."""

    classes: ClassVar = ["pie", "soup"]

    def __init__(self, root: str, split: str) -> None:
        self._image_files = sorted(Path(root).glob("*.png"))
        self._labels = [0, 1, 1] if split == "train" else [1, 1, 1]


def test_torchvision_keeps_its_sets_in_two_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, CIFAR10=Cifar, Food101=Food)
    write_pngs(tmp_path, 3)
    assert len(load(parse("cifar10", tmp_path), "train", 32)) == 12
    assert len(load(parse("cifar10#train", tmp_path), "test", 32)) == 12
    assert load(parse("cifar10", tmp_path), "test", 32).classes == ("plane", "car")
    food = load(parse("food101", tmp_path), "train", 32)
    assert food.labels is not None
    by_brightness = dict(zip(food.pixels[:, 0, 0, 0].tolist(), food.labels.tolist(), strict=True))
    assert by_brightness == {0: 0, 1: 1, 2: 1}


def test_without_a_network_the_address_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cifar, "here", False)
    stand_in(monkeypatch, CIFAR10=Cifar)
    with pytest.raises(UsageError, match=r"no route to host.*get https://example.org") as caught:
        load(parse("cifar10", tmp_path), "train", 32)
    assert "\n" not in str(caught.value)


def stand_in(monkeypatch: pytest.MonkeyPatch, **made: Any) -> None:
    from torchvision import datasets

    for name, stub in made.items():
        monkeypatch.setattr(datasets, name, stub)
