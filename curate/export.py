"""The catalog handed on: manifests, and copies in one folder per class.

A destination appears only when it is whole: temporary name, fsync, rename.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

from curate.catalog.query import Query
from curate.catalog.store import ImageRow
from curate.errors import StorageError, UsageError
from curate.images.paths import decode, root_path
from curate.workspace import Workspace

Format = Literal["csv", "jsonl", "imagefolder"]
COLUMNS = (
    "path",
    "source",
    "sha256",
    "tag",
    "score",
    "p_value",
    "label",
    "confidence",
    "checkpoint",
    "format",
    "width",
    "height",
    "bytes",
    "first_seen",
    "reviewed_by",
    "reviewed_at",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Exported:
    """How many rows were handed on, and the originals that were no longer there to copy."""

    rows: int
    missing: tuple[str, ...] = ()


def shown_path(root_uri: str, path: str) -> str:
    """The file's absolute path; a percent-encoded `file:` URI where its name is not UTF-8."""
    full = str(root_path(root_uri) / decode(path))
    try:
        full.encode()
    except UnicodeEncodeError:
        return f"{root_uri.rstrip('/')}/{path}"
    return full


def record(row: ImageRow) -> dict[str, object]:
    """One exported row: the same columns, in the same order, in every format."""
    values = asdict(row)
    values["path"] = shown_path(row.source, row.path)
    values["source"] = shown_path(row.source, "").rstrip("/")
    return {
        name: value.isoformat() if isinstance(value := values[name], datetime) else value
        for name in COLUMNS
    }


def records(
    workspace: Workspace, query: Query, all_paths: bool = False
) -> Iterator[dict[str, object]]:
    """Every row that `query` matches, oldest first."""
    return map(record, workspace.catalog.iter_images(query, all_paths=all_paths))


def write_manifest(rows: Iterable[dict[str, object]], format: Format, out: IO[str]) -> int:
    """Write rows as csv or jsonl; returns how many. Cells a spreadsheet would run are quoted."""
    count = 0
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    if format == "csv":
        writer.writeheader()
    for row in rows:
        if format == "csv":
            writer.writerow({name: _cell(value) for name, value in row.items()})
        else:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def export(
    workspace: Workspace,
    query: Query,
    destination: Path,
    format: Format,
    all_paths: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Exported:
    """Write what `query` matches to `destination`: a file, or for imagefolder a folder.

    Raises UsageError when an imagefolder destination is not empty, StorageError when the disk
    refuses. The inbox is only read.
    """
    rows = _counted(records(workspace, query, all_paths), on_rows)
    try:
        with _whole(destination, folder=format == "imagefolder") as temporary:
            if format == "imagefolder":
                return _write_folder(rows, temporary)
            with temporary.open("w", encoding="utf-8", newline="") as out:
                count = write_manifest(rows, format, out)
                out.flush()
                os.fsync(out.fileno())
            return Exported(count)
    except OSError as error:
        raise StorageError(
            destination, f"{error.strerror or error}; free some space or choose another place"
        ) from error


@contextmanager
def _whole(destination: Path, *, folder: bool) -> Iterator[Path]:
    """A temporary path that takes the name `destination` when everything in it is written."""
    if folder and destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise UsageError(f"{str(destination)!r} exists and is not empty; name a new folder")
    temporary = destination.with_name(
        f"{destination.name}.tmp-{socket.gethostname()}-{os.getpid()}"
    )
    try:
        if folder:
            temporary.mkdir(parents=True)
        yield temporary
        temporary.replace(destination)
        _sync_folder(destination.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _counted(
    rows: Iterable[dict[str, object]], on_rows: Callable[[int], None]
) -> Iterator[dict[str, object]]:
    for done, row in enumerate(rows, 1):
        yield row
        on_rows(done)


def _write_folder(rows: Iterable[dict[str, object]], folder: Path) -> Exported:
    """Copies below `folder/<class>/` (OOD below `_ood/`, unscored below `_pending/`)."""
    missing: list[str] = []
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as out:
        copied = (_copy(row, folder, missing) for row in rows)
        count = write_manifest(copied, "csv", out)
        out.flush()
        os.fsync(out.fileno())
    return Exported(count, tuple(missing))


def _copy(row: dict[str, object], folder: Path, missing: list[str]) -> dict[str, object]:
    """Copy one original into its class; the content must still be what was catalogued."""
    original = _original(str(row["path"]))
    target = folder / _folder_name(row) / _file_name(str(row["sha256"]), original)
    target.parent.mkdir(exist_ok=True)
    if _copy_checked(original, target, str(row["sha256"])):
        return row
    missing.append(str(row["path"]))
    return row


def _original(shown: str) -> Path:
    return root_path(shown) if shown.startswith("file:") else Path(shown)


def _folder_name(row: dict[str, object]) -> str:
    """The class of a row as a folder; one that begins with `_` gets another, for `_ood` is ours."""
    label = str(row["label"] or "unlabeled")
    if row["tag"] != "id":
        return f"_{row['tag']}"
    return f"_{label}" if label.startswith("_") else label


def _file_name(sha256: str, original: Path) -> str:
    return f"{sha256[:12]}-{_safe(original.name)}"


def _safe(name: str) -> str:
    """A name that every file system and shell takes: letters, digits, dot, dash, underscore."""
    return re.sub(r"[^\w.-]+", "_", name.encode("utf-8", "replace").decode())[-60:]


def _copy_checked(original: Path, target: Path, sha256: str) -> bool:
    digest = hashlib.sha256()
    try:
        source = os.fdopen(os.open(original, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError:
        return False
    with source, target.open("wb") as out:
        while block := source.read(1 << 20):
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != sha256:
        target.unlink()
        return False
    return True
