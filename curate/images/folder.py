"""The labeled folder: one sub-folder of images per class, read through the same door as uploads.

Images are told apart by content, so a copy can never lie in two splits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from curate.config import IMAGE_SUFFIXES, SplitConfig
from curate.errors import LabeledFolderError, UnreadableInputs
from curate.images.decode import DecodedImage, Decoder
from curate.images.inbox import ignored
from curate.images.paths import encode, real
from curate.images.previews import Previews

BATCH = 500
FEWEST_IMAGES = 3
"""Of a class: one to train on, one to validate on, one to calibrate with."""
_PICTURES = (
    *IMAGE_SUFFIXES,
    *(".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".jxl"),
)


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """One content of the labeled folder; `path` is its first name, encoded, below the root."""

    sha256: str
    class_name: str
    split: str
    path: str


@dataclass(frozen=True)
class Labeled:
    """A labeled folder that was read; paths are encoded and relative to `root`."""

    root: Path
    classes: tuple[str, ...]
    images: tuple[LabeledImage, ...]
    unreadable: tuple[tuple[str, str], ...]
    """Path and reason."""
    conflicting: tuple[str, ...]
    """Files whose content lies in several classes; left out."""
    duplicates: int
    """Files whose content is there already, in the same class."""


def find_classes(root: Path) -> dict[str, list[Path]]:
    """The images of each class, both sorted; hidden names and files that are no images left out.

    Raises LabeledFolderError, which says what to do, for anything but one sub-folder per class.
    """
    files, folders = _listing(root)
    _check_names(root, folders)
    if any(map(_is_picture, files)):
        raise LabeledFolderError(
            root, "images lie directly in it; put them into one sub-folder per class"
        )
    if not folders:
        raise LabeledFolderError(root, "it is empty; make one sub-folder of images per class")
    listings = {folder: _listing(folder) for folder in folders}
    classes = {
        folder.name: [file for file in files if _is_picture(file)]
        for folder, (files, _) in listings.items()
    }
    _check_depth(root, classes, [inner for _, inners in listings.values() for inner in inners])
    _check_classes(root, classes)
    return classes


def _check_names(root: Path, folders: Sequence[Path]) -> None:
    """Refuse names that are no text: the catalog, JSON and every export hold classes as text."""
    for path in (root.absolute(), *folders):
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise LabeledFolderError(path, "its name is not UTF-8; rename it") from error


def _listing(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files and folders in `folder`, links followed, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            kept = sorted((e for e in entries if not ignored(e.name)), key=lambda e: e.name)
    except FileNotFoundError as error:
        raise LabeledFolderError(folder, "no such folder; check the spelling") from error
    except NotADirectoryError as error:
        raise LabeledFolderError(
            folder, "a file; give the folder that holds one sub-folder per class"
        ) from error
    except OSError as error:
        raise LabeledFolderError(
            folder, f"cannot be read ({error.strerror}); check its mode"
        ) from error
    # Unlike DirEntry.is_dir, os.path.isdir takes a loop of links for no folder.
    found = [(Path(entry.path), os.path.isdir(entry.path)) for entry in kept]
    return [path for path, is_dir in found if not is_dir], [
        path for path, is_dir in found if is_dir
    ]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _PICTURES


def _check_depth(root: Path, classes: Mapping[str, list[Path]], inner: Sequence[Path]) -> None:
    """Refuse images one level too deep: nobody can know which level names the class."""
    deep = [folder for folder in inner if _holds_pictures(folder)]
    if not deep:
        return
    if not any(classes.values()):
        tops = sorted({folder.parent.name for folder in deep})
        best = "train" if "train" in tops else tops[0]
        raise LabeledFolderError(
            root, f"its sub-folders hold only folders; point curate at {str(root / best)!r}"
        )
    raise LabeledFolderError(
        root,
        f"images lie too deep, in {str(deep[0].relative_to(root))!r}; move them up into "
        "the folder of their class",
    )


def _holds_pictures(folder: Path) -> bool:
    return any(
        Path(name).suffix.lower() in _PICTURES and not ignored(name)
        for _, _, names in os.walk(folder)
        for name in names
    )


def _check_classes(root: Path, classes: Mapping[str, list[Path]]) -> None:
    empty = next((name for name, files in classes.items() if not files), None)
    if empty is not None:
        raise LabeledFolderError(
            root, f"class {empty!r} holds no images; add some, or remove its folder"
        )
    if len(classes) < 2:
        raise LabeledFolderError(
            root, f"only one class, {next(iter(classes))!r}; at least two are needed to tell apart"
        )


@dataclass
class _Contents:
    """What was found in the folder, by content."""

    names: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """SHA-256 -> (class, encoded path) of each file."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def conflicting(self) -> list[str]:
        """Paths of the contents that lie in several classes."""
        return sorted(
            path
            for names in self.names.values()
            if len({class_name for class_name, _ in names}) > 1
            for _, path in names
        )

    def settled(self) -> dict[str, list[tuple[str, str]]]:
        """The contents that lie in one class."""
        return {
            sha256: names
            for sha256, names in self.names.items()
            if len({class_name for class_name, _ in names}) == 1
        }


def read_labeled(
    root: Path,
    decoder: Decoder,
    previews: Previews,
    split: SplitConfig,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Labeled:
    """Decode a labeled folder, keep its previews and divide it into splits.

    `on_image` is told (done, total). Raises LabeledFolderError when a class is left with too few
    images; with `split.strict`, UnreadableInputs, or LabeledFolderError for conflicting classes.
    """
    root = root.absolute()
    classes = find_classes(root)
    contents = _read(root, classes, decoder, previews, on_image)
    settled = contents.settled()
    by_class: dict[str, list[str]] = {name: [] for name in classes}
    for sha256, names in settled.items():
        by_class[names[0][0]].append(sha256)
    conflicting = contents.conflicting()
    _check_strictness(root, split, contents.unreadable, conflicting)
    _check_enough(root, by_class)
    splits = assign_splits(by_class, split)
    images = (
        LabeledImage(sha256, *names[0][:1], splits[sha256], names[0][1])
        for sha256, names in settled.items()
    )
    return Labeled(
        root,
        tuple(classes),
        tuple(sorted(images, key=lambda image: (image.class_name, image.path))),
        tuple(contents.unreadable),
        tuple(conflicting),
        sum(len(names) - 1 for names in settled.values()),
    )


def _read(
    root: Path,
    classes: Mapping[str, list[Path]],
    decoder: Decoder,
    previews: Previews,
    on_image: Callable[[int, int], None],
) -> _Contents:
    contents, done = _Contents(), 0
    files = [path for paths in classes.values() for path in paths]
    decoded = zip(files, decoder.map(map(_followed, files)), strict=True)
    while batch := list(islice(decoded, BATCH)):
        made: list[tuple[str, bytes]] = []
        for path, (_, result) in batch:
            name = encode(path.relative_to(root))
            if isinstance(result, DecodedImage):
                made.append((result.sha256, result.preview))
                contents.names.setdefault(result.sha256, []).append((path.parent.name, name))
            else:
                contents.unreadable.append((name, result.reason))
            done += 1
            on_image(done, len(files))
        previews.add(made)
    return contents


def _followed(path: Path) -> Path:
    """Where a link leads: its owner put it there, unlike an upload's."""
    return real(path) if path.is_symlink() else path


def _check_strictness(
    root: Path,
    split: SplitConfig,
    unreadable: Sequence[tuple[str, str]],
    conflicting: Sequence[str],
) -> None:
    if split.strict and unreadable:
        path, reason = unreadable[0]
        first = f"the first is {path!r} ({reason}); without --strict they are named, and left out"
        raise UnreadableInputs(len(unreadable), first)
    if split.strict and conflicting:
        raise LabeledFolderError(
            root,
            f"{len(conflicting)} files hold an image that lies in several classes, the first is "
            f"{conflicting[0]!r}; keep each image in one class",
        )


def _check_enough(root: Path, by_class: Mapping[str, Sequence[str]]) -> None:
    for name, hashes in by_class.items():
        if len(hashes) < FEWEST_IMAGES:
            raise LabeledFolderError(
                root,
                f"class {name!r} has {len(hashes)} usable images, at least {FEWEST_IMAGES} are "
                "needed; add some, or remove its folder",
            )


def assign_splits(by_class: Mapping[str, Sequence[str]], split: SplitConfig) -> dict[str, str]:
    """The split of each hash: "calibration", "validation" or "train".

    Inside a class, hashes are ordered by SHA-256 of "seed:hash" and cut by the fractions, so
    neither names nor order on disk matter. One image at least is trained on.
    """
    return dict(pair for hashes in by_class.values() for pair in _assigned(hashes, split))


def _assigned(hashes: Sequence[str], split: SplitConfig) -> Iterator[tuple[str, str]]:
    ordered = sorted(hashes, key=lambda h: hashlib.sha256(f"{split.seed}:{h}".encode()).digest())
    calibration = min(_part(len(ordered), split.calibration), len(ordered) - 1)
    validation = min(_part(len(ordered), split.validation), len(ordered) - calibration - 1)
    for position, sha256 in enumerate(ordered):
        if position < calibration:
            yield sha256, "calibration"
        else:
            yield sha256, "validation" if position < calibration + validation else "train"


def _part(count: int, fraction: float) -> int:
    """How many of `count` a fraction is, halves rounded up; of an allowed class at least one."""
    rounded = int(count * fraction + 0.5)
    return max(1, rounded) if count >= FEWEST_IMAGES and fraction > 0 else rounded
