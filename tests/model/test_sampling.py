"""Streams: every pass holds every index once, and a position means one index."""

from __future__ import annotations

import torch

from curate.model.sampling import Stream, reservoir, step_generator


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
