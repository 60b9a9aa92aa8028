"""The two ways to fine-tune, update by update: resumable, told of, ended when met or diverged."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from curate.config import GuardedRecipe, PaperRecipe
from curate.errors import CurateError, UsageError
from curate.model.candidates import Candidates
from curate.model.network import TwoHeadNetwork
from curate.model.progress import load_progress, save_every, save_progress
from curate.model.split import LabeledSplit
from curate.recipes.batches import Batches
from curate.recipes.replay import Replayed, sgd
from curate.recipes.steps import guarded_step, step_a, step_b


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
    unlabeled: Tensor
    """uint8 (N, 3, S, S)"""
    seed: int
    progress: Path
    on_update: Callable[[Update], None]
    reviewed: Tensor | None = None
    """uint8 (R, 3, S, S) that people called OOD; for the guarded recipe alone."""


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
    labeled = Batches([run.labeled.pixels, run.labeled.labels], run.seed, device)
    unlabeled = Batches([run.unlabeled], run.seed + 1, device)
    batch = min(recipe.batch_size, len(run.labeled))
    total = recipe.epochs * math.ceil(len(run.labeled) / batch)
    optimizer = sgd(network, recipe)

    def both(pixels: Tensor, labels: Tensor, theirs: Tensor) -> Tensor:
        step_a(network, optimizer, pixels, labels, recipe.detach)
        return step_b(network, optimizer, pixels, labels, theirs, recipe.margin)

    steps = Replayed(both, device)

    def update(number: int) -> Tensor:
        return steps(*labeled.take(number, batch), *unlabeled.take(number, batch))

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
    streams = _streams(recipe, candidates, run, device)
    optimizer = sgd(network, recipe)
    average = copy.deepcopy(network)
    # Without a reach it is 0, below which no loss falls: the run goes on to its bound.
    pushed = candidates.share + (run.reviewed is not None)
    aim = (recipe.reach or 0.0) * pushed * math.log(network.head_1.out_features)

    def joint(*taken: Tensor) -> Tensor:
        pixels, labels, unusual, classes, theirs, *reviewed = taken
        known, ours = (pixels, labels), (unusual, classes)
        share, reach = candidates.share, recipe.reach
        return guarded_step(network, optimizer, known, ours, theirs, share, reach, *reviewed)

    step = Replayed(joint, device)

    def update(number: int) -> Tensor:
        taken = [part for stream in streams for part in stream.take(number, recipe.batch_size)]
        terms = step(*taken)
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


def _streams(
    recipe: GuardedRecipe, candidates: Candidates, run: Run, device: torch.device
) -> list[Batches]:
    """Labeled images, candidates among them, candidates of the pool, and what people called OOD."""
    labeled = [run.labeled.pixels, run.labeled.labels]
    sources: list[tuple[list[Tensor], Tensor | None]] = [
        (labeled, None),
        (labeled, candidates.labeled),
        ([run.unlabeled], candidates.unlabeled),
    ]
    if run.reviewed is not None:
        sources.append(([run.reviewed], None))
    return [
        Batches(tensors, run.seed + stream, device, rows, recipe.compressed)
        for stream, (tensors, rows) in enumerate(sources)
    ]


def newest_weight(updates: int) -> float:
    """What the network of one more update weighs in the average of all, after so many others.

    Two thirds of the average are the last tenth of all updates so far: polynomial-decay averaging
    with eta = 9 (Shamir & Zhang, 2013).
    """
    return 10 / (10 + updates)


def take_in(average: nn.Module, network: nn.Module, weight: float) -> None:
    """Move `average`, parameters and buffers, by `weight` towards `network`; counts are copied."""
    new = network.state_dict()
    pairs = [(old, new[name]) for name, old in average.state_dict().items()]
    values = [pair for pair in pairs if pair[0].is_floating_point()]
    move = get_ema_multi_avg_fn(1 - weight)  # type: ignore[no-untyped-call]
    move([old for old, _ in values], [newest for _, newest in values], None)
    for old, newest in pairs:
        if not old.is_floating_point():
            old.copy_(newest)


def _repeat(
    state: nn.Module,
    optimizer: torch.optim.SGD,
    update: Callable[[int], Tensor],
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
    every = save_every(next(state.parameters()).device)
    while number < most and not met(number, math.inf if level is None else level):
        supervised, unsupervised = update(number).tolist()
        number += 1
        if not math.isfinite(supervised + unsupervised):
            raise Diverged(number)
        level = unsupervised if level is None else 0.95 * level + 0.05 * unsupervised
        expected = least if number <= least else most
        run.on_update(Update(number, expected, supervised, unsupervised))
        if number % every == 0:
            facts = {"updates": number, "smoothed": level}
            save_progress(run.progress, state, optimizer, facts, key)
    return int(number)
