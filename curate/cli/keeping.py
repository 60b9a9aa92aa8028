"""Commands that keep a project safe: backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate import console
from curate.cli.app import app
from curate.cli.options import Catalog, Json
from curate.cli.shown import plain
from curate.cli.words import counted
from curate.console import safe

if TYPE_CHECKING:
    from curate.backup import Copied


@app.command()
def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A new folder.")],
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Copy catalog, previews and networks to a folder; everything may go on meanwhile."""
    from curate.backup import back_up
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace:
        _told(back_up(workspace, destination, _part), f"in {safe(destination)}", json)


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="A folder from `backup`.")],
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Make a project again from a backup, where there is none yet."""
    from curate.backup import restore

    _told(restore(backup, catalog, _part), f"from {safe(backup)}", json)


def _part(name: str) -> None:
    console.note(f"copying the {name}")


def _told(copied: Copied, where: str, as_json: bool) -> None:
    if as_json:
        console.json_document(plain(copied))
    images, networks = counted(copied.images, "image{s}"), counted(copied.checkpoints, "network{s}")
    console.note(f"{images} and {networks} {where}")
    if copied.missing:
        console.warn(
            f"{counted(len(copied.missing), 'network{s}')} missing or damaged and not copied; the "
            f"first is {safe(copied.missing[0][:12])}"
        )
