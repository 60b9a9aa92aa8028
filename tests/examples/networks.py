"""Two-head networks small enough to check by hand and by an independent implementation."""

from __future__ import annotations

import torch
from torch import nn

from curate.model.network import TwoHeadNetwork

SIDE, MEAN, STD = 4, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def tiny_network(classes: int = 5, seed: int = 0, alike: bool = False) -> TwoHeadNetwork:
    """A smooth network in double precision; with `alike` both heads are one."""
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 16), nn.Tanh())
    network = TwoHeadNetwork(backbone, 16, classes, MEAN, STD)
    if alike:
        network.head_2.load_state_dict(network.head_1.state_dict())
    return network.double().eval()


def pictures(count: int, seed: int = 1) -> torch.Tensor:
    """uint8 (count, 3, 4, 4)"""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, SIDE, SIDE)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
