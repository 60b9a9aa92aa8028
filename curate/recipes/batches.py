"""The images of each update: drawn, brought to the device and augmented there, in time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from curate.images.augmentation import change, draw
from curate.model.sampling import Stream, step_generator
from curate.recipes.replay import Replayed

AHEAD = 4
"""Batches that are made while a GPU works. A CPU would take the time from its own updates."""


class Batches:
    """The rows of each update from tensors that have one row an image, the first of them pixels.

    Of `rows` alone where these are given. With a share `compressed` the pixels are augmented, and
    so many of them encoded anew; with None they stay as they are. What an update gets depends on
    its number alone.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        seed: int,
        device: torch.device,
        rows: Tensor | None = None,
        compressed: float | None = None,
    ) -> None:
        self._tensors, self._seed, self._device = tensors, seed, device
        self._rows = torch.arange(len(tensors[0])) if rows is None else rows
        self._compressed = compressed
        self._stream = Stream(len(self._rows), seed)
        self._changed = Replayed(change, device)
        self._coming: dict[tuple[int, int], Future[list[Tensor]]] = {}
        self._threads = ThreadPoolExecutor(AHEAD)

    def take(self, number: int, count: int) -> list[Tensor]:
        """`count` rows of each tensor, on the device, of update `number`."""
        made = (
            self._ahead(number, count) if _makes_ahead(self._device) else self._made(number, count)
        )
        parts = [part.to(self._device, non_blocking=True) for part in made]
        taken, drawn = parts[: len(self._tensors)], parts[len(self._tensors) :]
        if drawn:
            taken[0] = self._changed(taken[0], *drawn)
        return taken

    def _ahead(self, number: int, count: int) -> list[Tensor]:
        """What was made while earlier updates ran; the next ones are begun."""
        for later in range(number, number + AHEAD + 1):
            if (later, count) not in self._coming:
                self._coming[later, count] = self._threads.submit(self._made, later, count)
        return self._coming.pop((number, count)).result()

    def _made(self, number: int, count: int) -> list[Tensor]:
        rows = self._rows[self._stream.take(number * count, count)]
        parts = [tensor[rows] for tensor in self._tensors]
        if self._compressed is not None:
            # Numbers above are of the order in which images are taken.
            generator = step_generator(self._seed, -1 - number)
            parts += draw(count, parts[0].shape[-1], generator, self._compressed)
        # Only from pinned memory a copy to the GPU does not wait for the updates before it.
        return [part.pin_memory() for part in parts] if self._device.type == "cuda" else parts


def _makes_ahead(device: torch.device) -> bool:
    return device.type == "cuda"
