"""Each reason to reject a detector, alone, and the promotion of one that has none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from curate.model.guard import Evidence, change_error, judge

CALIBRATION = torch.linspace(0, 1, 200)
BEFORE = torch.cat([torch.linspace(0, 1, 180), torch.full((20,), 2.0)])
GOOD = Evidence(
    inbox_before=BEFORE,
    inbox_after=torch.cat([BEFORE[:160], torch.full((40,), 2.0)]),
    canaries_before=CALIBRATION,
    canaries_after=CALIBRATION,
    held_out_before=CALIBRATION,
    held_out_after=CALIBRATION,
    accuracy_before=0.9,
    accuracy_after=0.88,
    reviewed_before=BEFORE[:0],
    reviewed_after=BEFORE[:0],
)


def test_a_detector_that_finds_more_is_promoted() -> None:
    verdict = judge(GOOD, rate=0.05, accuracy_drop=0.05)
    assert verdict.objection is None
    assert verdict.figures["flagged_after"] > verdict.figures["flagged_before"]
    assert verdict.figures["separation_after"] > verdict.figures["separation_before"]
    # p = (1 + r) / 201 for the r-th highest, which is at most 0.05 up to r = 9.
    assert verdict.figures["canary_alarms"] == pytest.approx(9 / 200)


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"accuracy_after": 0.84}, "accuracy"),
        ({"canaries_after": CALIBRATION + 0.2}, "false alarms"),
        ({"inbox_after": torch.cat([BEFORE[:170] - 1, torch.full((30,), 2.0)])}, "separates"),
    ],
)
def test_each_fault_alone_is_objected_to(fault: dict[str, object], word: str) -> None:
    verdict = judge(replace(GOOD, **fault), rate=0.05, accuracy_drop=0.05)  # type: ignore[arg-type]
    assert verdict.objection is not None
    assert word in verdict.objection


def test_what_people_called_ood_counts_as_part_of_the_inbox() -> None:
    worse = replace(GOOD, inbox_after=torch.cat([BEFORE[:170] - 1, torch.full((30,), 2.0)]))
    found = replace(worse, reviewed_before=torch.zeros(300), reviewed_after=torch.full((300,), 2.0))
    lost = replace(GOOD, reviewed_before=torch.ones(50), reviewed_after=torch.zeros(50))
    assert judge(found, rate=0.05, accuracy_drop=0.05).objection is None
    objection = judge(lost, rate=0.05, accuracy_drop=0.05).objection
    assert objection is not None
    assert "separates" in objection


def test_a_loss_that_may_be_chance_is_not_objected_to() -> None:
    swapped = BEFORE.clone()
    swapped[[0, 190]] = swapped[[190, 0]]
    worse = replace(GOOD, inbox_after=torch.cat([swapped[:190], torch.full((10,), 0.5)]))
    figures = judge(worse, rate=0.05, accuracy_drop=0.05).figures
    assert figures["separation_after"] < figures["separation_before"]
    few = replace(worse, inbox_before=BEFORE[186:], inbox_after=worse.inbox_after[186:])
    assert judge(few, rate=0.05, accuracy_drop=0.05).objection is not None
    one = replace(GOOD, inbox_after=torch.cat([BEFORE[:199], torch.zeros(1)]))
    assert judge(one, rate=0.05, accuracy_drop=0.05).objection is None


def test_the_error_of_a_change_by_hand() -> None:
    # Placements of the inbox among canaries (0, 1): before (1, 1), after (1/4, 1): differences
    # (-3/4, 0), variance 9/32, over 2. Of the canaries among the inbox: before (0, 0), after
    # (1/4, 1/2): variance 1/32, over 2. The root of both is sqrt(10/64).
    inbox = (torch.tensor([2.0, 3.0]), torch.tensor([0.0, 3.0]))
    canaries = torch.tensor([0.0, 1.0])
    assert change_error(inbox, (canaries, canaries)) == pytest.approx(math.sqrt(10 / 64))


def test_nothing_changed_has_no_error() -> None:
    assert change_error((BEFORE, BEFORE), (CALIBRATION, CALIBRATION)) == 0.0
