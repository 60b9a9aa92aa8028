"""One update of each recipe: forward, loss, backward, step, and nothing else."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from curate.model.device import training_autocast
from curate.model.loss import excess_discrepancy_loss, supervised_loss, unsupervised_loss
from curate.model.network import TwoHeadNetwork


def step_a(
    network: TwoHeadNetwork,
    optimizer: torch.optim.Optimizer,
    pixels: Tensor,
    labels: Tensor,
    detach: bool = False,
) -> Tensor:
    """Step A: minimise L_sup (Eq. 2) on labeled images; returns it.

    With `detach` the second head's loss does not reach the extractor (the author's code).
    """
    with training_autocast(network):
        features = network.features(pixels)
    logits_1, logits_2 = network.logits(features)
    if detach:
        _, logits_2 = network.logits(features.detach())
    return descend(optimizer, supervised_loss(logits_1, logits_2, labels))


def step_b(
    network: TwoHeadNetwork,
    optimizer: torch.optim.Optimizer,
    pixels: Tensor,
    labels: Tensor,
    unlabeled: Tensor,
    margin: float,
) -> Tensor:
    """Step B: minimise L_sup + max(m - mean d, 0) (Eqs. 3 to 5); returns both terms (2,)."""
    with training_autocast(network):
        logits_1, logits_2 = network(pixels)
        unlabeled_1, unlabeled_2 = network(unlabeled)
    supervised = supervised_loss(logits_1, logits_2, labels)
    unsupervised = unsupervised_loss(unlabeled_1, unlabeled_2, margin)
    return descend(optimizer, torch.stack([supervised, unsupervised]))


def guarded_step(
    network: TwoHeadNetwork,
    optimizer: torch.optim.Optimizer,
    labeled: tuple[Tensor, Tensor],
    candidates: tuple[Tensor, Tensor],
    unlabeled: Tensor,
    share: float,
    reach: float | None,
    reviewed: Tensor | None = None,
) -> Tensor:
    """One joint step on L_sup and, unless `reach` is None, the excess discrepancy.

    Returns both terms (2,). `labeled` are any images with their labels, `candidates` those among
    which the `unlabeled` are to stand out, `reviewed` those that people called OOD: all of them are
    pushed, by Eq. 5. All pass as one batch, so that they are normalised alike.
    """
    pixels, labels = torch.cat([labeled[0], candidates[0]]), torch.cat([labeled[1], candidates[1]])
    with training_autocast(network):
        given = [pixels, unlabeled] if reviewed is None else [pixels, unlabeled, reviewed]
        logits_1, logits_2 = network(torch.cat(given))
    last = len(labels) + len(unlabeled)
    known, theirs, judged = slice(len(labels)), slice(len(labels), last), slice(last, None)
    ours = slice(len(labeled[1]), len(labels))
    supervised = supervised_loss(logits_1[known], logits_2[known], labels)
    unsupervised = torch.zeros_like(supervised)
    if reach is not None:
        unsupervised = excess_discrepancy_loss(
            (logits_1[theirs], logits_2[theirs]), (logits_1[ours], logits_2[ours]), share, reach
        )
    if reach is not None and reviewed is not None:
        margin = reach * math.log(logits_1.shape[1])
        unsupervised = unsupervised + unsupervised_loss(logits_1[judged], logits_2[judged], margin)
    return descend(optimizer, torch.stack([supervised, unsupervised]))


def descend(optimizer: torch.optim.Optimizer, terms: Tensor) -> Tensor:
    """One step of the optimizer down the sum of the terms; returns them."""
    optimizer.zero_grad()
    torch.autograd.backward(terms.sum())
    optimizer.step()
    return terms.detach()
