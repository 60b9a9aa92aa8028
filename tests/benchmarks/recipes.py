"""Frozen network, paper recipe and guarded recipe on one inbox whose truth is known.

    python tests/benchmarks/recipes.py LABELED INBOX TRUTH.csv --work DIR --seeds 0 1 2

TRUTH.csv has the columns `file` and `truth` (id or ood) and is read after each run, for the
figures alone. One JSON line per seed and recipe; a line that is there already is not made again.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import torch

from curate.catalog.query import Query
from curate.config import (
    DecodeConfig,
    FinetuneConfig,
    GuardedRecipe,
    PaperRecipe,
    SplitConfig,
    TrainConfig,
)
from curate.finetune import finetune
from curate.images.decode import Decoder
from curate.images.paths import decode
from curate.ingest import ingest
from curate.model.metrics import auroc
from curate.score import Scorer
from curate.train import train
from curate.workspace import Workspace, open_workspace

RECIPES = {
    "paper": FinetuneConfig(recipe=PaperRecipe()),
    "paper, lr 0.01": FinetuneConfig(recipe=PaperRecipe(learning_rate=0.01)),
    "guarded": FinetuneConfig(recipe=GuardedRecipe()),
}


def measured(workspace: Workspace, truth: dict[str, str]) -> dict[str, float]:
    """AUROC, and the shares of ID and of OOD that are flagged, of the detector in service."""
    rows = [row for row in workspace.catalog.iter_images(Query()) if row.score is not None]
    found = {str(decode(row.path)): row for row in rows}
    ours = [row for name, row in found.items() if truth.get(name) == "id"]
    strange = [row for name, row in found.items() if truth.get(name) == "ood"]
    scores = [torch.tensor([row.score for row in part]) for part in (ours, strange)]
    return {
        "auroc": float(auroc(*scores)),
        "id_flagged": sum(row.tag == "ood" for row in ours) / len(ours),
        "ood_found": sum(row.tag == "ood" for row in strange) / len(strange),
    }


def run_seed(options: argparse.Namespace, seed: int, truth: dict[str, str]) -> None:
    """Pre-train once, then fine-tune with each recipe from there."""
    place = options.work / f"seed-{seed}"
    out = options.work / "figures.jsonl"
    done = (
        {(r["seed"], r["recipe"]) for r in map(json.loads, out.open())} if out.exists() else set()
    )
    with open_workspace(str(place), create=True) as workspace, Decoder(DecodeConfig()) as decoder:
        pretrained = next((row for row in workspace.catalog.models.list()), None)
        if pretrained is None:
            config = TrainConfig(
                seed=seed,
                split=SplitConfig(seed=seed),
                epochs=options.epochs,
                image_size=options.image_size,
            )
            train(workspace, options.labeled, config, decoder)
            ingest(workspace, [str(options.inbox)], decoder)
        scorer = Scorer(workspace, "cpu")
        scorer.score_active()
        first = workspace.catalog.models.list()[0]
        for name in ["frozen", *RECIPES]:
            if (seed, name) in done:
                continue
            began = time.monotonic()
            row: dict[str, object] = {"seed": seed, "recipe": name}
            scorer.use(first.checkpoint_id)
            if name in RECIPES:
                result = finetune(workspace, with_seed(RECIPES[name], seed))
                row |= {"outcome": result.outcome, "reason": result.reason, **result.figures}
            row |= measured(workspace, truth) | {"seconds": round(time.monotonic() - began)}
            with out.open("a") as file:
                print(json.dumps(row), file=file)


def with_seed(config: FinetuneConfig, seed: int) -> FinetuneConfig:
    """The same fine-tune with other random numbers."""
    return FinetuneConfig(recipe=config.recipe, force=config.force, seed=seed)


def main() -> None:
    """Run every seed that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labeled", type=Path)
    parser.add_argument("inbox", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--image-size", type=int)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    with options.truth.open(newline="") as file:
        truth = {row["file"]: row["truth"] for row in csv.DictReader(file)}
    for seed in options.seeds:
        run_seed(options, seed, truth)


if __name__ == "__main__":
    main()
