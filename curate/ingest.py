"""Files become catalogued images: decode, keep the preview, then the row, in that order.

A crash anywhere leaves a preview without a row, never a row without its preview.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

from curate.catalog.store import NewImage, NewUnreadable
from curate.errors import InboxError
from curate.images.decode import DecodedImage, Decoder, DecodeResult, FileStat, UnreadableImage
from curate.images.inbox import InboxFile, check_inbox, scan
from curate.images.paths import encode, real, root_uri
from curate.workspace import Workspace

BATCH = 500
REASONS_KEPT = 1_000
"""A watch runs for months; `curate list unreadable:` knows them all."""


@dataclass
class Ingested:
    """What came of some files: new contents, names of known ones, unreadable, left for later."""

    images: int = 0
    known_content: int = 0
    unreadable: int = 0
    left: int = 0
    skipped: int = 0
    skipped_unreadable: int = 0
    """Those of `skipped` that were unreadable when they were read."""
    reasons: list[tuple[Path, str]] = field(default_factory=list)

    def refuse(self, path: Path, error: OSError) -> None:
        """Count a folder, or a file, that a scan could not look at."""
        self.unreadable += 1
        self.reasons.append((path, f"cannot be read: {error.strerror}"))

    def add(self, other: Ingested) -> None:
        """Count `other` in."""
        self.images += other.images
        self.known_content += other.known_content
        self.unreadable += other.unreadable
        self.left += other.left
        self.skipped += other.skipped
        self.skipped_unreadable += other.skipped_unreadable
        self.reasons += other.reasons[: max(0, REASONS_KEPT - len(self.reasons))]


class KnownFiles:
    """Which files of a source are catalogued as they are, without opening them.

    Holds 64-bit hashes of (path, size, mtime, ctime, inode), so a million files cost 60 MB. Where
    the preview is lost, the file is read again.
    """

    def __init__(self, workspace: Workspace, source_id: str, policy: str) -> None:
        catalog = workspace.catalog
        self._hashes = {hash(row) for row in catalog.identities(source_id, policy)}
        if self._hashes and (lost := set(_without_preview(workspace))):
            self._hashes -= {hash(row) for row in catalog.identities_of(source_id, lost)}

    def __contains__(self, identity: tuple[str, int, int, int, int]) -> bool:
        return hash(identity) in self._hashes

    def add(self, identity: tuple[str, int, int, int, int]) -> None:
        """Remember a file that has just been catalogued."""
        self._hashes.add(hash(identity))


def _without_preview(workspace: Workspace) -> Iterator[str]:
    """Contents whose preview is gone.

    Both stores are walked in step: for a million images that takes a second, and no memory.
    """
    kept = workspace.previews.hashes()
    have = next(kept, None)
    for sha256 in workspace.catalog.contents():
        while have is not None and have < sha256:
            have = next(kept, None)
        if have != sha256:
            yield sha256


def identity(path: str, stat: FileStat) -> tuple[str, int, int, int, int]:
    """What makes a file the same file as before, short of reading it."""
    return path, stat.size, stat.mtime_ns, stat.ctime_ns, stat.inode


class Source:
    """One folder that images come from, by its real path, with what is already known of it."""

    def __init__(self, workspace: Workspace, root: Path, decoder: Decoder) -> None:
        self.workspace, self.root, self.decoder = workspace, root, decoder
        self.source_id = workspace.catalog.source(root_uri(root), datetime.now(UTC))
        self.known = KnownFiles(workspace, self.source_id, decoder.policy)

    def is_known(self, file: InboxFile) -> bool:
        """Whether the file is catalogued as it is now."""
        return identity(self.encoded(file.path), file.stat) in self.known

    def encoded(self, path: Path) -> str:
        """The stored form of a path below the root."""
        return encode(path.relative_to(self.root))

    def unreadable(self, files: Iterable[Path]) -> int:
        """How many of `files` are catalogued as unreadable."""
        uri = root_uri(self.root)
        bad = {row.path for row in self.workspace.catalog.iter_unreadable() if row.source == uri}
        return sum(self.encoded(path) in bad for path in files)

    def ingest(self, files: Iterable[Path], on_files: Callable[[int], None]) -> Ingested:
        """Decode and catalogue `files`, a batch to a commit; tells how many it has read."""
        total, decoded = Ingested(), _told(self.decoder.map(files, self.root), on_files)
        while batch := list(islice(decoded, BATCH)):
            total.add(self._keep(batch))
        return total

    def _keep(self, batch: Sequence[tuple[Path, DecodeResult]]) -> Ingested:
        catalog, now = self.workspace.catalog, datetime.now(UTC)
        made = [(path, result) for path, result in batch if isinstance(result, DecodedImage)]
        bad = [(path, result) for path, result in batch if isinstance(result, UnreadableImage)]
        self.workspace.previews.add((image.sha256, image.preview) for _, image in made)
        images = [self._image_row(path, image) for path, image in made]
        new = catalog.add_images(self.source_id, images, now)
        catalog.add_unreadable(self.source_id, [self._bad_row(*item) for item in bad], now)
        self._remember(made, bad)
        return Ingested(
            images=new,
            known_content=len(made) - new,
            unreadable=len(bad),
            left=len(batch) - len(made) - len(bad),
            reasons=[(path, result.reason) for path, result in bad],
        )

    def _remember(
        self, made: list[tuple[Path, DecodedImage]], bad: list[tuple[Path, UnreadableImage]]
    ) -> None:
        stats = [(path, image.stat) for path, image in made]
        stats += [(path, refused.stat) for path, refused in bad if refused.stat is not None]
        for path, stat in stats:
            self.known.add(identity(self.encoded(path), stat))

    def _image_row(self, path: Path, image: DecodedImage) -> NewImage:
        return NewImage(
            path=self.encoded(path),
            sha256=image.sha256,
            format=image.format,
            width=image.width,
            height=image.height,
            bytes=image.stat.size,
            mtime_ns=image.stat.mtime_ns,
            ctime_ns=image.stat.ctime_ns,
            inode=image.stat.inode,
        )

    def _bad_row(self, path: Path, bad: UnreadableImage) -> NewUnreadable:
        stat = bad.stat or FileStat(0, 0, 0, 0)
        return NewUnreadable(
            path=self.encoded(path),
            reason=bad.reason,
            policy=self.decoder.policy,
            size=stat.size,
            mtime_ns=stat.mtime_ns,
            ctime_ns=stat.ctime_ns,
            inode=stat.inode,
        )


def ingest(
    workspace: Workspace,
    paths: Iterable[str],
    decoder: Decoder,
    on_files: Callable[[int, int], None] = lambda done, total: None,
) -> Ingested:
    """Catalogue files and folders once.

    A folder is a source of its own; a single file belongs to the source of its folder. Files that
    are catalogued as they are, are passed over without being opened, and so are folders below that
    cannot be read, which count as unreadable. Raises InboxError for a folder that cannot be read
    itself or holds the catalog.
    """
    total, given = Ingested(), dict[Path, list[InboxFile]]()
    for root, file in _expand(paths, workspace.folder, total):
        given.setdefault(root, []).append(file)
    for root, files in given.items():
        source = Source(workspace, root, decoder)
        fresh = [file.path for file in files if not source.is_known(file)]
        known = {file.path for file in files}.difference(fresh)
        total.skipped += len(known)
        total.skipped_unreadable += source.unreadable(known) if known else 0
        total.add(source.ingest(fresh, partial(_of, on_files, len(fresh))))
    return total


def check_paths(paths: Iterable[str]) -> None:
    """Raise InboxError for the first path at which there is nothing."""
    for path in paths:
        if not os.path.lexists(path):
            raise InboxError(Path(path).absolute(), "no such file or folder; check the spelling")


def _told(
    decoded: Iterable[tuple[Path, DecodeResult]], on_files: Callable[[int], None]
) -> Iterator[tuple[Path, DecodeResult]]:
    for done, item in enumerate(decoded, 1):
        on_files(done)
        yield item


def _of(on_files: Callable[[int, int], None], total: int, done: int) -> None:
    on_files(done, total)


def _expand(
    paths: Iterable[str], catalog_folder: Path, total: Ingested
) -> Iterator[tuple[Path, InboxFile]]:
    """Each file with the root of its source; a name that has gone meanwhile is left."""
    for path in (Path(name).absolute() for name in paths):
        if path.is_dir():
            check_inbox(path, catalog_folder)
            root = real(path)
            yield from ((root, file) for file in scan(root, total.refuse))
            continue
        path = real(path.parent) / path.name
        try:
            status = path.lstat()
        except OSError:
            total.left += 1
        else:
            yield path.parent, InboxFile(path, FileStat.of(status), status.st_dev)
