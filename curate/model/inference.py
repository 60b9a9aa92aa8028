"""The one batched forward pass: features and both heads at once, for training's checks and scoring.

A batch that does not fit the device's memory is halved until it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from curate.model.device import autocast, memory_format
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Scores, in_chunks, joined, knn_distance, score_logits

BATCH = 256
Pixels = Tensor | Iterable[Tensor]
T = TypeVar("T")


def predict(
    network: TwoHeadNetwork,
    pixels: Pixels,
    device: torch.device,
    batch_size: int = BATCH,
    bank: Tensor | None = None,
) -> Scores:
    """Scores of images (N, 3, S, S), or of an iterable of such batches.

    `bank` (M, D) holds the features that nearest neighbours are sought in; without it `knn` is NaN.
    The network moves to `device` and comes back in the mode it was in.
    """
    rows = None if bank is None else bank.to(device)

    def score(batch: Tensor) -> Scores:
        with autocast(device):
            found = network.features(batch)
        return score_logits(
            *network.logits(found), None if rows is None else knn_distance(found, rows)
        )

    return joined(_forward(network, pixels, device, batch_size, score))


def features(
    network: TwoHeadNetwork, pixels: Pixels, device: torch.device, batch_size: int = BATCH
) -> Tensor:
    """Features (N, D), float32 on the CPU, of images as in `predict`."""

    def extract(batch: Tensor) -> Tensor:
        with autocast(device):
            return network.features(batch).float().cpu()

    return torch.cat(_forward(network, pixels, device, batch_size, extract))


def _forward(
    network: TwoHeadNetwork,
    pixels: Pixels,
    device: torch.device,
    batch_size: int,
    step: Callable[[Tensor], T],
) -> list[T]:
    layout = memory_format(device)
    network.to(device).to(memory_format=layout)
    batches = in_chunks(pixels, batch_size) if isinstance(pixels, Tensor) else pixels
    with _evaluating(network), torch.inference_mode():
        return [
            part
            for batch in batches
            for part in _halving(batch.to(device, memory_format=layout), step)
        ]


def _halving(batch: Tensor, step: Callable[[Tensor], T]) -> list[T]:
    try:
        return [step(batch)]
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    half = (len(batch) + 1) // 2
    return [part for piece in in_chunks(batch, half) for part in _halving(piece, step)]


@contextmanager
def _evaluating(network: TwoHeadNetwork) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
