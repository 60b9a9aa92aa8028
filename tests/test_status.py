"""The OOD share by hand, and how much it is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate.catalog.rows import Counts
from curate.status import share, share_interval, too_few_calibrated
from curate.workspace import open_workspace


def counted(flagged: int, images: int, reviewed_ood: int = 0, false_alarms: int = 0) -> Counts:
    """Counts of a catalog where `flagged` of `images` are, and where so many got a review."""
    ood = flagged - false_alarms
    return Counts(
        images=images,
        id=images - ood,
        ood=ood,
        pending=0,
        reviewed=reviewed_ood + false_alarms,
        reviewed_ood=reviewed_ood,
        false_alarms=false_alarms,
        sightings=images,
        unreadable=0,
        sources=1,
    )


def test_share_by_hand() -> None:
    # 14.5 % flagged at 5 %: (0.145 - 0.05) / 0.95 = 0.1; fewer flagged than asked is no OOD.
    assert share(counted(145, 1000), 0.05) == pytest.approx(0.1)
    assert share(counted(40, 1000), 0.05) == 0.0
    assert share(counted(0, 0), 0.05) is None


@pytest.mark.parametrize(("ood", "ours"), [(0, 0), (20, 9), (50, 22), (90, 43), (100, 45)])
def test_reviews_do_not_move_the_share_of_a_detector_that_is_as_it_should_be(
    ood: int, ours: int
) -> None:
    # 100 OOD images, and 45 of 900 ID images, are flagged at 5 %.
    assert share(counted(145, 1000, ood, ours), 0.05) == pytest.approx(0.1)
    found = share_interval(counted(145, 1000, ood, ours), 500, 0.05)
    assert found is not None
    assert found[0] <= 0.1 <= found[1]


def test_when_all_that_is_flagged_is_reviewed_the_share_is_known() -> None:
    # The detector flags 200, of which people found 100 OOD.
    everything = counted(200, 1000, 100, 100)
    assert share(everything, 0.05) == 0.1
    assert share_interval(everything, 500, 0.05) == (0.1, 0.1)


def test_the_interval_by_hand() -> None:
    # Both of two above all 19: chance 2/21 x 1/20 < 2.5 %, so not both are ID; with one of them OOD
    # the other is above with chance 1/20. One of two: 2/21, no wonder.
    assert share_interval(counted(2, 2), 19, 0.05) == (0.5, 1.0)
    assert share_interval(counted(1, 2), 19, 0.05) == (0.0, 0.5)
    assert share_interval(counted(0, 2), 19, 0.05) == (0.0, 0.0)
    # Three of three, of which people called one OOD and one ID: one OOD of the others, the last.
    assert share_interval(counted(3, 3, 1, 1), 19, 0.05) == (2 / 3, 2 / 3)


@pytest.mark.parametrize(("images", "calibration"), [(0, 19), (2, 18), (2, None)])
def test_there_is_no_interval_where_nothing_is_known(images: int, calibration: int | None) -> None:
    assert share_interval(counted(0, images), calibration, 0.05) is None


@pytest.mark.parametrize(
    ("sides", "rate", "too_few"),
    [
        ({"held_out": 9_500, "canary": 500}, 0.001, 500),  # 0.1 % takes 999
        ({"held_out": 9_500, "canary": 999}, 0.001, None),
        ({"held_out": 18, "canary": 500}, 0.05, 18),
        ({"held_out": 19}, 0.05, None),
        ({"held_out": 0}, 0.5, 0),
        ({}, 0.001, None),
    ],
)
def test_the_smaller_set_of_calibration_images_decides_what_can_be_flagged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sides: dict[str, int],
    rate: float,
    too_few: int | None,
) -> None:
    with open_workspace(str(tmp_path), create=True) as workspace:
        monkeypatch.setattr(workspace.catalog.models, "active", lambda role: "made")
        assert too_few_calibrated(workspace, rate) is None, "its manifest is gone"
        (workspace.checkpoints / "made").mkdir()
        calibration = {side: [0.5] * count for side, count in sides.items()}
        manifest = json.dumps({"calibration": calibration})
        (workspace.checkpoints / "made" / "checkpoint.json").write_text(manifest)
        assert too_few_calibrated(workspace, rate) == too_few
