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
