"""Labeled images as tensors, and what both ways of training ask of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curate.model.inference import features, predict
from curate.model.network import TwoHeadNetwork
from curate.model.sampling import Stream

BANK_SIZE = 5_000


@dataclass(frozen=True)
class LabeledSplit:
    """Images of one split: uint8 pixels (N, 3, S, S), labels (N,), content hashes (N,)."""

    pixels: torch.Tensor
    labels: torch.Tensor
    hashes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.hashes)

    def part(self, rows: slice | torch.Tensor) -> LabeledSplit:
        """Some of the rows: a slice of them, or those where a bool (N,) says so."""
        chosen = torch.arange(len(self))[rows]
        hashes = tuple(self.hashes[row] for row in chosen.tolist())
        return LabeledSplit(self.pixels[chosen], self.labels[chosen], hashes)

    def joined(self, other: LabeledSplit) -> LabeledSplit:
        """The rows of both, its own first."""
        if not len(other):
            return self
        return LabeledSplit(
            torch.cat([self.pixels, other.pixels]),
            torch.cat([self.labels, other.labels]),
            self.hashes + other.hashes,
        )


def accuracy(network: TwoHeadNetwork, split: LabeledSplit, device: torch.device) -> float:
    """Share of `split` whose class the mean of both heads' softmax names."""
    return float((predict(network, split.pixels, device).label == split.labels).float().mean())


def feature_bank(
    network: TwoHeadNetwork, split: LabeledSplit, device: torch.device, seed: int
) -> torch.Tensor:
    """Features (at most 5,000, D) of training images, for the nearest-neighbour score."""
    return features(network, split.pixels[_chosen(split, seed)], device)


def bank_hashes(split: LabeledSplit, seed: int) -> tuple[str, ...]:
    """The content hashes of the images in a `feature_bank`, in the order of its rows."""
    return tuple(split.hashes[row] for row in _chosen(split, seed).tolist())


def _chosen(split: LabeledSplit, seed: int) -> torch.Tensor:
    return Stream(len(split), seed).take(0, min(BANK_SIZE, len(split)))
