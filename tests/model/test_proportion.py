"""Wilson's interval at values of the published formula, and at its ends."""

from __future__ import annotations

import pytest

from curate.model.proportion import share_of, wilson


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
