"""The catalog handed on: manifests, and copies in one folder per class.

A destination appears only when it is whole: temporary name, fsync, rename.
"""

from __future__ import annotations

import csv
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

from curate.catalog.query import Query
from curate.catalog.store import Catalog, ImageRow
from curate.copies import MANIFEST, copy
from curate.errors import UsageError
from curate.images.paths import decode, root_path
from curate.workspace import Workspace, is_empty_folder, whole

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
_BEGINNINGS = (b"path,source,", b'{"path": ')
# Rows go to terminals, and to tools that take a line for a row.
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Exported:
    """How many rows were handed on, and the originals that were no longer there to copy."""

    rows: int
    missing: tuple[str, ...] = ()


def shown_path(root_uri: str, path: str) -> str:
    """The file's absolute path; as a `file:` URI where it holds control characters or no UTF-8."""
    full = str(root_path(root_uri) / decode(path))
    return f"{root_uri.rstrip('/')}/{path}" if _NOT_TEXT.search(full) else full


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
    workspace: Workspace, query: Query, all_paths: bool = False, wanted: int | None = None
) -> Iterator[dict[str, object]]:
    """Every row that `query` matches, oldest first; `wanted` where no more will be taken."""
    return map(record, workspace.catalog.iter_images(query, all_paths, wanted))


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

    Raises UsageError where something else would be overwritten, or the destination lies in a
    watched inbox or the labeled folder; StorageError when the disk refuses. The inbox is only read.
    """
    destination = destination.absolute()
    if not destination.name:
        raise UsageError(f"{str(destination)!r} is no place for an export; name a file in it")
    _check_destination(workspace, destination, folder=format == "imagefolder")
    rows = _counted(records(workspace, query, all_paths), on_rows)
    # With all paths each sighting has a row, and answers for itself.
    elsewhere = None if all_paths else workspace.catalog
    with whole(destination, folder=format == "imagefolder") as temporary:
        if format == "imagefolder":
            return _write_folder(rows, temporary, elsewhere)
        with temporary.open("w", encoding="utf-8", newline="") as out:
            count = write_manifest(rows, format, out)
            out.flush()
            os.fsync(out.fileno())
        return Exported(count)


def _check_destination(workspace: Workspace, destination: Path, *, folder: bool) -> None:
    """Raise UsageError where an export would destroy something, or feed itself to a watch."""
    try:
        standing = destination.lstat()
    except OSError:
        standing = None
    if folder and standing and not is_empty_folder(destination):
        raise UsageError(f"{str(destination)!r} exists and is not empty; name a new folder")
    if not folder and standing and not _is_manifest(destination, standing):
        raise UsageError(f"{str(destination)!r} exists and is no manifest; name another file")
    place = destination.parent.resolve() / destination.name
    for what, root in _read_folders(workspace):
        if place.is_relative_to(root.resolve()):
            raise UsageError(
                f"{str(destination)!r} lies in {what} {str(root)!r}; choose another place"
            )


def _is_manifest(path: Path, standing: os.stat_result) -> bool:
    """Whether a regular file is empty or begins as the manifests do that are written here."""
    if not stat.S_ISREG(standing.st_mode):
        return False
    with path.open("rb") as file:
        return not standing.st_size or file.read(16).startswith(_BEGINNINGS)


def _read_folders(workspace: Workspace) -> Iterator[tuple[str, Path]]:
    """The folders whose every file counts: watched inboxes, and the labeled folder in service."""
    for source in workspace.catalog.sources():
        if source.watch_mode is not None:
            yield "the watched inbox", root_path(source.root_uri)
    if root := workspace.catalog.models.labeled_root():
        yield "the labeled folder", Path(root)


def _counted(
    rows: Iterable[dict[str, object]], on_rows: Callable[[int], None]
) -> Iterator[dict[str, object]]:
    for done, row in enumerate(rows, 1):
        yield row
        on_rows(done)


def _write_folder(
    rows: Iterable[dict[str, object]], folder: Path, elsewhere: Catalog | None
) -> Exported:
    """Copies below `folder/<class>/` (OOD below `_ood/`, unscored below `_pending/`).

    An original that is gone is looked for wherever else `elsewhere` has seen its content.
    """
    missing: list[str] = []
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as out:
        copied = (_copied(row, folder, elsewhere, missing) for row in rows)
        count = write_manifest(copied, "csv", out)
        out.flush()
        os.fsync(out.fileno())
    return Exported(count, tuple(missing))


def _copied(
    row: dict[str, object], folder: Path, elsewhere: Catalog | None, missing: list[str]
) -> dict[str, object]:
    if not copy(row, folder, _places(elsewhere, str(row["sha256"])) if elsewhere else ()):
        missing.append(str(row["path"]))
    return row


def _places(catalog: Catalog, sha256: str) -> Iterator[Path]:
    """Where a content was seen, newest first; the catalog is asked only when one is wanted."""
    for root_uri, path in catalog.places(sha256):
        yield root_path(root_uri) / decode(path)
