"""One update of each recipe: forward, loss, backward, step, and nothing else."""

from __future__ import annotations

import torch

from curate.model.device import training_autocast
from curate.model.loss import excess_discrepancy_loss, supervised_loss, unsupervised_loss
from curate.model.network import TwoHeadNetwork


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
    with training_autocast(network):
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
    with training_autocast(network):
        logits_1, logits_2 = network(pixels)
        unlabeled_1, unlabeled_2 = network(unlabeled)
    supervised = supervised_loss(logits_1, logits_2, labels)
    unsupervised = unsupervised_loss(unlabeled_1, unlabeled_2, margin)
    _descend(optimizer, supervised + unsupervised)
    return supervised.item(), unsupervised.item()


def guarded_step(
    network: TwoHeadNetwork,
    optimizer: torch.optim.Optimizer,
    labeled: tuple[torch.Tensor, torch.Tensor],
    candidates: tuple[torch.Tensor, torch.Tensor],
    unlabeled: torch.Tensor,
    share: float,
    reach: float | None,
) -> tuple[float, float]:
    """One joint step on L_sup and, unless `reach` is None, the excess discrepancy; returns both.

    `labeled` are any images with their labels, `candidates` those among which the `unlabeled` are
    to stand out. All pass as one batch, so that they are normalised alike.
    """
    pixels, labels = torch.cat([labeled[0], candidates[0]]), torch.cat([labeled[1], candidates[1]])
    with training_autocast(network):
        logits_1, logits_2 = network(torch.cat([pixels, unlabeled]))
    known, theirs = slice(None, len(labels)), slice(len(labels), None)
    ours = slice(len(labeled[1]), len(labels))
    supervised = supervised_loss(logits_1[known], logits_2[known], labels)
    unsupervised = torch.zeros_like(supervised)
    if reach is not None:
        unsupervised = excess_discrepancy_loss(
            (logits_1[theirs], logits_2[theirs]), (logits_1[ours], logits_2[ours]), share, reach
        )
    _descend(optimizer, supervised + unsupervised)
    return supervised.item(), unsupervised.item()


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> float:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.item()
