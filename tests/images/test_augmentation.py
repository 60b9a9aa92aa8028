"""The random views of images that training sees, and the JPEGs among them."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image
from torch import Tensor

from curate.images.augmentation import augment, compress, draw
from curate.images.compression import as_jpeg


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


def test_the_random_numbers_have_shapes_without_chance() -> None:
    shapes = {
        tuple(tuple(part.shape) for part in draw(10, 32, torch.Generator().manual_seed(seed), 0.5))
        for seed in range(20)
    }
    assert shapes == {((2, 10, 1), (10, 1), (5,), (5,))}


def picture(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth colours with some noise, (B, 3, H, W) of uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = 5 * torch.randn(count, 3, height, width, generator=generator)
    return (smooth + noise).clamp(0, 255).to(torch.uint8)


def pillow(pixels: Tensor, quality: int) -> Tensor:
    """The image (3, H, W) as Pillow's JPEG gives it back."""
    jpeg = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(jpeg, "JPEG", quality=quality)
    with Image.open(jpeg) as image:
        raw = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return raw.view(image.height, image.width, 3).permute(2, 0, 1)


def mean_difference(one: Tensor, other: Tensor) -> float:
    return float((one.int() - other.int()).abs().float().mean())


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("shape", [(32, 32), (64, 48), (50, 37), (16, 20)])
def test_a_jpeg_is_what_pillow_makes_of_it(shape: tuple[int, int], quality: int) -> None:
    images = picture(20, *shape)
    wanted = torch.stack([pillow(image, quality) for image in images])
    found = as_jpeg(images, torch.full((20,), quality))
    assert found.dtype == torch.uint8
    change = mean_difference(wanted, images)
    assert mean_difference(found, wanted) < 0.15 * change
    assert mean_difference(found, images) == pytest.approx(change, rel=0.05)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_grey_jpeg_is_the_same_but_for_few_values(quality: int) -> None:
    images = picture(20, 32, 32)[:, :1].expand(-1, 3, -1, -1).contiguous()
    wanted = torch.stack([pillow(image, quality) for image in images])
    found = as_jpeg(images, torch.full((20,), quality))
    assert ((found.int() - wanted.int()).abs() <= 1).float().mean() > 0.97


def test_each_image_has_its_own_quality() -> None:
    image = picture(1, 32, 32)
    both = as_jpeg(image.expand(2, -1, -1, -1), torch.tensor([20, 90]))
    assert torch.equal(both[:1], as_jpeg(image, torch.tensor([20])))
    assert torch.equal(both[1:], as_jpeg(image, torch.tensor([90])))
    assert mean_difference(both[:1], image) > 2 * mean_difference(both[1:], image)


def test_a_share_of_the_images_is_encoded_at_every_quality_from_50_to_95() -> None:
    image = picture(1, 16, 16)
    pixels = image.expand(400, -1, -1, -1).contiguous()
    made = compress(pixels, torch.Generator().manual_seed(0), 0.4)
    known = as_jpeg(image.expand(46, -1, -1, -1), torch.arange(50, 96))
    same = (made[:, None] == known[None]).flatten(2).all(2)
    encoded = same.any(1)
    assert int(encoded.sum()) == 160
    assert torch.equal(made[~encoded], pixels[~encoded])
    assert bool(same.any(0).sum() > 40)
    assert bool(same[:, 0].any() and same[:, -1].any())
    assert torch.equal(pixels, image.expand(400, -1, -1, -1))


def test_augmenting_encodes_what_was_cropped() -> None:
    pixels = picture(40, 32, 32)
    plain = augment(pixels, torch.Generator().manual_seed(0))
    made = augment(pixels, torch.Generator().manual_seed(0), 0.5)
    changed = (plain != made).flatten(1).any(1)
    assert int(changed.sum()) == 20
    assert mean_difference(plain[changed], made[changed]) < 10
