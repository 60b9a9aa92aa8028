"""Wilson's interval at published values and its ends, and the tail of the binomial by hand."""

from __future__ import annotations

import pytest
from scipy.stats import beta

from curate.model.proportion import chance_of_hits, clopper_pearson, share_of, wilson


def test_by_hand() -> None:
    # Newcombe (1998), Table I: 81 of 263 gives 0.2553 to 0.3662, 15 of 148 gives 0.0624 to 0.1605.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_none_and_all_are_not_certain() -> None:
    # Newcombe (1998), Table I: 0 of 20 gives 0 to 0.1611, 1 of 29 gives 0.0061 to 0.1718.
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(20, 20) == pytest.approx((1 - 0.1611, 1), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_a_share_of_nothing_is_none() -> None:
    assert share_of(0, 0) is None
    share = share_of(1, 4)
    assert share is not None
    assert (share.value, share.images) == (0.25, 4)


@pytest.mark.parametrize(
    ("hits", "images"), [(0, 1), (1, 1), (0, 60), (3, 60), (10, 190), (189, 190), (19, 10_000)]
)
def test_the_exact_interval_is_that_of_the_beta_distribution(hits: int, images: int) -> None:
    low, high = clopper_pearson(hits, images)
    least = beta.ppf(0.025, hits, images - hits + 1) if hits else 0.0
    most = beta.ppf(0.975, hits + 1, images - hits) if hits < images else 1.0
    assert (low, high) == pytest.approx((least, most), abs=1e-9)


def test_the_chance_of_so_many_hits_by_hand() -> None:
    assert chance_of_hits(3, 3, 0.5) == pytest.approx(1 / 8)
    # 10 (1/2)^5 + 5 (1/2)^5 + (1/2)^5
    assert chance_of_hits(3, 5, 0.5) == pytest.approx(16 / 32)
    # 1 - 0.98^10: one of ten at 2 % is no wonder.
    assert chance_of_hits(1, 10, 0.02) == pytest.approx(0.182927, abs=1e-6)
    assert chance_of_hits(1, 10, 0.0) == 0.0


def test_the_chance_of_many_hits_is_found_quickly_and_may_be_none() -> None:
    # One standard deviation above the mean, with the continuity correction: 1 - Phi(0.99993).
    assert chance_of_hits(207_000, 10_000_000, 0.0205) < 1e-5
    assert chance_of_hits(205_449, 10_000_000, 0.0205) == pytest.approx(0.1585, abs=1e-3)
    assert chance_of_hits(9_000_000, 10_000_000, 0.02) == 0.0
