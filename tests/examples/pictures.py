"""Sheets and folders of small coloured pictures, whose colour is their class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE, COLUMNS = 32, 40


def coloured(labels: list[int], seed: int, noise: int = 40) -> NDArray[np.uint8]:
    """One picture (32, 32, 3) a label: the same hue for the same label, and noise."""
    random = np.random.default_rng(seed)
    hues = np.random.default_rng(7).integers(60, 196, (max(labels) + 1, 3))
    spread = random.integers(-noise, noise + 1, (len(labels), SIDE, SIDE, 3))
    return (hues[labels][:, None, None] + spread).clip(0, 255).astype(np.uint8)


def write_sheet(file: Path, pictures: NDArray[np.uint8]) -> None:
    """One sheet of rows of 40; the last row is filled up with black."""
    rows = -(-len(pictures) // COLUMNS)
    grid = np.zeros((rows * COLUMNS, SIDE, SIDE, 3), np.uint8)
    grid[: len(pictures)] = pictures
    page = grid.reshape(rows, COLUMNS, SIDE, SIDE, 3).swapaxes(1, 2)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(page.reshape(rows * SIDE, COLUMNS * SIDE, 3)).save(file, lossless=True)


def write_labeled(folder: Path, part: str, labels: list[int], seed: int) -> NDArray[np.uint8]:
    """`part` of a labeled set in sheets: one sheet, its labels, and the names of the classes."""
    pictures = coloured(labels, seed)
    write_sheet(folder / f"{part}-00.webp", pictures)
    (folder / f"{part}.labels").write_text("".join(f"{label}\n" for label in labels))
    (folder / "classes.txt").write_text("".join(f"class {n}\n" for n in range(max(labels) + 1)))
    return pictures


def write_pngs(folder: Path, count: int, side: int = SIDE) -> None:
    """Pictures of `side` pixels, the n-th of brightness n."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (side, side), (number, 0, 0)).save(folder / f"{number:02}.png")
