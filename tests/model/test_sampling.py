"""Streams, in which every pass holds every index once, and samples."""

from __future__ import annotations

import pytest
import torch

from curate.model.sampling import Stream, reservoir, step_generator, stratified


def test_every_pass_holds_every_index_once() -> None:
    taken = Stream(7, seed=3).take(0, 21)
    for number in range(3):
        assert sorted(taken[7 * number : 7 * number + 7].tolist()) == list(range(7))
    assert taken[:7].tolist() != taken[7:14].tolist()


def test_a_position_means_one_index_whatever_was_asked_before() -> None:
    whole = Stream(5, seed=1).take(0, 40)
    stream = Stream(5, seed=1)
    assert stream.take(33, 4).tolist() == whole[33:37].tolist()
    assert stream.take(2, 9).tolist() == whole[2:11].tolist()


def test_seeds_and_steps_never_share_random_numbers() -> None:
    draws = {
        torch.rand(1, generator=step_generator(seed, step)).item()
        for seed in range(20)
        for step in range(20)
    }
    assert len(draws) == 400


def test_a_reservoir_is_a_stable_choice() -> None:
    names = [f"{number:064x}" for number in range(1000)]
    chosen = reservoir(names, 100, seed=4)
    assert len(set(chosen)) == 100
    assert chosen == reservoir(reversed(names), 100, seed=4)
    assert set(chosen) != set(reservoir(names, 100, seed=5))
    # One more image changes at most one of the chosen.
    assert len(set(chosen) - set(reservoir([*names, "f" * 64], 100, seed=4))) <= 1
    assert reservoir(names[:3], 100, seed=4) == reservoir(names[:3], 3, seed=4)


@pytest.mark.parametrize(("images", "count"), [(10, 5), (11, 5), (143, 72), (2_000, 1_000), (7, 7)])
def test_a_stratified_sample_has_one_of_each_stratum(images: int, count: int) -> None:
    scores = torch.randn(images, generator=step_generator(0, 0))
    drawn = stratified(scores, count, seed=1)
    assert int(drawn.sum()) == count
    in_order = drawn[scores.argsort()].cumsum(0)
    shares = torch.arange(1, images + 1) * count / images
    # At any score the sample is ahead of its share, or behind it, by less than one image.
    assert (in_order - shares).abs().max() < 1
    assert stratified(scores, count, seed=1).equal(drawn)


def test_within_a_stratum_each_image_is_drawn_as_often() -> None:
    scores = torch.tensor([3.0, 1.0, 2.0, 0.0, 5.0, 4.0])
    often = torch.stack([stratified(scores, 2, seed) for seed in range(900)]).sum(0)
    assert often.sum() == 1_800
    assert (often - 300).abs().max() < 60  # four standard deviations


def test_an_image_like_the_others_is_above_a_sample_as_often_as_it_should_be() -> None:
    """As p-values ask: above the k-th largest of n of a sample with a chance of k / (n + 1)."""
    n, k, tries = 39, 4, 4_000
    above = 0
    for seed in range(tries):
        scores = torch.randn(2 * n + 1, generator=step_generator(seed, 1))
        ours, fresh = scores[:-1], scores[-1]
        sample = ours[stratified(ours, n, seed)].sort(descending=True).values
        above += bool(fresh > sample[k - 1])
    assert abs(above / tries - k / (n + 1)) < 0.02  # four standard deviations
