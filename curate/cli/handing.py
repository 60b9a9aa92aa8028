"""Commands that tell what the catalog holds: list, export, status."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from curate import console
from curate.catalog.query import Query, parse
from curate.cli import standing
from curate.cli.app import app
from curate.cli.options import MOST_ROWS, Catalog, FormatName, Json, Null, QueryWords
from curate.errors import UsageError


@app.command("list")
def list_images(
    query: QueryWords = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST_ROWS, help="At most so many.")
    ] = None,
    null: Null = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
    catalog: Catalog = None,
) -> None:
    """What the catalog holds, oldest first."""
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace:
        standing.listing(workspace, parse(" ".join(query or [])), limit, null, json)


@app.command()
def export(
    destination: Annotated[
        Path | None, typer.Argument(metavar="DEST", help="Without it, to standard output.")
    ] = None,
    format: Annotated[FormatName, typer.Option("--format", "-f")] = FormatName.csv,
    ood_only: Annotated[bool, typer.Option("--ood-only", help="Only images tagged ood.")] = False,
    id_only: Annotated[bool, typer.Option("--id-only", help="Only images tagged id.")] = False,
    label: Annotated[str | None, typer.Option(help="Only this class.")] = None,
    since: Annotated[str | None, typer.Option(help="Such as 2d, 3h or 2026-01-31.")] = None,
    query: Annotated[str, typer.Option(help="As for `curate list`.")] = "",
    all_paths: Annotated[
        bool, typer.Option("--all-paths", help="A row for each sighting.")
    ] = False,
    catalog: Catalog = None,
) -> None:
    """Hand the catalog on: a manifest, or copies in one folder a class."""
    from curate.export import export
    from curate.workspace import open_workspace

    if ood_only and id_only:
        raise UsageError("--ood-only and --id-only leave nothing; give one of them")
    chosen = _narrowed(query, "ood" if ood_only else "id" if id_only else None, label, since)
    with open_workspace(catalog, create=False) as workspace:
        if destination is None:
            standing.manifest(workspace, chosen, format.value, all_paths)
            return
        with console.progress("exporting") as advance:
            exported = export(
                workspace, chosen, destination, format.value, all_paths, lambda n: advance(n, n)
            )
        standing.exported(exported, destination)


@app.command()
def status(json: Json = False, catalog: Catalog = None) -> None:
    """Counts, networks in service, alarm rate, last scan, last fine-tune and its outcome."""
    from curate.status import status
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace:
        standing.status(status(workspace), workspace, json)


def _narrowed(query: str, tag: str | None, label: str | None, since: str | None) -> Query:
    """The query with the terms that have options of their own."""
    options = {"tag": tag, "label": label, "since": since}
    terms = [f"{name}:{shlex.quote(value)}" for name, value in options.items() if value is not None]
    return parse(" ".join([query, *terms]))
