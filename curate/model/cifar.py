"""The paper's two CIFAR networks (Section 4.1.2) and a small one for two CPU cores.

Each ends with global average pooling: images (B, 3, S, S) become features (B, D), for any S.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDE_IMAGE = 48
"""Above this side, in pixels, the small network's stem halves the image."""


class SmallResNet(nn.Module):
    """Pre-activation residual network of 0.4 million parameters, D = 96.

    Images of more than 48 pixels a side are halved by the stem, so that 64 costs what 32 does; the
    weights are the same for any size.
    """

    features = 96

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(
            PreActivationBlock(16, 16, 1),
            *_stage(16, 48, 2, 2),
            *_stage(48, 96, 2, 2),
        )
        self.norm = nn.BatchNorm2d(96)
        _start(self)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 96)."""
        stride = 2 if images.shape[-1] > WIDE_IMAGE else 1
        stem = functional.conv2d(images, self.stem.weight, stride=stride, padding=1)
        return _pooled(self.norm(self.blocks(stem)))


class WideResNet(nn.Module):
    """WRN-28-10 without dropout, 36.5 million parameters, D = 640 (Zagoruyko & Komodakis, 2016)."""

    features = 640

    def __init__(self, depth: int = 28, widen: int = 10) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(
            *_stage(16, 16 * widen, blocks, 1),
            *_stage(16 * widen, 32 * widen, blocks, 2),
            *_stage(32 * widen, 64 * widen, blocks, 2),
        )
        self.norm = nn.BatchNorm2d(64 * widen)
        _start(self)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 640)."""
        return _pooled(self.norm(self.blocks(self.stem(images))))


class DenseNet(nn.Module):
    """DenseNet-BC, L = 100, k = 12, 0.77 million parameters, D = 342 (Huang et al., 2017)."""

    features = 342

    def __init__(self, depth: int = 100, growth: int = 12) -> None:
        super().__init__()
        layers = (depth - 4) // 6
        width = 2 * growth
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        parts: list[nn.Module] = []
        for block in range(3):
            parts += [DenseLayer(width + i * growth, growth) for i in range(layers)]
            width += layers * growth
            if block < 2:
                parts.append(_transition(width))
                width //= 2
        self.blocks = nn.Sequential(*parts)
        self.norm = nn.BatchNorm2d(width)
        _start(self)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 342)."""
        return _pooled(self.norm(self.blocks(self.stem(images))))


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions, each behind its batch norm and ReLU, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm_1 = nn.BatchNorm2d(inputs)
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(outputs)
        self.conv_2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs
            else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        )
        self.same_shape = inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Same spatial size divided by the stride."""
        active = functional.relu(self.norm_1(images))
        hidden = self.conv_2(functional.relu(self.norm_2(self.conv_1(active))))
        passed: Tensor = images if self.same_shape else self.shortcut(active)
        total: Tensor = passed + hidden
        return total


class DenseLayer(nn.Module):
    """A bottleneck of 4k channels, then k new channels appended to the input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Channels C become C + k."""
        return torch.cat((images, self.layers(images)), 1)


def _transition(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width // 2, 1, bias=False),
        nn.AvgPool2d(2),
    )


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> list[nn.Module]:
    first = PreActivationBlock(inputs, outputs, stride)
    return [first, *(PreActivationBlock(outputs, outputs, 1) for _ in range(blocks - 1))]


def _pooled(maps: Tensor) -> Tensor:
    """Means over the pixels, in float32 at least: under autocast the maps are coarser."""
    exact = torch.promote_types(maps.dtype, torch.float32)
    pooled: Tensor = functional.relu(maps).mean((2, 3), dtype=exact)
    return pooled


def _start(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
