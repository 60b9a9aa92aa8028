"""Commands that tell what the catalog holds: list, export, status."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from curate.catalog.query import Query, parse
from curate.cli.app import app
from curate.cli.options import (
    MOST_ROWS,
    Catalog,
    DryRun,
    FormatName,
    Json,
    KeepMetadata,
    Link,
    LinkName,
    New,
    Null,
    QueryWords,
    ShardSize,
)
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
    from curate.cli import standing
    from curate.workspace import open_workspace

    if null and json:
        raise UsageError("-0 writes names alone; leave out --json or -0")
    with open_workspace(catalog, create=False) as workspace:
        standing.listing(workspace, parse(" ".join(query or [])), limit, null, json)


@app.command()
def export(
    destination: Annotated[
        str | None,
        typer.Argument(metavar="DEST", help="Without it, or with -, to standard output."),
    ] = None,
    format: Annotated[
        FormatName | None, typer.Option("--format", "-f", show_default="of DEST's suffix, or csv")
    ] = None,
    ood_only: Annotated[bool, typer.Option("--ood-only", help="Only images tagged ood.")] = False,
    id_only: Annotated[bool, typer.Option("--id-only", help="Only images tagged id.")] = False,
    label: Annotated[str | None, typer.Option(help="Only this class.")] = None,
    since: Annotated[str | None, typer.Option(help="Such as 2d, 3h or 2026-01-31.")] = None,
    query: Annotated[str, typer.Option(help="As for `curate list`.")] = "",
    all_paths: Annotated[
        bool, typer.Option("--all-paths", help="A row for each sighting.")
    ] = False,
    link: Link = LinkName.copy,
    keep_metadata: KeepMetadata = False,
    shard_size: ShardSize = 1_000,
    new: New = False,
    dry_run: DryRun = False,
    catalog: Catalog = None,
) -> None:
    """Hand the catalog on: a manifest, copies in one folder a class, or a tool's own form."""
    from curate.cli import standing
    from curate.copies import Manner
    from curate.export import Options
    from curate.workspace import open_workspace

    if ood_only and id_only:
        raise UsageError("--ood-only and --id-only leave nothing; give one of them")
    chosen = _narrowed(query, "ood" if ood_only else "id" if id_only else None, label, since, new)
    if chosen.unreadable:
        raise UsageError("unreadable: names files that are no images; `curate list` shows them")
    place = None if destination in (None, "-") else Path(destination)
    form = _format(format, place)
    if dry_run and place is None:
        raise UsageError("--dry-run tells what would be written to DEST; name a place")
    options = Options(all_paths, Manner(link.value, keep_metadata), shard_size)
    with open_workspace(catalog, create=False) as workspace:
        if place is None:
            standing.manifest(workspace, chosen, form.value, all_paths)
        elif dry_run:
            standing.planned(workspace, chosen, place, form.value, options)
        else:
            standing.exported(workspace, chosen, place, form.value, options)


@app.command()
def status(json: Json = False, catalog: Catalog = None) -> None:
    """Counts, networks in service, alarm rate, last scan, last fine-tune and its outcome."""
    from curate.cli import standing
    from curate.status import status
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace:
        standing.status(status(workspace), workspace, json)


def _narrowed(
    query: str, tag: str | None, label: str | None, since: str | None, new: bool
) -> Query:
    """The query with the terms that have options of their own."""
    options = {"tag": tag, "label": label, "since": since, "exported": "no" if new else None}
    terms = [f"{name}:{shlex.quote(value)}" for name, value in options.items() if value is not None]
    return parse(" ".join([query, *terms]))


def _format(given: FormatName | None, place: Path | None) -> FormatName:
    """The format that was asked for, else that of the file's suffix, else csv."""
    suffix = place.suffix.lower() if place else ""
    named = {f".{name}": FormatName[name] for name in ("csv", "jsonl", "parquet")}.get(suffix)
    if given and named and given is not named:
        raise UsageError(f"--format {given.value} does not go with {suffix}; leave one of them out")
    return given or named or FormatName.csv
