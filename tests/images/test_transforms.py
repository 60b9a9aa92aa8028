"""From previews to tensors, and the random views of them that training sees."""

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
from curate.images.transforms import CHUNK, augment, load_pixels


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


def views(pixels: torch.Tensor) -> set[tuple[int, ...]]:
    """Every crop that may come out of one (1, 1, S, S) image, flipped or not."""
    side = pixels.shape[-1]
    border = side // 8
    padded = torch.nn.functional.pad(pixels.float(), (border,) * 4, mode="reflect")
    found = set()
    for top in range(2 * border + 1):
        for left in range(2 * border + 1):
            crop = padded[:, :, top : top + side, left : left + side]
            for view in (crop, crop.flip(3)):
                found.add(tuple(view.flatten().int().tolist()))
    return found


def test_augment_gives_every_crop_and_flip_and_nothing_else() -> None:
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)
    made = augment(image.expand(2_000, 1, 8, 8), torch.Generator().manual_seed(0))
    assert made.dtype == torch.uint8
    assert {tuple(view) for view in made.flatten(1).int().tolist()} == views(image)
    assert len(views(image)) == 18


def test_augment_moves_all_channels_together() -> None:
    image = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(50, 3, 16, 16)
    made = augment(image, torch.Generator().manual_seed(1))
    assert torch.equal(made[:, 0], made[:, 1])
    assert torch.equal(made[:, 0], made[:, 2])
    assert not torch.equal(made[0], made[1])


@pytest.mark.parametrize("compressed", [0.0, 0.5])
def test_augment_is_a_function_of_its_generator(compressed: float) -> None:
    pixels = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)
    seeds = (3, 3, 4)
    again = [augment(pixels, torch.Generator().manual_seed(seed), compressed) for seed in seeds]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])


def again(pixels: torch.Tensor, quality: int) -> bytes:
    """The pixels as a JPEG gives them back."""
    jpeg = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(jpeg, "JPEG", quality=quality)
    return Image.open(jpeg).tobytes()


def test_augment_encodes_a_share_of_the_images_at_every_quality_from_50_to_95() -> None:
    generator = torch.Generator().manual_seed(5)
    image = torch.randint(0, 256, (3, 1, 8), dtype=torch.uint8, generator=generator)
    image = torch.cat([image, image.flip(2)], 2).expand(3, 16, 16)
    pixels = image.expand(400, 3, 16, 16)
    plain = augment(pixels, torch.Generator().manual_seed(0))
    made = augment(pixels, torch.Generator().manual_seed(0), 0.4)
    changed = [row for row in range(400) if not torch.equal(plain[row], made[row])]
    assert 130 <= len(changed) <= 190
    qualities = set()
    for row in changed:
        known = {again(plain[row], quality): quality for quality in range(50, 96)}
        qualities.add(known[made[row].permute(1, 2, 0).numpy().tobytes()])
    assert min(qualities) == 50
    assert max(qualities) == 95
    assert torch.equal(pixels, image.expand(400, 3, 16, 16))
