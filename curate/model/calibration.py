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


def smallest_calibration(rate: float) -> int:
    """How many calibration images it takes before anything can be flagged at `rate`."""
    least = math.floor(1 / rate) - 2
    while not alarm_rank(least, rate):
        least += 1
    return least
