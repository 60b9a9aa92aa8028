"""What is learned of a pool: its unusual images, and neither compression nor what all of it shows.

Descriptions here are the means of the three channels.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from curate.config import GuardedRecipe
from curate.images.transforms import compress
from curate.model.candidates import Candidates
from curate.recipes.standing_out import Pictures, learn_discriminant


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
    sides = Pictures(ours, inbox, pictures(canaries, OURS, seed=5), validation)
    found = learn_discriminant(
        means, sides, Candidates(CANDIDATES, candidates, 0.2), TRUSTING, seed
    )
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
    sides = Pictures(ours, pool, ours[:0], pictures(100, OURS, seed=2))
    candidates = Candidates(CANDIDATES, CANDIDATES, 0.2)
    weights = learn_discriminant(grain, sides, candidates, TRUSTING, 0)
    assert weights is not None
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

    ours, candidates = pictures(800, OURS, seed=1), Candidates(CANDIDATES, CANDIDATES, 0.2)
    sides = Pictures(ours, pictures(800, GREY, seed=3), ours[:0], pictures(100, OURS, seed=2))
    assert learn_discriminant(counted, sides, candidates, TRUSTING, 0) is not None
    # Encoded and plain validation images, usual ones of both sides, and candidates of both.
    assert seen == [50] * 6


@pytest.mark.parametrize(("red", "learns"), [(100, False), (130, True)])
def test_what_may_be_chance_does_not_count(red: int, learns: bool) -> None:
    # A fifth of the inbox is unusual, and is redder or not; so is a fifth of the canaries.
    inbox = torch.cat([pictures(600, GREY, seed=3), pictures(200, (red, 100, 100), seed=4)])
    canaries = pictures(200, OURS, seed=5)
    unusual = torch.cat([torch.arange(600, 800), torch.arange(960, 1_000)])
    sides = Pictures(pictures(800, OURS, 1), inbox, canaries, pictures(100, OURS, seed=2))
    recipe = GuardedRecipe(compressed=0.0)
    found = learn_discriminant(means, sides, Candidates(CANDIDATES, unusual, 0.2), recipe, 0)
    assert (found is not None) == learns
