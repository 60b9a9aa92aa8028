"""Originals copied into one folder per class; names and contents are strangers'."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import IO

from curate.images.paths import root_path

MANIFEST = "manifest.csv"
FOLDER_BYTES = 200
UNCHECKED = "unchecked"
"""Never the name of a copy, for those hold a dash."""
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
"""What some file system or another does not take in a name."""
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


def copy(row: dict[str, object], folder: Path) -> bool:
    """Copy the original of an exported row into its class below `folder`.

    False, and nothing is left, where it is no more the content that was catalogued.
    """
    original = _original(str(row["path"]))
    target = folder / _folder_name(row) / _file_name(str(row["sha256"]), original)
    target.parent.mkdir(exist_ok=True)
    return _copy_checked(original, target, row)


def _original(shown: str) -> Path:
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
    try:
        source = os.fdopen(os.open(original, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError:
        return False
    with source:
        found = os.fstat(source.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size != row["bytes"]:
            return False
        _copy_bytes(source, unchecked, digest)
    if digest.hexdigest() != row["sha256"]:
        unchecked.unlink()
        return False
    unchecked.replace(target)
    return True


def _copy_bytes(source: IO[bytes], target: Path, digest: hashlib._Hash) -> None:
    with target.open("wb") as out:
        while block := source.read(1 << 20):
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
