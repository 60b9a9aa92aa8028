"""The command that holds the networks against the truth: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curate.cli.app import app
from curate.cli.options import (
    Catalog,
    Device,
    Json,
    Margin,
    RecipeName,
    RecipeOfThat,
    Seed,
    Updates,
    check_recipe,
    recipe_of,
)
from curate.config import (
    DecodeConfig,
    EvaluateConfig,
    FinetuneConfig,
)
from curate.errors import UsageError
from curate.images.decode import Decoder
from curate.images.pictures import check_folder


@app.command()
def evaluate(
    id: Annotated[
        Path, typer.Option("--id", help="Images of your classes, best in a sub-folder a class.")
    ],
    ood: Annotated[Path, typer.Option("--ood", help="Images of none of your classes.")],
    unlabeled: Annotated[
        Path | None, typer.Option(help="Try a fine-tune on these images first, beside the catalog.")
    ] = None,
    recipe: RecipeOfThat = None,
    updates: Updates = None,
    margin: Margin = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="Another network; the first characters of its id do.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with all of it.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    catalog: Catalog = None,
) -> None:
    """Measure the detector on images whose truth is known; changes nothing."""
    from curate.cli import measured
    from curate.evaluate import Kind, evaluate, evaluate_finetuning
    from curate.workspace import open_workspace

    _check_together(unlabeled, checkpoint, (recipe, updates, margin))
    name = recipe or RecipeName.guarded
    check_recipe(name, {"--updates": updates}, {"--margin": margin})
    chosen = recipe_of(name, {"max_updates": updates}, {"margin": margin})
    finetuning = FinetuneConfig(recipe=chosen, device=device, seed=seed)
    _check_report(report)
    config = EvaluateConfig(device=device, seed=seed)
    folders: dict[Kind, Path] = {"id": id, "ood": ood}
    for folder in folders.values():
        check_folder(folder.absolute())  # reading the other one takes long
    with open_workspace(catalog, create=False) as workspace, Decoder(DecodeConfig()) as decoder:
        with measured.Evaluating() as tell:
            common = (workspace, folders, decoder, config)
            if unlabeled is None:
                found = evaluate(*common, checkpoint, tell.advance)
            else:
                found = evaluate_finetuning(*common, unlabeled, finetuning, tell.advance)
        measured.evaluated(found, report, json)


def _check_report(report: Path | None) -> None:
    if report is not None and not report.absolute().parent.is_dir():
        raise UsageError(f"--report: no folder {str(report.absolute().parent)!r}; make it first")


def _check_together(
    unlabeled: Path | None, checkpoint: str | None, of_finetune: tuple[object, ...]
) -> None:
    if unlabeled is None and any(option is not None for option in of_finetune):
        raise UsageError(
            "--recipe, --updates and --margin are those of the fine-tune on --unlabeled DIR; "
            "give that too"
        )
    if unlabeled is not None and checkpoint is not None:
        raise UsageError(
            "a fine-tune starts from the classifier in service; leave out --checkpoint or "
            "--unlabeled"
        )
