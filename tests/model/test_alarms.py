"""False alarms by hand, by the beta-binomial distribution, and by drawing scores."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import betabinom

from curate.model.alarms import alarm_rank, chance_of_alarms, ood_interval

CALIBRATION, RATE = 500, 0.05


def test_by_hand() -> None:
    # Above the largest of 19: both of two are when they are the two largest of 21.
    assert chance_of_alarms(1, 1, 19, 1) == pytest.approx(1 / 20)
    assert chance_of_alarms(2, 2, 19, 1) == pytest.approx(2 / 21 * 1 / 20)
    assert chance_of_alarms(1, 2, 19, 1) == pytest.approx(2 / 21)
    # Above the second largest of two: unless it is the smallest of three.
    assert chance_of_alarms(1, 1, 2, 2) == pytest.approx(2 / 3)
    assert chance_of_alarms(0, 5, 19, 1) == pytest.approx(1.0)
    assert chance_of_alarms(6, 5, 19, 1) == 0.0


@pytest.mark.parametrize(("images", "calibration", "rank"), [(40, 60, 3), (7, 5, 5), (300, 99, 5)])
def test_it_is_the_tail_of_the_beta_binomial(images: int, calibration: int, rank: int) -> None:
    flagged = betabinom(images, rank, calibration + 1 - rank)
    found = [chance_of_alarms(n, images, calibration, rank) for n in range(images + 1)]
    assert found == pytest.approx([flagged.sf(n - 1) for n in range(images + 1)], abs=1e-9)


def test_a_million_images_are_counted_as_exactly() -> None:
    # More than 5 % are flagged when all 19 lie below the ID images' 95 % quantile.
    assert chance_of_alarms(50_001, 10**6, 19, 1) == pytest.approx(0.95**19, abs=1e-4)


def intervals(ours: int, ood: int, runs: int = 400) -> torch.Tensor:
    """Ends (runs, 2) of the interval, for ID scores drawn anew and OOD above all of them."""
    generator = torch.Generator().manual_seed(ours + ood)
    rank, ends = alarm_rank(CALIBRATION, RATE), []
    for _ in range(runs):
        calibration = torch.rand(CALIBRATION, generator=generator)
        cut = calibration.sort(descending=True).values[rank - 1]
        alarms = int((torch.rand(ours, generator=generator) > cut).sum())
        ends.append(ood_interval(alarms + ood, ours + ood, CALIBRATION, rank))
    return torch.tensor(ends)


@pytest.mark.parametrize(("ours", "ood"), [(10_000, 0), (2_000, 20), (900, 100), (100, 900)])
def test_each_end_fails_in_one_of_forty_cases(ours: int, ood: int) -> None:
    # 2.5 % of 400 are 10; 20 and more come by chance in three of a thousand such tests, 0 never.
    fewest, most = intervals(ours, ood).T
    assert 0 < int((fewest > ood).sum()) < 20
    assert int((most < ood).sum()) < 20
