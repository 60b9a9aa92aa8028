"""False alarms by counting alone. Imports no torch, so that `curate status` may use it."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from functools import partial


def alarm_rank(calibration: int, rate: float) -> int:
    """The largest k with k / (n + 1) <= rate, rounded as the p-values are.

    An image is flagged when it scores above the k-th largest of n calibration images; 0: none is.
    """
    near = math.floor(rate * (calibration + 1))
    return max(k for k in (near - 1, near, near + 1) if k / (calibration + 1) <= rate)


def chance_of_alarms(flagged: int, images: int, calibration: int, rank: int) -> float:
    """How likely so many or more of `images` ID images score above the `rank`-th calibration image.

    The upper tail of BetaBinomial(m, k, n + 1 - k). They do exactly when fewer than k calibration
    images are among the `flagged` + k - 1 largest of all scores, and how many of these are
    calibration images is hypergeometric; so k terms are enough, however many images there are.
    """
    top = flagged + rank - 1
    every = _log_choose(images + calibration, top)
    return math.fsum(
        math.exp(_log_choose(calibration, ours) + _log_choose(images, top - ours) - every)
        for ours in range(max(0, top - images), rank)
    )


def alarm_interval(
    calibration: int, test: int, rate: float, level: float = 0.99
) -> tuple[float, float]:
    """Between which shares of `test` ID images, flagged at `rate`, `level` of all runs lie.

    Exact quantiles of BetaBinomial(m = test, k, n + 1 - k), n = `calibration`, k the largest whole
    number with k / (n + 1) <= rate; for scores without ties.
    """
    rank = alarm_rank(calibration, rate)
    if rank == 0:
        return 0.0, 0.0
    tail, counts = (1 - level) / 2, range(test + 1)

    def at_most(flagged: int) -> float:
        return 1 - chance_of_alarms(flagged + 1, test, calibration, rank)

    low, high = (bisect_left(counts, part, key=at_most) for part in (tail, 1 - tail))
    return low / test, min(high, test) / test


def ood_interval(
    flagged: int, images: int, calibration: int, rank: int, level: float = 0.95
) -> tuple[int, int]:
    """The fewest and the most OOD images of `images`, of which `flagged` are flagged, by chance.

    Taken that every OOD image is flagged; fewer may be, so `fewest` holds in any case. Both the
    flagged images and the threshold come by chance: exact ends of level (1 - `level`) / 2 each.
    """
    tail, counts = (1 - level) / 2, range(flagged + 1)

    def chance(beyond: int, ood: int) -> float:
        return chance_of_alarms(flagged - ood + beyond, images - ood, calibration, rank)

    fewest = bisect_right(counts, tail, key=partial(chance, 0))
    most = bisect_left(counts, 1 - tail, key=partial(chance, 1)) - 1
    return min(fewest, flagged), max(most, 0)


def _log_choose(items: int, taken: int) -> float:
    return math.lgamma(items + 1) - math.lgamma(taken + 1) - math.lgamma(items - taken + 1)
