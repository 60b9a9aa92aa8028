"""Scores held against the truth, at values worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from curate.model.evaluation import (
    UNKNOWN,
    Truth,
    evaluate_groups,
    evaluate_scores,
    measure,
    method_names,
)
from curate.model.metrics import auroc, bootstrap, detection_metrics
from curate.model.scores import SHOWN, Scores

INFINITY = float("inf")


def truth(
    discrepancy: Sequence[float],
    named: Sequence[int] = (),
    labels: Sequence[int] = (),
    in_inbox: Sequence[bool] = (),
    score: Sequence[float] = (),
) -> Truth:
    """Images by their discrepancy; the other scores are its negative, double and square.

    They are tagged by `score`, or else by the discrepancy.
    """
    scores = torch.tensor(discrepancy)
    count = len(discrepancy)
    return Truth(
        Scores(
            discrepancy=scores,
            msp=-scores,
            energy=2 * scores,
            knn=scores.square(),
            discriminant=torch.full((count,), torch.nan),
            label=torch.tensor(named or [0] * count, dtype=torch.int64),
            confidence=torch.ones(count),
            nearest=torch.full((count, SHOWN), -1),
        ),
        torch.tensor(score or discrepancy),
        torch.tensor(in_inbox or [False] * count, dtype=torch.bool),
        torch.tensor(labels or [UNKNOWN] * count, dtype=torch.int64),
    )


OURS, STRANGE = truth([0.1, 0.2, 0.3, 1.0]), truth([0.2, 0.875, 1.5])


def test_each_score_is_measured_by_itself() -> None:
    methods = evaluate_scores(OURS, STRANGE, 0.5, resamples=20, seed=3).methods
    assert list(methods) == ["score", "discrepancy", "msp", "energy", "knn"]
    first = methods["discrepancy"]
    assert first.value == detection_metrics(OURS.scores.discrepancy, STRANGE.scores.discrepancy)
    assert first.value.auroc == pytest.approx((1.5 + 3 + 4) / 12)
    assert methods["msp"].value.auroc == pytest.approx(1 - 8.5 / 12)
    assert methods["score"] == methods["energy"] == methods["knn"] == first
    ends = bootstrap(OURS.scores.discrepancy, STRANGE.scores.discrepancy, 20, seed=3)
    assert (first.low, first.high) == ends


def test_what_the_thresholds_flag() -> None:
    by_rate, by_paper = evaluate_scores(OURS, STRANGE, 0.875, resamples=5).decisions
    assert (by_rate.rule, by_paper.rule) == ("rate", "paper")
    assert (by_rate.threshold, by_paper.threshold) == (0.875, 1.0)
    shares = [(d.alarm_rate, d.recall) for d in (by_rate, by_paper)]
    # A score that is the threshold is flagged.
    assert [(a.value, r.value) for a, r in shares if a and r] == [(1 / 4, 2 / 3), (1 / 4, 1 / 3)]
    assert [(a.images, r.images) for a, r in shares if a and r] == [(4, 3), (4, 3)]


def test_a_threshold_is_of_the_score_that_it_was_made_for() -> None:
    # By the score the strange images are above ours, by the discrepancy all but below.
    ours = truth([0.1, 0.2, 1.2, 1.5], score=[-1.0, -0.5, 0.0, 0.5])
    strange = truth([0.3, 0.4, 1.1], score=[0.25, 2.0, 3.0])
    found = evaluate_scores(ours, strange, 0.25, resamples=5)
    by_rate, by_paper = found.decisions
    assert (by_rate.method, by_paper.method) == ("score", "discrepancy")
    assert (by_rate.threshold, by_paper.threshold) == (0.25, 1.0)
    shares = [(d.alarm_rate, d.recall) for d in (by_rate, by_paper)]
    assert [(a.value, r.value) for a, r in shares if a and r] == [(1 / 4, 1), (2 / 4, 1 / 3)]
    assert found.methods["score"].value.auroc == pytest.approx(11 / 12)
    assert found.methods["discrepancy"].value.auroc == pytest.approx(6 / 12)


def test_a_learned_discriminant_is_measured_too() -> None:
    ours, strange = (
        replace(side, scores=replace(side.scores, discriminant=-side.scores.discrepancy))
        for side in (OURS, STRANGE)
    )
    methods = evaluate_scores(ours, strange, 0.5, resamples=5).methods
    assert list(methods) == ["score", "discrepancy", "msp", "energy", "knn", "discriminant"]
    assert methods["discriminant"].value.auroc == pytest.approx(1 - 8.5 / 12)
    named = method_names({"energy": (0.0, 1.0), "discriminant": (0.0, 1.0)})
    assert list(named) == list(methods)


def test_no_method_is_named_twice() -> None:
    assert method_names({"energy": (0.0, 1.0)}) == {
        "score": "combined",
        **{name: name for name in ("discrepancy", "msp", "energy", "knn")},
    }
    assert next(iter(method_names({"energy": (0.0, 1.0)}))) == "score"
    assert list(method_names({}).items()) == [
        ("score", "discrepancy"),
        *((name, name) for name in ("msp", "energy", "knn")),
    ]


def test_a_threshold_that_is_never_reached() -> None:
    by_rate = evaluate_scores(OURS, STRANGE, INFINITY, resamples=5).decisions[0]
    assert by_rate.threshold is None
    assert by_rate.recall is not None
    assert by_rate.recall.value == 0


def test_accuracy_counts_the_images_whose_class_is_known() -> None:
    ours = truth([0.0] * 4, named=[0, 1, 1, 2], labels=[0, 1, 2, UNKNOWN])
    found = evaluate_scores(ours, STRANGE, 0.5, resamples=5).accuracy
    assert found is not None
    assert (found.value, found.images) == (2 / 3, 3)
    assert evaluate_scores(OURS, STRANGE, 0.5, resamples=5).accuracy is None


def test_one_side_alone_has_its_rate_but_no_figures() -> None:
    found = evaluate_scores(OURS, truth([]), 0.25, resamples=5)
    assert found.methods == {}
    assert found.decisions[0].recall is None
    assert found.decisions[0].alarm_rate is not None
    assert found.decisions[0].alarm_rate.value == 1 / 2


CALIBRATION = {"held_out": [i / 100 for i in range(19)], "canary": [i / 10 for i in range(19)]}


def test_each_group_is_read_against_its_own_calibration() -> None:
    # At 5 % and 19 images nothing but a score above all of them is flagged: 0.18 and 1.8.
    ours = truth([0.1, 0.5, 0.1, 0.5], in_inbox=[False, False, True, True])
    strange = truth([0.5, 1.9], in_inbox=[False, True])
    found = evaluate_groups(ours, strange, CALIBRATION, 0.05, resamples=5)
    assert list(found) == ["fresh", "inbox"]
    assert [(f.id_images, f.ood_images) for f in found.values()] == [(2, 1), (2, 1)]
    rates = {name: figures.decisions[0].alarm_rate for name, figures in found.items()}
    assert {name: rate.value for name, rate in rates.items() if rate} == {"fresh": 0.5, "inbox": 0}
    cuts = [figures.decisions[0].threshold for figures in found.values()]
    assert cuts == pytest.approx([0.18, 1.8])


def test_without_canaries_all_are_read_against_the_held_out() -> None:
    ours, strange = truth([0.1], in_inbox=[True]), truth([0.5], in_inbox=[True])
    held_out = {"held_out": CALIBRATION["held_out"]}
    found = evaluate_groups(ours, strange, held_out, 0.05, resamples=5)
    assert list(found) == ["inbox"]
    assert found["inbox"].decisions[0].threshold == pytest.approx(0.18)


def test_groups_keep_scores_and_images_together() -> None:
    members = [False, True, False]
    ours = truth([0.1, 0.9, 0.2], in_inbox=members, named=[4, 5, 6], score=[7.0, 8.0, 9.0])
    assert ours.part(True).scores.label.tolist() == [5]
    assert ours.part(True).score.tolist() == [8.0]
    assert ours.part(False).score.tolist() == [7.0, 9.0]
    assert ours.part(False).scores.discrepancy.tolist() == pytest.approx([0.1, 0.2])
    assert len(ours.part(False)) == 2


def test_measure_is_the_figures_and_their_intervals() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(40, generator=generator)
    strange = torch.randn(30, generator=generator) + 1
    found = measure(ours, strange, 100, 0)
    assert found.value.auroc == pytest.approx(auroc(ours, strange))
    assert found.low.auroc < found.value.auroc < found.high.auroc
