"""Commands that take images in: ingest, watch, and the demo that gives them some."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate import console
from curate.cli import shown
from curate.cli.app import app
from curate.cli.options import (
    LONGEST_SETTLE,
    Catalog,
    Device,
    FinetuneImages,
    FinetuneMinutes,
    Json,
    Log,
    LogFormat,
    MetricsPort,
    Null,
    OnTag,
    RecipeName,
    RecipeOfThat,
    Seed,
    Strict,
    names_of,
)
from curate.config import DecodeConfig, WatchConfig
from curate.errors import UnreadableInputs, UsageError
from curate.images.decode import Decoder
from curate.images.inbox import check_inbox

if TYPE_CHECKING:
    from curate.watch.events import Watched
    from curate.watch.hook import Target
    from curate.workspace import Workspace


@app.command()
def ingest(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Files and folders; - reads names from stdin."),
    ],
    null: Null = False,
    device: Device = "auto",
    strict: Strict = False,
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Catalog and tag images once."""
    from curate.ingest import check_paths, ingest
    from curate.score import Scorer, check_device
    from curate.workspace import open_workspace

    check_device(device)
    names = list(names_of(paths, null))
    check_paths(names)
    with open_workspace(catalog, create=True) as workspace, Decoder(DecodeConfig()) as decoder:
        with console.progress("reading") as advance:
            ingested = ingest(workspace, names, decoder, advance)
        with console.progress("scoring", ingested.images) as advance:
            Scorer(workspace, device).score_active(
                lambda done: advance(done, max(done, ingested.images))
            )
        shown.ingested(ingested, workspace.catalog, json)
    unreadable = ingested.unreadable + ingested.skipped_unreadable
    if strict and unreadable:
        raise UnreadableInputs(unreadable, "`curate list unreadable:` names what and why")


@app.command()
def watch(
    inbox: Annotated[
        Path, typer.Argument(metavar="INBOX", help="Folder where images arrive; only read.")
    ],
    once: Annotated[bool, typer.Option("--once", help="Take what is there now, then end.")] = False,
    settle: Annotated[
        float,
        typer.Option(min=0, max=LONGEST_SETTLE, help="Seconds a file must stay unchanged."),
    ] = WatchConfig.settle_seconds,
    finetune_images: FinetuneImages = None,
    finetune_minutes: FinetuneMinutes = None,
    recipe: RecipeOfThat = None,
    poll: Annotated[bool, typer.Option("--poll", help="Scan only; use no events.")] = False,
    log_format: Log = LogFormat.text,
    on_tag: OnTag = None,
    metrics: MetricsPort = None,
    device: Device = "auto",
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Catalog and tag images as they arrive; fine-tune when due."""
    from curate.cli import watching
    from curate.score import check_device
    from curate.watch.hook import target_of
    from curate.workspace import open_workspace

    console.log_as_json(log_format is LogFormat.json)
    if once:
        _check_once(finetune_images, finetune_minutes, recipe)
    images = WatchConfig.finetune_images if finetune_images is None else finetune_images
    config = WatchConfig(
        once=once,
        settle_seconds=settle,
        finetune_images=images or None,
        finetune_minutes=finetune_minutes,
        poll=poll,
    )
    check_device(device)
    check_inbox(inbox.absolute(), None)  # a wrong name leaves no empty catalog behind
    target = None if on_tag is None or on_tag == "none" else target_of(on_tag, os.environ)
    child = finetune_command(recipe or RecipeName.guarded, device)
    with open_workspace(catalog, create=True) as workspace, Decoder(DecodeConfig()) as decoder:
        _inherit(catalog, workspace.folder)
        if on_tag == "none":
            workspace.catalog.hooks.remove()
        watched = _watch(workspace, inbox, decoder, device, config, child, metrics, target)
        watching.watched(watched, workspace.catalog, json)


def _watch(
    workspace: Workspace,
    inbox: Path,
    decoder: Decoder,
    device: str,
    config: WatchConfig,
    child: list[str],
    port: int | None,
    target: Target | None,
) -> Watched:
    """Watch, and tell of it on standard error, to the service manager and to Prometheus."""
    from curate.cli import watching
    from curate.score import Scorer
    from curate.watch import watch
    from curate.watch.manager import ServiceManager
    from curate.watch.metrics import measured

    scorer, manager = Scorer(workspace, device), ServiceManager(os.environ)
    with watching.Watching() as told, measured(workspace.catalog, port, told.tell) as tell:
        doing = "taking what is in" if config.once else "watching"
        began = f"{doing} {console.safe(inbox)}; Ctrl-C ends it"
        console.note(began, event="started", inbox=inbox.absolute(), once=config.once)
        return watch(workspace, inbox, scorer, decoder, config, child, tell, manager, target)


@app.command()
def demo(
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="New folder for the pictures.")
    ],
    seed: Seed = 0,
) -> None:
    """Write a small labeled folder and an inbox of generated pictures to try everything on."""
    from curate.demo import write_demo

    with console.progress("drawing") as advance:
        made = write_demo(destination, seed, advance)
    shown.demo(made)


def _check_once(images: int | None, minutes: float | None, recipe: RecipeName | None) -> None:
    if images or minutes is not None or recipe is not None:
        raise UsageError(
            "--once never fine-tunes; leave out --finetune-images, --finetune-minutes and "
            "--recipe, and run `curate finetune` after it"
        )


def finetune_command(recipe: str, device: str) -> list[str]:
    """What a watch fine-tunes with; -P, for uploads may lie in the working directory."""
    command = [sys.executable, "-P", "-m", "curate", "finetune"]
    return [*command, "--recipe", recipe, "--device", device]


def _inherit(catalog: str | None, folder: Path) -> None:
    """Let the fine-tune's process find the same catalog, off its command line, and our modules."""
    os.environ["CURATE_CATALOG"] = catalog or str(folder / "catalog.db")
    os.environ["PYTHONPATH"] = os.pathsep.join(place or os.getcwd() for place in sys.path)
