"""Which files lie in an inbox, and which of them are settled. Nothing is opened here.

The scan is the truth; a file counts as settled when its stat has been quiet for a while.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from curate.errors import InboxError
from curate.images.decode import FileStat

MOST_WAITING = 50_000
"""Files; each takes about 1 kB of memory while it settles."""
_TEMPORARY_SUFFIXES = (
    "~",
    ".part",
    ".partial",
    ".filepart",
    ".crdownload",
    ".download",
    ".tmp",
    ".temp",
    ".swp",
)
_NOT_UPLOADS = {
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__macosx",
}
_CATALOG_FOLDERS = ("checkpoints", "progress")


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A regular file below an inbox, as one scan saw it; `path` is absolute if the root is."""

    path: Path
    stat: FileStat
    device: int


def ignored(name: bytes | str) -> bool:
    """Whether a file or folder of this name is hidden, temporary or some tool's own."""
    text = os.fsdecode(name).lower()
    return (
        text.startswith((".", "~$")) or text.endswith(_TEMPORARY_SUFFIXES) or text in _NOT_UPLOADS
    )


def check_inbox(root: Path, catalog_folder: Path | None) -> None:
    """Raise InboxError unless `root` is a readable folder apart from the catalog's."""
    try:
        with os.scandir(root):
            pass
    except FileNotFoundError as error:
        raise InboxError(root, "no such folder; make it, or check the spelling") from error
    except NotADirectoryError as error:
        raise InboxError(root, "a file; give the folder that images arrive in") from error
    except OSError as error:
        raise InboxError(root, f"cannot be read ({error.strerror}); check its mode") from error
    if catalog_folder is not None:
        _check_apart(root, catalog_folder)


def _check_apart(root: Path, catalog_folder: Path) -> None:
    inbox, catalog = root.resolve(), catalog_folder.resolve()
    if inbox.is_relative_to(catalog) and _is_own(catalog, inbox.relative_to(catalog).parts):
        raise InboxError(root, "it lies in the catalog's own folder; choose another place")
    if catalog.is_relative_to(inbox) and not any(map(ignored, catalog.relative_to(inbox).parts)):
        raise InboxError(root, f"it holds the catalog {str(catalog)!r}; move one out of the other")


def _is_own(catalog: Path, below: tuple[str, ...]) -> bool:
    """Whether a place below the catalog's folder is the program's.

    With `--catalog ./catalog.db` that folder is the working directory, where an inbox may lie.
    """
    return not below or ignored(catalog.name) or below[0] in _CATALOG_FOLDERS


def scan(root: Path, on_error: Callable[[Path, OSError], None]) -> Iterator[InboxFile]:
    """Every regular file below `root` whose name is not `ignored`, whatever its suffix.

    Links are not followed; links, pipes, sockets and devices are passed over. What cannot be read
    is handed to `on_error` and passed over; what vanishes meanwhile is passed over only.
    """
    folders = [os.fspath(root)]
    while folders:
        for path, status in _listed(folders.pop(), on_error):
            if stat.S_ISDIR(status.st_mode):
                folders.append(path)
            elif stat.S_ISREG(status.st_mode):
                yield InboxFile(Path(path), FileStat.of(status), status.st_dev)


def _listed(
    folder: str, on_error: Callable[[Path, OSError], None]
) -> Iterator[tuple[str, os.stat_result]]:
    """What lies in a folder and is not `ignored`, as far as it can be read."""
    with _told(folder, on_error), os.scandir(folder) as entries:
        for entry in entries:
            if not ignored(entry.name):
                with _told(entry.path, on_error):
                    yield entry.path, os.lstat(entry.path)


@contextmanager
def _told(path: str, on_error: Callable[[Path, OSError], None]) -> Iterator[None]:
    """Hand an error to `on_error`, unless it says that there is nothing any more."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        on_error(Path(path), error)


def restat(files: Iterable[InboxFile]) -> Iterator[InboxFile]:
    """The same files as they are now; those that are gone, or no files any more, left out."""
    for file in files:
        with suppress(OSError):
            status = os.lstat(file.path)
            if stat.S_ISREG(status.st_mode):
                yield InboxFile(file.path, FileStat.of(status), status.st_dev)


class StabilityTracker:
    """Files that are still settling: quiet means the same stat, `settle_seconds` apart.

    `now` is monotonic time in seconds, passed in. Of a burst of files no more than 50,000 wait at a
    time: the others are left to a later scan.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._files: dict[Path, tuple[InboxFile, float]] = {}

    def observe(self, file: InboxFile, now: float) -> bool:
        """Note how a file looks; its time starts anew when that has changed.

        False where there is no room for it yet.
        """
        known = self._files.get(file.path)
        if known is None and len(self._files) >= MOST_WAITING:
            return False
        if known is None or known[0] != file:
            self._files[file.path] = (file, now)
        return True

    def due(self, now: float) -> list[InboxFile]:
        """The files whose time is over; observe them anew (`restat`) before taking `settled`."""
        return [file for file, since in self._files.values() if now - since >= self._settle_seconds]

    def settled(self, now: float) -> list[InboxFile]:
        """The files that have stayed the same for the settle time; they are forgotten."""
        quiet = self.due(now)
        for file in quiet:
            del self._files[file.path]
        return quiet

    def has_room(self) -> bool:
        """Whether at least half of the places are free; some files may never settle."""
        return 2 * len(self._files) <= MOST_WAITING

    def waiting(self) -> int:
        """How many files are still settling."""
        return len(self._files)

    def next_due(self, now: float) -> float | None:
        """When the next file may be settled, on the clock of `now`; None when none waits."""
        if not self._files:
            return None
        return max(now, min(since for _, since in self._files.values()) + self._settle_seconds)
