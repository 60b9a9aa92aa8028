"""What sets the unusual images of a pool apart, learned once a network has been fine-tuned on it.

Two things set them apart that are not OOD, and both are made to count for less: compression, and
whatever moves all of an inbox, a camera or a season. The latter is seen in its usual images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from curate.config import GuardedRecipe
from curate.images.transforms import augment, compress
from curate.model.candidates import Candidates
from curate.model.discriminant import ROWS, chance_p_value, fit_discriminant
from curate.model.inference import BATCH
from curate.model.sampling import step_generator
from curate.model.scores import in_chunks

_STEP = 1 << 40
"""Names random numbers that no stream and no update draws."""
Describe = Callable[[Iterable[Tensor]], Tensor]


@dataclass(frozen=True)
class Pictures:
    """uint8 (N, 3, S, S) each; candidates are rows of `labeled`, and of inbox and canaries."""

    labeled: Tensor
    inbox: Tensor
    canaries: Tensor
    validation: Tensor


def learn_discriminant(
    describe: Describe, pictures: Pictures, candidates: Candidates, recipe: GuardedRecipe, seed: int
) -> Tensor | None:
    """Weights (P,) of the descriptions (N, P) that `describe` gives for batches of images.

    Images are augmented as in training. None where it sets the inbox's candidates apart from the
    canaries no more than chance does: with little OOD to learn from it is noise, and does harm.
    """
    generator = step_generator(seed, _STEP)

    def some(rows: Tensor) -> Tensor:
        return rows[torch.randperm(len(rows), generator=generator)[:ROWS]]

    def augmented(pixels: Tensor, rows: Tensor) -> Iterator[Tensor]:
        for batch in in_chunks(rows, BATCH):
            yield augment(pixels[batch], generator, recipe.compressed)

    ours, theirs = pictures.labeled, torch.cat([pictures.inbox, pictures.canaries])
    plain = pictures.validation[:ROWS]
    encoded = (compress(batch, generator, 1.0) for batch in in_chunks(plain, BATCH))
    nuisances = [describe(encoded) - describe(in_chunks(plain, BATCH))]
    # Canaries did not come with the inbox: they would hide what moves it.
    usual = (
        (ours, some(_others(candidates.labeled, len(ours)))),
        (theirs, some(_others(candidates.unlabeled, len(theirs), len(pictures.inbox)))),
    )
    if all(len(rows) for _, rows in usual):
        before, after = (_mean(describe, augmented(pixels, rows)) for pixels, rows in usual)
        nuisances.append((after - before)[None])
    unusual = some(candidates.unlabeled)
    arrived = unusual < len(pictures.inbox)
    known, found = (
        describe(augmented(ours, some(candidates.labeled))),
        describe(augmented(theirs, unusual)),
    )
    weights = fit_discriminant(known, found, *nuisances)
    if weights is None or chance_p_value(found @ weights, arrived) > recipe.significance:
        return None
    return weights


def _mean(describe: Describe, batches: Iterable[Tensor]) -> Tensor:
    """Mean description (P,), with those of one batch in memory at a time."""
    sums = [(len(batch), describe([batch]).sum(0)) for batch in batches]
    return torch.stack([found for _, found in sums]).sum(0) / sum(count for count, _ in sums)


def _others(rows: Tensor, length: int, below: int | None = None) -> Tensor:
    """The rows of `length` that are not among `rows`, and lie `below` that one."""
    left = torch.ones(length, dtype=torch.bool)
    left[rows] = False
    return left[:below].nonzero()[:, 0]
