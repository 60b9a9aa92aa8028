"""What one project keeps on disk, opened together: catalog, previews, checkpoints.

`.curate/` in the working directory or above it, or wherever `--catalog` points.
"""

from __future__ import annotations

import errno
import glob
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curate.catalog.processes import remove, sweep, take_over
from curate.catalog.schema import find_catalog, open_catalog
from curate.catalog.store import Catalog
from curate.durable import sync_folder, temporary_beside
from curate.errors import NoCatalog, StorageError, UsageError
from curate.images.previews import Previews

FOLDER = ".curate"
LEASE_SECONDS = 600


@dataclass(frozen=True)
class Workspace:
    """The open stores of one project; `folder` holds everything but a catalog at a URL."""

    folder: Path
    catalog: Catalog
    previews: Previews

    @property
    def checkpoints(self) -> Path:
        """Where checkpoint directories lie."""
        return self.folder / "checkpoints"

    @property
    def progress(self) -> Path:
        """Where interrupted training resumes from."""
        return self.folder / "progress"


@contextmanager
def open_workspace(place: str | None, *, create: bool) -> Iterator[Workspace]:
    """Open the catalog at `place` (path, URL or None for the nearest `.curate`).

    Raises NoCatalog where there is none and `create` is false, StorageError where it cannot be
    used. Temporary files of processes that are gone are swept on the way in.
    """
    folder, catalog = _open(place, create)
    try:
        with Previews.open(folder / "previews.db") as previews:
            _sweep(folder)
            yield Workspace(folder, catalog, previews)
    finally:
        catalog.close()


def _open(place: str | None, create: bool) -> tuple[Path, Catalog]:
    try:
        folder, address = locate(place, create=create)
        if create:
            _make(folder)
        return folder, open_catalog(address, create=create)
    except PermissionError as error:
        raise StorageError(
            error.filename or str(place), f"{error.strerror}; check its permissions, or --catalog"
        ) from error


class Lease:
    """A lease that this process holds; `fence` proves it at the moment of a switch."""

    def __init__(self, workspace: Workspace, name: str, what: str) -> None:
        self._leases, self._name = workspace.catalog.leases, name
        self._renewed = datetime.now(UTC)
        self.fence = self._leases.acquire(
            name, what, os.getpid(), socket.gethostname(), self._renewed, LEASE_SECONDS
        )

    def renew(self) -> None:
        """Keep the lease; raises HeldByAnother when it has passed on. Cheap to call often."""
        now = datetime.now(UTC)
        if (now - self._renewed).total_seconds() >= LEASE_SECONDS / 20:
            self._leases.renew(self._name, self.fence, now, LEASE_SECONDS)
            self._renewed = now

    def release(self) -> None:
        """Give the lease back."""
        self._leases.release(self._name, self.fence)


@contextmanager
def hold(workspace: Workspace, name: str, what: str) -> Iterator[Lease]:
    """Hold the lease `name` on `what`; raises HeldByAnother while another process does."""
    lease = Lease(workspace, name, what)
    try:
        yield lease
    finally:
        lease.release()


def locate(place: str | None, *, create: bool) -> tuple[Path, Path | str]:
    """The folder and the catalog's address that `place` means, without opening either."""
    if place == "":
        raise UsageError("--catalog is empty; give a file, a folder or a database URL")
    if place is None or "://" in place:
        folder = _nearest() or Path.cwd() / FOLDER
        if not folder.is_dir() and not create:
            raise NoCatalog(str(place or folder))
        return folder, place or folder / "catalog.db"
    path = Path(place).absolute()
    path = path / "catalog.db" if path.is_dir() or not path.suffix else path
    return path.parent, path


def _nearest() -> Path | None:
    try:
        return find_catalog(Path.cwd()).parent
    except NoCatalog:
        return None


def _make(folder: Path) -> None:
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "progress").mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(folder, f"{error.strerror}; choose another place with --catalog") from (
            error
        )


def _sweep(folder: Path) -> None:
    """Sweep what this program makes in `folder`, where people may keep other things as well."""
    for made in ("*.before-v*.tmp-*", "checkpoints/*.tmp-*", "progress/*.tmp-*"):
        sweep(folder.glob(made))


def makes_way(path: Path) -> bool:
    """Whether a folder can be renamed to `path`, where an empty one is: no link, no mount point."""
    own = path.is_dir() and not path.is_symlink() and not path.is_mount()
    return own and not any(path.iterdir())


@contextmanager
def whole(destination: Path, *, folder: bool, resume: bool = False) -> Iterator[Path]:
    """A temporary path that takes the name `destination` once everything in it is written.

    The caller waits until the disk has the files in it; here the folders are waited for. What dead
    processes left of their own tries is swept; with `resume` the work goes on in one such folder,
    and an interrupted one is left for the next. Raises StorageError when the disk refuses.
    """
    temporary, keep = temporary_beside(destination), False
    left = destination.parent.glob(f"{glob.escape(destination.name)}.tmp-*")
    taken_over = resume and any(take_over(old, temporary) for old in sorted(left))
    sweep(destination.parent.glob(f"{glob.escape(destination.name)}.tmp-*"))
    try:
        if folder and not taken_over:
            temporary.mkdir(parents=True)
        yield temporary
        for place, _, _ in os.walk(temporary):
            sync_folder(Path(place))
        temporary.replace(destination)
        sync_folder(destination.parent)
    except OSError as error:
        raise StorageError(destination, _refusal(error)) from error
    except BaseException as error:
        keep = resume and not isinstance(error, Exception)
        raise
    finally:
        if not keep:
            remove(temporary)


def _refusal(error: OSError) -> str:
    """What the disk said, and what helps."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.strerror}; free some space or choose another place"
    if error.errno == errno.ENOENT:
        return "its folder does not exist; make it, or choose another place"
    return f"{error.strerror or error}; choose another place"
