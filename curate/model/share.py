"""How much of an inbox is OOD, from frozen scores alone, and whether that is more than chance.

No label of the inbox is used: its scores are set against those of held-out labeled images.
"""

from __future__ import annotations

import math

import torch


def excess_p_value(inbox: torch.Tensor, known: torch.Tensor) -> float:
    """One-sided p-value of "an inbox's scores (N,) are no larger than `known` images' (M,)".

    Squared ranks are added up: most ID images of both lie below, where they only add noise. (For a
    small share whose AUROC is 0.75 it is locally the most powerful rank test; Lehmann, 1953.)
    """
    return rank_sum_p_value(inbox, known, power=2)


def rank_sum_p_value(scores: torch.Tensor, others: torch.Tensor, power: float = 1) -> float:
    """One-sided p-value of "scores (N,) are no larger than the others (M,)".

    The test is Mann & Whitney's (1947) on ranks raised to `power`, with the normal approximation
    and the variance over permutations.
    """
    both = torch.cat([scores, others]).double()
    ranks = mid_rank(both, both) ** power
    above = ranks[: len(scores)].mean() - ranks[len(scores) :].mean()
    spread = ranks.std() * math.sqrt(1 / len(scores) + 1 / len(others))
    if not spread:
        return 0.5
    return 0.5 * math.erfc(float(above / spread) / math.sqrt(2))


def rank_sum_auroc(inbox: torch.Tensor, calibration: torch.Tensor) -> float:
    """Chance that an inbox image scores higher than a calibration image; ties count half.

    With an OOD share pi it is 0.5 + pi (AUROC - 0.5), so it rises exactly when AUROC does.
    """
    return float(mid_rank(inbox, calibration).mean())


def best_bin(inbox: torch.Tensor, calibration: torch.Tensor, level: float = 0.1) -> float:
    """Share in [0, 1] of an inbox that calibration cannot account for, from scores (N,) and (M,).

    One minus the smallest ratio of inbox to calibration mass below a cut, with a DKW margin against
    cuts that hold few images (Garg et al., 2021).
    """
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
