"""The two-head network of the paper (Section 3.2): one extractor E, two linear heads F1 and F2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class TwoHeadNetwork(nn.Module):
    """E with two heads from different random starts; every caller hands in the same pixels.

    `backbone` maps normalised images to (B, `features`); `mean` and `std` are of the three channels
    in [0, 1] and travel with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head_1 = nn.Linear(features, classes)
        self.head_2 = nn.Linear(features, classes)
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(3, 1, 1))

    def features(self, pixels: Tensor) -> Tensor:
        """Features (B, D), float32 even under autocast, of images (B, 3, S, S).

        They are uint8, or float already in [0, 1].
        """
        images = pixels.to(self.mean.dtype)
        if pixels.dtype == torch.uint8:
            images = images / 255
        features: Tensor = self.backbone((images - self.mean) / self.std)
        return features.to(self.mean.dtype)

    def logits(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of F1 and F2, (B, K) each; never in half precision, which would make ties."""
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            exact = features.to(self.head_1.weight.dtype)
            return self.head_1(exact), self.head_2(exact)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of F1 and F2, (B, K) each, of images as in `features`."""
        return self.logits(self.features(pixels))
