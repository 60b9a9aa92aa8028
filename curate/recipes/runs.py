"""The two ways to fine-tune, update by update: resumable, told of, ended when met or diverged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from curate.config import GuardedRecipe, PaperRecipe
from curate.errors import CurateError, UsageError
from curate.images.transforms import augment
from curate.model.network import TwoHeadNetwork
from curate.model.progress import load_progress, save_progress
from curate.model.sampling import Stream, step_generator
from curate.model.split import LabeledSplit
from curate.recipes.steps import guarded_step, step_a, step_b

SAVE_EVERY = 50
"""Updates between two states that an interrupted run resumes from."""


class Diverged(CurateError):
    """The loss became no number at `update`."""

    def __init__(self, update: int) -> None:
        super().__init__(f"the loss became no number at update {update}")
        self.update = update


@dataclass(frozen=True)
class Update:
    """`number` of about `total` updates are done; the loss terms of the last."""

    number: int
    total: int
    supervised: float
    unsupervised: float


@dataclass(frozen=True)
class Run:
    """What both recipes need to run: data, seed, the file to resume from, and who is told."""

    labeled: LabeledSplit
    unlabeled: torch.Tensor
    """uint8 (N, 3, S, S)"""
    seed: int
    progress: Path
    on_update: Callable[[Update], None]


def run_paper(network: TwoHeadNetwork, recipe: PaperRecipe, run: Run) -> int:
    """Fine-tune as the paper says; returns the number of A and B steps.

    Raises UsageError where the margin cannot be reached with so few classes, Diverged when the
    loss is no number.
    """
    classes = network.head_1.out_features
    if recipe.margin >= math.log(classes):
        raise UsageError(
            f"a margin of {recipe.margin} cannot be reached with {classes} classes (at most "
            f"ln K = {math.log(classes):.2f}); give a smaller --margin, or use --recipe guarded"
        )
    batches = Batches(network, run)
    batch = min(recipe.batch_size, len(run.labeled))
    total = recipe.epochs * math.ceil(len(run.labeled) / batch)
    optimizer = _optimizer(network, recipe)

    def update(number: int) -> tuple[float, float]:
        pixels, labels = batches.labeled(number, batch)
        step_a(network, optimizer, pixels, labels, recipe.detach)
        unlabeled = batches.unlabeled(number, batch)
        return step_b(network, optimizer, pixels, labels, unlabeled, recipe.margin)

    return _repeat(network, optimizer, update, (total, total), lambda number, smoothed: False, run)


def run_guarded(network: TwoHeadNetwork, recipe: GuardedRecipe, share: float, run: Run) -> int:
    """Fine-tune on the excess discrepancy at an OOD share of `share`; returns the updates made.

    Stops when the smoothed objective is within a tenth of its aim, between `min_updates` and
    `max_updates`. Raises Diverged when the loss is no number.
    """
    batches = Batches(network, run)
    optimizer = _optimizer(network, recipe)
    aim = recipe.reach * share * math.log(network.head_1.out_features)

    def update(number: int) -> tuple[float, float]:
        pixels, labels = batches.labeled(number, recipe.labeled_batch, augmented=True)
        unlabeled = batches.unlabeled(number, recipe.unlabeled_batch, augmented=True)
        return guarded_step(network, optimizer, pixels, labels, unlabeled, share, recipe.reach)

    def met(number: int, smoothed: float) -> bool:
        return number >= recipe.min_updates and smoothed < aim / 10

    bounds = (recipe.min_updates, recipe.max_updates)
    return _repeat(network, optimizer, update, bounds, met, run)


class Batches:
    """The labeled and unlabeled images of each update, on the network's device."""

    def __init__(self, network: nn.Module, run: Run) -> None:
        self._device, self._run = next(network.parameters()).device, run
        self._labeled = Stream(len(run.labeled), run.seed)
        self._unlabeled = Stream(len(run.unlabeled), run.seed + 1)

    def labeled(
        self, number: int, count: int, augmented: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (count, 3, S, S) and labels (count,) of an update."""
        rows = self._labeled.take(number * count, count)
        pixels = self._prepare(self._run.labeled.pixels[rows], number, 0, augmented)
        return pixels, self._run.labeled.labels[rows].to(self._device)

    def unlabeled(self, number: int, count: int, augmented: bool = False) -> torch.Tensor:
        """Pixels (count, 3, S, S) of an update."""
        rows = self._unlabeled.take(number * count, count)
        return self._prepare(self._run.unlabeled[rows], number, 1, augmented)

    def _prepare(
        self, pixels: torch.Tensor, number: int, stream: int, augmented: bool
    ) -> torch.Tensor:
        pixels = pixels.to(self._device)
        if not augmented:
            return pixels
        return augment(pixels, step_generator(self._run.seed, 2 * number + stream))


def _repeat(
    network: TwoHeadNetwork,
    optimizer: torch.optim.SGD,
    update: Callable[[int], tuple[float, float]],
    bounds: tuple[int, int],
    met: Callable[[int, float], bool],
    run: Run,
) -> int:
    facts = load_progress(run.progress, network, optimizer, run.progress.stem) or {}
    number, smoothed = int(str(facts.get("updates", 0))), facts.get("smoothed")
    level = float(str(smoothed)) if smoothed is not None else None
    network.train()
    least, most = bounds
    while number < most and not met(number, math.inf if level is None else level):
        supervised, unsupervised = update(number)
        number += 1
        if not math.isfinite(supervised + unsupervised):
            raise Diverged(number)
        level = unsupervised if level is None else 0.95 * level + 0.05 * unsupervised
        expected = least if number <= least else most
        run.on_update(Update(number, expected, supervised, unsupervised))
        if number % SAVE_EVERY == 0:
            save_progress(
                run.progress,
                network,
                optimizer,
                {"updates": number, "smoothed": level},
                run.progress.stem,
            )
    return number


def _optimizer(network: nn.Module, recipe: PaperRecipe | GuardedRecipe) -> torch.optim.SGD:
    return torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
