"""How scores are spread, as lines of text at most 80 columns wide."""

from __future__ import annotations

import math
from collections.abc import Sequence

from curate.cli.words import counted
from curate.console import safe

WIDTH, HEIGHT = 72, 8
_EIGHTHS = " ▁▂▃▄▅▆▇█"
SIDES = ("in-distribution", "out-of-distribution")


def histogram_lines(
    scores: Sequence[float],
    threshold: float | None = None,
    title: str = "",
    labels: tuple[str, str] = SIDES,
) -> list[str]:
    """The lines to show: left of the `│` stand exactly the scores below the threshold."""
    head = [safe(title)] if title else []
    if not scores:
        return [*head, "no scores yet"]
    low, high = min(scores), max(scores)
    edge = threshold if threshold is not None and low < threshold <= high else None
    left, right = binned(scores, low if edge is None else edge)
    tallest, wall = max(left + right), "" if edge is None else "│"
    rows = [
        _row(left, tallest, level) + wall + _row(right, tallest, level)
        for level in reversed(range(HEIGHT))
    ]
    wide = max(len(rows[0]), 20)
    lines = [*head, *(row.rstrip() for row in rows), f"{low:<{wide - 10}.4g}{high:>10.4g}"]
    if edge is not None:
        lines.append(" " * len(left) + "▲")
    return [*lines, _sides(scores, threshold, labels)]


def binned(scores: Sequence[float], edge: float, width: int = WIDTH) -> tuple[list[int], list[int]]:
    """Counts below `edge` and from it on, in columns of one step that begin at the edge.

    The step is the range of the scores over `width`; there may be one column more than that.
    """
    low, high = min(scores), max(scores)
    step = (high - low) / width or 1.0
    left = [0] * math.ceil((edge - low) / step)
    right = [0] * max(math.ceil((high - edge) / step), 1)
    for score in scores:
        if score < edge:
            left[len(left) - max(math.ceil((edge - score) / step), 1)] += 1
        else:
            right[min(math.floor((score - edge) / step), len(right) - 1)] += 1
    return left, right


def _row(counts: Sequence[int], tallest: int, level: int) -> str:
    """One text row of the columns; a count above zero is never drawn as nothing."""
    eighths = (max(round(8 * HEIGHT * count / tallest), bool(count)) for count in counts)
    return "".join(_EIGHTHS[min(max(height - 8 * level, 0), 8)] for height in eighths)


def _sides(scores: Sequence[float], threshold: float | None, labels: tuple[str, str]) -> str:
    if threshold is None:
        return counted(len(scores), "score{s}")
    above = sum(score >= threshold for score in scores)
    below, share = len(scores) - above, above / len(scores)
    return f"{safe(labels[0])} {below} ◂ {threshold:.4g} ▸ {above} {safe(labels[1])} ({share:.1%})"
