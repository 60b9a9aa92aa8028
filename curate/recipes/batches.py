"""The images of each update: drawn, augmented, and ready for the device before it asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from curate.model.sampling import Stream

AHEAD = 4
"""Batches that are made while a GPU works. A CPU would take the time from its own updates."""


class Batches:
    """The rows of each update from tensors that have one row an image, the first of them pixels.

    Of `rows` alone where these are given. `augmented` maps an update's pixels (B, 3, S, S) and its
    number to what is trained on. What an update gets depends on its number alone.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        seed: int,
        device: torch.device,
        rows: Tensor | None = None,
        augmented: Callable[[Tensor, int], Tensor] = lambda pixels, _: pixels,
    ) -> None:
        self._tensors, self._device, self._augmented = tensors, device, augmented
        self._rows = torch.arange(len(tensors[0])) if rows is None else rows
        self._stream = Stream(len(self._rows), seed)
        self._coming: dict[tuple[int, int], Future[list[Tensor]]] = {}
        self._threads = ThreadPoolExecutor(AHEAD)

    def take(self, number: int, count: int) -> list[Tensor]:
        """`count` rows of each tensor, on the device, of update `number`."""
        made = (
            self._ahead(number, count) if _makes_ahead(self._device) else self._made(number, count)
        )
        return [part.to(self._device, non_blocking=True) for part in made]

    def _ahead(self, number: int, count: int) -> list[Tensor]:
        """What was made while earlier updates ran; the next ones are begun."""
        for later in range(number, number + AHEAD + 1):
            if (later, count) not in self._coming:
                self._coming[later, count] = self._threads.submit(self._made, later, count)
        return self._coming.pop((number, count)).result()

    def _made(self, number: int, count: int) -> list[Tensor]:
        rows = self._rows[self._stream.take(number * count, count)]
        pixels, *others = (tensor[rows] for tensor in self._tensors)
        parts = [self._augmented(pixels, number), *others]
        # Only from pinned memory a copy to the GPU does not wait for the updates before it.
        return [part.pin_memory() for part in parts] if self._device.type == "cuda" else parts


def _makes_ahead(device: torch.device) -> bool:
    return device.type == "cuda"
