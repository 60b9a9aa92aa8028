"""From previews to tensors."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from curate.errors import StorageError
from curate.images import transforms
from curate.images.previews import Previews
from curate.images.transforms import CHUNK, load_pixels


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def previews(tmp_path: Path) -> Iterator[Previews]:
    with Previews.open(tmp_path / "previews.db") as made:
        yield made


def test_pixels_are_those_of_the_preview(previews: Previews) -> None:
    image = Image.new("RGB", (2, 2), (10, 20, 30))
    image.putpixel((1, 0), (200, 100, 50))
    previews.add([("a", encoded(image))])
    pixels = load_pixels(previews, ["a"], 2)
    assert pixels.dtype == torch.uint8
    assert pixels.tolist() == [[[[10, 200], [10, 10]], [[20, 100], [20, 20]], [[30, 50], [30, 30]]]]


def test_squashed_in_the_order_asked_for(previews: Previews) -> None:
    names = [f"{number}" for number in range(CHUNK + 20)]
    previews.add(
        (name, encoded(Image.new("RGB", (20, 5), (int(name) % 256, 0, int(name) // 256))))
        for name in names
    )
    pixels = load_pixels(previews, names[::-1], 8)
    assert pixels.shape == (CHUNK + 20, 3, 8, 8)
    expected = torch.tensor([number % 256 for number in range(CHUNK + 19, -1, -1)])
    assert torch.equal(pixels[:, 0].long(), expected[:, None, None].expand(-1, 8, 8))


def test_whole_width_of_a_jpeg_is_seen(previews: Previews) -> None:
    image = Image.new("RGB", (400, 256), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, 200, 256))
    previews.add([("a", encoded(image, "JPEG"))])
    row = load_pixels(previews, ["a"], 16)[0, 0, 8].int()
    assert row[:7].max() <= 8
    assert row[9:].min() >= 247


def test_missing_preview(previews: Previews) -> None:
    with pytest.raises(StorageError, match="1 previews are missing"):
        load_pixels(previews, ["nowhere"], 8)
    assert load_pixels(previews, [], 8).shape == (0, 3, 8, 8)


def test_a_damaged_preview_is_named_with_its_remedy(previews: Previews) -> None:
    previews.add([("f00d", b"\x89PNG\r\n\x1a\n")])
    with pytest.raises(StorageError, match="preview of f00d is damaged; `curate doctor --deep"):
        load_pixels(previews, ["f00d"], 8)


def test_large_sets_lie_in_a_file_without_a_name(
    previews: Previews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    previews.add([(n, encoded(Image.new("RGB", (4, 4), (int(n), 0, 0)))) for n in "12"])
    in_memory = load_pixels(previews, ["1", "2"], 4)
    monkeypatch.setattr(transforms, "MAPPED_ABOVE", 50)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "maps"))
    (tmp_path / "maps").mkdir()
    mapped = load_pixels(previews, ["1", "2"], 4)
    assert mapped.tolist() == in_memory.tolist()
    assert mapped[1, 0, 0, 0] == 2
    assert list((tmp_path / "maps").iterdir()) == []


def test_no_room_for_a_large_set(previews: Previews, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transforms, "MAPPED_ABOVE", 0)
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(StorageError, match="No space left on device; set TMPDIR"):
        load_pixels(previews, ["a"], 4)
