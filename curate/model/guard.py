"""The promotion guard: reasons why a fine-tuned detector must not replace the frozen network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from curate.model.alarms import alarm_interval
from curate.model.calibration import p_values
from curate.model.share import mid_rank, rank_sum_auroc

CERTAIN = 1.645
"""Standard errors below zero at which a change is worse than chance: one-sided, 5 %."""


@dataclass(frozen=True)
class Evidence:
    """Scores (N,) of the same images before and after a fine-tune, and validation accuracy.

    `canaries` were in the pool as the inbox's images were, `held_out` were not; `reviewed` came
    with the inbox, and people called them OOD.
    """

    inbox_before: torch.Tensor
    inbox_after: torch.Tensor
    canaries_before: torch.Tensor
    canaries_after: torch.Tensor
    held_out_before: torch.Tensor
    held_out_after: torch.Tensor
    accuracy_before: float
    accuracy_after: float
    reviewed_before: torch.Tensor
    reviewed_after: torch.Tensor


@dataclass(frozen=True)
class Verdict:
    """`objection` is why the detector is rejected, None when it may be promoted."""

    objection: str | None
    figures: dict[str, float]


def judge(evidence: Evidence, rate: float, accuracy_drop: float) -> Verdict:
    """Hold a fine-tuned detector against the frozen network.

    It must keep its accuracy, must not have raised the canaries above held-out images by more
    than chance (exact 99 % beta-binomial interval), and must not separate the inbox, with what
    people called OOD of it, from the canaries less by more than chance (DeLong et al., 1988, paired
    and one-sided).
    """
    figures = _figures(evidence, rate)
    _, most = alarm_interval(len(evidence.held_out_after), len(evidence.canaries_after), rate)
    lost = figures["accuracy_before"] - figures["accuracy_after"]
    change = figures["separation_after"] - figures["separation_before"]
    objection = None
    if lost > accuracy_drop:
        objection = f"it lost {lost:.1%} validation accuracy, more than {accuracy_drop:.0%}"
    elif figures["canary_alarms"] > most:
        objection = (
            f"it raises false alarms: {figures['canary_alarms']:.1%} of the canaries are flagged "
            f"where {rate:.0%} was asked and at most {most:.1%} is chance"
        )
    elif change < -CERTAIN * figures["separation_error"]:
        objection = (
            f"it separates the inbox from our classes less (AUROC {figures['separation_after']:.3f}"
            f", before {figures['separation_before']:.3f}), and that is not chance"
        )
    return Verdict(objection, figures)


def change_error(
    inbox: tuple[torch.Tensor, torch.Tensor], canaries: tuple[torch.Tensor, torch.Tensor]
) -> float:
    """Standard error of the change in AUROC of inbox against canaries, each (before, after).

    The variance of the paired differences of the placement values (DeLong et al., 1988).
    """
    total = 0.0
    for ours, others in ((inbox, canaries), (canaries, inbox)):
        before, after = (mid_rank(*pair) for pair in zip(ours, others, strict=True))
        if len(before) > 1:
            total += float((after - before).double().var()) / len(before)
    return math.sqrt(total)


def _figures(evidence: Evidence, rate: float) -> dict[str, float]:
    def flagged(scores: torch.Tensor, calibration: torch.Tensor) -> float:
        return float((p_values(scores, calibration) <= rate).float().mean())

    inbox = (
        torch.cat([evidence.inbox_before, evidence.reviewed_before]),
        torch.cat([evidence.inbox_after, evidence.reviewed_after]),
    )
    canaries = (evidence.canaries_before, evidence.canaries_after)
    calibration = torch.cat([evidence.canaries_before, evidence.held_out_before])
    return {
        "accuracy_before": evidence.accuracy_before,
        "accuracy_after": evidence.accuracy_after,
        "canary_alarms": flagged(evidence.canaries_after, evidence.held_out_after),
        "flagged_before": flagged(evidence.inbox_before, calibration),
        "flagged_after": flagged(evidence.inbox_after, evidence.canaries_after),
        "separation_before": rank_sum_auroc(inbox[0], canaries[0]),
        "separation_after": rank_sum_auroc(inbox[1], canaries[1]),
        "separation_error": change_error(inbox, canaries),
    }
