"""ODIN (Liang et al., ICLR 2018) for two heads: temperature, and a small step on the input.

As the paper compares with it (Section 4.1.2), the score is the mean of both heads' scores. All in
full precision: at T = 1000 the scores of different images differ in their sixth decimal place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from curate.model.network import TwoHeadNetwork
from curate.model.scores import in_chunks

TEMPERATURE = 1000.0
EPSILONS = tuple(step * 0.0002 for step in range(21))
"""The 21 step sizes from 0 to 0.004 that ODIN searched, in units of pixels in [0, 1]."""
BATCH = 200

Confidence = Callable[[Tensor], Tensor]
"""Logits of one head (B, K), float64 -> one confidence an image (B,); larger means more ID."""


def max_softmax(logits: Tensor) -> Tensor:
    """The largest softmax probability at T = 1000 of logits (B, K): float64 (B,)."""
    return heated(logits).softmax(1).amax(1)


def heated(logits: Tensor) -> Tensor:
    """Logits divided by the temperature, float64 on the CPU: MPS knows no such numbers."""
    return logits.cpu().double() / TEMPERATURE


@contextmanager
def full_precision() -> Iterator[None]:
    """Convolutions in float32, which cuDNN otherwise rounds to TF32's ten bits."""
    # cudnn.flags() would set every other option too.
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def direction(network: TwoHeadNetwork, pixels: Tensor) -> Tensor:
    """Signs (B, 3, S, S) of where both heads are surer of images in [0, 1].

    ODIN's Section 3 moves x by -epsilon sign(-grad log S(x; T)); here log S is the mean of both
    heads'. A step in pixels of [0, 1] is ODIN's on normalised images, divided there by their
    deviation.
    """
    images = pixels.detach().clone().requires_grad_()
    with torch.enable_grad():
        surer = torch.stack([max_softmax(logits).log() for logits in network(images)])
        (gradient,) = torch.autograd.grad(surer.mean(0).sum(), images)
    return gradient.sign()


@full_precision()
def odin_scores(
    network: TwoHeadNetwork,
    pixels: Tensor,
    device: torch.device,
    epsilon: float,
    confidence: Confidence = max_softmax,
) -> Tensor:
    """Scores (N,), float64 on the CPU, of uint8 images (N, 3, S, S); larger means more OOD.

    Minus the mean over both heads of `confidence` on the perturbed images.
    """
    network.to(device).eval()
    parts = []
    for batch in in_chunks(pixels, BATCH):
        images = batch.to(device) / 255
        moved = images + epsilon * direction(network, images)
        parts.append(-_mean_confidence(network, moved, confidence))
    return torch.cat(parts)


@full_precision()
def choose_epsilon(
    network: TwoHeadNetwork,
    id_pixels: Tensor,
    device: torch.device,
    epsilons: Sequence[float] = EPSILONS,
) -> float:
    """The step after which held-out ID images (N, 3, S, S) are surest on average.

    The rule of Generalized ODIN (Hsu et al., CVPR 2020), which needs no OOD image;
    ODIN itself chose on images of the OOD set.
    """
    network.to(device).eval()
    total = torch.zeros(len(epsilons), dtype=torch.float64)
    for batch in in_chunks(id_pixels, BATCH):
        images = batch.to(device) / 255
        signs = direction(network, images)
        moved = (images + epsilon * signs for epsilon in epsilons)
        total += torch.stack([_mean_confidence(network, one, max_softmax).sum() for one in moved])
    return epsilons[int(total.argmax())]


def _mean_confidence(network: TwoHeadNetwork, images: Tensor, confidence: Confidence) -> Tensor:
    with torch.no_grad():
        heads = [confidence(logits) for logits in network(images)]
    return torch.stack(heads).mean(0)
