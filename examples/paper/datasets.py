"""The paper's data sets as tensors, each named by a spec: KIND, KIND:PATH or KIND:PATH#PART.

These are the user's own files, opened by Pillow in a few formats only; pictures that strangers
uploaded go through `curate.images.decode` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from curate.config import IMAGE_SUFFIXES
from curate.errors import UsageError
from curate.images.transforms import THREADS
from curate.model.sampling import Stream

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
SHEET_COLUMNS, SHEET_SIDE = 40, 32

TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "food101": "Food101"}

ODIN = {
    "TINc": "Imagenet/test",
    "TINr": "Imagenet_resize/Imagenet_resize",
    "LSUNc": "LSUN/test",
    "LSUNr": "LSUN_resize/LSUN_resize",
    "iSUN": "iSUN/iSUN_patches",
}
"""Where the archives that came with ODIN's code unpack to, by the paper's names (4.1.3)."""


@dataclass(frozen=True)
class Spec:
    """A parsed spec: `kind`, the `path` it lies at, and which `part` of it is meant."""

    kind: str
    path: Path
    part: str | None

    @property
    def name(self) -> str:
        """What to call the set: its kind, or the last part of its path."""
        return self.kind if self.kind in TORCHVISION else self.path.name


@dataclass(frozen=True)
class Images:
    """Images of one set: uint8 pixels (N, 3, S, S), and labels (N,) where there are any."""

    pixels: torch.Tensor
    labels: torch.Tensor | None
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Source:
    """A set before its pixels are read: how many, their classes, and the way to read some rows."""

    count: int
    labels: torch.Tensor | None
    classes: tuple[str, ...]
    read: Callable[[list[int], int], torch.Tensor]
    """Rows and side S -> uint8 (N, 3, S, S)."""


def parse(text: str, data: Path) -> Spec:
    """The spec in `text`; sets of torchvision lie in (or are downloaded to) `data`.

    Raises UsageError for a kind that does not exist or a path that is missing.
    """
    kind, colon, rest = text.partition(":")
    place, _, part = (rest if colon else kind).partition("#")
    kind = kind.partition("#")[0]
    if kind in TORCHVISION:
        return Spec(kind, data, part or None)
    if kind not in ("folder", "odin", "sheets") or not place:
        known = ", ".join([*TORCHVISION, "folder:PATH", "odin:PATH#NAME", "sheets:PATH#NAME"])
        raise UsageError(f"{text!r} names no data set; the kinds are {known}")
    path = Path(place).expanduser()
    if not path.is_dir():
        raise UsageError(f"{text!r}: there is no folder {str(path)!r}")
    return Spec(kind, path, part or None)


def has_part(spec: Spec, part: str) -> bool:
    """Whether a folder is divided, as DeepFashion's train, val and test are, and has `part`."""
    return spec.kind == "folder" and (spec.path / part).is_dir()


def load(spec: Spec, part: str, size: int, limit: int | None = None, seed: int = 0) -> Images:
    """At most `limit` images, drawn without order, as `size` by `size` pixels.

    `part` (train, val, test) stands where the spec names none. Every set is shuffled by `seed`:
    sheets and folders are sorted by class. Raises UsageError when there is nothing to read.
    """
    source = _source(spec, spec.part or part)
    if not source.count:
        raise UsageError(f"no images in {spec.kind} {str(spec.path)!r}, part {spec.part or part!r}")
    count = source.count if limit is None else min(limit, source.count)
    rows = Stream(source.count, seed).take(0, count)
    labels = None if source.labels is None else source.labels[rows]
    return Images(source.read(rows.tolist(), size), labels, source.classes)


def _source(spec: Spec, part: str) -> Source:
    if spec.kind in TORCHVISION:
        return _torchvision(spec, part)
    return {"folder": _folder, "odin": _odin, "sheets": _sheets}[spec.kind](spec, part)


def _torchvision(spec: Spec, part: str) -> Source:
    """CIFAR and Food-101, whose `targets` torchvision keeps under two names."""
    found = _fetched(spec, part)
    labels = torch.tensor(getattr(found, "targets", None) or found._labels)
    if hasattr(found, "data"):
        read = partial(_from_array, np.asarray(found.data, np.uint8))
    else:
        read = partial(_from_files, [Path(name) for name in found._image_files])
    return Source(len(labels), labels, tuple(found.classes), read)


def _fetched(spec: Spec, part: str) -> Any:
    from torchvision import datasets

    made = getattr(datasets, TORCHVISION[spec.kind])
    which = {"split": part} if spec.kind == "food101" else {"train": part == "train"}
    try:
        try:
            return made(str(spec.path), **which)
        except RuntimeError:  # what torchvision says when it is not there
            return made(str(spec.path), download=True, **which)
    except (RuntimeError, OSError) as error:
        address = getattr(made, "url", None) or made._URL
        raise UsageError(
            f"{spec.kind} is not in {str(spec.path)!r} and cannot be downloaded ({error}); get "
            f"{address} elsewhere and put the archive there, or name its folder with --data"
        ) from error


def _folder(spec: Spec, part: str) -> Source:
    """Sub-folders are classes; a folder without any holds images of no known class."""
    root = spec.path / part if has_part(spec, part) else spec.path
    if spec.part and root == spec.path:
        raise UsageError(f"{str(spec.path)!r} has no sub-folder {spec.part!r}")
    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    by_class = [_image_files(root / name) for name in classes] or [_image_files(root)]
    files = [file for one in by_class for file in one]
    sizes = torch.tensor([len(one) for one in by_class])
    labels = torch.arange(len(by_class)).repeat_interleave(sizes) if classes else None
    return Source(len(files), labels, tuple(classes), partial(_from_files, files))


def _odin(spec: Spec, part: str) -> Source:
    if part not in ODIN:
        raise UsageError(f"odin:{spec.path} needs one of #{', #'.join(ODIN)}")
    root = spec.path / ODIN[part]
    if not root.is_dir():
        raise UsageError(f"{str(root)!r} is missing; unpack ODIN's archive in {str(spec.path)!r}")
    files = _image_files(root)
    return Source(len(files), None, (), partial(_from_files, files))


def _sheets(spec: Spec, part: str) -> Source:
    """`PART-NN.webp`, 32 by 32 pixels in rows of 40, `PART.labels` and `classes.txt`."""
    pages = [_page(file) for file in sorted(spec.path.glob(f"{part}-*.webp"))]
    if not pages:
        raise UsageError(f"{str(spec.path)!r} has no sheets {part}-*.webp")
    everything = np.concatenate(pages)
    labels, names = spec.path / f"{part}.labels", spec.path / "classes.txt"
    numbers = (
        torch.tensor([int(n) for n in labels.read_text().split()]) if labels.exists() else None
    )
    if numbers is not None:
        everything = everything[: len(numbers)]  # the last row of a sheet may not be full
    classes = tuple(names.read_text().split("\n")) if names.exists() else ()
    classes = tuple(name.strip() for name in classes if name.strip())
    return Source(len(everything), numbers, classes, partial(_from_array, everything))


def _page(file: Path) -> NDArray[np.uint8]:
    pixels = np.asarray(_opened(file), np.uint8)
    rows = pixels.shape[0] // SHEET_SIDE
    grid = pixels.reshape(rows, SHEET_SIDE, SHEET_COLUMNS, SHEET_SIDE, 3).swapaxes(1, 2)
    return grid.reshape(-1, SHEET_SIDE, SHEET_SIDE, 3)


def _image_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)


def _from_array(everything: NDArray[np.uint8], rows: list[int], size: int) -> torch.Tensor:
    """Pixels of some rows of uint8 (N, H, W, 3)."""
    chosen = everything[rows]
    if chosen.shape[1:3] != (size, size):
        chosen = np.stack([_squared(Image.fromarray(image), size) for image in chosen])
    return torch.from_numpy(np.ascontiguousarray(chosen.transpose(0, 3, 1, 2)))


def _from_files(files: list[Path], rows: list[int], size: int) -> torch.Tensor:
    with ThreadPoolExecutor(THREADS) as threads:
        squares = threads.map(lambda row: _squared(_opened(files[row], size), size), rows)
        return torch.from_numpy(np.stack(list(squares)).transpose(0, 3, 1, 2).copy())


def _opened(file: Path, size: int | None = None) -> Image.Image:
    """The decoded picture in RGB; JPEGs far larger than `size` are decoded smaller, twice it."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            if size is not None:
                image.draft("RGB", (2 * size, 2 * size))
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise UsageError(f"{str(file)!r} cannot be read as an image ({error})") from error


def _squared(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Squashed to a square, bicubic and antialiased, as all training here does."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, np.uint8)
