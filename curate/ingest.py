"""Files become catalogued images: decode, keep the preview, then the row, in that order.

A crash anywhere leaves a preview without a row, never a row without its preview.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from pathlib import Path

from curate.catalog.store import NewImage, NewUnreadable
from curate.errors import InboxError
from curate.images.decode import DecodedImage, Decoder, DecodeResult, FileStat, UnreadableImage
from curate.images.inbox import InboxFile, scan
from curate.images.paths import encode, root_uri
from curate.workspace import Workspace

BATCH = 500


@dataclass
class Ingested:
    """What came of some files: new contents, names of known ones, unreadable, left for later."""

    images: int = 0
    known_content: int = 0
    unreadable: int = 0
    left: int = 0
    skipped: int = 0
    reasons: list[tuple[Path, str]] = field(default_factory=list)

    def add(self, other: Ingested) -> None:
        """Count `other` in."""
        self.images += other.images
        self.known_content += other.known_content
        self.unreadable += other.unreadable
        self.left += other.left
        self.skipped += other.skipped
        self.reasons += other.reasons


class KnownFiles:
    """Which files of a source are catalogued as they are, without opening them.

    Holds 64-bit hashes of (path, size, mtime, ctime, inode), so a million files cost 60 MB.
    """

    def __init__(self, workspace: Workspace, source_id: str, policy: str) -> None:
        self._hashes = {hash(row) for row in workspace.catalog.identities(source_id, policy)}

    def __contains__(self, identity: tuple[str, int, int, int, int]) -> bool:
        return hash(identity) in self._hashes

    def add(self, identity: tuple[str, int, int, int, int]) -> None:
        """Remember a file that has just been catalogued."""
        self._hashes.add(hash(identity))


def identity(path: str, stat: FileStat) -> tuple[str, int, int, int, int]:
    """What makes a file the same file as before, short of reading it."""
    return path, stat.size, stat.mtime_ns, stat.ctime_ns, stat.inode


class Source:
    """One folder that images come from, with what is already known of it."""

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

    def ingest(self, files: Iterable[Path], on_files: Callable[[int], None]) -> Ingested:
        """Decode and catalogue `files`, a batch to a commit."""
        total, done = Ingested(), 0
        decoded = self.decoder.map(files)
        while batch := list(islice(decoded, BATCH)):
            total.add(self._keep(batch))
            done += len(batch)
            on_files(done)
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
    are catalogued as they are, are passed over without being opened. Raises InboxError for a path
    that does not exist.
    """
    total = Ingested()
    for root, group in groupby(_expand(paths), key=lambda item: item[0]):
        source = Source(workspace, root, decoder)
        files = [file for _, file in group]
        fresh = [file.path for file in files if not source.is_known(file)]
        total.skipped += len(files) - len(fresh)
        total.add(source.ingest(fresh, partial(_of, on_files, len(fresh))))
    return total


def _of(on_files: Callable[[int, int], None], total: int, done: int) -> None:
    on_files(done, total)


def _expand(paths: Iterable[str]) -> Iterator[tuple[Path, InboxFile]]:
    for path in (Path(name).absolute() for name in paths):
        if path.is_dir():
            yield from ((path, file) for file in scan(path))
        elif path.exists() or path.is_symlink():
            status = path.lstat()
            yield path.parent, InboxFile(path, FileStat.of(status), status.st_dev)
        else:
            raise InboxError(path, "no such file or folder; check the spelling")
