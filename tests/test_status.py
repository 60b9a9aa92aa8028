"""The OOD share by hand, and how much it is believed."""

from __future__ import annotations

import pytest

from curate.status import share, share_interval


def test_share_by_hand() -> None:
    # 14.5 % flagged at 5 %: (0.145 - 0.05) / 0.95 = 0.1; fewer flagged than asked is no OOD.
    assert share(0.145, 0.05) == pytest.approx(0.1)
    assert share(0.04, 0.05) == 0.0


def test_the_interval_by_hand() -> None:
    # Both of two above all 19: chance 2/21 x 1/20 < 2.5 %, so not both are ID; with one of them OOD
    # the other is above with chance 1/20. One of two: 2/21, no wonder.
    assert share_interval(2, 2, 19, 0.05) == (0.5, 1.0)
    assert share_interval(1, 2, 19, 0.05) == (0.0, 0.5)
    assert share_interval(0, 2, 19, 0.05) == (0.0, 0.0)


@pytest.mark.parametrize(("images", "calibration"), [(0, 19), (2, 18), (2, None)])
def test_there_is_no_interval_where_nothing_is_known(images: int, calibration: int | None) -> None:
    assert share_interval(0, images, calibration, 0.05) is None
