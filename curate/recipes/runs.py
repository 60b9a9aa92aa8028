"""The two ways to fine-tune, update by update: resumable, told of, ended when met or diverged."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from curate.config import GuardedRecipe, PaperRecipe
from curate.errors import CurateError, UsageError
from curate.images.transforms import augment
from curate.model.candidates import Candidates
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
    device = next(network.parameters()).device
    labeled = Batches(run.labeled.pixels, run.seed, device)
    unlabeled = Batches(run.unlabeled, run.seed + 1, device)
    batch = min(recipe.batch_size, len(run.labeled))
    total = recipe.epochs * math.ceil(len(run.labeled) / batch)
    optimizer = _optimizer(network, recipe)

    def update(number: int) -> tuple[float, float]:
        rows, pixels = labeled.take(number, batch)
        labels = run.labeled.labels[rows].to(device)
        step_a(network, optimizer, pixels, labels, recipe.detach)
        _, theirs = unlabeled.take(number, batch)
        return step_b(network, optimizer, pixels, labels, theirs, recipe.margin)

    return _repeat(network, optimizer, update, (total, total), lambda number, smoothed: False, run)


def run_guarded(
    network: TwoHeadNetwork, recipe: GuardedRecipe, candidates: Candidates, run: Run
) -> int:
    """Fine-tune on the excess discrepancy among candidates; returns the updates made.

    The network becomes the average of what it was, mostly over the last tenth of the updates:
    single ones are noisy where few images are OOD. Stops when the smoothed objective is within a
    tenth of its aim, and after so many passes over the candidates that they would be learned by
    heart. Raises Diverged when the loss is no number.
    """
    device = next(network.parameters()).device
    streams = [
        Batches(
            pixels, run.seed + stream, device, rows, partial(augment, compressed=recipe.compressed)
        )
        for stream, (pixels, rows) in enumerate(
            [
                (run.labeled.pixels, None),
                (run.labeled.pixels, candidates.labeled),
                (run.unlabeled, candidates.unlabeled),
            ]
        )
    ]
    optimizer = _optimizer(network, recipe)
    average = copy.deepcopy(network)
    # Without a reach it is 0, below which no loss falls: the run goes on to its bound.
    aim = (recipe.reach or 0.0) * candidates.share * math.log(network.head_1.out_features)

    def update(number: int) -> tuple[float, float]:
        taken = [stream.take(number, recipe.batch_size) for stream in streams]
        known = [(pixels, run.labeled.labels[rows].to(device)) for rows, pixels in taken[:2]]
        ours, unusual, theirs = known[0], known[1], taken[2][1]
        terms = guarded_step(
            network, optimizer, ours, unusual, theirs, candidates.share, recipe.reach
        )
        take_in(average, network, newest_weight(number))
        return terms

    def met(number: int, smoothed: float) -> bool:
        return number >= recipe.min_updates and smoothed < aim / 10

    wanted = math.ceil(recipe.passes * len(candidates.unlabeled) / recipe.batch_size)
    most = min(max(wanted, recipe.min_updates), recipe.max_updates)
    bounds = (min(recipe.min_updates, most), most)
    updates = _repeat(nn.ModuleList([network, average]), optimizer, update, bounds, met, run)
    network.load_state_dict(average.state_dict())
    return updates


class Batches:
    """The images of each update, on the network's device; of `rows` alone where these are given."""

    def __init__(
        self,
        pixels: torch.Tensor,
        seed: int,
        device: torch.device,
        rows: torch.Tensor | None = None,
        augmented: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ) -> None:
        self._pixels, self._seed, self._device = pixels, seed, device
        self._rows = torch.arange(len(pixels)) if rows is None else rows
        self._augmented = augmented
        self._stream = Stream(len(self._rows), seed)

    def take(self, number: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Row numbers (count,) and pixels (count, 3, S, S) of an update."""
        rows = self._rows[self._stream.take(number * count, count)]
        pixels = self._pixels[rows]
        if self._augmented:
            pixels = self._augmented(pixels, step_generator(self._seed, -1 - number))
        return rows, pixels.to(self._device)


def newest_weight(updates: int) -> float:
    """What the network of one more update weighs in the average of all, after so many others.

    Two thirds of the average are the last tenth of all updates so far: polynomial-decay averaging
    with eta = 9 (Shamir & Zhang, 2013).
    """
    return 10 / (10 + updates)


def take_in(average: nn.Module, network: nn.Module, weight: float) -> None:
    """Move `average`, parameters and buffers, by `weight` towards `network`, where both lie.

    torch's AveragedModel hands the count of updates over on the device: to make a weight of it
    would wait for the GPU at each tensor.
    """
    new = network.state_dict()
    for name, old in average.state_dict().items():
        old.copy_(new[name] if weight == 1 else old + (new[name] - old) * weight)


def _repeat(
    state: nn.Module,
    optimizer: torch.optim.SGD,
    update: Callable[[int], tuple[float, float]],
    bounds: tuple[int, int],
    met: Callable[[int, float], bool],
    run: Run,
) -> int:
    """Make updates until `met`, between `bounds`; `state` is all that a resumed run needs back."""
    key = run.progress.stem
    facts = load_progress(run.progress, state, optimizer, key) or {"updates": 0, "smoothed": None}
    number, level = facts["updates"], facts["smoothed"]
    state.train()
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
            facts = {"updates": number, "smoothed": level}
            save_progress(run.progress, state, optimizer, facts, key)
    return int(number)


def _optimizer(network: nn.Module, recipe: PaperRecipe | GuardedRecipe) -> torch.optim.SGD:
    return torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
