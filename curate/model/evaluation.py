"""A network's scores, and the decision made of them, held against the truth.

Functions of tensors alone: benchmarks use them where there is no catalog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from curate.model.calibration import threshold
from curate.model.metrics import RESAMPLES, DetectionMetrics, bootstrap, detection_metrics
from curate.model.proportion import Share, share_of
from curate.model.scores import LEARNED, METHODS, Scores, Standard, chosen, has_discriminant

Group = Literal["fresh", "inbox"]
Rule = Literal["rate", "paper"]
TAGGED_BY = "score"
"""The method that images are tagged by; the others are those of METHODS."""
PAPER_THRESHOLD = 1.0
"""Section 4.1.5: "a simple threshold 1.0"."""
UNKNOWN = -1
"""Label of an image whose class is not known."""


@dataclass(frozen=True)
class Truth:
    """N images that are all ID, or all OOD, as a network scores them.

    `score` (N,) is the one that they are tagged by, `in_inbox` (N,) bool says which of them the
    detector was fine-tuned on, `labels` (N,) int64 which class each is.
    """

    scores: Scores
    score: Tensor
    in_inbox: Tensor
    labels: Tensor

    def part(self, inbox: bool) -> Truth:
        """The images that the detector was fine-tuned on, or the others."""
        rows = self.in_inbox == inbox
        return Truth(
            chosen(self.scores, rows), self.score[rows], self.in_inbox[rows], self.labels[rows]
        )

    def by(self, method: str) -> Tensor:
        """The scores (N,) of a method."""
        found: Tensor = self.score if method == TAGGED_BY else getattr(self.scores, method)
        return found

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Measured:
    """The figures of one score, with the ends of their 95 % bootstrap intervals."""

    value: DetectionMetrics
    low: DetectionMetrics
    high: DetectionMetrics


@dataclass(frozen=True)
class Decision:
    """What flagging every image comes to whose score by `method` is at least `threshold`.

    The rule "rate" calibrates a threshold of the score that images are tagged by to the alarm rate,
    "paper" is 1.0 of the discrepancy. The threshold is None where too few calibration images let
    nothing be flagged; a share is None without images.
    """

    rule: Rule
    method: str
    threshold: float | None
    alarm_rate: Share | None
    """Of the ID images."""
    recall: Share | None
    """Of the OOD images."""


@dataclass(frozen=True)
class Figures:
    """Everything that is measured on one group of images."""

    id_images: int
    ood_images: int
    accuracy: Share | None
    """Of the ID images whose class is known."""
    methods: Mapping[str, Measured]
    """The score that images are tagged by first; empty unless there are both ID and OOD images."""
    decisions: tuple[Decision, ...]


def evaluate_groups(
    id_truth: Truth,
    ood_truth: Truth,
    calibration: Mapping[str, Sequence[float]],
    rate: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[Group, Figures]:
    """Figures of the images that the detector was not fine-tuned on, and of those it was.

    `calibration` is the checkpoint's: fresh images are read against "held_out", the inbox's
    against "canary" where there are canaries. A group without images is left out.
    """
    found: dict[Group, Figures] = {}
    for group in ("fresh", "inbox"):
        ours, strange = (side.part(group == "inbox") for side in (id_truth, ood_truth))
        kind = "canary" if group == "inbox" and "canary" in calibration else "held_out"
        cut = threshold(calibration[kind], rate)
        if len(ours) or len(strange):
            found[group] = evaluate_scores(ours, strange, cut, resamples, seed)
    return found


def evaluate_scores(
    id_truth: Truth, ood_truth: Truth, cut: float, resamples: int = RESAMPLES, seed: int = 0
) -> Figures:
    """Figures of one group of images; `cut` is the calibrated threshold of their score."""
    both = len(id_truth) > 0 and len(ood_truth) > 0
    learned = (LEARNED,) if has_discriminant(id_truth.scores) else ()
    return Figures(
        id_images=len(id_truth),
        ood_images=len(ood_truth),
        accuracy=_accuracy(id_truth),
        methods={
            name: measure(id_truth.by(name), ood_truth.by(name), resamples, seed)
            for name in ((TAGGED_BY, *METHODS, *learned) if both else ())
        },
        decisions=(
            _decide("rate", TAGGED_BY, cut, id_truth, ood_truth),
            _decide("paper", "discrepancy", PAPER_THRESHOLD, id_truth, ood_truth),
        ),
    )


def measure(id_scores: Tensor, ood_scores: Tensor, resamples: int, seed: int) -> Measured:
    """The figures of ID scores (N,) against OOD scores (M,), with their intervals."""
    ends = bootstrap(id_scores, ood_scores, resamples, seed=seed)
    return Measured(detection_metrics(id_scores, ood_scores), *ends)


def method_names(standard: Standard) -> dict[str, str]:
    """What people call the methods of a network with this standard, none of them twice.

    The one that images are tagged by comes first, then the parts that it combines.
    """
    if not standard:
        return {TAGGED_BY: "discrepancy", **{name: name for name in METHODS[1:]}}
    learned = (LEARNED,) if LEARNED in standard else ()
    return {TAGGED_BY: "combined", **{name: name for name in (*METHODS, *learned)}}


def _decide(rule: Rule, method: str, cut: float, id_truth: Truth, ood_truth: Truth) -> Decision:
    finite = cut if cut < torch.inf else None
    shares = (_flagged(truth.by(method), cut) for truth in (id_truth, ood_truth))
    return Decision(rule, method, finite, *shares)


def _flagged(scores: Tensor, cut: float) -> Share | None:
    return share_of(int((scores.double() >= cut).sum()), len(scores))


def _accuracy(truth: Truth) -> Share | None:
    known = truth.labels != UNKNOWN
    right = truth.scores.label[known] == truth.labels[known]
    return share_of(int(right.sum()), len(right))
