"""A network small enough to save, flip and load hundreds of times."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from curate.model import backbones
from curate.model.network import TwoHeadNetwork


class TinyBackbone(nn.Module):
    """Channel means through a batch norm: 3 features, so that modes and buffers matter."""

    features = 3

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.norm(images.mean((2, 3)))
        return features


@pytest.fixture(autouse=True)
def _tiny_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints name the backbone "tiny"."""
    monkeypatch.setitem(cast("dict[str, type[nn.Module]]", backbones.OWN), "tiny", TinyBackbone)


@pytest.fixture
def tiny() -> TwoHeadNetwork:
    """A network of two heads on three features, two classes, random but the same each time."""
    torch.manual_seed(0)
    return TwoHeadNetwork(TinyBackbone(), 3, 2, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))


@pytest.fixture
def pixels() -> Tensor:
    """Ten images of 4 by 4 pixels."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (10, 3, 4, 4), generator=generator, dtype=torch.uint8)
