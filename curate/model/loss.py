"""The losses of the paper (Eqs. 1, 2, 5) and the excess form that spares ID images.

All in nats. Half-precision logits are computed with in float32; finite for logits up to 1e4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def entropy(logits: Tensor) -> Tensor:
    """H of the softmax of logits (B, K), in nats: (B,), in [0, ln K]."""
    log_p = functional.log_softmax(_exact(logits), 1)
    return -(log_p.exp() * log_p).sum(1)


def discrepancy(logits_1: Tensor, logits_2: Tensor) -> Tensor:
    """d = H(p1) - H(p2), (B,), in [-ln K, ln K] (Eq. 1)."""
    return entropy(logits_1) - entropy(logits_2)


def supervised_loss(logits_1: Tensor, logits_2: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of both heads, summed over heads, averaged over images (Eq. 2)."""
    exact_1, exact_2 = _exact(logits_1), _exact(logits_2)
    return functional.cross_entropy(exact_1, labels) + functional.cross_entropy(exact_2, labels)


def unsupervised_loss(logits_1: Tensor, logits_2: Tensor, margin: float) -> Tensor:
    """max(margin - mean d, 0) over unlabeled images (Eq. 5)."""
    return functional.relu(margin - discrepancy(logits_1, logits_2).mean())


def excess_discrepancy_loss(
    unlabeled: tuple[Tensor, Tensor],
    labeled: tuple[Tensor, Tensor],
    ood_share: float,
    reach: float = 0.8,
) -> Tensor:
    """max(reach * pi * ln K - (mean_U(d) - (1 - pi) * mean_L(d)), 0), with pi the OOD share.

    `unlabeled` and `labeled` are the logits of F1 and F2. Only the excess of the unlabeled images
    over what the ID ones among them would give counts, so nothing is gained by raising the
    discrepancy of ID images (positive-unlabeled learning).
    """
    target = reach * ood_share * math.log(unlabeled[0].shape[1])
    of_id = (1 - ood_share) * discrepancy(*labeled).mean()
    return functional.relu(target - (discrepancy(*unlabeled).mean() - of_id))


def _exact(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
