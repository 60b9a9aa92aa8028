"""From scores to alarms at the rate that was asked for (split conformal prediction).

Larger scores are more OOD; an image is tagged ood when its p-value is at most the rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from curate.model.alarms import alarm_rank


def p_values(scores: Tensor, calibration: Tensor) -> Tensor:
    """(1 + number of calibration scores >= s) / (n + 1) for each score: float64 (N,).

    Ties count. For an ID image exchangeable with the n calibration images, P(p <= rate) <= rate
    (Vovk et al., 2005).
    """
    ranked = calibration.double().sort().values
    below = torch.searchsorted(ranked, scores.double().contiguous())
    return (1 + len(ranked) - below).double() / (len(ranked) + 1)


def threshold(calibration: Tensor | Sequence[float], rate: float) -> float:
    """The smallest t such that score >= t exactly when its p-value <= `rate`.

    Infinite when the calibration images are too few for the rate: (n + 1) * rate < 1.
    """
    ranked = torch.as_tensor(calibration).double().sort(descending=True).values
    rank = alarm_rank(len(ranked), rate)
    return math.nextafter(float(ranked[rank - 1]), math.inf) if rank else math.inf


def alarm_interval(
    calibration: int, test: int, rate: float, level: float = 0.99
) -> tuple[float, float]:
    """Between which shares of `test` ID images, flagged at `rate`, `level` of all runs lie.

    Exact quantiles of BetaBinomial(m = test, k, n + 1 - k), n = `calibration`, k the largest whole
    number with k / (n + 1) <= rate; for scores without ties.
    """
    k = alarm_rank(calibration, rate)
    if k == 0:
        return 0.0, 0.0
    total = _flagged_distribution(test, k, calibration + 1 - k).cumsum(0)
    tail = (1 - level) / 2
    low, high = torch.searchsorted(total, torch.tensor([tail, 1 - tail], dtype=torch.float64))
    return int(low) / test, min(int(high), test) / test


def smallest_calibration(rate: float) -> int:
    """How many calibration images it takes before anything can be flagged at `rate`."""
    least = math.floor(1 / rate) - 2
    while not alarm_rank(least, rate):
        least += 1
    return least


def _flagged_distribution(test: int, a: int, b: int) -> Tensor:
    """P(j of `test` are flagged), j = 0 to `test`, under BetaBinomial(test, a, b)."""
    j = torch.arange(test + 1, dtype=torch.float64)
    choose = math.lgamma(test + 1) - torch.lgamma(j + 1) - torch.lgamma(test - j + 1)
    hits = torch.lgamma(j + a) + torch.lgamma(test - j + b) - math.lgamma(test + a + b)
    start = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return (choose + hits - start).exp()
