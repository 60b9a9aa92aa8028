"""What sets the unusual images of a pool apart, learned once a network has been fine-tuned on it.

Two things set them apart that are not OOD, and both are made to count for less: compression, and
whatever moves all of an inbox, a camera or a season. The latter is seen in its usual images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from curate.config import GuardedRecipe
from curate.images.augmentation import augment, compress
from curate.model.candidates import Candidates
from curate.model.discriminant import ROWS, chance_p_value, fit_discriminant
from curate.model.inference import BATCH
from curate.model.sampling import step_generator
from curate.model.scores import in_chunks

FEWEST_REVIEWED = 10
"""So many images that people called OOD tell more than chance does."""
_STEP = 1 << 40
"""Names random numbers that no stream and no update draws."""
Describe = Callable[[Iterable[Tensor]], Tensor]


@dataclass(frozen=True)
class Pictures:
    """uint8 (N, 3, S, S) each; candidates are rows of `labeled`, and of inbox and canaries."""

    labeled: Tensor
    inbox: Tensor
    canaries: Tensor
    held_out: Tensor
    """Candidates among them alone."""
    validation: Tensor
    reviewed: Tensor
    """What people called OOD."""


@dataclass(frozen=True)
class Learned:
    """Weights (P,) of the descriptions, or None where they would count for nothing."""

    weights: Tensor | None
    p_value: float
    """Of "what sets the inbox's candidates apart is chance"."""


@dataclass(frozen=True)
class _Sides:
    """Descriptions (N, P) of candidates, ours and the pool's, and what tells nothing of OOD."""

    ours: Tensor
    theirs: Tensor
    arrived: Tensor
    """(m,), which of theirs came with the inbox; the others are canaries."""
    nuisances: Sequence[Tensor]


def learn_discriminant(
    frozen: Describe,
    tuned: Describe,
    pictures: Pictures,
    candidates: Candidates,
    recipe: GuardedRecipe,
    seed: int,
) -> Learned:
    """Learn from descriptions (N, P) that the `tuned` network gives for batches of images.

    Images are augmented as in training. There are no weights where the inbox's candidates stand out
    no more than by chance: with little OOD to learn from it is noise, and does harm. The `frozen`
    network tells that, because it knows no image of the pool better than those held out. What
    people called OOD needs no such proof, and counts as much as the candidates do.
    """
    generator = step_generator(seed, _STEP)
    unseen = torch.arange(min(ROWS, len(pictures.held_out)))
    untouched = _sides(frozen, pictures, candidates, recipe, generator)
    p_value = chance_p_value(
        untouched.ours,
        untouched.theirs,
        untouched.arrived,
        frozen(_augmented(pictures.held_out, unseen, recipe, generator)),
        untouched.nuisances,
        generator,
    )
    proven, told = p_value <= recipe.significance, len(pictures.reviewed) >= FEWEST_REVIEWED
    if not proven and not told:
        return Learned(None, p_value)
    sides = _sides(tuned, pictures, candidates, recipe, generator)
    theirs = [sides.theirs] if proven else []
    if told:
        known = len(pictures.reviewed)
        sought = round(candidates.share * len(sides.theirs)) if proven else 0
        rows = torch.arange(max(sought, known)) % known
        theirs.append(tuned(_augmented(pictures.reviewed, rows, recipe, generator)))
    return Learned(fit_discriminant(sides.ours, torch.cat(theirs), *sides.nuisances), p_value)


def _sides(
    describe: Describe,
    pictures: Pictures,
    candidates: Candidates,
    recipe: GuardedRecipe,
    generator: torch.Generator,
) -> _Sides:
    def some(rows: Tensor) -> Tensor:
        return rows[torch.randperm(len(rows), generator=generator)[:ROWS]]

    def augmented(pixels: Tensor, rows: Tensor) -> Iterator[Tensor]:
        return _augmented(pixels, rows, recipe, generator)

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
    return _Sides(
        ours=describe(augmented(ours, some(candidates.labeled))),
        theirs=describe(augmented(theirs, unusual)),
        arrived=unusual < len(pictures.inbox),
        nuisances=nuisances,
    )


def _augmented(
    pixels: Tensor, rows: Tensor, recipe: GuardedRecipe, generator: torch.Generator
) -> Iterator[Tensor]:
    for batch in in_chunks(rows, BATCH):
        yield augment(pixels[batch], generator, recipe.compressed)


def _mean(describe: Describe, batches: Iterable[Tensor]) -> Tensor:
    """Mean description (P,), with those of one batch in memory at a time."""
    sums = [(len(batch), describe([batch]).sum(0)) for batch in batches]
    return torch.stack([found for _, found in sums]).sum(0) / sum(count for count, _ in sums)


def _others(rows: Tensor, length: int, below: int | None = None) -> Tensor:
    """The rows of `length` that are not among `rows`, and lie `below` that one."""
    left = torch.ones(length, dtype=torch.bool)
    left[rows] = False
    return left[:below].nonzero()[:, 0]
