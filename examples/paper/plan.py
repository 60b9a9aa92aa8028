"""What the runs of a table share, what one run is, and the configurations that follow from both."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

from curate.config import FinetuneConfig, GuardedRecipe, PaperRecipe, TrainConfig
from examples.paper.keeping import key_of

RECIPES = ("frozen", "paper", "guarded", "control")
"""In the order of running: the control makes as many updates as the guarded recipe did."""
SIZE = 32
"""Side of all images in pixels."""


@dataclass(frozen=True)
class Plan:
    """What is the same in all runs of a table: the sets, their sizes, pre-training, the rate."""

    id_spec: str
    ood_name: str
    ood_spec: str
    backbone: str
    epochs: int
    train: int
    validation: int
    calibration: int
    inbox: int
    fresh: int
    rate: float


@dataclass(frozen=True)
class Setting:
    """One run. Its seed decides pre-training, splits and inbox."""

    seed: int
    share: float
    recipe: str
    updates: int | None
    """Of a fine-tune at most; None: the recipe's own."""
    part: float = 1.0
    """Of the inbox that has arrived: as every fine-tune starts again from the pre-trained network,
    the cycles of a growing inbox are runs of their own."""


def pretraining(plan: Plan, seed: int) -> TrainConfig:
    """How the network of a seed is pre-trained."""
    return TrainConfig(backbone=plan.backbone, epochs=plan.epochs, image_size=SIZE, seed=seed)


def finetuning(plan: Plan, setting: Setting, work: Path) -> FinetuneConfig | None:
    """How the run fine-tunes, None where it does not."""
    match setting.recipe:
        case "paper":
            return FinetuneConfig(recipe=_paper(plan, setting), seed=setting.seed)
        case "guarded":
            return FinetuneConfig(recipe=_guarded(setting), seed=setting.seed)
        case "control":
            return FinetuneConfig(recipe=_control(plan, setting, work), seed=setting.seed)
    return None


def path_of(plan: Plan, setting: Setting, work: Path) -> Path:
    """Where the run is written to; one made with any other option or default lies elsewhere."""
    words = (plan.ood_name, f"{setting.share:g}", f"{setting.part:g}", setting.recipe)
    made_with = (plan, setting, pretraining(plan, setting.seed), finetuning(plan, setting, work))
    return work / f"{key_of('-'.join(words), *made_with)}-seed{setting.seed}.json"


def _paper(plan: Plan, setting: Setting) -> PaperRecipe:
    recipe = PaperRecipe()
    if not setting.updates:
        return recipe
    an_epoch = math.ceil(plan.train / recipe.batch_size)
    return replace(recipe, epochs=max(1, round(setting.updates / an_epoch)))


def _guarded(setting: Setting) -> GuardedRecipe:
    recipe, most = GuardedRecipe(), setting.updates
    if not most:
        return recipe
    return replace(recipe, min_updates=min(most, recipe.min_updates), max_updates=most)


def _control(plan: Plan, setting: Setting, work: Path) -> GuardedRecipe:
    """The guarded recipe without its push, for as many updates as the guarded run made, if any."""
    recipe = replace(_guarded(setting), reach=None)
    made = _updates_made(path_of(plan, replace(setting, recipe="guarded"), work))
    return replace(recipe, min_updates=made, max_updates=made) if made else recipe


def _updates_made(row: Path) -> int | None:
    if not row.exists():
        return None
    made: int | None = json.loads(row.read_text())["figures"].get("updates")
    return made
