"""Each reason to reject a detector, alone, and the promotion of one that has none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from curate.model.guard import Evidence, judge

CALIBRATION = torch.linspace(0, 1, 200)
BEFORE = torch.cat([torch.linspace(0, 1, 180), torch.full((20,), 2.0)])
GOOD = Evidence(
    inbox_before=BEFORE,
    inbox_after=torch.cat([BEFORE[:160], torch.full((40,), 2.0)]),
    calibration_before=CALIBRATION,
    canaries_after=CALIBRATION,
    held_out_after=CALIBRATION,
    accuracy_before=0.9,
    accuracy_after=0.88,
)


def test_a_detector_that_finds_more_is_promoted() -> None:
    verdict = judge(GOOD, rate=0.05, accuracy_drop=0.05)
    assert verdict.objection is None
    assert verdict.figures["flagged_after"] > verdict.figures["flagged_before"]
    # p = (1 + r) / 201 for the r-th highest, which is at most 0.05 up to r = 9.
    assert verdict.figures["canary_alarms"] == pytest.approx(9 / 200)


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"accuracy_after": 0.84}, "accuracy"),
        ({"canaries_after": CALIBRATION + 0.2}, "false alarms"),
        ({"inbox_after": torch.linspace(0, 1, 200)}, "flags"),
        ({"inbox_after": torch.cat([BEFORE[:170] - 1, torch.full((30,), 2.0)])}, "separates"),
    ],
)
def test_each_fault_alone_is_objected_to(fault: dict[str, object], word: str) -> None:
    verdict = judge(replace(GOOD, **fault), rate=0.05, accuracy_drop=0.05)  # type: ignore[arg-type]
    assert verdict.objection is not None
    assert word in verdict.objection
