"""ELOC (Vyas et al., ECCV 2018): five classifiers, each trained with a fifth of the classes as OOD.

Written from the papers' words. Two heads each, their losses and scores averaged, as the paper
compares with it (Section 4.1.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from curate.config import TrainConfig
from curate.errors import UsageError
from curate.model.device import training_autocast
from curate.model.loss import entropy
from curate.model.network import TwoHeadNetwork
from curate.model.sampling import step_generator
from curate.model.split import LabeledSplit
from curate.recipes.batches import Batches
from curate.recipes.pretraining import Course, learning_rate
from curate.recipes.replay import Replayed, sgd
from curate.recipes.steps import descend
from examples.paper.odin import heated, odin_scores

CLASSIFIERS = 5
MARGIN, BETA = 0.4, 0.2
EPSILON = 0.002
"""The input step with which the five-fold ensembles were published; ODIN's units."""
EPOCHS, LAST_RATE = 100, 1e-4


@dataclass(frozen=True)
class Fold:
    """One classifier's share of the training images: its own classes, and those left out."""

    kept: LabeledSplit
    """Labels are renumbered from 0 to `classes` - 1."""
    left_out: LabeledSplit
    classes: int


def partition(classes: int, seed: int) -> list[Tensor]:
    """The classes 0 to `classes` - 1 in five random parts of equal size, give or take one.

    Raises UsageError when there are fewer than five.
    """
    if classes < CLASSIFIERS:
        raise UsageError(f"eloc leaves out a fifth of the classes, and {classes} are too few")
    order = torch.randperm(classes, generator=step_generator(seed, 0))
    return list(order.tensor_split(CLASSIFIERS))


def fold(train: LabeledSplit, left_out: Tensor, classes: int) -> Fold:
    """`train` split by whether an image's class is among `left_out`."""
    out = torch.isin(train.labels, left_out)
    numbers = torch.full((classes,), -1)
    kept = torch.tensor([c for c in range(classes) if c not in left_out.tolist()])
    numbers[kept] = torch.arange(len(kept))
    return Fold(
        replace(_rows(train, ~out), labels=numbers[train.labels[~out]]),
        _rows(train, out),
        len(kept),
    )


def margin_entropy_loss(kept: Tensor, left_out: Tensor, margin: float = MARGIN) -> Tensor:
    """max(m + mean H(ID) - mean H(left out), 0) in nats, of logits (B, K) and (C, K) of one head.

    The left-out images are to be less certain than the others by `margin` at least.
    """
    return functional.relu(margin + entropy(kept).mean() - entropy(left_out).mean())


def eloc_loss(
    kept: Sequence[Tensor], labels: Tensor, left_out: Sequence[Tensor], beta: float = BETA
) -> Tensor:
    """Cross-entropy plus beta times the margin entropy loss, averaged over both heads' logits."""
    heads = [
        functional.cross_entropy(ours.float(), labels) + beta * margin_entropy_loss(ours, theirs)
        for ours, theirs in zip(kept, left_out, strict=True)
    ]
    return torch.stack(heads).mean()


def train_fold(network: TwoHeadNetwork, data: Fold, config: TrainConfig, progress: Path) -> None:
    """Train one leave-out classifier in place; goes on after the last whole epoch in `progress`.

    An update takes as many left-out images as keeps the proportion. Raises CurateError when the
    loss is no number.
    """
    device, optimizer = next(network.parameters()).device, sgd(network, config)
    batch = min(config.batch_size, len(data.kept))
    others = max(1, batch * len(data.left_out) // len(data.kept))
    kept, left_out = (
        Batches(tensors, seed, device, compressed=0.0)
        for seed, tensors in (
            (config.seed, [data.kept.pixels, data.kept.labels]),
            (config.seed + 1, [data.left_out.pixels]),
        )
    )

    def joint(pixels: Tensor, labels: Tensor, theirs: Tensor) -> Tensor:
        with training_autocast(network):
            heads = network(torch.cat([pixels, theirs]))
        loss = eloc_loss([h[:batch] for h in heads], labels, [h[batch:] for h in heads])
        return descend(optimizer, loss)

    step = Replayed(joint, device)
    course = Course(
        network,
        optimizer,
        update=lambda number: step(*kept.take(number, batch), *left_out.take(number, others)),
        rate=partial(rate, config=config),
        updates=len(data.kept) // batch,
        epochs=config.epochs or 1,
    )
    for _ in course.run(progress):
        pass


def confidence(logits: Tensor) -> Tensor:
    """Largest softmax probability minus entropy at T = 1000, of logits (B, K): (B,)."""
    log_p = heated(logits).log_softmax(1)
    p = log_p.exp()
    return p.amax(1) + (p * log_p).sum(1)


def eloc_scores(
    networks: Sequence[TwoHeadNetwork],
    pixels: Tensor,
    device: torch.device,
    epsilon: float = EPSILON,
) -> Tensor:
    """Scores (N,) of uint8 images, summed over the classifiers; larger means more OOD.

    Each classifier sees the images moved by ODIN's step on its own gradient.
    """
    each = [odin_scores(network, pixels, device, epsilon, confidence) for network in networks]
    return torch.stack(each).sum(0)


def rate(step: int, steps: int, config: TrainConfig) -> float:
    """The learning rate at `step`: falling in a line to 1e-4, or one cycle for short trainings."""
    if config.schedule == "one-cycle":
        return learning_rate(step, steps, config)
    return config.learning_rate + (LAST_RATE - config.learning_rate) * step / max(steps - 1, 1)


def _rows(split: LabeledSplit, chosen: Tensor) -> LabeledSplit:
    names = tuple(name for name, kept in zip(split.hashes, chosen.tolist(), strict=True) if kept)
    return LabeledSplit(split.pixels[chosen], split.labels[chosen], names)
