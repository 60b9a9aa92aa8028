"""Where OOD is to be sought: the images that the frozen network finds unusual.

Among them the OOD share is several times that of the whole inbox, so a fine-tune that looks at them
alone learns from signal that the rest would drown (WOODS, Katz-Samuels et al. 2022, and UDG, Yang
et al. 2021, filter for the same reason).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Candidates:
    """Rows of unusual labeled (n,) and unlabeled (m,) images; `share` of the latter is OOD.

    Unlabeled ones are those whose score lies above the `cut`.
    """

    labeled: torch.Tensor
    unlabeled: torch.Tensor
    share: float
    cut: float


def find_candidates(
    labeled: torch.Tensor,
    pool: torch.Tensor,
    calibration: torch.Tensor,
    pool_share: float,
    quantile: float,
) -> Candidates:
    """The images above `quantile` of the calibration images' scores, in a pool with a known share.

    Frozen scores (N,) of labeled, pool and calibration images. Training images score lower than
    unseen ones of their kind, so the labeled ones are cut at their own quantile. The OOD share
    among candidates is what the calibration images cannot account for. Where nothing of the pool
    lies above, all of it is taken.
    """
    cut = float(calibration.quantile(quantile))
    unlabeled, unusual = (pool > cut).nonzero()[:, 0], _above(labeled, quantile)
    if not len(unlabeled):
        return Candidates(unusual, torch.arange(len(pool)), pool_share, -math.inf)
    ours = (1 - pool_share) * float((calibration > cut).float().mean()) * len(pool)
    return Candidates(unusual, unlabeled, max(0.0, 1 - ours / len(unlabeled)), cut)


def _above(scores: torch.Tensor, quantile: float) -> torch.Tensor:
    """At least one row, where there is any."""
    count = max(1, round((1 - quantile) * len(scores)))
    return scores.argsort(descending=True, stable=True)[:count].sort().values
