"""Scores of images from both heads' logits. Larger means more out-of-distribution, everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

METHODS = ("discrepancy", "msp", "energy", "knn")
Standard = Mapping[str, tuple[float, float]]
"""Mean and standard deviation of each combined method's score among ID images."""
NEIGHBOURS = 10
SHOWN = 3
"""Neighbours that people are shown."""
COMBINED = ("discrepancy", "energy", "knn")
"""Maximum softmax probability is left out: it says what the discrepancy says, less well."""
LEARNED = "discriminant"
"""Combined too, where a fine-tune has learned one."""
_LEAST = 1e-6
_CHUNK = 4_000_000


class Neighbours(NamedTuple):
    """What lies near images in the bank."""

    distance: Tensor
    """(N,), of the k-th nearest."""
    rows: Tensor
    """(N, SHOWN), of the nearest ones, the nearest first; -1 where the bank has fewer."""


@dataclass(frozen=True)
class Reference:
    """What a network holds images against, besides its weights."""

    bank: Tensor
    """Features (M, D) of training images, among which nearest neighbours are sought."""
    discriminant: Tensor | None = None
    """Weights (P,) of descriptions, where a fine-tune has learned them."""

    def to(self, device: torch.device) -> Reference:
        """The same on `device`."""
        learned = None if self.discriminant is None else self.discriminant.to(device)
        return Reference(self.bank.to(device), learned)


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
    discriminant: Tensor
    """How far an image lies towards the inbox's unusual ones; NaN where none was learned."""
    label: Tensor
    """Class of the largest mean softmax."""
    confidence: Tensor
    """The largest mean softmax."""
    nearest: Tensor
    """Rows of the bank (N, SHOWN) that lie nearest, the nearest first; -1 where there is none."""

    def __len__(self) -> int:
        return len(self.label)


def score_logits(
    logits_1: Tensor,
    logits_2: Tensor,
    near: Neighbours | None = None,
    discriminant: Tensor | None = None,
) -> Scores:
    """Scores of logits (N, K) each; `near` and `discriminant` (N,) are passed through."""
    exact_1, exact_2 = logits_1.float(), logits_2.float()
    p_1, p_2 = exact_1.softmax(1), exact_2.softmax(1)
    confidence, label = ((p_1 + p_2) / 2).max(1)
    unknown = torch.full_like(confidence, torch.nan)
    found = near or Neighbours(unknown, label.new_full((len(label), SHOWN), -1))
    return Scores(
        discrepancy=(p_1 - p_2).abs().sum(1).clamp(max=2).cpu(),
        msp=(1 - confidence).clamp(min=0).cpu(),
        energy=-((exact_1 + exact_2) / 2).logsumexp(1).cpu(),
        knn=found.distance.float().cpu(),
        discriminant=(unknown if discriminant is None else discriminant).float().cpu(),
        label=label.cpu(),
        confidence=confidence.clamp(max=1).cpu(),
        nearest=found.rows.cpu(),
    )


def has_discriminant(scores: Scores) -> bool:
    """Whether the network that made them has learned one."""
    return not bool(scores.discriminant.isnan().all())


def standard_of(scores: Scores) -> Standard:
    """The standard that `combined` measures against, from scores of ID images with neighbours."""
    names = (*COMBINED, LEARNED) if has_discriminant(scores) else COMBINED
    columns = {name: _spread_out(scores, name).double() for name in names}
    return {
        name: (float(column.mean()), max(float(column.std(correction=0)), _LEAST))
        for name, column in columns.items()
    }


def combined(scores: Scores, standard: Standard) -> Tensor:
    """Mean over the methods of how many standard deviations each lies above ID images: (N,).

    The discrepancy enters by its logarithm, since ID images crowd at zero. No method is the best
    on every inbox, and any one fails on some; their mean fails on none that were measured.
    Raises ValueError for scores that were made without the reference.
    """
    return _standardised(scores, standard).mean(0)


def disagreement(scores: Scores, standard: Standard) -> Tensor:
    """How far apart the methods lie that `combined` takes the mean of, in the same unit: (N,).

    0 without a standard: one method has nobody to disagree with.
    """
    if not standard:
        return torch.zeros_like(scores.discrepancy)
    parts = _standardised(scores, standard)
    return parts.amax(0) - parts.amin(0)


def _standardised(scores: Scores, standard: Standard) -> Tensor:
    """How many standard deviations above ID images each method's score lies: (methods, N)."""
    columns = [
        (_spread_out(scores, name) - standard[name][0]) / standard[name][1]
        for name in (*COMBINED, LEARNED)  # always in this order: sums of floats depend on it
        if name in standard
    ]
    return torch.stack(columns)


def tag_score(scores: Scores, standard: Standard) -> Tensor:
    """The score (N,) that images are tagged by: combined, or Eq. 6 alone without a standard."""
    return combined(scores, standard) if standard else scores.discrepancy


def _spread_out(scores: Scores, name: str) -> Tensor:
    column: Tensor = getattr(scores, name)
    # A network that has gone to NaN altogether is for the guard to refuse.
    if name in ("knn", LEARNED) and (column.isnan() & ~scores.energy.isnan()).any():
        raise ValueError(f"{name} is missing: predict with the reference that it needs")
    return (column + _LEAST).log() if name == "discrepancy" else column


def joined(parts: Sequence[Scores]) -> Scores:
    """The scores of several batches, one after the other."""
    columns = (field.name for field in fields(Scores))
    return Scores(**{name: torch.cat([getattr(part, name) for part in parts]) for name in columns})


def chosen(scores: Scores, rows: Tensor) -> Scores:
    """Some of the images: `rows` is a mask (N,) or holds indices."""
    return Scores(**{field.name: getattr(scores, field.name)[rows] for field in fields(Scores)})


def neighbours(features: Tensor, bank: Tensor, k: int = NEIGHBOURS) -> Neighbours:
    """The k nearest rows of `bank` (M, D) to each of (N, D), all normalised.

    A bank of fewer than k rows answers with its farthest. Source: Sun et al., ICML 2022.
    """
    rows = functional.normalize(bank.float())
    images = functional.normalize(features.float())
    step = max(1, _CHUNK // len(rows))
    parts = [_nearest(chunk, rows, min(k, len(rows))) for chunk in in_chunks(images, step)]
    return Neighbours(*(torch.cat(column) for column in zip(*parts, strict=True)))


def in_chunks(rows: Tensor, length: int) -> list[Tensor]:
    """`rows` in pieces of at most `length`; one empty piece when there are none."""
    return [rows[start : start + length] for start in range(0, max(len(rows), 1), length)]


def _nearest(images: Tensor, rows: Tensor, k: int) -> Neighbours:
    # The product only ranks; the distance itself is taken without its cancellation error.
    found = (images @ rows.T).topk(k, 1).indices
    distance: Tensor = torch.linalg.vector_norm(images - rows[found[:, -1]], dim=1)
    return Neighbours(distance, functional.pad(found[:, :SHOWN], (0, max(SHOWN - k, 0)), value=-1))
