"""The smallest network that the program takes for one, and a project that it serves in."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from curate.config import TrainConfig
from curate.images.decode import Decoder
from curate.model import backbones
from curate.train import train
from curate.workspace import open_workspace

from ..program import SHAPES, draw

NAME, SIDE = "one-convolution", 16


class OneConvolution(nn.Module):
    """Four features: the mean answers of four filters, so that each picture has its own scores."""

    features = 4

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        answers: Tensor = self.filters(images).relu().mean((2, 3))
        return answers


def make_known(patch: pytest.MonkeyPatch) -> None:
    """Let checkpoints name it, and have it answer alike on every processor."""
    known = cast("dict[str, type[nn.Module]]", backbones.OWN)
    patch.setitem(known, NAME, OneConvolution)
    patch.setattr(torch.cpu, "get_capabilities", dict, raising=False)


def make_project(folder: Path, decoder: Decoder) -> None:
    """`labeled/`, and a catalog with two networks trained on it, the later one in service."""
    for shape in SHAPES:
        draw(folder / "labeled" / shape, shape, range(1000, 1020))
    with open_workspace(str(folder / ".curate"), create=True) as workspace:
        for seed in range(2):
            config = TrainConfig(NAME, image_size=SIDE, epochs=1, seed=seed, device="cpu")
            train(workspace, folder / "labeled", config, decoder)
