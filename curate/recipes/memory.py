"""Training with smaller batches, where the device has no room for those that were asked for."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from curate.errors import CurateError

T = TypeVar("T")
FEWEST = 2
"""Images in a batch that batch normalisation can be trained with."""


def in_memory(train: Callable[[int], T], batch_size: int) -> tuple[T, dict[str, float]]:
    """`train(batch_size)`, or with the half of it, and so on, until the device has room for that.

    Returns its result, and the batch size as a figure where it is another than was asked for.
    Raises CurateError where not even two images have room.
    """
    size = batch_size
    while True:
        try:
            return train(size), {} if size == batch_size else {"batch_size": size}
        except torch.OutOfMemoryError as error:
            if size // 2 < FEWEST:
                raise CurateError(
                    f"the device has no room for batches of {size} images; end what else runs on "
                    "it, or use --device cpu, a smaller backbone or smaller images"
                ) from error
        # Outside of the handler, for the error holds on to the tensors of the step that failed.
        gc.collect()
        torch.cuda.empty_cache()
        size //= 2
