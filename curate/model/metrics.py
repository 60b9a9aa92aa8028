"""Figures of detection that need ground truth, with bootstrap intervals.

Scores are larger for OOD, as everywhere. A cut flags every score at or above it, and cuts lie at
the scores that occur: nothing is interpolated between them, and tied scores fall on one side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

RESAMPLES = 1_000
TPR = 0.95
_CELLS = 1 << 19
"""Resamples are counted in pieces of so many numbers, which stay in the processor's cache."""


@dataclass(frozen=True)
class DetectionMetrics:
    """How well scores tell OOD images from ID images; all in [0, 1]."""

    auroc: float
    """Chance that an OOD image scores above an ID image, ties counted half."""
    aupr_in: float
    """Average precision with ID as the positive class, low scores first."""
    aupr_out: float
    """Average precision with OOD as the positive class, high scores first."""
    detection_error: float
    """Smallest mean of FPR and 1 - TPR over all cuts (Liang et al. 2018): 0.5 is guessing."""
    fpr95_id_positive: float
    """Share of OOD accepted at the first cut that accepts 95 % of ID (the paper, ODIN, ELOC)."""
    fpr95_ood_positive: float
    """Share of ID flagged at the first cut that flags 95 % of OOD (OpenOOD, pytorch-ood)."""


FIGURES = {
    "auroc": "AUROC",
    "aupr_in": "AUPR-In",
    "aupr_out": "AUPR-Out",
    "detection_error": "detection error",
    "fpr95_id_positive": "FPR95, ID positive",
    "fpr95_ood_positive": "FPR95, OOD positive",
}
"""The figures' names as people write them."""


class Interval(NamedTuple):
    """The lower and the upper ends of every figure's interval."""

    low: DetectionMetrics
    high: DetectionMetrics


class Roc(NamedTuple):
    """Shares of ID flagged and of OOD flagged at each cut, highest cut first, from (0, 0)."""

    id_flagged: Tensor
    ood_flagged: Tensor


def detection_metrics(id_scores: Tensor, ood_scores: Tensor) -> DetectionMetrics:
    """Every figure of ID scores (N,) against OOD scores (M,).

    Equal to scikit-learn's `roc_auc_score`, `average_precision_score` and
    `roc_curve(drop_intermediate=False)`. pytorch-ood has the same AUROC and FPR95; its AUPR joins
    the points of the curve by straight lines, which promises precisions that no cut reaches (Davis
    & Goadrich, 2006). Raises ValueError when a side is empty or a score is NaN.
    """
    return DetectionMetrics(*_figures(*_counts(*_ranks(id_scores, ood_scores)))[0].tolist())


def bootstrap(
    id_scores: Tensor,
    ood_scores: Tensor,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile intervals (Efron, 1979) of every figure.

    ID and OOD images are drawn anew apart from each other, so their numbers stay as they are.
    The network and its training are taken as given: only the images vary. Raises ValueError as
    `detection_metrics` does.
    """
    ranks = _ranks(id_scores, ood_scores)
    drawn = torch.cat([_figures(*_counts(*part)) for part in _redrawn(ranks, resamples, seed)])
    tail = (1 - level) / 2
    ends = drawn.quantile(torch.tensor([tail, 1 - tail], dtype=drawn.dtype), dim=0)
    return Interval(*(DetectionMetrics(*end) for end in ends.tolist()))


def roc(id_scores: Tensor, ood_scores: Tensor) -> Roc:
    """The ROC curve with OOD positive, one point for each score that occurs, and (0, 0)."""
    counts = _counts(*_ranks(id_scores, ood_scores))
    shares = (count[0].flip(0).cumsum(0) / count.sum() for count in counts)
    return Roc(*(torch.cat([share.new_zeros(1), share]) for share in shares))


def auroc(id_scores: Tensor, ood_scores: Tensor) -> float:
    """The chance that an OOD image scores above an ID image, ties counted half: in [0, 1]."""
    ranked = id_scores.double().sort().values
    ood = ood_scores.double().contiguous()
    below = torch.searchsorted(ranked, ood)
    not_above = torch.searchsorted(ranked, ood, right=True)
    return float((below + not_above).double().mean() / (2 * len(ranked)))


class _Ranks(NamedTuple):
    """Position (R, N) and (R, M) of every score among the `values` that occur, R resamples."""

    id: Tensor
    ood: Tensor
    values: int


def _ranks(id_scores: Tensor, ood_scores: Tensor) -> _Ranks:
    scores = torch.cat([id_scores.double().cpu(), ood_scores.double().cpu()])
    if not len(id_scores) or not len(ood_scores):
        raise ValueError("detection needs both ID and OOD scores")
    if scores.isnan().any():
        raise ValueError("scores contain NaN")
    values, ranks = torch.unique(scores, return_inverse=True)
    cut = len(id_scores)
    return _Ranks(ranks[None, :cut], ranks[None, cut:], len(values))


def _redrawn(ranks: _Ranks, resamples: int, seed: int) -> Iterator[_Ranks]:
    """`resamples` of both sides with replacement, in pieces."""
    generator = torch.Generator().manual_seed(seed)
    piece = max(1, _CELLS // ranks.values)
    for start in range(0, resamples, piece):
        rows = min(piece, resamples - start)
        ours = _draw(ranks.id[0], rows, generator)
        yield _Ranks(ours, _draw(ranks.ood[0], rows, generator), ranks.values)


def _draw(side: Tensor, rows: int, generator: torch.Generator) -> Tensor:
    return side[torch.randint(len(side), (rows, len(side)), generator=generator)]


def _counts(id_ranks: Tensor, ood_ranks: Tensor, values: int) -> tuple[Tensor, Tensor]:
    """How often each value occurs among ID and among OOD: float64 (R, V) each."""
    return _count(id_ranks, values), _count(ood_ranks, values)


def _count(ranks: Tensor, values: int) -> Tensor:
    rows = torch.arange(len(ranks))[:, None]
    counts = (ranks + rows * values).flatten().bincount(minlength=len(ranks) * values)
    return counts.view(len(ranks), values).double()


def _figures(id_counts: Tensor, ood_counts: Tensor) -> Tensor:
    """The figures (R, 6), as DetectionMetrics has them, of counts (R, V) by rising value."""
    id_images, ood_images = id_counts[0].sum(), ood_counts[0].sum()
    id_below, ood_below = id_counts.cumsum(1), ood_counts.cumsum(1)  # at or below a value
    id_above = id_images - id_below + id_counts  # at or above it
    ood_above = ood_images - ood_below + ood_counts
    pairs = (ood_counts * (id_below - id_counts / 2)).sum(1)
    errors = 1 + (ood_below / ood_images - id_below / id_images).amin(1)
    figures = (
        pairs / (id_images * ood_images),
        _average_precision(id_counts, id_below, ood_below),
        _average_precision(ood_counts, ood_above, id_above),
        errors / 2,
        _share_at(ood_below, (id_below < _enough(id_images)).sum(1)),
        _share_at(id_above, (ood_above >= _enough(ood_images)).sum(1) - 1),
    )
    return torch.stack(figures, dim=1)


def _average_precision(new: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Mean precision over the positives, (R,); `new` (R, V) of them come in at each cut."""
    precision = positive / (positive + negative).clamp(min=1)
    return (new * precision).sum(1) / new.sum(1)


def _enough(images: Tensor) -> float:
    """The smallest number of positive images whose share of `images` is 95 %."""
    shares = torch.arange(1 + int(images), dtype=torch.float64) / images
    return float((shares < TPR).sum())


def _share_at(counts: Tensor, cut: Tensor) -> Tensor:
    """The share (R,) of all images that `counts` (R, V) have reached at the cut of each row."""
    return counts.gather(1, cut[:, None])[:, 0] / counts.amax(1)
