"""What JPEG does to pictures, for a whole batch at once and without writing a file.

Training encodes images anew so that no network learns to tell uploads by their compression. The
steps are those of the JPEG standard (ITU-T T.81) and of the IJG's library with its defaults:
colours halved in both directions, tables of Annex K scaled by the quality, smooth enlargement.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))
_COSINES = tuple(
    tuple(
        math.cos((2 * x + 1) * u * math.pi / 16) * math.sqrt((2 if u else 1) / 8) for x in range(8)
    )
    for u in range(8)
)
"""The orthonormal discrete cosine transform of 8 values."""


def as_jpeg(pixels: Tensor, qualities: Tensor) -> Tensor:
    """Images (B, 3, H, W) of uint8 as JPEGs of `qualities` (B,), 1 to 100, give them back.

    Rounded where the IJG's library rounds: few coefficients come out as another step.
    """
    height, width = pixels.shape[2:]
    to_ycc, to_rgb = (_constant(rows, pixels.device) for rows in (_TO_YCC, _TO_RGB))
    padded = functional.pad(pixels.float(), (0, -width % 16, 0, -height % 16), "replicate")
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, padded).round_()
    luminance = _quantised(ycc[:, :1] - 128, _table(_LUMINANCE, qualities))
    colours = _quantised(_halved(ycc[:, 1:]), _table(_CHROMINANCE, qualities))
    colours = _enlarged(colours[:, :, : (height + 1) // 2, : (width + 1) // 2])
    planes = [plane[:, :, :height, :width] for plane in (luminance, colours)]
    rgb: Tensor = torch.einsum("ij,bjhw->bihw", to_rgb, torch.cat(planes, 1))
    return (rgb + 128).round_().clamp_(0, 255).to(torch.uint8)


def _table(base: tuple[int, ...], qualities: Tensor) -> Tensor:
    """Quantisation tables (B, 1, 1, 1, 8, 8) of the qualities."""
    scale = torch.where(qualities < 50, 5000 // qualities.clamp(min=1), 200 - 2 * qualities)
    table = (_constant(base, qualities.device).long() * scale[:, None] + 50) // 100
    return table.clamp(1, 255).float().view(-1, 1, 1, 1, 8, 8)


def _quantised(planes: Tensor, table: Tensor) -> Tensor:
    """Planes (B, C, H, W) around 0 with the coefficients of their blocks rounded by the table."""
    transform = _constant(_COSINES, planes.device)
    count, channels, height, width = planes.shape
    blocks = planes.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    eighths = (transform @ blocks @ transform.T).mul_(8).round_()
    steps = eighths.div_(8 * table)
    coefficients = steps.add_(steps.sign().mul_(0.5001)).trunc_().mul_(table)
    restored = (transform.T @ coefficients @ transform).round_().clamp_(-128, 127)
    return restored.transpose(3, 4).reshape(planes.shape)


def _halved(planes: Tensor) -> Tensor:
    """Means of two by two; halves are rounded down and up in turns."""
    means = functional.avg_pool2d(planes, 2)
    turns = _constant((0.25, 0.5), planes.device).repeat(means.shape[3] // 2)
    return means.add_(turns).floor_()


def _enlarged(planes: Tensor) -> Tensor:
    """Twice the size: three quarters of the nearer value and one of the farther, both ways."""
    padded = functional.pad(planes, (1, 1, 1, 1), "replicate")
    rows = torch.stack([padded[:, :, :-2], padded[:, :, 2:]], 3).add_(3 * padded[:, :, 1:-1, None])
    rows = rows.flatten(2, 3)
    near = 3 * rows[..., 1:-1]
    columns = torch.stack([rows[..., :-2] + near + 8, rows[..., 2:] + near + 7], 4)
    return columns.flatten(3, 4).div_(16).floor_()


@cache
def _constant(values: tuple[object, ...], device: torch.device) -> Tensor:
    """A tensor that lies on the device already: to bring it there would wait for the GPU."""
    return torch.tensor(values, dtype=torch.float32, device=device)
