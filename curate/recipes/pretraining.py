"""Pre-training on labeled images alone (Eq. 2), resumable after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from curate.config import TrainConfig
from curate.errors import CurateError
from curate.model.network import TwoHeadNetwork
from curate.model.progress import load_progress, save_every, save_progress
from curate.model.split import LabeledSplit, accuracy
from curate.recipes.batches import Batches
from curate.recipes.replay import Replayed, set_rate, sgd
from curate.recipes.steps import step_a


@dataclass(frozen=True)
class Epoch:
    """How far training is: `number` of `total` epochs, mean loss of Eq. 2, validation accuracy."""

    number: int
    total: int
    loss: float
    accuracy: float


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """The rate at `step` of `steps`: the paper's two drops, or one cycle (Smith & Topin 2017)."""
    done = step / steps
    if config.schedule == "paper":
        return config.learning_rate * 0.1 ** ((done >= 0.5) + (done >= 0.75))
    if done < 0.2:
        return config.learning_rate * (0.04 + 0.96 * done / 0.2)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - 0.2) / 0.8))


def epochs_between_saves(device: torch.device, updates: int) -> int:
    """How many epochs of so many updates go by until one is kept: more than one on a GPU alone."""
    return math.ceil(save_every(device) / updates) if device.type == "cuda" else 1


@dataclass(frozen=True)
class Course:
    """A training in epochs: `update` maps the number of an update to its loss, and makes it."""

    network: TwoHeadNetwork
    optimizer: torch.optim.SGD
    update: Callable[[int], Tensor]
    rate: Callable[[int, int], float]
    """The learning rate at an update, of how many."""
    updates: int
    """In an epoch."""
    epochs: int

    def run(self, progress: Path) -> Iterator[tuple[int, float]]:
        """The number of each epoch, once it is done, and its mean loss; kept in `progress`.

        Goes on where the file stopped. Raises CurateError when the loss is no number.
        """
        key, device = progress.stem, next(self.network.parameters()).device
        between = epochs_between_saves(device, self.updates)
        facts = load_progress(progress, self.network, self.optimizer, key) or {"epochs": 0}
        for epoch in range(facts["epochs"], self.epochs):
            loss = self._epoch(epoch * self.updates)
            if not math.isfinite(loss):
                raise CurateError(
                    f"the loss is {loss} after epoch {epoch + 1}; try a smaller --learning-rate"
                )
            if epoch + 1 == self.epochs or (epoch + 1) % between == 0:
                save_progress(progress, self.network, self.optimizer, {"epochs": epoch + 1}, key)
            yield epoch + 1, loss

    def _epoch(self, first: int) -> float:
        self.network.train()
        losses = []
        for number in range(first, first + self.updates):
            set_rate(self.optimizer, self.rate(number, self.updates * self.epochs))
            losses.append(self.update(number))
        return float(torch.stack(losses).mean())


def pretrain(
    network: TwoHeadNetwork,
    train: LabeledSplit,
    validation: LabeledSplit,
    config: TrainConfig,
    progress: Path,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> None:
    """Train `network` in place for all epochs of `config`; goes on where `progress` stopped.

    Raises CurateError when the loss is no number.
    """
    device = next(network.parameters()).device
    optimizer = sgd(network, config, nesterov=config.schedule == "one-cycle")
    batch = min(config.batch_size, len(train))
    batches = Batches(
        [train.pixels, train.labels], config.seed, device, compressed=config.compressed
    )
    step = Replayed(partial(step_a, network, optimizer), device)
    course = Course(
        network,
        optimizer,
        update=lambda number: step(*batches.take(number, batch)),
        rate=partial(learning_rate, config=config),
        updates=len(train) // batch,
        epochs=config.epochs or 1,
    )
    for epoch, loss in course.run(progress):
        on_epoch(Epoch(epoch, course.epochs, loss, accuracy(network, validation, device)))
