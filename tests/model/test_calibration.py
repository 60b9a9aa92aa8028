"""p-values, thresholds and alarm intervals by hand, and by counting every ordering."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import pytest
import torch

from curate.model.alarms import alarm_interval
from curate.model.calibration import p_values, smallest_calibration, threshold

RATES = [0.01, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.29, 0.3, 1 / 3, 0.49, 0.5]


def test_p_values_by_hand() -> None:
    calibration = torch.tensor([0.3, 0.1, 0.2, 0.2])
    scores = torch.tensor([0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
    assert p_values(scores, calibration).tolist() == [1.0, 1.0, 0.8, 0.8, 0.4, 0.4, 0.2]


def test_p_values_read_stored_scores_as_the_same_scores() -> None:
    calibration = torch.rand(50, generator=torch.Generator().manual_seed(0))
    stored = torch.tensor(tuple(calibration.tolist()))
    again = p_values(calibration, stored).sort().values
    assert again.tolist() == [rank / 51 for rank in range(2, 52)]


def test_without_calibration_nothing_is_flagged() -> None:
    assert p_values(torch.tensor([9.0]), torch.tensor([])).tolist() == [1.0]
    assert threshold([], 0.5) == math.inf


def test_the_threshold_lies_just_above_the_kth_largest() -> None:
    calibration = [float(value) for value in range(1, 20)]
    assert threshold(calibration, 0.05) == math.nextafter(19.0, math.inf)
    assert threshold(calibration, 0.1) == math.nextafter(18.0, math.inf)
    assert threshold(calibration, 0.049) == math.inf
    assert threshold(calibration[:-1], 0.05) == math.inf


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("count", [1, 2, 9, 19, 99, 100, 199])
def test_at_or_above_the_threshold_is_exactly_a_small_p_value(rate: float, count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    calibration = torch.randint(0, 50, (count,), generator=generator).double() / 7
    near = torch.cat((calibration, torch.linspace(-1, 9, 101, dtype=torch.float64)))
    up = torch.nextafter(near, torch.tensor(math.inf, dtype=torch.float64))
    scores = torch.cat((near, up))
    found = threshold(calibration, rate)
    assert ((scores >= found) == (p_values(scores, calibration) <= rate)).all()
    if found < math.inf:
        just_below = torch.tensor([math.nextafter(found, -math.inf)], dtype=torch.float64)
        assert p_values(just_below, calibration).item() > rate


@pytest.mark.parametrize(
    ("rate", "needed"), [(0.5, 1), (0.05, 19), (0.1, 9), (0.01, 99), (0.3, 3), (1 / 49, 48)]
)
def test_the_smallest_calibration_by_hand(rate: float, needed: int) -> None:
    assert smallest_calibration(rate) == needed


@pytest.mark.parametrize("rate", [*RATES, *(1 / n for n in range(2, 120))])
def test_one_image_fewer_than_the_smallest_calibration_flags_nothing(rate: float) -> None:
    least = smallest_calibration(rate)
    assert threshold([0.0] * least, rate) < math.inf
    assert threshold([0.0] * (least - 1), rate) == math.inf


def enumerated(calibration: int, test: int, rate: float) -> list[float]:
    """P(j of the test images are flagged) over all orderings of distinct scores."""
    everything = range(calibration + test)
    flagged: Counter[int] = Counter()
    for taken in combinations(everything, calibration):
        places = [place for place in everything if place not in taken]
        p = p_values(torch.tensor(places).double(), torch.tensor(taken).double())
        flagged[int((p <= rate).sum())] += 1
    total = math.comb(calibration + test, calibration)
    return [flagged[j] / total for j in range(test + 1)]


@pytest.mark.parametrize(
    ("calibration", "test", "rate", "level"),
    [(4, 5, 0.2, 0.9), (5, 5, 0.5, 0.8), (3, 6, 0.26, 0.5), (9, 3, 0.1, 0.99), (2, 4, 0.2, 0.9)],
)
def test_the_interval_is_that_of_every_ordering(
    calibration: int, test: int, rate: float, level: float
) -> None:
    chances = enumerated(calibration, test, rate)
    total, tail = 0.0, (1 - level) / 2
    low, high = -1, -1
    for j, chance in enumerate(chances):
        total += chance
        low = j if low < 0 and total >= tail else low
        high = j if high < 0 and total >= 1 - tail - 1e-12 else high
    assert alarm_interval(calibration, test, rate, level) == (low / test, high / test)


def test_the_intervals_that_the_method_names() -> None:
    low, high = alarm_interval(500, 2000, 0.05)
    assert (round(low, 3), round(high, 3)) == (0.026, 0.082)
    low, high = alarm_interval(2000, 2000, 0.05)
    assert (round(low, 3), round(high, 3)) == (0.034, 0.069)
    assert alarm_interval(10, 2000, 0.05) == (0.0, 0.0)


def test_a_wider_level_gives_a_wider_interval_and_more_images_a_narrower() -> None:
    low, high = alarm_interval(500, 2000, 0.05, level=0.9)
    wide_low, wide_high = alarm_interval(500, 2000, 0.05)
    assert wide_low < low < 0.05 < high < wide_high
    assert alarm_interval(20_000, 100_000, 0.05)[1] < 0.055


def test_simulated_alarms_fall_inside_the_interval() -> None:
    generator = torch.Generator().manual_seed(0)
    low, high = alarm_interval(100, 400, 0.1)
    inside = 0
    for _ in range(300):
        scores = torch.rand(500, generator=generator)
        share = (p_values(scores[100:], scores[:100]) <= 0.1).double().mean().item()
        inside += low <= share <= high
    assert inside >= 291
