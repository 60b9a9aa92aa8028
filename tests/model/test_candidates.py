"""Which images are candidates, and how much of them is OOD: by hand, then by simulation."""

from __future__ import annotations

import math

import pytest
import torch

from curate.model.candidates import find_candidates


def test_candidates_by_hand() -> None:
    # The 0.8 quantile of 0, ..., 10 is 8; two of eleven calibration images lie above it. Of the
    # pool's 20, 5 lie above. At a share of 0.1, 18 are ours, so 18 * 2 / 11 of the 5 are.
    calibration = torch.arange(11.0)
    pool = torch.cat([torch.zeros(15), torch.full((5,), 8.5)])
    labeled = torch.tensor([0.3, 0.1, 0.5, 0.2, 0.4])
    found = find_candidates(labeled, pool, calibration, 0.1, 0.8)
    assert found.labeled.tolist() == [2]
    assert found.unlabeled.tolist() == [15, 16, 17, 18, 19]
    assert found.share == pytest.approx(1 - 18 * 2 / 11 / 5)
    assert found.cut == 8.0


def test_fewer_than_expected_is_a_share_of_none() -> None:
    pool = torch.cat([torch.zeros(99), torch.ones(1)])
    assert find_candidates(torch.ones(3), pool, torch.linspace(0, 0.9, 10), 0.0, 0.5).share == 0.0


def test_a_pool_without_candidates_is_taken_whole() -> None:
    found = find_candidates(torch.ones(1), torch.zeros(7), torch.ones(9), 0.25, 0.8)
    assert (found.unlabeled.tolist(), found.share) == (list(range(7)), 0.25)
    assert found.cut == -math.inf
    assert found.labeled.tolist() == [0]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_the_share_among_candidates_is_found(share: float) -> None:
    generator = torch.Generator().manual_seed(3)
    ood = round(20_000 * share)
    ours = torch.randn(20_000 - ood, generator=generator)
    pool = torch.cat([ours, torch.randn(ood, generator=generator) + 1.5])
    found = find_candidates(ours, pool, torch.randn(5_000, generator=generator), share, 0.8)
    true = float((found.unlabeled >= len(ours)).float().mean())
    assert found.share == pytest.approx(true, abs=0.03)
