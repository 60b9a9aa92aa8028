"""The two ways to fine-tune: the paper's Steps A and B, and the guarded joint step."""

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
from curate.labeled import LabeledSplit
from curate.model.device import autocast
from curate.model.loss import excess_discrepancy_loss, supervised_loss, unsupervised_loss
from curate.model.network import TwoHeadNetwork
from curate.model.progress import load_progress, save_progress
from curate.model.sampling import Stream, step_generator

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


def step_a(
    network: TwoHeadNetwork,
    optimizer: torch.optim.Optimizer,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    detach: bool = False,
) -> float:
    """Step A: minimise L_sup (Eq. 2) on labeled images.

    With `detach` the second head's loss does not reach the extractor (the author's code).
    """
    with autocast(pixels.device):
        features = network.features(pixels)
    logits_1, logits_2 = network.logits(features)
    if detach:
        _, logits_2 = network.logits(features.detach())
    return _descend(optimizer, supervised_loss(logits_1, logits_2, labels))


def step_b(
    network: TwoHeadNetwork,
    optimizer: torch.optim.Optimizer,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    unlabeled: torch.Tensor,
    margin: float,
) -> tuple[float, float]:
    """Step B: minimise L_sup + max(m - mean d, 0) (Eqs. 3 to 5); returns both terms."""
    with autocast(pixels.device):
        logits_1, logits_2 = network(pixels)
        unlabeled_1, unlabeled_2 = network(unlabeled)
    supervised = supervised_loss(logits_1, logits_2, labels)
    unsupervised = unsupervised_loss(unlabeled_1, unlabeled_2, margin)
    _descend(optimizer, supervised + unsupervised)
    return supervised.item(), unsupervised.item()


def guarded_step(
    network: TwoHeadNetwork,
    optimizer: torch.optim.Optimizer,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    unlabeled: torch.Tensor,
    share: float,
    reach: float,
) -> tuple[float, float]:
    """One joint step on L_sup and the excess discrepancy; returns both terms.

    Labeled and unlabeled images pass as one batch, so that both are normalised alike.
    """
    with autocast(pixels.device):
        logits_1, logits_2 = network(torch.cat([pixels, unlabeled]))
    ours, theirs = slice(None, len(labels)), slice(len(labels), None)
    supervised = supervised_loss(logits_1[ours], logits_2[ours], labels)
    unsupervised = excess_discrepancy_loss(
        (logits_1[theirs], logits_2[theirs]), (logits_1[ours], logits_2[ours]), share, reach
    )
    _descend(optimizer, supervised + unsupervised)
    return supervised.item(), unsupervised.item()


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


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> float:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.item()
