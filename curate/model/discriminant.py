"""What sets an inbox's unusual images apart from ours: a linear discriminant (Fisher, 1936).

It reads a description of each image, the features and what the stages of the network see, in closed
form: with equal Gaussians it is the log density ratio of both sides, as far as it is let count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from curate.model.network import TwoHeadNetwork
from curate.model.share import rank_sum_p_value

ROWS = 10_000
"""Of one kind at most; more say hardly more."""
LONGEST = 10_000
"""Numbers of a description: ResNet-50's, for which one solve takes seconds and 2 GB."""
_RIDGE = 3.0
"""Of the normalised spread, added to it: small sets have fewer images than numbers in a row."""
_NUISANCE = 50.0
"""Weight of differences that say nothing of OOD: as if they were spread, many times as wide."""
_STILL = 1e-5
_FOLDS = 5


def describe(network: TwoHeadNetwork, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, D) and descriptions (B, P) of images (B, 3, S, S), float32; in evaluation mode.

    A description is the features, and the mean and standard deviation over the picture of each
    channel of the last convolution at every resolution, finest first, while P is at most LONGEST.
    One image more passes, to find those.
    """
    convolutions = [m for m in network.backbone.modules() if isinstance(m, nn.Conv2d)]
    last: dict[torch.Size, nn.Module] = {}
    with _listening(convolutions, lambda conv, maps: last.update({maps.shape[2:]: conv})):
        network.features(pixels[:1])
    seen: dict[nn.Module, Tensor] = {}
    with _listening(last.values(), lambda conv, maps: seen.update({conv: _moments(maps)})):
        features = network.features(pixels)
    description = features
    for size in sorted(last, reverse=True):
        longer = torch.cat([description, seen[last[size]]], 1)
        # One pixel has no spread, and says little that the features do not.
        if size.numel() > 1 and longer.shape[1] <= LONGEST:
            description = longer
    return features, description


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
    mean, norm = exact.mean((2, 3)), torch.linalg.vector_norm(exact, dim=(2, 3))
    variance = norm.square() / maps.shape[2:].numel() - mean.square()
    return torch.cat([mean, variance.clamp(min=0).sqrt()], 1)


def fit_discriminant(ours: Tensor, theirs: Tensor, *nuisances: Tensor) -> Tensor | None:
    """Weights (P,) along which descriptions (m, P) of `theirs` lie above (n, P) of `ours`.

    Each of the `nuisances` is a set (k, P) of differences between descriptions that have another
    cause than OOD; the discriminant turns away from their directions. None where a description, or
    a weight, is no number.
    """
    spread = ours.std(0, correction=0)
    # A number that never moves among our images says nothing, and would divide by nothing.
    scale = torch.where(spread > _STILL, 1 / spread, 0)
    within = (_covariance(ours * scale) + _covariance(theirs * scale)) / 2
    for difference in nuisances:
        moved = difference * scale
        within += _NUISANCE * moved.T @ moved / len(moved)
    within.diagonal().add_(_RIDGE)
    found, _ = torch.linalg.solve_ex(within, (theirs.mean(0) - ours.mean(0)) * scale)
    weights: Tensor = found * scale
    return weights if weights.isfinite().all() else None


def chance_p_value(
    ours: Tensor,
    theirs: Tensor,
    arrived: Tensor,
    held_out: Tensor,
    nuisances: Sequence[Tensor],
    generator: torch.Generator,
) -> float:
    """One-sided p-value of "what sets `theirs` apart from `ours` is chance".

    Images of `theirs` that `arrived` (m,) with the inbox are ranked against the canaries among them
    and images `held_out` (l, P), each along a discriminant that was learned without it
    (cross-fitting; Mann & Whitney, 1947). A network that has seen none of them must have described
    them. 1 where there are none to rank, or no weights.
    """
    images = torch.cat([theirs, held_out])
    known = torch.cat([~arrived, torch.ones(len(held_out), dtype=torch.bool)])
    fold = torch.randperm(len(images), generator=generator) % _FOLDS
    along = torch.empty(len(images))
    for number in range(_FOLDS):
        left_out = fold == number
        weights = fit_discriminant(ours, theirs[~left_out[: len(theirs)]], *nuisances)
        if weights is None:
            return 1.0
        usual = ours @ weights
        spread = usual.std(correction=0).clamp(min=_STILL)
        along[left_out] = (images[left_out] @ weights - usual.mean()) / spread
    if known.all() or not known.any():
        return 1.0
    return rank_sum_p_value(along[~known], along[known])


def _covariance(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(0)
    return centred.T @ centred / len(rows)
