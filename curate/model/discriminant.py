"""What sets an inbox's unusual images apart from our own: a linear discriminant (Fisher, 1936).

It reads a description of each image, the features and what every stage of the network sees, in
closed form. Under equal Gaussians it is the log density ratio of the inbox to our classes, of which
OOD is the part that our classes cannot explain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from curate.model.network import TwoHeadNetwork

ROWS = 10_000
"""Of one kind at most; more say hardly more."""
_RIDGE = 3.0
"""Of the normalised spread, added to it: small sets have fewer images than numbers in a row."""
_NUISANCE = 50.0
"""Weight of differences that say nothing of OOD, so that they count for nothing."""
_STILL = 1e-5


def describe(network: TwoHeadNetwork, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, D) and descriptions (B, P) of images (B, 3, S, S), float32.

    A description is the features, and the mean and standard deviation over the picture of each
    channel of the last convolution at every resolution.
    """
    convolutions = [m for m in network.backbone.modules() if isinstance(m, nn.Conv2d)]
    last: dict[torch.Size, nn.Module] = {}
    with _listening(convolutions, lambda conv, maps: last.update({maps.shape[2:]: conv})):
        network.features(pixels[:1])
    seen: dict[nn.Module, Tensor] = {}
    with _listening(last.values(), lambda conv, maps: seen.update({conv: _moments(maps)})):
        features = network.features(pixels)
    return features, torch.cat([features, *seen.values()], 1)


@contextmanager
def _listening(
    convolutions: Iterable[nn.Module], heard: Callable[[nn.Module, Tensor], None]
) -> Iterator[None]:
    """Tell `heard` what each of the convolutions makes of a batch."""
    handles = [
        convolution.register_forward_hook(lambda conv, _, maps: heard(conv, maps))
        for convolution in convolutions
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _moments(maps: Tensor) -> Tensor:
    exact = maps.float()
    mean, square = exact.mean((2, 3)), exact.square().mean((2, 3))
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], 1)


def fit_discriminant(ours: Tensor, theirs: Tensor, *nuisances: Tensor) -> Tensor:
    """Weights (P,) along which descriptions (m, P) of `theirs` lie above (n, P) of `ours`.

    Each of the `nuisances` is a set (k, P) of differences between descriptions that have another
    cause than OOD; the discriminant avoids their directions.
    """
    spread = ours.std(0, correction=0)
    # A number that never moves among our images says nothing, and would divide by nothing.
    scale = torch.where(spread > _STILL, 1 / spread, 0)
    within = (_covariance(ours * scale) + _covariance(theirs * scale)) / 2
    for difference in nuisances:
        moved = difference * scale
        within += _NUISANCE * moved.T @ moved / len(moved)
    within.diagonal().add_(_RIDGE)
    weights: Tensor = torch.linalg.solve(within, (theirs.mean(0) - ours.mean(0)) * scale)
    return weights * scale


def _covariance(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(0)
    return centred.T @ centred / len(rows)
