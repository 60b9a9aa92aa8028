"""Originals copied into one folder per class; names and contents are strangers'."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path

from curate.images.paths import root_path

MANIFEST = "manifest.csv"
FOLDER_BYTES = 200
BLOCK = 1 << 20
UNCHECKED = "unchecked"
"""Never the name of a copy, for those hold a dash."""
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
"""What some file system or another does not take in a name."""
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


def copy(row: dict[str, object], folder: Path, elsewhere: Iterable[Path] = ()) -> bool:
    """Copy the original of an exported row, or its twin `elsewhere`, into its class below `folder`.

    False, and nothing is left, where none is any more the content that was catalogued.
    """
    original = original_of(str(row["path"]))
    target = folder / _folder_name(row) / _file_name(str(row["sha256"]), original)
    target.parent.mkdir(exist_ok=True)
    return any(_copy_checked(place, target, row) for place in chain((original,), elsewhere))


def original_of(shown: str) -> Path:
    """The file that the `path` of an exported row names."""
    return root_path(shown) if shown.startswith("file:") else Path(shown)


def _folder_name(row: dict[str, object]) -> str:
    """The class of a row as a folder; one that begins with `_` gets another, for `_ood` is ours."""
    if row["tag"] != "id" or row["label"] is None:
        return f"_{folder_of(str(row['tag'])) if row['tag'] != 'id' else 'unlabeled'}"
    label = str(row["label"])
    plain = folder_of(label)
    return f"_{plain}" if label.startswith("_") else plain


def folder_of(label: str) -> str:
    """A class as one name that every file system takes: never a path, never another class's."""
    kept = _UNSAFE.sub("_", label.encode("utf-8", "replace").decode()).strip(". ")
    while len(kept.encode()) > FOLDER_BYTES:
        kept = kept[:-1]
    if kept == label and kept != MANIFEST and not _DEVICE.fullmatch(kept):
        return kept
    return f"{kept}-{hashlib.sha256(label.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _file_name(sha256: str, original: Path) -> str:
    return _safe(f"{sha256[:12]}-{original.name}")


def _safe(name: str) -> str:
    """A name that every file system and shell takes: letters, digits, dot, dash, underscore."""
    kept = re.sub(r"[^\w.-]+", "_", name.encode("utf-8", "replace").decode())
    return kept[:13] + kept[13:][-60:]


def _copy_checked(original: Path, target: Path, row: dict[str, object]) -> bool:
    """Copy what is still the catalogued content; whether it was.

    A sighting that has changed must not cost the copy that another one of the same name gave.
    """
    digest, unchecked = hashlib.sha256(), target.with_name(UNCHECKED)
    with unchecked.open("wb") as out:
        for block in _blocks(original, row["bytes"]):
            digest.update(block)
            out.write(block)
        unchanged = digest.hexdigest() == row["sha256"]
        if unchanged:
            out.flush()
            os.fsync(out.fileno())
    if unchanged:
        unchecked.replace(target)
    else:
        unchecked.unlink()
    return unchanged


def _blocks(original: Path, size: object) -> Iterator[bytes]:
    """The content of a regular file of that size, as far as it can be read: the digest tells.

    Little more than the size: a file may grow for as long as it is read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with suppress(OSError), os.fdopen(os.open(original, flags), "rb") as source:
        found = os.fstat(source.fileno())
        if stat.S_ISREG(found.st_mode) and found.st_size == size:
            blocks = iter(partial(source.read, BLOCK), b"")
            yield from islice(blocks, 1 + found.st_size // BLOCK)
