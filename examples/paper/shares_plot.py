"""The runs as a picture: AUROC of fresh images over the OOD share, a line for each recipe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import mean
from xml.sax.saxutils import escape

from curate.errors import UsageError
from examples.paper.shares_table import COLUMNS, Row

COLOURS = {"frozen": "#6b7280", "control": "#b7791f", "paper": "#b83280", "guarded": "#1f5fbf"}
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 60, 40, 110, 50
STEP = 0.05
"""Between two lines of the grid."""


@dataclass(frozen=True)
class Axes:
    """OOD shares side by side, AUROC upwards from `low` to `high`."""

    shares: tuple[float, ...]
    low: float
    high: float

    def across(self, share: float) -> float:
        """Where a share stands."""
        place = (self.shares.index(share) + 0.5) / len(self.shares)
        return round(LEFT + place * (WIDTH - LEFT - RIGHT), 1)

    def up(self, auroc: float) -> float:
        """Where a figure stands."""
        place = (auroc - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM), 1)


def plot(rows: Iterable[Row], ood: str) -> str:
    """An SVG: a dot for each run on a whole inbox with OOD set `ood`, lines through the means.

    A run that diverged has no dot; the table tells of it. Raises UsageError when there is none.
    """
    runs = [row for row in rows if row["ood"] == ood and row["part"] == 1 and "fresh" in row]
    figures = [row["fresh"]["score"] for row in runs]
    if not figures:
        raise UsageError(f"there is no run with {ood} as OOD to draw")
    high = math.ceil(max(figures) / STEP)
    low = min(math.floor(min(figures) / STEP), high - 1)
    axes = Axes(tuple(sorted({row["share"] for row in runs})), low * STEP, high * STEP)
    marks = list(_grid(axes, ood))
    for recipe in COLUMNS:
        marks += _line(axes, recipe, [row for row in runs if row["recipe"] == recipe])
    body = "\n".join(marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _grid(axes: Axes, ood: str) -> Iterator[str]:
    yield _text(LEFT, 22, f"AUROC on fresh images, by the share of {ood} in the inbox")
    for step in range(round(axes.low / STEP), round(axes.high / STEP) + 1):
        y = axes.up(step * STEP)
        yield f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#d9dce1"/>'
        yield _text(LEFT - 8, y + 4, f"{100 * step * STEP:.0f} %", "end")
    for share in axes.shares:
        yield _text(axes.across(share), HEIGHT - BOTTOM + 24, f"{100 * share:g} %", "middle")


def _line(axes: Axes, recipe: str, runs: list[Row]) -> Iterator[str]:
    by_share: dict[float, list[float]] = {}
    for row in runs:
        by_share.setdefault(row["share"], []).append(row["fresh"]["score"])
    colour, path = COLOURS[recipe], "M"
    for share, found in sorted(by_share.items()):
        x, y = axes.across(share), axes.up(mean(found))
        path += f"{'' if path == 'M' else 'L'}{x} {y}"
        for figure in found:
            yield f'<circle cx="{x}" cy="{axes.up(figure)}" r="3" fill="{colour}"/>'
    if by_share:
        yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield _text(x + 12, y + 4, recipe, colour=colour)


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#1a1c1f") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
