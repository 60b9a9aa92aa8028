"""Pre-training on labeled images alone (Eq. 2), resumable after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from curate.config import TrainConfig
from curate.errors import CurateError
from curate.images.transforms import augment
from curate.model.device import training_autocast
from curate.model.loss import supervised_loss
from curate.model.network import TwoHeadNetwork
from curate.model.progress import load_progress, save_progress
from curate.model.sampling import Stream, step_generator
from curate.model.split import LabeledSplit, accuracy


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


def train_one_epoch(
    network: TwoHeadNetwork,
    split: LabeledSplit,
    optimizer: torch.optim.SGD,
    config: TrainConfig,
    epoch: int,
    device: torch.device,
) -> float:
    """One pass over `split`; returns the mean loss of Eq. 2."""
    network.train()
    batch = min(config.batch_size, len(split))
    per_epoch = len(split) // batch
    stream, losses = Stream(len(split), config.seed), []
    for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
        optimizer.param_groups[0]["lr"] = learning_rate(
            step, per_epoch * (config.epochs or 1), config
        )
        rows = stream.take(step * batch, batch)
        generator = step_generator(config.seed, step)
        pixels = augment(split.pixels[rows], generator, config.compressed).to(device)
        with training_autocast(network):
            logits_1, logits_2 = network(pixels)
        loss = supervised_loss(logits_1, logits_2, split.labels[rows].to(device))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
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
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.schedule == "one-cycle",
    )
    device = next(network.parameters()).device
    total = config.epochs or 1
    facts = load_progress(progress, network, optimizer, progress.stem) or {"epochs": 0}
    for epoch in range(int(str(facts["epochs"])), total):
        loss = train_one_epoch(network, train, optimizer, config, epoch, device)
        if not math.isfinite(loss):
            raise CurateError(
                f"the loss is {loss} after epoch {epoch + 1}; try a smaller --learning-rate"
            )
        save_progress(progress, network, optimizer, {"epochs": epoch + 1}, progress.stem)
        on_epoch(Epoch(epoch + 1, total, loss, accuracy(network, validation, device)))
