"""The OOD share of an inbox: worked out by hand, then by simulation with a known share."""

from __future__ import annotations

import pytest
import torch

from curate.model.share import (
    best_bin,
    excess_p_value,
    mid_rank,
    rank_sum_auroc,
    rank_sum_p_value,
)


def test_rank_sum_by_hand() -> None:
    # Pairs (inbox > calibration): 3>1, 3>2, 3=3 counts half, 0 beats none: 2.5 of 6.
    inbox, calibration = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 2.0, 3.0])
    assert rank_sum_auroc(inbox, calibration) == pytest.approx(2.5 / 6)


def test_p_value_by_hand() -> None:
    # All of 12 scores lie above all of 12 others: their mean ranks differ by 0.5. The ranks of 24
    # have the variance 25 / 288, so z = 0.5 / sqrt(25 / 288 / 6) = 4.1569.
    high, low = torch.arange(12.0) + 100, torch.arange(12.0)
    assert rank_sum_p_value(high, low) == pytest.approx(1.6133e-5, rel=1e-3)
    assert rank_sum_p_value(low, high) == pytest.approx(1 - 1.6133e-5)


def test_scores_that_are_all_the_same_tell_nothing() -> None:
    assert excess_p_value(torch.ones(5), torch.ones(7)) == 0.5


def test_p_value_as_scipy_has_it() -> None:
    generator = torch.Generator().manual_seed(3)
    scores, others = (torch.randint(50, (n,), generator=generator) for n in (300, 200))
    found = pytest.importorskip("scipy.stats").mannwhitneyu(
        scores, others, alternative="greater", use_continuity=False, method="asymptotic"
    )
    assert rank_sum_p_value(scores, others) == pytest.approx(float(found.pvalue), abs=1e-6)


def test_mid_ranks_of_the_reference_itself() -> None:
    reference = torch.tensor([0.1, 0.5, 0.5, 0.9])
    assert mid_rank(reference, reference).tolist() == pytest.approx([0.125, 0.5, 0.5, 0.875])


def test_best_bin_by_hand() -> None:
    # Half of the inbox lies where calibration has nothing: below 1 there is 1/2 against 1.
    calibration = torch.linspace(0, 1, 1000)
    inbox = torch.cat([torch.linspace(0, 1, 1000), torch.full((1000,), 9.0)])
    assert best_bin(inbox, calibration) == pytest.approx(0.5, abs=0.002)


def test_no_ood_is_found_about_as_often_as_the_level_says() -> None:
    generator = torch.Generator().manual_seed(1)
    found = [
        excess_p_value(torch.randn(400, generator=generator), torch.randn(300, generator=generator))
        <= 0.05
        for _ in range(400)
    ]
    assert 0.02 <= sum(found) / 400 <= 0.09


def test_a_small_share_is_found_more_often_than_by_plain_ranks() -> None:
    generator = torch.Generator().manual_seed(4)

    def uniform(count: int) -> torch.Tensor:
        return torch.rand(count, generator=generator)

    pairs = [
        # The fifth root has the distribution function F**5: its AUROC is 5/6.
        (torch.cat([uniform(950), uniform(50) ** (1 / 5)]), uniform(1000))
        for _ in range(400)
    ]
    squared = sum(excess_p_value(*pair) <= 0.05 for pair in pairs)
    plain = sum(rank_sum_p_value(*pair) <= 0.05 for pair in pairs)
    assert squared > plain + 12


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_a_known_share_of_clear_ood_is_found(share: float) -> None:
    generator = torch.Generator().manual_seed(2)
    ood = round(2000 * share)
    inbox = torch.cat(
        [torch.randn(2000 - ood, generator=generator), torch.randn(ood, generator=generator) + 4]
    )
    known = torch.randn(1000, generator=generator)
    assert best_bin(inbox, known) == pytest.approx(share, abs=0.06)
    assert excess_p_value(inbox, known) < 1e-3
