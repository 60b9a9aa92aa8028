"""Figures that need ground truth."""

from __future__ import annotations

import torch
from torch import Tensor


def auroc(id_scores: Tensor, ood_scores: Tensor) -> float:
    """The chance that an OOD image scores above an ID image, ties counted half: in [0, 1]."""
    ranked = id_scores.double().sort().values
    ood = ood_scores.double().contiguous()
    below = torch.searchsorted(ranked, ood)
    not_above = torch.searchsorted(ranked, ood, right=True)
    return float((below + not_above).double().mean() / (2 * len(ranked)))
