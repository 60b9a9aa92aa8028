"""What is learned of a pool: its unusual images, and neither compression nor what all of it shows.

Descriptions here are the means of the three channels.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from curate.config import GuardedRecipe
from curate.images.augmentation import compress
from curate.model.candidates import Candidates
from curate.recipes.standing_out import (
    FEWEST_REVIEWED,
    Describe,
    Pictures,
    learn_discriminant,
)


def means(batches: Iterable[Tensor]) -> Tensor:
    return torch.cat([batch.float().mean((2, 3)) for batch in batches])


def pictures(count: int, colour: tuple[int, int, int], seed: int) -> Tensor:
    """Noisy images of one colour, whose own colour varies."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.tensor(colour).view(1, 3, 1, 1) + 10 * torch.randn(
        count, 3, 1, 1, generator=generator
    )
    noise = 20 * torch.randn(count, 3, 8, 8, generator=generator)
    return (own + noise).clamp(0, 255).to(torch.uint8)


TRUSTING = GuardedRecipe(compressed=0.0, significance=1.0)
"""Takes any discriminant, chance or not."""
OURS, GREY, CANDIDATES = (100, 100, 100), (100, 100, 100), torch.arange(600, 800)


def learned(
    inbox: Tensor, candidates: Tensor = CANDIDATES, seed: int = 0, canaries: int = 0
) -> Tensor:
    ours, validation = pictures(800, OURS, seed=1), pictures(100, OURS, seed=2)
    sides = Pictures(ours, inbox, pictures(canaries, OURS, seed=5), ours[:0], validation, ours[:0])
    return weights_of(means, sides, candidates, seed)


def weights_of(describe: Describe, sides: Pictures, unlabeled: Tensor, seed: int = 0) -> Tensor:
    chosen = Candidates(CANDIDATES, unlabeled, 0.2, 0.0)
    found = learn_discriminant(describe, describe, sides, chosen, TRUSTING, seed).weights
    assert found is not None
    return found


def test_the_unusual_images_of_the_pool_stand_out() -> None:
    pool = torch.cat([pictures(600, GREY, seed=3), pictures(200, (130, 100, 100), seed=4)])
    weights = learned(pool)
    assert weights[0] > 0
    assert (weights[1:].abs() < 0.2 * weights[0]).all()


def test_what_moves_the_whole_inbox_does_not_count() -> None:
    # All of the inbox is greener than the labeled images; only the unusual ones are redder too.
    pool = torch.cat([pictures(600, (100, 130, 100), 3), pictures(200, (130, 130, 100), 4)])
    weights = learned(pool)
    assert weights[0] > 0
    assert abs(weights[1]) < 0.2 * weights[0]
    without_usual = learned(pool[600:], torch.arange(200))
    assert without_usual[1] > 0.5 * without_usual[0]


def test_many_canaries_do_not_hide_what_moves_the_inbox() -> None:
    inbox = torch.cat([pictures(600, (100, 112, 100), 3), pictures(200, (130, 112, 100), 4)])
    alone, among = learned(inbox), learned(inbox, canaries=2_400)
    assert abs(among[1]) < 1.5 * abs(alone[1])


def grain(batches: Iterable[Tensor]) -> Tensor:
    """The mean of the red channel, and how much neighbouring pixels differ."""
    images = torch.cat([batch.float() for batch in batches])
    grain = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))
    return torch.stack([images[:, 0].mean((1, 2)), grain], 1)


def test_compression_does_not_count() -> None:
    ours, generator = pictures(800, OURS, seed=1), torch.Generator().manual_seed(9)
    unusual = compress(pictures(200, (110, 100, 100), seed=4), generator, 1.0)
    pool = torch.cat([pictures(600, GREY, seed=3), unusual])
    sides = Pictures(ours, pool, ours[:0], ours[:0], pictures(100, OURS, seed=2), ours[:0])
    weights = weights_of(grain, sides, CANDIDATES)
    apart = (grain([unusual]).mean(0) - grain([ours]).mean(0)) / grain([ours]).std(0)
    assert apart[1].abs() > apart[0].abs()
    counted = weights * grain([ours]).std(0)
    assert counted[1].abs() < 0.2 * counted[0].abs()


def test_the_same_seed_learns_the_same() -> None:
    pool = torch.cat([pictures(600, GREY, seed=3), pictures(200, (130, 100, 100), seed=4)])
    assert torch.equal(learned(pool), learned(pool))
    assert not torch.equal(learned(pool), learned(pool, seed=1))


def test_candidates_alone_are_learned_from() -> None:
    pool = torch.cat([pictures(600, GREY, seed=3), pictures(200, (130, 100, 100), seed=4)])
    alone = learned(pool[600:], torch.arange(200))
    assert abs(learned(pool)[0] / alone[0] - 1) < 0.3
    assert (learned(pool, torch.arange(200)).abs() < 0.2 * alone[0]).all()


def test_of_many_images_a_part_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.recipes.standing_out.ROWS", 50)
    seen: list[int] = []

    def counted(batches: Iterable[Tensor]) -> Tensor:
        found = means(batches)
        seen.append(len(found))
        return found

    ours, validation = pictures(800, OURS, seed=1), pictures(100, OURS, seed=2)
    weights_of(
        counted,
        Pictures(ours, pictures(800, GREY, 3), ours[:0], ours, validation, ours[:0]),
        CANDIDATES,
    )
    # Encoded and plain validation images, usual ones of both sides, and candidates of both; then
    # images held out, and all but these once more.
    assert seen == [50] * (6 + 1 + 6)


@pytest.mark.parametrize(("red", "learns"), [(100, False), (130, True)])
@pytest.mark.parametrize(("canaries", "held_out"), [(200, 0), (0, 40)])
def test_what_may_be_chance_does_not_count(
    red: int, learns: bool, canaries: int, held_out: int
) -> None:
    # A fifth of the inbox is unusual, and is redder or not; so is a fifth of the canaries.
    inbox = torch.cat([pictures(600, GREY, seed=3), pictures(200, (red, 100, 100), seed=4)])
    unusual = torch.cat([torch.arange(600, 800), 800 + torch.arange(canaries * 4 // 5, canaries)])
    sides = Pictures(
        labeled=pictures(800, OURS, seed=1),
        inbox=inbox,
        canaries=pictures(canaries, OURS, seed=5),
        held_out=pictures(held_out, OURS, seed=6),
        validation=pictures(100, OURS, seed=2),
        reviewed=pictures(0, OURS, seed=7),
    )
    chosen, recipe = Candidates(CANDIDATES, unusual, 0.2, 0.0), GuardedRecipe(compressed=0.0)
    found = learn_discriminant(means, means, sides, chosen, recipe, 0)
    assert (found.weights is not None) == learns == (found.p_value <= recipe.significance)


def test_the_frozen_network_says_what_is_chance_and_the_tuned_one_is_learned_from() -> None:
    inbox = torch.cat([pictures(600, GREY, seed=3), pictures(200, (130, 100, 100), seed=4)])
    ours, validation = pictures(800, OURS, seed=1), pictures(100, OURS, seed=2)
    sides = Pictures(ours, inbox, ours[:0], pictures(40, OURS, seed=6), validation, ours[:0])
    chosen, recipe = Candidates(CANDIDATES, CANDIDATES, 0.2, 0.0), GuardedRecipe(compressed=0.0)

    def blind(batches: Iterable[Tensor]) -> Tensor:
        return torch.zeros(sum(len(batch) for batch in batches), 2)

    unseen = learn_discriminant(blind, means, sides, chosen, recipe, 0)
    assert unseen.weights is None
    assert unseen.p_value > 0.05
    lost = learn_discriminant(means, blind, sides, chosen, recipe, 0)
    assert lost.weights is not None
    assert lost.weights.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("told", "learns"), [(FEWEST_REVIEWED, True), (FEWEST_REVIEWED - 1, False)]
)
def test_what_people_called_ood_needs_no_proof(told: int, learns: bool) -> None:
    # Nothing in the inbox stands out; ten images that people named do, and are redder.
    sides = Pictures(
        labeled=pictures(800, OURS, seed=1),
        inbox=pictures(800, GREY, seed=3),
        canaries=pictures(200, OURS, seed=5),
        held_out=pictures(40, OURS, seed=6),
        validation=pictures(100, OURS, seed=2),
        reviewed=pictures(told, (150, 100, 100), seed=7),
    )
    chosen = Candidates(CANDIDATES, torch.arange(600, 800), 0.0, 0.0)
    found = learn_discriminant(means, means, sides, chosen, GuardedRecipe(compressed=0.0), 0)
    assert found.p_value > GuardedRecipe.significance
    assert (found.weights is not None) == learns
    if found.weights is not None:
        redder, ours = means([pictures(100, (150, 100, 100), seed=8)]), means([sides.validation])
        along = (redder @ found.weights).min(), (ours @ found.weights).max()
        assert along[0] > along[1]
