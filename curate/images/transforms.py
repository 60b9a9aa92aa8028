"""Previews become tensors: what every network here is trained and asked with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from curate.errors import StorageError
from curate.images.previews import Previews

CHUNK = 256
THREADS = min(8, os.cpu_count() or 1)
MAPPED_ABOVE = 1 << 30
"""Bytes from which on the pixels lie in a temporary file instead of memory."""
JPEG_QUALITIES = (50, 96)
"""Lowest, and one above the highest, of images that are encoded anew in training."""

_DAMAGED = (OSError, ValueError, SyntaxError)
"""What Pillow raises for what is no picture."""


def load_pixels(previews: Previews, hashes: Sequence[str], size: int) -> torch.Tensor:
    """The images `hashes` as uint8 (N, 3, size, size), squashed to squares (bicubic).

    Raises StorageError when a preview is missing or damaged, or the disk has no room for them.
    """
    pixels = _room(len(hashes), size)
    with ThreadPoolExecutor(THREADS) as threads:
        for start in range(0, len(hashes), CHUNK):
            names = hashes[start : start + CHUNK]
            found = previews.get_many(names)
            if len(found) < len(set(names)):
                raise StorageError(
                    previews.path,
                    f"{len(set(names)) - len(found)} previews are missing; restore the file, or "
                    "ingest and train on the originals again",
                )
            made = threads.map(lambda name, of=found: _kept(previews, name, of[name], size), names)
            for row, image in enumerate(made, start):
                pixels[row] = image
    return torch.from_numpy(pixels)


def is_picture(preview: bytes) -> bool:
    """Whether a preview still opens; a damaged one does not."""
    try:
        _square(preview, 8)
    except _DAMAGED:
        return False
    return True


def _kept(previews: Previews, name: str, preview: bytes, size: int) -> NDArray[np.uint8]:
    try:
        return _square(preview, size)
    except _DAMAGED as error:
        raise StorageError(
            previews.path,
            f"the preview of {name} is damaged; `curate doctor --deep --fix` makes it again",
        ) from error


def _room(count: int, size: int) -> NDArray[np.uint8]:
    shape = (count, 3, size, size)
    if count * 3 * size * size <= MAPPED_ABOVE:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile() as file:  # has no name: it is gone with the last reader
        try:
            _reserve(file.fileno(), count * 3 * size * size)
        except OSError as error:
            raise StorageError(
                tempfile.gettempdir(), f"{error.strerror}; set TMPDIR to a place with more room"
            ) from error
        return np.memmap(file, np.uint8, "r+", shape=shape)


def _reserve(file: int, count: int) -> None:
    """Give the file its blocks: without them a full disk would kill the process at a write."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, count)
    else:
        os.truncate(file, count)


def _square(preview: bytes, size: int) -> NDArray[np.uint8]:
    with Image.open(BytesIO(preview), formats=("JPEG", "PNG")) as image:
        image.draft("RGB", (2 * size, 2 * size))
        square = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(square, np.uint8).transpose(2, 0, 1)


def augment(
    pixels: torch.Tensor, generator: torch.Generator, compressed: float = 0.0
) -> torch.Tensor:
    """Flip each image at random, and crop it after reflecting S // 8 pixels around it.

    A share `compressed` of the images is then encoded as JPEG and decoded, so that no network
    learns to tell uploads by their compression. (B, C, S, S) uint8 -> the same, on the CPU.
    """
    return compress(_crop_and_flip(pixels, generator), generator, compressed)


def compress(pixels: torch.Tensor, generator: torch.Generator, share: float) -> torch.Tensor:
    """Images (B, 3, S, S) of uint8, a random `share` of them encoded as JPEG and decoded again."""
    if share == 0:
        return pixels
    pixels = pixels.clone()
    chosen = torch.rand(len(pixels), generator=generator) < share
    qualities = torch.randint(*JPEG_QUALITIES, (len(pixels),), generator=generator)
    for row in chosen.nonzero()[:, 0].tolist():
        pixels[row] = as_jpeg(pixels[row], int(qualities[row]))
    return pixels


def as_jpeg(pixels: torch.Tensor, quality: int) -> torch.Tensor:
    """An image (3, S, S) of uint8 as a JPEG of this quality gives it back."""
    stream = BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(
        stream, "JPEG", quality=quality
    )
    with Image.open(stream, formats=("JPEG",)) as decoded:
        return torch.from_numpy(np.array(decoded)).permute(2, 0, 1)


def _crop_and_flip(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    count, channels, side, _ = pixels.shape
    border = side // 8
    offsets = torch.randint(-border, border + 1, (2, count, 1), generator=generator)
    flipped = torch.rand(count, 1, generator=generator) < 0.5
    rows, columns = (_reflected(torch.arange(side) + offset, side) for offset in offsets)
    columns = torch.where(flipped, columns.flip(1), columns)
    shape = (count, channels, side, side)
    taken = pixels.gather(2, rows[:, None, :, None].expand(shape))
    return taken.gather(3, columns[:, None, None, :].expand(shape))


def _reflected(positions: torch.Tensor, side: int) -> torch.Tensor:
    """Positions outside [0, side) mirrored at the edge pixels, which are not repeated."""
    positions = positions.abs()
    return torch.where(positions < side, positions, 2 * (side - 1) - positions)
