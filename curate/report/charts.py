"""The geometry of the report's charts, in the units of an SVG's view box; the page draws it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from curate.model.metrics import roc

BINS = 40
NAME_WIDTH = 140
"""Room that the name of a threshold takes."""


@dataclass(frozen=True)
class Box:
    """Where a chart's axes lie inside its view box."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The right end of the horizontal axis."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Where the horizontal axis lies."""
        return self.top + self.height


@dataclass(frozen=True)
class Tick:
    """A labeled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Cut:
    """A threshold, and on which side of its line the label stands ("start": to the right)."""

    at: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Histogram:
    """Shares of ID and of OOD images by score, each side's adding up to one."""

    box: Box
    id_path: str
    ood_path: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Curve:
    """A named ROC curve."""

    name: str
    path: str


WIDE = Box(46, 24, 580, 170)
LOW = Box(46, 24, 580, 84)
SMALL = Box(36, 12, 174, 96)
SQUARE = Box(46, 28, 300, 300)


def histogram(
    id_scores: Tensor,
    ood_scores: Tensor,
    box: Box,
    span: tuple[float, float] | None = None,
    cuts: Sequence[tuple[float, str]] = (),
) -> Histogram:
    """Bin scores (N,) and (M,) over `span`, or over all that occur; `cuts` are (score, label)."""
    both = torch.cat([id_scores, ood_scores])
    low, high = span or (float(both.min()), float(both.max()))
    high = high if high > low else low + 1
    shares = [_shares(scores, low, high) for scores in (id_scores, ood_scores)]
    tallest = float(torch.cat(shares).max())

    def across(score: float) -> float:
        return round(box.left + box.width * (score - low) / (high - low), 1)

    return Histogram(
        box,
        id_path=_steps(shares[0], box, tallest),
        ood_path=_steps(shares[1], box, tallest),
        x_ticks=tuple(Tick(across(x), f"{x:g}") for x in _round_numbers(low, high)),
        y_ticks=tuple(
            Tick(round(box.bottom - box.height * y / tallest, 1), f"{100 * y:g}%")
            for y in _round_numbers(0, tallest)
        ),
        cuts=_labeled([(across(cut), label) for cut, label in cuts if low <= cut <= high], box),
    )


def curve(name: str, id_scores: Tensor, ood_scores: Tensor, box: Box = SQUARE) -> Curve:
    """The ROC curve as a path: ID flagged to the right, OOD found upwards."""
    shares = roc(id_scores, ood_scores)
    points = zip(
        (box.left + box.width * shares.id_flagged).tolist(),
        (box.bottom - box.height * shares.ood_flagged).tolist(),
        strict=True,
    )
    return Curve(name, _path(points))


def _labeled(cuts: Sequence[tuple[float, str]], box: Box) -> tuple[Cut, ...]:
    """Cuts from left to right, their labels turned away from each other and from the ends."""
    ordered = sorted(cuts)
    outer = [box.left + NAME_WIDTH, box.right - NAME_WIDTH]
    return tuple(
        Cut(at, label, "start" if at < outer[0] or (index and at <= outer[1]) else "end")
        for index, (at, label) in enumerate(ordered)
    )


def _shares(scores: Tensor, low: float, high: float) -> Tensor:
    places = ((scores.double() - low) / (high - low) * BINS).floor().clamp(0, BINS - 1).long()
    return places.bincount(minlength=BINS).double() / max(1, len(scores))


def _steps(shares: Tensor, box: Box, tallest: float) -> str:
    """The closed outline of the bars."""
    step, points = box.width / len(shares), [(box.left, box.bottom)]
    for index, share in enumerate(shares.tolist()):
        top = box.bottom - box.height * share / tallest
        points += [(box.left + index * step, top), (box.left + (index + 1) * step, top)]
    return _path([*points, (box.right, box.bottom)]) + "Z"


def _path(points: Iterable[tuple[float, float]]) -> str:
    """Straight lines through `points`, to a tenth of a unit, without repeats."""
    rounded = dict.fromkeys((round(x, 1), round(y, 1)) for x, y in points)
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in rounded)


def _round_numbers(low: float, high: float) -> list[float]:
    """Three to six numbers within [low, high] that people like to read."""
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(index * step, 10) for index in range(first, last + 1)]
