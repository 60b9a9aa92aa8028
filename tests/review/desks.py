"""What the tests of the desk are made of: twelve images, five of them flagged, and words."""

from __future__ import annotations

from typing import Any

from curate.catalog.query import Query
from curate.review.desk import Desk

from ..catalog.cases import name_of

IMAGES = 12
HOSTILE = {
    "%1B%5B31mred%07.png": "%1B%5B31mred%07.png",
    "two%0Alines.png": "two%0Alines.png",
    "no-text-%FF.png": "no-text-%FF.png",
    "gnp.%E2%80%AEexe.png": "gnp.\\u202eexe.png",
    "%3Cimg%20src=x%20onerror=alert(1)%3E.png": "<img src=x onerror=alert(1)>.png",
    "%F3%A0%81%81tag.png": "\\U000e0041tag.png",
}
"""Percent-encoded names of the first images, and how they are shown."""


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    """Which images rows are of."""
    known = {name_of(number): number for number in range(IMAGES)}
    return [known[row["sha256"]] for row in rows]


def tags(desk: Desk) -> list[str]:
    """The tags of all images, by number."""
    rows = {row.sha256: row.tag for row in desk.workspace.catalog.iter_images(Query())}
    return [rows[name_of(number)] for number in range(IMAGES)]


def said(
    *images: int, verdict: str = "ood", as_of: int = 0, class_name: str | None = None
) -> dict[str, object]:
    """A judgement as the page sends it."""
    hashes = [name_of(number) for number in images]
    return {"images": hashes, "verdict": verdict, "as_of": as_of, "class": class_name}
