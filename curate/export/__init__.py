"""The catalog handed on: manifests, copies in one folder per class, and other tools' own forms.

A destination appears only when it is whole: temporary name, fsync, rename. What was handed on is
recorded then.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Literal, cast

from curate.catalog.query import Query
from curate.copies import Manner, find
from curate.durable import finish
from curate.errors import UsageError
from curate.export.copying import Copies, places_of
from curate.export.folders import LAYOUTS, Place, write_manifest_only
from curate.export.manifests import (
    ManifestFormat,
    check_possible,
    is_manifest,
    write_file,
    write_manifest,
)
from curate.export.rows import Record, records
from curate.export.shards import SHARD_SIZE, Shards
from curate.export.unfinished import begin, end
from curate.images.paths import root_path
from curate.workspace import Workspace, makes_way, whole

Format = Literal[
    "csv",
    "jsonl",
    "parquet",
    "imagefolder",
    "hf",
    "webdataset",
    "fiftyone",
    "labelstudio",
    "coco",
]
MANIFESTS = ("csv", "jsonl", "parquet")


@dataclass(frozen=True)
class Options:
    """What is the same for all rows of an export."""

    all_paths: bool = False
    manner: Manner = field(default_factory=Manner)
    shard_size: int = SHARD_SIZE


@dataclass(frozen=True)
class Exported:
    """How many rows were handed on, and the originals that could not be copied.

    Those of `missing` are gone, changed or unreadable; those of `unstripped` would have kept their
    metadata.
    """

    rows: int
    missing: tuple[str, ...] = ()
    unstripped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planned:
    """What an export would write; `bytes` are those of the manifest, or of the originals."""

    rows: int
    copies: int
    bytes: int


def export(
    workspace: Workspace,
    query: Query,
    destination: Path,
    format: Format,
    options: Options = Options(),
    on_rows: Callable[[int], None] = lambda _: None,
) -> Exported:
    """Write what `query` matches to `destination`: a file, or for most formats a folder.

    Raises UsageError where something else would be overwritten, the destination lies in a watched
    inbox or the labeled folder, or an option does not go with the format; StorageError when the
    disk refuses. The inbox is only read.
    """
    destination = destination.absolute()
    _check(workspace, destination, format, options)
    rows = _counted(records(workspace, query, options.all_paths), on_rows)
    is_folder = format not in MANIFESTS
    with TemporaryFile("w+") as contents:
        with whole(destination, folder=is_folder, resume=is_folder) as temporary:
            if is_folder:
                exported = _write_folder(
                    workspace, rows, temporary, destination.name, format, options, contents
                )
            else:
                noted, form = _noted(rows, contents), cast("ManifestFormat", format)
                exported = _write_manifest(noted, temporary, form)
        _hand_on(workspace, contents)
    return exported


def stream(
    workspace: Workspace, query: Query, format: ManifestFormat, all_paths: bool, out: IO[str]
) -> int:
    """Write a manifest to `out`; returns how many rows.

    They count as handed on when all are written and `query` asks for what was not (`--new`): who
    only looks takes nothing from an export that does.
    """
    with TemporaryFile("w+") as contents:
        rows = _noted(records(workspace, query, all_paths), contents)
        count = write_manifest(rows, format, out)
        out.flush()
        if query.exported is False:
            _hand_on(workspace, contents)
    return count


def plan(
    workspace: Workspace,
    query: Query,
    destination: Path,
    format: Format,
    options: Options = Options(),
) -> Planned:
    """What `export` would do, as far as it can be told without reading an original.

    Raises UsageError as `export` does. Nothing is written.
    """
    _check(workspace, destination.absolute(), format, options)
    found = records(workspace, query, options.all_paths)
    if format in MANIFESTS:
        sink = _Sink()
        rows = write_file(found, cast("ManifestFormat", format), cast("IO[bytes]", sink))
        return Planned(rows, 0, sink.written)
    rows = copies = size = 0
    elsewhere = None if options.all_paths else workspace.catalog
    for row in found:
        rows += 1
        if find(row, places_of(elsewhere, row)):
            copies, size = copies + 1, size + int(str(row["bytes"]))
    return Planned(rows, copies, size)


class _Sink(io.RawIOBase):
    """Counts the bytes that are written to it."""

    written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        size = memoryview(cast("bytes", data)).nbytes
        self.written += size
        return size

    def tell(self) -> int:
        return self.written


def _check(workspace: Workspace, destination: Path, format: Format, options: Options) -> None:
    """Raise UsageError where an export cannot be meant so."""
    if not destination.name:
        raise UsageError(f"{str(destination)!r} is no place for an export; name a file in it")
    check_possible(format)
    linked = options.manner.link != "copy"
    if linked and (format in MANIFESTS or format == "webdataset"):
        raise UsageError(f"{format} holds no files that could be links; leave out --link")
    if options.all_paths and format not in (*MANIFESTS, "imagefolder"):
        raise UsageError(f"{format} takes an image once; leave out --all-paths")
    _check_destination(workspace, destination, folder=format not in MANIFESTS)


def _check_destination(workspace: Workspace, destination: Path, *, folder: bool) -> None:
    """Raise UsageError where an export would destroy something, or feed itself to a watch."""
    try:
        standing = destination.lstat()
    except OSError:
        standing = None
    if folder and standing and not makes_way(destination):
        raise UsageError(
            f"{str(destination)!r} exists and is not empty, or a link or a mount point; "
            "name a new folder"
        )
    if not folder and standing and not is_manifest(destination, standing):
        raise UsageError(f"{str(destination)!r} exists and is no manifest; name another file")
    place = destination.parent.resolve() / destination.name
    for what, root in _read_folders(workspace):
        if place.is_relative_to(root.resolve()):
            raise UsageError(
                f"{str(destination)!r} lies in {what} {str(root)!r}; choose another place"
            )


def _read_folders(workspace: Workspace) -> Iterator[tuple[str, Path]]:
    """The folders whose every file counts: watched inboxes, and the labeled folder in service."""
    for source in workspace.catalog.sources():
        if source.watch_mode is not None:
            yield "the watched inbox", root_path(source.root_uri)
    if root := workspace.catalog.models.labeled_root():
        yield "the labeled folder", Path(root)


def _counted(rows: Iterable[Record], on_rows: Callable[[int], None]) -> Iterator[Record]:
    for done, row in enumerate(rows, 1):
        yield row
        on_rows(done)


def _write_manifest(rows: Iterable[Record], temporary: Path, format: ManifestFormat) -> Exported:
    with temporary.open("wb") as out:
        count = write_file(rows, format, out)
        finish(out)
    return Exported(count)


def _write_folder(
    workspace: Workspace,
    rows: Iterable[Record],
    folder: Path,
    name: str,
    format: Format,
    options: Options,
    contents: IO[str],
) -> Exported:
    """All files of a folder; the hashes of the images that are in it go to `contents`."""
    manner = options.manner
    terms = {"format": format, "link": manner.link, "keep_metadata": manner.keep_metadata}
    left = begin(folder, terms)
    place = Place(folder, name, sorted(workspace.catalog.models.classes()))
    if format == "webdataset":
        shards = Shards(folder, manner, workspace.catalog, options.shard_size)
        count = write_manifest_only(_noted(shards.of(rows), contents), place)
        end(folder)
        return Exported(count, tuple(shards.missing), tuple(shards.unstripped))
    # With all paths each sighting has a row, and answers for itself.
    elsewhere = None if options.all_paths else workspace.catalog
    layout = LAYOUTS[format]
    with Copies(folder, manner, elsewhere, left) as copies:
        made = _noted(copies.of(rows, layout.folder_of), contents)
        count = layout.write(made, place)
    end(folder)
    return Exported(count, tuple(copies.missing), tuple(copies.unstripped))


def _hand_on(workspace: Workspace, contents: IO[str]) -> None:
    """Record the hashes that were noted, one a line."""
    contents.seek(0)
    workspace.catalog.handed.add((line.strip() for line in contents), datetime.now(UTC))


def _noted(rows: Iterable[Record], contents: IO[str]) -> Iterator[Record]:
    """The rows; the hashes of those that are handed on whole go to `contents`."""
    for row in rows:
        if row.get("file_name", True):
            contents.write(f"{row['sha256']}\n")
        yield row
