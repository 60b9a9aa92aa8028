"""What training changes in its images: place, side, and compression.

The random numbers are drawn on the CPU, so that they are the same for every device; the images are
changed where they lie.
"""

from __future__ import annotations

import torch
from torch import Tensor

from curate.images.compression import as_jpeg

QUALITIES = (50, 96)
"""Lowest, and one above the highest, of images that are encoded as JPEG anew."""


def augment(pixels: Tensor, generator: torch.Generator, compressed: float = 0.0) -> Tensor:
    """Flip each image at random, and crop it after reflecting S // 8 pixels around it.

    A share `compressed` of the images is then encoded as JPEG and decoded, so that no network
    learns to tell uploads by their compression. (B, C, S, S) uint8 -> the same.
    """
    drawn = draw(len(pixels), pixels.shape[-1], generator, compressed)
    return change(pixels, *(part.to(pixels.device) for part in drawn))


def compress(pixels: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Images (B, 3, S, S) of uint8, a random `share` of them encoded as JPEG and decoded again."""
    return _encode(pixels, *_draw_encoded(len(pixels), generator, share))


def draw(count: int, side: int, generator: torch.Generator, compressed: float) -> list[Tensor]:
    """The random numbers of `augment` for `count` images, as `change` takes them.

    Their shapes do not depend on chance.
    """
    border = side // 8
    offsets = torch.randint(-border, border + 1, (2, count, 1), generator=generator)
    flipped = torch.rand(count, 1, generator=generator) < 0.5
    return [offsets, flipped, *_draw_encoded(count, generator, compressed)]


def change(
    pixels: Tensor, offsets: Tensor, flipped: Tensor, encoded: Tensor, qualities: Tensor
) -> Tensor:
    """Images (B, C, S, S) cropped at `offsets` (2, B, 1), `flipped` (B, 1) or not.

    Those in the rows `encoded` (E,) are encoded anew with `qualities` (E,).
    """
    side = pixels.shape[-1]
    places = torch.arange(side, device=pixels.device)
    rows, columns = (_reflected(places + offset, side) for offset in offsets)
    columns = torch.where(flipped, columns.flip(1), columns)
    taken = pixels.gather(2, rows[:, None, :, None].expand(pixels.shape))
    taken = taken.gather(3, columns[:, None, None, :].expand(pixels.shape))
    return _encode(taken, encoded, qualities)


def _draw_encoded(count: int, generator: torch.Generator, share: float) -> tuple[Tensor, Tensor]:
    rows = torch.randperm(count, generator=generator)[: round(share * count)]
    return rows, torch.randint(*QUALITIES, (len(rows),), generator=generator)


def _encode(pixels: Tensor, rows: Tensor, qualities: Tensor) -> Tensor:
    if not len(rows):
        return pixels
    return pixels.index_copy(0, rows, as_jpeg(pixels[rows], qualities))


def _reflected(positions: Tensor, side: int) -> Tensor:
    """Positions outside [0, side) mirrored at the edge pixels, which are not repeated."""
    positions = positions.abs()
    return torch.where(positions < side, positions, 2 * (side - 1) - positions)
