"""Commands that keep a project safe: doctor, backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate import console
from curate.cli.app import app
from curate.cli.options import Catalog, Json
from curate.cli.shown import plain
from curate.cli.words import counted
from curate.config import DecodeConfig
from curate.console import safe
from curate.images.decode import Decoder

if TYPE_CHECKING:
    from curate.backup import Copied


@app.command()
def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every preview and every index too.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what is safe to mend while everything runs.")
    ] = False,
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Is everything there and whole? Exits with 1 when something is broken."""
    from curate.doctor import examine
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace, Decoder(DecodeConfig()) as decoder:
        found = list(examine(workspace, decoder, deep=deep, mend=fix))
    if json:
        console.json_document(plain(found))
    else:
        rows = [(f.check, f.state, safe(f.message), f.advice) for f in found]
        console.table("", ("", "", "found", "what to do"), rows)
    if any(finding.state == "broken" for finding in found):
        raise typer.Exit(1)


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
