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
from curate.model.discriminant import describe
from curate.model.network import TwoHeadNetwork
from curate.model.scores import (
    Reference,
    Scores,
    in_chunks,
    joined,
    neighbours,
    score_logits,
)

BATCH = 256
Pixels = Tensor | Iterable[Tensor]
T = TypeVar("T")


def predict(
    network: TwoHeadNetwork,
    pixels: Pixels,
    device: torch.device,
    batch_size: int = BATCH,
    reference: Reference | None = None,
) -> Scores:
    """Scores of images (N, 3, S, S), or of an iterable of such batches.

    Without a `reference` `knn` is NaN, and without a discriminant in it, so is `discriminant`.
    The network moves to `device` and comes back in the mode it was in.
    """
    held = None if reference is None else reference.to(device)
    return joined(
        _forward(network, pixels, device, batch_size, lambda batch: _score(network, batch, held))
    )


def _score(network: TwoHeadNetwork, batch: Tensor, held: Reference | None) -> Scores:
    if held is None:
        with autocast(batch.device):
            return score_logits(*network(batch))
    if held.discriminant is None:
        with autocast(batch.device):
            found = network.features(batch)
        return score_logits(*network.logits(found), neighbours(found, held.bank))
    with autocast(batch.device):
        found, description = describe(network, batch)
    near, along = neighbours(found, held.bank), description @ held.discriminant
    return score_logits(*network.logits(found), near, along)


def features(
    network: TwoHeadNetwork, pixels: Pixels, device: torch.device, batch_size: int = BATCH
) -> Tensor:
    """Features (N, D), float32 on the CPU, of images as in `predict`."""

    def extract(batch: Tensor) -> Tensor:
        with autocast(device):
            return network.features(batch).float().cpu()

    return torch.cat(_forward(network, pixels, device, batch_size, extract))


def descriptions(
    network: TwoHeadNetwork, pixels: Pixels, device: torch.device, batch_size: int = BATCH
) -> Tensor:
    """Descriptions (N, P), float32 on the CPU, of images as in `predict`."""

    def extract(batch: Tensor) -> Tensor:
        with autocast(device):
            return describe(network, batch)[1].cpu()

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
