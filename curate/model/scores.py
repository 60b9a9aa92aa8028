"""Scores of images from both heads' logits. Larger means more out-of-distribution, everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 10
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Scores:
    """Scores of N images, (N,) each, float32 on the CPU; `label` is int64."""

    discrepancy: Tensor
    """L1 distance of p1 and p2 (Eq. 6), in [0, 2]."""
    msp: Tensor
    """1 - maximum of the mean softmax, in [0, 1]."""
    energy: Tensor
    """-logsumexp of the mean logits."""
    knn: Tensor
    """Distance of the normalised features to their k-th neighbour in the bank; NaN without one."""
    label: Tensor
    """Class of the largest mean softmax."""
    confidence: Tensor
    """The largest mean softmax."""

    def __len__(self) -> int:
        return len(self.label)


def score_logits(logits_1: Tensor, logits_2: Tensor, knn: Tensor | None = None) -> Scores:
    """Scores of logits (N, K) each; `knn` (N,) is passed through."""
    exact_1, exact_2 = logits_1.float(), logits_2.float()
    p_1, p_2 = exact_1.softmax(1), exact_2.softmax(1)
    confidence, label = ((p_1 + p_2) / 2).max(1)
    knn = torch.full_like(confidence, torch.nan) if knn is None else knn
    return Scores(
        discrepancy=(p_1 - p_2).abs().sum(1).clamp(max=2).cpu(),
        msp=(1 - confidence).clamp(min=0).cpu(),
        energy=-((exact_1 + exact_2) / 2).logsumexp(1).cpu(),
        knn=knn.float().cpu(),
        label=label.cpu(),
        confidence=confidence.clamp(max=1).cpu(),
    )


def joined(parts: Sequence[Scores]) -> Scores:
    """The scores of several batches, one after the other."""
    columns = (field.name for field in fields(Scores))
    return Scores(**{name: torch.cat([getattr(part, name) for part in parts]) for name in columns})


def knn_distance(features: Tensor, bank: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """Distance of each of (N, D) to its k-th nearest row of `bank` (M, D), all normalised: (N,).

    A bank of fewer than k rows answers with its farthest. Source: Sun et al., ICML 2022.
    """
    rows = functional.normalize(bank.float())
    images = functional.normalize(features.float())
    step = max(1, _CHUNK // len(rows))
    return torch.cat([_kth(chunk, rows, min(k, len(rows))) for chunk in in_chunks(images, step)])


def in_chunks(rows: Tensor, length: int) -> list[Tensor]:
    """`rows` in pieces of at most `length`; one empty piece when there are none."""
    return [rows[start : start + length] for start in range(0, max(len(rows), 1), length)]


def _kth(images: Tensor, rows: Tensor, k: int) -> Tensor:
    # The product only ranks; the distance itself is taken without its cancellation error.
    neighbour = (images @ rows.T).topk(k, 1).indices[:, -1]
    distance: Tensor = torch.linalg.vector_norm(images - rows[neighbour], dim=1)
    return distance
