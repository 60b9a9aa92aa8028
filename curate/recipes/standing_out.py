"""What sets the unusual images of a pool apart, learned once a network has been fine-tuned on it.

Two things set them apart that are not OOD, and both are kept from counting: compression, and
whatever moves all of an inbox, a camera or a season. The latter is seen in its usual images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from curate.images.transforms import augment, compress
from curate.model.candidates import Candidates
from curate.model.discriminant import ROWS, fit_discriminant
from curate.model.inference import BATCH
from curate.model.sampling import step_generator
from curate.model.scores import in_chunks


@dataclass(frozen=True)
class Pictures:
    """uint8 (N, 3, S, S) each: labeled, the pool with its canaries, labeled but held out."""

    labeled: Tensor
    pool: Tensor
    held_out: Tensor


def learn_discriminant(
    describe: Callable[[Iterable[Tensor]], Tensor],
    pictures: Pictures,
    candidates: Candidates,
    compressed: float,
    seed: int,
) -> Tensor:
    """Weights (P,) of the descriptions (N, P) that `describe` gives for batches of images.

    The pool is augmented as in training, and a share `compressed` of it encoded anew.
    """
    generator = step_generator(seed, 0)

    def described(pixels: Tensor, rows: Tensor) -> Tensor:
        return describe(_augmented(pixels, rows, generator, compressed))

    ours, theirs = pictures.labeled, pictures.pool
    usual = [
        described(ours, _others(candidates.labeled, len(ours))),
        described(theirs, _others(candidates.unlabeled, len(theirs))),
    ]
    plain = pictures.held_out[:ROWS]
    encoded = (compress(batch, generator, 1.0) for batch in in_chunks(plain, BATCH))
    nuisances = [describe(encoded) - describe(in_chunks(plain, BATCH))]
    if all(len(side) for side in usual):
        nuisances.append(usual[1].mean(0, keepdim=True) - usual[0].mean(0, keepdim=True))
    return fit_discriminant(
        described(ours, candidates.labeled), described(theirs, candidates.unlabeled), *nuisances
    )


def _augmented(
    pixels: Tensor, rows: Tensor, generator: torch.Generator, compressed: float
) -> Iterator[Tensor]:
    chosen = rows[torch.randperm(len(rows), generator=generator)[:ROWS]]
    for batch in in_chunks(chosen, BATCH):
        yield augment(pixels[batch], generator, compressed)


def _others(rows: Tensor, length: int) -> Tensor:
    left = torch.ones(length, dtype=torch.bool)
    left[rows] = False
    return left.nonzero()[:, 0]
