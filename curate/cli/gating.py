"""The gate for pipelines: check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from curate import console
from curate.catalog.query import parse
from curate.cli.app import app
from curate.cli.options import MOST_ROWS, Catalog, Json, QueryWords, share
from curate.cli.shown import plain
from curate.errors import GateNotMet

if TYPE_CHECKING:
    from curate.gate import Bound, Checked


@app.command()
def check(
    query: QueryWords = None,
    max_ood_rate: Annotated[
        float | None,
        typer.Option(parser=share, metavar="SHARE", help="Tagged ood of all tagged, as 2%."),
    ] = None,
    max_unreadable: Annotated[
        int | None, typer.Option(min=0, max=MOST_ROWS, help="Unreadable files.")
    ] = None,
    max_pending: Annotated[
        int | None, typer.Option(min=0, max=MOST_ROWS, help="Images without a tag yet.")
    ] = None,
    min_images: Annotated[
        int | None, typer.Option(min=0, max=MOST_ROWS, help="Images that there must be.")
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            parser=share,
            metavar="SHARE",
            help="Such as 95%: an OOD rate that chance explains is met.",
            show_default="compare the plain rate",
        ),
    ] = None,
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Hold what the catalog holds against bounds; exits with 8 when one is not met."""
    from curate.gate import Bounds, check
    from curate.workspace import open_workspace

    text = " ".join(query or [])
    bounds = Bounds(max_ood_rate, max_unreadable, max_pending, min_images, confidence)
    with open_workspace(catalog, create=False) as workspace:
        checked = check(workspace, parse(text), bounds)
    _show(checked, text, confidence, json)
    if not checked.met:
        raise GateNotMet(tuple(_name(bound) for bound in checked.bounds if not bound.met))


def _show(checked: Checked, query: str, confidence: float | None, as_json: bool) -> None:
    if as_json:
        asked = {"query": query, "confidence": confidence}
        console.json_document(plain(checked) | asked)
        return
    rows = [
        (_name(bound), _figure(bound, checked), _limit(bound), "met" if bound.met else "not met")
        for bound in checked.bounds
    ]
    console.table("", ("", "is", "asked", ""), rows)
    if checked.counts.images == 0 and not checked.counts.unreadable:
        console.warn(
            "nothing matches, and nothing exceeds no bound; --min-images 1 asks for something to "
            "be there"
        )
    low = [b.limit for b in checked.bounds if b.name == "ood_rate" and b.limit < checked.rate]
    for limit in low:
        console.warn(
            f"{_percent(limit)} OOD is asked, but up to {_percent(checked.rate)} of your own "
            "classes may be flagged; choose a lower `curate rate` or a higher bound"
        )


def _name(bound: Bound) -> str:
    return {"ood_rate": "OOD rate"}.get(bound.name, bound.name)


def _figure(bound: Bound, checked: Checked) -> str:
    if bound.name != "ood_rate":
        return f"{bound.figure:.0f}"
    if bound.figure is None:
        return "unknown: nothing is tagged yet"
    tagged = checked.counts.id + checked.counts.ood
    chance = "" if bound.chance is None else f", p = {bound.chance:.3g}"
    return f"{_percent(bound.figure)} ({checked.counts.ood} of {tagged}{chance})"


def _limit(bound: Bound) -> str:
    limit = _percent(bound.limit) if bound.name == "ood_rate" else f"{bound.limit:.0f}"
    return f"{bound.kind} {limit}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"
