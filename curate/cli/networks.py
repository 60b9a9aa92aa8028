"""Commands that make networks, or choose among them: train, finetune, models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curate import console
from curate.cli import shown
from curate.cli.app import app, models_app
from curate.cli.options import (
    FASTEST,
    SLOWEST,
    Catalog,
    Device,
    Identity,
    Json,
    Margin,
    RecipeName,
    Schedule,
    Seed,
    Strict,
    Updates,
    check_recipe,
    recipe_of,
)
from curate.config import (
    DecodeConfig,
    FinetuneConfig,
    PaperRecipe,
    SplitConfig,
    TrainConfig,
)
from curate.errors import UsageError
from curate.images.decode import Decoder

Epochs = Annotated[
    int | None,
    typer.Option(
        min=1, help="Passes over the images.", show_default="by backbone, of small-resnet 60"
    ),
]


@app.command()
def train(
    labeled: Annotated[
        Path,
        typer.Argument(metavar="LABELED", help="Folder with one sub-folder of images a class."),
    ],
    backbone: Annotated[
        str, typer.Option(help="small-resnet, densenet-bc-100-12, wrn-28-10 or torchvision's.")
    ] = TrainConfig.backbone,
    weights: Annotated[
        str | None, typer.Option(help="DEFAULT (torchvision's) or a safetensors file.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=16, max=1024, help="Pixels a side that the network sees.")
    ] = None,
    epochs: Epochs = None,
    batch_size: Annotated[int, typer.Option(min=2)] = TrainConfig.batch_size,
    learning_rate: Annotated[
        float, typer.Option(min=SLOWEST, max=FASTEST)
    ] = TrainConfig.learning_rate,
    schedule: Schedule = Schedule.one_cycle,
    seed: Seed = 0,
    device: Device = "auto",
    strict: Strict = False,
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Learn the classes of a labeled folder."""
    from curate.train import check, train
    from curate.workspace import open_workspace

    config = TrainConfig(
        backbone=backbone,
        weights=weights,
        image_size=image_size,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule.value,
        split=SplitConfig(seed=seed, strict=strict),
        device=device,
        seed=seed,
    )
    check(labeled, config)  # a wrong name leaves no empty catalog behind
    with open_workspace(catalog, create=True) as workspace, Decoder(DecodeConfig()) as decoder:
        with shown.Training() as tell:
            told = (tell.on_image, tell.on_epoch, tell.on_scored)
            trained = train(workspace, labeled, config, decoder, *told)
        shown.trained(trained, workspace.catalog.rates.current(), json)


@app.command()
def finetune(
    recipe: RecipeName = RecipeName.guarded,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=SLOWEST, max=FASTEST, show_default="guarded 0.01, paper 0.1"),
    ] = None,
    updates: Updates = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Paper: passes.", show_default=str(PaperRecipe.epochs)),
    ] = None,
    margin: Margin = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Paper: Step A of the second head spares E.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Guarded: even where no OOD share is found.")
    ] = False,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Fine-tune the detector now, on what the catalog holds."""
    from curate.finetune import finetune
    from curate.workspace import open_workspace

    check_recipe(
        recipe,
        guarded={"--updates": updates, "--force": force},
        paper={"--epochs": epochs, "--margin": margin, "--detach": detach},
    )
    guarded = {"learning_rate": learning_rate, "max_updates": updates}
    paper = {"learning_rate": learning_rate, "epochs": epochs, "margin": margin, "detach": detach}
    chosen = recipe_of(recipe, guarded, paper)
    config = FinetuneConfig(recipe=chosen, device=device, seed=seed, force=force)
    with open_workspace(catalog, create=False) as workspace:
        with shown.Finetuning() as tell:
            result = finetune(workspace, config, tell.on_update, tell.on_images)
        shown.finetuned(result, json)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, json: Json = False, catalog: Catalog = None) -> None:
    """List the trained networks, look at one, or switch to one."""
    if context.invoked_subcommand is None:
        list_models(json, catalog)
    elif any(_on_command_line(context, name) for name in ("json", "catalog")):
        raise UsageError(
            f"give options after the command: curate models {context.invoked_subcommand} ..."
        )


def _on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@models_app.command("list")
def list_models(json: Json = False, catalog: Catalog = None) -> None:
    """Every trained network and every fine-tune, with what came of it."""
    from curate.cli import standing
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace:
        standing.models(workspace, json)


@models_app.command("show")
def show_model(
    checkpoint: Identity,
    catalog: Catalog = None,
) -> None:
    """Everything that is known of one network, as JSON."""
    from curate.cli import standing
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace:
        standing.model(workspace, checkpoint)


@models_app.command("use")
def use_model(
    checkpoint: Identity,
    device: Device = "auto",
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Put an earlier network back in service: a pre-trained one in both roles."""
    from curate.score import Scorer
    from curate.workspace import open_workspace

    with open_workspace(catalog, create=False) as workspace:
        with console.progress("scoring") as advance:
            row = Scorer(workspace, device).use(checkpoint, advance)
        if json:
            console.json_document(shown.plain(row))
        else:
            console.note(f"{row.checkpoint_id[:12]} is in service")
