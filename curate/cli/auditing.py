"""How often the detector really errs: audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from curate import console
from curate.cli.app import app
from curate.cli.options import MOST_ROWS, Catalog, Device, Json, QueryWords
from curate.cli.shown import Stages, plain
from curate.cli.words import counted, percent
from curate.errors import UsageError

if TYPE_CHECKING:
    from curate.audit import Audited
    from curate.model.proportion import Share


@app.command()
def audit(
    query: QueryWords = None,
    images: Annotated[
        int | None, typer.Option(min=1, max=MOST_ROWS, help="Draw a new sample of so many.")
    ] = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Calibrate the detector with the sample.")
    ] = False,
    device: Device = "auto",
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Measure alarm rate and recall on a random sample that a person judges; recalibrate by it."""
    from curate import audit
    from curate.workspace import open_workspace

    if query and images is None:
        raise UsageError("a query says what to draw the sample from; give --images too")
    if recalibrate and images is not None:
        raise UsageError("a new sample is to be judged first; give --images or --recalibrate")
    with open_workspace(catalog, create=False) as workspace:
        if images is not None:
            drawn = audit.draw(workspace, " ".join(query or []), images)
            console.note(
                f"{counted(drawn, 'image{s}')} drawn at random; judge them in `curate review`, "
                "queue audit sample, then run `curate audit`"
            )
        if recalibrate:
            with Stages() as stages:
                made = audit.recalibrate(
                    workspace, device, lambda done, total: stages.advance("scoring", done, total)
                )
            console.note(f"{made[:12]} is in service, calibrated with the sample")
        _show(audit.audited(workspace), json)


def _show(found: Audited, as_json: bool) -> None:
    if as_json:
        told = {"finished": found.finished, "drifted": found.drifted}
        console.json_document(plain(found) | told)
        return
    rows = [
        ("judged", f"{found.judged} of {counted(found.images, 'image{s}')}"),
        ("alarm rate", f"{_share(found.alarms, 'your own classes')}; {percent(found.rate)} asked"),
        ("recall", _share(found.recall, "OOD")),
        ("OOD share", _share(found.ood_share, "all")),
    ]
    console.table("", ("", ""), rows)
    if found.drifted:
        done = found.finished
        then = "`curate audit --recalibrate` reads them against the sample instead"
        console.warn(
            "more of your own classes is flagged than was asked for, and that is not chance: the "
            "uploads have drifted away from the labeled folder; "
            f"{then if done else 'judge the sample to its end, and then ' + then}"
        )


def _share(found: Share | None, of: str) -> str:
    if found is None:
        return "none judged yet"
    interval = f"95 % interval {found.low:.1%} to {found.high:.1%}"
    return f"{found.value:.1%} of {found.images} of {of} ({interval})"
