"""A consistent copy of a whole project while everything runs, and the way back.

A backup is a folder like `.curate/`, with an SQLite catalog whatever the database it came from, so
`--catalog` looks into it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from curate.catalog.copying import copy_catalog, require_empty
from curate.catalog.schema import open_catalog
from curate.catalog.store import Catalog
from curate.durable import write_synced
from curate.errors import NoCatalog, UsageError
from curate.images.previews import Previews
from curate.model.checkpoint import MANIFEST, WEIGHTS, is_whole
from curate.workspace import Workspace, locate, makes_way, whole

CATALOG, PREVIEWS, CHECKPOINTS = "catalog.db", "previews.db", "checkpoints"
OnPart = Callable[[str], None]


@dataclass(frozen=True)
class Copied:
    """What a copy holds; `missing` are the ids of checkpoints of which there was no whole one."""

    images: int
    checkpoints: int
    missing: tuple[str, ...]


def back_up(workspace: Workspace, destination: Path, on_part: OnPart = lambda _: None) -> Copied:
    """Copy catalog, previews and checkpoints to the new folder `destination`, whole or not at all.

    Raises UsageError where something is there already, StorageError when the disk refuses.
    """
    destination = destination.absolute()
    _require_new(destination, "give the backup a name of its own")
    with whole(destination, folder=True) as temporary:
        on_part("catalog")
        copy_catalog(workspace.catalog, temporary / CATALOG)
        # Previews and checkpoints are kept before the rows that name them: these are there by now.
        on_part("previews")
        workspace.previews.copy_to(temporary / PREVIEWS)
        on_part("checkpoints")
        with closing(open_catalog(temporary / CATALOG, create=False)) as copy:
            return _with_checkpoints(copy, workspace.checkpoints, temporary)


def restore(backup: Path, place: str | None, on_part: OnPart = lambda _: None) -> Copied:
    """Make the catalog at `place` (path, URL or None for `.curate`) what was backed up.

    Raises NoCatalog where `backup` is none, UsageError where there is a catalog already, and
    StorageError when a disk or the database refuses.
    """
    if not all((backup / name).is_file() for name in (CATALOG, PREVIEWS)):
        raise NoCatalog(str(backup))
    folder, address = locate(place, create=True)
    _require_new(folder, "move it away, or choose another place with --catalog")
    if not isinstance(address, Path):
        require_empty(address)
    with (
        whole(folder, folder=True) as temporary,
        closing(open_catalog(backup / CATALOG, create=False)) as kept,
        Previews.open(backup / PREVIEWS) as previews,
    ):
        on_part("previews")
        previews.copy_to(temporary / PREVIEWS)
        on_part("checkpoints")
        copied = _with_checkpoints(kept, backup / CHECKPOINTS, temporary)
        (temporary / "progress").mkdir()
        on_part("catalog")
        copy_catalog(kept, temporary / address.name if isinstance(address, Path) else address)
        return copied


def _require_new(folder: Path, advice: str) -> None:
    if folder.exists() and not makes_way(folder):
        raise UsageError(
            f"{str(folder)!r} exists and is not empty, or a link or a mount point; {advice}"
        )


def _with_checkpoints(catalog: Catalog, checkpoints: Path, folder: Path) -> Copied:
    """Copy the checkpoints that `catalog` names into `folder`, those that are whole."""
    names = [row.checkpoint_id for row in catalog.models.list()]
    missing = tuple(
        name for name in names if not _copy_checkpoint(checkpoints / name, folder / CHECKPOINTS)
    )
    (folder / CHECKPOINTS).mkdir(exist_ok=True)
    return Copied(catalog.counts().images, len(names) - len(missing), missing)


def _copy_checkpoint(checkpoint: Path, target: Path) -> bool:
    """Whether it was whole, as the copy tells."""
    try:
        files = {name: (checkpoint / name).read_bytes() for name in (WEIGHTS, MANIFEST)}
    except OSError:
        return False
    made = target / checkpoint.name
    made.mkdir(parents=True)
    for name, content in files.items():
        write_synced(made / name, content)
    if not is_whole(made):
        shutil.rmtree(made)
        return False
    return True
