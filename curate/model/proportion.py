"""A share of images and how sure it is. Imports no torch, so that `curate status` may use it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Share:
    """A share of `images`, with its 95 % Wilson interval; all in [0, 1]."""

    value: float
    low: float
    high: float
    images: int


def share_of(hits: int, images: int) -> Share | None:
    """`hits` of `images` as a share; None when there are no images."""
    return Share(hits / images, *wilson(hits, images), images) if images else None


def wilson(hits: int, images: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of Wilson (1927) for `hits` of `images`.

    Unlike a bootstrap it does not shrink to nothing when no image, or every image, is a hit.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    p, spread = hits / images, z * z / images
    centre = (p + spread / 2) / (1 + spread)
    half = z * ((p * (1 - p) + spread / 4) / images) ** 0.5 / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def clopper_pearson(hits: int, images: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of Clopper & Pearson (1934) for `hits` of `images`, at least one of them.

    Whatever the true share is, it lies outside in no more than 1 - `level` of samples.
    """
    low, high = _explained(hits, images, level), 1 - _explained(images - hits, images, level)
    return low, high


def _explained(hits: int, images: int, level: float) -> float:
    """The smallest share at which `hits` or more have a chance of (1 - `level`) / 2."""
    low, high = 0.0, hits / images
    for _ in range(60 if hits else 0):
        middle = (low + high) / 2
        if chance_of_hits(hits, images, middle) < (1 - level) / 2:
            low = middle
        else:
            high = middle
    return high


def chance_of_hits(hits: int, images: int, rate: float) -> float:
    """How likely `hits` or more of `images` are at a true rate below what is seen.

    The exact upper tail of the binomial. Above its mode each term is smaller than the one before,
    so that few are enough, however many images there are.
    """
    if rate == 0:
        return 0.0
    odds = rate / (1 - rate)
    term = math.exp(
        math.lgamma(images + 1)
        - math.lgamma(hits + 1)
        - math.lgamma(images - hits + 1)
        + hits * math.log(rate)
        + (images - hits) * math.log1p(-rate)
    )
    total = 0.0
    while total + term > total:
        total += term
        term *= (images - hits) / (hits + 1) * odds
        hits += 1
    return total
