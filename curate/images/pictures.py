"""The images below a folder, by content, read through the same door as uploads.

Nothing is catalogued: what was read is known to the caller alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from curate.errors import PicturesError
from curate.images.decode import DecodedImage, Decoder
from curate.images.inbox import scan
from curate.images.previews import Previews

BATCH = 500


@dataclass(frozen=True)
class Pictures:
    """What a folder holds; paths are relative to `root`."""

    root: Path
    images: dict[str, Path]
    """SHA-256 -> the first name of that content."""
    unreadable: tuple[tuple[Path, str], ...]
    """Path and reason."""
    duplicates: int
    """Files whose content is there already."""


def read_pictures(
    root: Path,
    decoder: Decoder,
    previews: Previews,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Pictures:
    """Decode every file below `root` and keep the previews in `previews`.

    `on_file` is told (done, total). Links are not followed. Raises PicturesError for what is no
    folder, or holds no readable image.
    """
    root = root.absolute()
    check_folder(root)
    files = _files(root)
    images: dict[str, Path] = {}
    unreadable: list[tuple[Path, str]] = []
    decoded, done = decoder.map(files, root), 0
    while batch := list(islice(decoded, BATCH)):
        for path, result in batch:
            if isinstance(result, DecodedImage):
                images.setdefault(result.sha256, path.relative_to(root))
            else:
                unreadable.append((path.relative_to(root), result.reason))
        made = (result for _, result in batch if isinstance(result, DecodedImage))
        previews.add((image.sha256, image.preview) for image in made)
        done += len(batch)
        on_file(done, len(files))
    if not images:
        raise PicturesError(root, _no_images(unreadable))
    return Pictures(root, images, tuple(unreadable), len(files) - len(images) - len(unreadable))


def class_indices(pictures: Pictures, classes: Sequence[str]) -> list[int | None]:
    """Which of `classes` each image belongs to by its top sub-folder, None for no class's.

    Raises PicturesError when some sub-folders are classes and another one with images is not.
    """
    tops = [path.parts[0] if len(path.parts) > 1 else None for path in pictures.images.values()]
    found = set(filter(None, tops))
    strange = sorted(found.difference(classes))
    if strange and found.intersection(classes):
        raise PicturesError(
            pictures.root,
            f"{strange[0]!r} is no class of the network, which knows {', '.join(classes)}; "
            "what is of no class of its is OOD, so move it out",
        )
    known = {name: index for index, name in enumerate(classes)}
    return [None if top is None else known.get(top) for top in tops]


def check_folder(root: Path) -> None:
    """Raise PicturesError for what is no folder."""
    if not root.exists():
        raise PicturesError(root, "no such folder; check the spelling")
    if not root.is_dir():
        raise PicturesError(root, "a file; give the folder that holds the images")


def _files(root: Path) -> list[Path]:
    failed: list[tuple[Path, OSError]] = []
    files = sorted(file.path for file in scan(root, on_error=lambda *found: failed.append(found)))
    if failed:
        folder, error = failed[0]
        raise PicturesError(folder, f"cannot be read ({error.strerror}); check its mode")
    return files


def _no_images(unreadable: list[tuple[Path, str]]) -> str:
    if not unreadable:
        return "it holds no files; give a folder of images"
    path, reason = unreadable[0]
    return f"none of its {len(unreadable)} files can be read; the first is {str(path)!r}: {reason}"
