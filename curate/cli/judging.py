"""Commands for a person's word: tag, undo, and the false-alarm rate behind every tag."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from curate import console
from curate.cli.app import app
from curate.cli.options import Catalog, Json, Null, Reviewer, Verdict, login, names_of
from curate.cli.words import counted, images_are
from curate.copies import original_of
from curate.errors import UsageError


@app.command()
def tag(
    verdict: Annotated[Verdict, typer.Argument(case_sensitive=False, metavar="id|ood")],
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files or SHA-256 hashes; - reads stdin.")
    ],
    class_name: Annotated[
        str | None,
        typer.Option("--class", envvar="CURATE_TAG_CLASS", help="With id: which class it is."),
    ] = None,
    reviewer: Reviewer = None,
    null: Null = False,
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Say what images are; a person's word stands over the model's."""
    from curate.tagging import new_class, tag
    from curate.workspace import open_workspace

    # Exports hold a URI where a name is not UTF-8; paths and hashes stay what they are.
    names = [os.fspath(original_of(name)) for name in names_of(paths, null)]
    if not names:
        raise UsageError("no names were given; nothing was tagged")
    with open_workspace(catalog, create=False) as workspace:
        count = tag(workspace, names, verdict.value, class_name, reviewer or login())
        if json:
            console.json_document({"images": count, "verdict": verdict, "class": class_name})
        else:
            console.note(f"{images_are(count)} {verdict.value} now; `curate undo` takes it back")
        if class_name and (doubt := new_class(workspace, class_name)):
            console.warn(doubt)


@app.command("import-reviews")
def import_reviews(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Label Studio's JSON, or a manifest of ours.")
    ],
    original: Annotated[
        Path | None, typer.Option(help="The manifest as exported, to tell what was edited.")
    ] = None,
    reviewer: Reviewer = None,
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Take in what people judged elsewhere, as one step; `curate undo` takes it back."""
    from curate.cli.shown import plain
    from curate.reviews import import_reviews
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace:
        found = import_reviews(workspace, file, reviewer or login(), original)
        if json:
            console.json_document(plain(found))
            return
        if found.images:
            console.note(f"{counted(found.images, 'image{s}')} judged; `curate undo` takes it back")
        else:
            console.note(f"{console.safe(file)} says nothing of these images that is not known")
        if found.unknown:
            console.warn(
                f"{counted(found.unknown, 'image{s}')} of {console.safe(file)} not in this catalog"
            )
        if found.older:
            console.warn(
                f"{counted(found.older, 'image{s}')} judged here since and left as they are"
            )


@app.command()
def review(
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of 127.0.0.1; 0: any that is free.")
    ] = 0,
    reviewer: Reviewer = None,
    catalog: Catalog = None,
) -> None:
    """Judge images in the browser, on a page that this command serves until Ctrl-C."""
    from curate.review import review
    from curate.workspace import open_workspace

    def told(address: str) -> None:
        with suppress(BrokenPipeError):  # whoever reads the first address may have left
            console.show(address)

    with open_workspace(catalog, create=False) as workspace:
        console.note("open the page in a browser of this machine; Ctrl-C ends it")
        console.note("an address opens it once, and then another one follows here")
        review(workspace, reviewer or login(), port, console.safe, told)


@app.command()
def undo(
    reviewer: Annotated[
        str | None, typer.Option(help="Whose last step.", show_default="your login name")
    ] = None,
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Take back the last step of `tag`; again, the one before."""
    from curate.tagging import undo
    from curate.workspace import open_workspace

    name = reviewer or login()
    with open_workspace(catalog, create=False) as workspace:
        count = len(undo(workspace, name))
        if json:
            console.json_document({"images": count})
        elif count:
            console.note(f"{images_are(count)} as before")
        else:
            console.note(_nothing(name, workspace.catalog.reviews.last_reviewer()))


def _nothing(reviewer: str, other: str | None) -> str:
    """What to say when the reviewer has nothing to undo; the last step that stands is `other`'s."""
    if other is None:
        return "nothing to undo"
    return (
        f"nothing of {reviewer!r} to undo; the last step is of {other!r}: give that to --reviewer"
    )


@app.command()
def rate(
    rate: Annotated[str | None, typer.Argument(metavar="RATE", help="Such as 5% or 0.05.")] = None,
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Show or choose the false-alarm rate that tags are made with; re-tags at once."""
    from curate.cli import standing
    from curate.tagging import choose_rate
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace:
        if rate is not None:
            choose_rate(workspace, rate)
        standing.rate(workspace, json)
