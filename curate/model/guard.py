"""The promotion guard: reasons why a fine-tuned detector must not replace the one before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curate.model.calibration import alarm_interval, p_values
from curate.model.share import rank_sum_auroc


@dataclass(frozen=True)
class Evidence:
    """Discrepancy scores (N,) before and after a fine-tune, and validation accuracy.

    Before, all calibration images are alike; after, `canaries` are those that were in the pool as
    the inbox's images were, and `held_out` those that were not.
    """

    inbox_before: torch.Tensor
    inbox_after: torch.Tensor
    calibration_before: torch.Tensor
    canaries_after: torch.Tensor
    held_out_after: torch.Tensor
    accuracy_before: float
    accuracy_after: float


@dataclass(frozen=True)
class Verdict:
    """`objection` is why the detector is rejected, None when it may be promoted."""

    objection: str | None
    figures: dict[str, float]


def judge(evidence: Evidence, rate: float, accuracy_drop: float) -> Verdict:
    """Hold a fine-tuned detector against the frozen network.

    It must keep its accuracy, must not have raised the canaries above held-out images by more
    than chance (exact 99 % beta-binomial interval), and must find at least as much OOD in the
    inbox, both at the alarm rate and over all thresholds.
    """
    figures = _figures(evidence, rate)
    _, most = alarm_interval(len(evidence.held_out_after), len(evidence.canaries_after), rate)
    lost = figures["accuracy_before"] - figures["accuracy_after"]
    objection = None
    if lost > accuracy_drop:
        objection = f"it lost {lost:.1%} validation accuracy, more than {accuracy_drop:.0%}"
    elif figures["canary_alarms"] > most:
        objection = (
            f"it raises false alarms: {figures['canary_alarms']:.1%} of the canaries are flagged "
            f"where {rate:.0%} was asked and at most {most:.1%} is chance"
        )
    elif figures["flagged_after"] < figures["flagged_before"]:
        objection = (
            f"it flags {figures['flagged_after']:.1%} of the inbox at the same alarm rate, the "
            f"detector before it {figures['flagged_before']:.1%}"
        )
    elif figures["separation_after"] < figures["separation_before"]:
        objection = (
            f"it separates the inbox from our classes less (AUROC {figures['separation_after']:.3f}"
            f", before {figures['separation_before']:.3f})"
        )
    return Verdict(objection, figures)


def _figures(evidence: Evidence, rate: float) -> dict[str, float]:
    def flagged(scores: torch.Tensor, calibration: torch.Tensor) -> float:
        return float((p_values(scores, calibration) <= rate).float().mean())

    return {
        "accuracy_before": evidence.accuracy_before,
        "accuracy_after": evidence.accuracy_after,
        "canary_alarms": flagged(evidence.canaries_after, evidence.held_out_after),
        "flagged_before": flagged(evidence.inbox_before, evidence.calibration_before),
        "flagged_after": flagged(evidence.inbox_after, evidence.canaries_after),
        "separation_before": rank_sum_auroc(evidence.inbox_before, evidence.calibration_before),
        "separation_after": rank_sum_auroc(evidence.inbox_after, evidence.canaries_after),
    }
