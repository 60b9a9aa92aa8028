"""How much of an inbox is OOD, from frozen scores alone, and whether that is more than chance.

No label of the inbox is used: its scores are set against those of held-out labeled images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class OodShare:
    """The estimated share of OOD, and the one-sided p-value of "there is none"."""

    share: float
    p_value: float


def estimate_share(inbox: torch.Tensor, calibration: torch.Tensor) -> OodShare:
    """Estimate the OOD share of an inbox from scores (N,) and (M,).

    The test is Mann & Whitney's (1947), one-sided, with the normal approximation; the share is the
    best-bin estimate of Garg et al. (2021): one minus the smallest ratio of inbox to calibration
    mass below a cut, with a DKW margin against cuts that hold few images.
    """
    return OodShare(best_bin(inbox, calibration), rank_sum_p_value(inbox, calibration))


def rank_sum_p_value(inbox: torch.Tensor, calibration: torch.Tensor) -> float:
    """One-sided p-value of "inbox scores are no larger than calibration scores"."""
    excess = rank_sum_auroc(inbox, calibration) - 0.5
    spread = math.sqrt((1 / len(inbox) + 1 / len(calibration)) / 12)
    return 0.5 * math.erfc(excess / spread / math.sqrt(2))


def rank_sum_auroc(inbox: torch.Tensor, calibration: torch.Tensor) -> float:
    """Chance that an inbox image scores higher than a calibration image; ties count half.

    With an OOD share pi it is 0.5 + pi (AUROC - 0.5), so it rises exactly when AUROC does.
    """
    return float(mid_rank(inbox, calibration).mean())


def best_bin(inbox: torch.Tensor, calibration: torch.Tensor, level: float = 0.1) -> float:
    """Share in [0, 1] of `inbox` that `calibration` cannot account for."""
    cuts = torch.cat([calibration, inbox])
    below_inbox, below_calibration = _share_below(inbox, cuts), _share_below(calibration, cuts)
    margin = sum(math.sqrt(math.log(2 / level) / 2 / len(part)) for part in (inbox, calibration))
    kept = below_calibration > 0
    bound = (below_inbox[kept] + margin) / below_calibration[kept]
    best = int(bound.argmin())
    return float((1 - below_inbox[kept][best] / below_calibration[kept][best]).clamp(0, 1))


def _share_below(scores: torch.Tensor, cuts: torch.Tensor) -> torch.Tensor:
    return torch.searchsorted(scores.sort().values, cuts, right=True) / len(scores)


def mid_rank(scores: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Share of `reference` below each score, ties counted half: (N,)."""
    ordered = reference.sort().values
    below = torch.searchsorted(ordered, scores)
    not_above = torch.searchsorted(ordered, scores, right=True)
    return (below + not_above) / (2 * len(reference))
