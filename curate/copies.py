"""Originals copied or linked to, checked and rid of metadata; names and contents are strangers'."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from curate.config import IMAGE_SUFFIXES
from curate.durable import write_synced
from curate.errors import UsageError
from curate.images.paths import root_path
from curate.images.stripping import strip

MANIFEST = "manifest.csv"
JOURNAL = "unfinished.jsonl"
"""Of a killed export, in its temporary folder."""
FOLDER_BYTES = 200
END_BYTES = 180
"""With a whole hash before it and a suffix behind, a name has at most 255."""
BLOCK = 1 << 20
UNCHECKED = "unchecked"
"""Never the name of a copy, for those hold a dash."""
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif"}
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
"""What some file system or another does not take in a name."""
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)

Link = Literal["copy", "hardlink", "symlink"]


@dataclass(frozen=True)
class Manner:
    """How an original is handed on; links have all of its metadata, for they are the original."""

    link: Link = "copy"
    keep_metadata: bool = False


class MetadataStays(Exception):
    """A copy could not be rid of its metadata without encoding the picture anew."""


def place(
    row: dict[str, object],
    target: Path,
    manner: Manner,
    elsewhere: Iterable[Path] = (),
) -> str | None:
    """Put the original of an exported row, or its twin `elsewhere`, at `target`.

    Returns the SHA-256 of what is there then. None, and nothing is left, where none is any more the
    content that was catalogued. Raises MetadataStays, and UsageError where no link can be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for original in chain((original_of(str(row["path"])),), elsewhere):
        content = read_checked(original, row)
        if content is not None and manner.link == "copy":
            return _copy(content, row, target, manner)
        if content is not None and _link(original, target, manner.link):
            return str(row["sha256"])
    return None


def read_checked(original: Path, row: dict[str, object]) -> bytes | None:
    """A file's content, where it still is what was catalogued."""
    content = b"".join(_blocks(original, row["bytes"]))
    return content if hashlib.sha256(content).hexdigest() == row["sha256"] else None


def content_of(content: bytes, row: dict[str, object], manner: Manner) -> bytes:
    """What a copy of that content holds. Raises MetadataStays."""
    made = content if manner.keep_metadata else strip(str(row["format"]), content)
    if made is None:
        raise MetadataStays
    return made


def find(row: dict[str, object], elsewhere: Iterable[Path] = ()) -> bool:
    """Whether a file of the catalogued size lies where a copy would be made from; none is read."""
    return any(
        _is_there(original, row["bytes"])
        for original in chain((original_of(str(row["path"])),), elsewhere)
    )


def digest_of(path: Path) -> str | None:
    """The SHA-256 of a regular file, None where there is none to be read."""
    with suppress(OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def original_of(shown: str) -> Path:
    """The file that the `path` of an exported row names."""
    return root_path(shown) if shown.startswith("file:") else Path(shown)


def class_folder(row: dict[str, object]) -> str:
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
    if kept == label and kept not in (MANIFEST, JOURNAL) and not _DEVICE.fullmatch(kept):
        return kept
    return f"{kept}-{hashlib.sha256(label.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def file_name(row: dict[str, object], prefix: str) -> str:
    """A name that every file system and shell takes, with a suffix that says what the file is."""
    name = _safe(f"{prefix}-{original_of(str(row['path'])).name}")
    return name if name.lower().endswith(IMAGE_SUFFIXES) else name + suffix_of(row)


def suffix_of(row: dict[str, object]) -> str:
    """The suffix of the format, such as .jpg."""
    return _SUFFIXES.get(str(row["format"]), "")


def _safe(name: str) -> str:
    """Letters, digits, dot, dash, underscore; of what follows the prefix the end."""
    kept = re.sub(r"[^\w.-]+", "_", name.encode("utf-8", "replace").decode())
    dash = kept.index("-") + 1
    end = kept[dash:][-60:].encode()[-END_BYTES:]
    return kept[:dash] + end.decode("utf-8", "ignore")


def _copy(content: bytes, row: dict[str, object], target: Path, manner: Manner) -> str:
    """Write a copy under its name once the disk has all of it."""
    made, unchecked = content_of(content, row, manner), target.with_name(UNCHECKED)
    write_synced(unchecked, made)
    unchecked.replace(target)
    return hashlib.sha256(made).hexdigest()


def _link(original: Path, target: Path, link: Link) -> bool:
    """Link to a file that was just read; False where it has gone meanwhile."""
    target.unlink(missing_ok=True)
    try:
        if link == "symlink":
            target.symlink_to(original)
        else:
            os.link(original, target, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise UsageError(
            f"{str(original)!r} cannot be linked to from there ({error.strerror}); "
            "leave out --link, or choose a place on the same file system"
        ) from error
    return True


def _is_there(original: Path, size: object) -> bool:
    with suppress(OSError):
        found = original.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_size == size
    return False


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
