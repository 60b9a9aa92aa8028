"""Detection figures: by hand, against scikit-learn and pytorch-ood, and their intervals."""

from __future__ import annotations

import time
from dataclasses import astuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_ood.metrics import OODMetrics
from sklearn.metrics import auc, average_precision_score, roc_auc_score, roc_curve
from torch import Tensor

from curate.model.metrics import DetectionMetrics, auroc, bootstrap, detection_metrics, roc

EXACT = 1e-9


def drawn(kind: str, seed: int) -> tuple[Tensor, Tensor]:
    """ID and OOD scores: continuous, in a few values only, or nearly all at both ends."""
    generator = torch.Generator().manual_seed(seed)
    id_scores = torch.randn(150 + 13 * seed, generator=generator)
    ood_scores = torch.randn(90 + 7 * seed, generator=generator) + 1
    if kind == "tied":
        return id_scores.mul(2).round() / 2, ood_scores.mul(2).round() / 2
    if kind == "saturated":
        return id_scores.clamp(-0.1, 0.2), ood_scores.clamp(-0.1, 0.2)
    return id_scores, ood_scores


def cases() -> list[tuple[Tensor, Tensor]]:
    kinds = ("continuous", "tied", "saturated")
    return [drawn(kind, seed) for kind in kinds for seed in range(6)]


def oracle(id_scores: Tensor, ood_scores: Tensor) -> DetectionMetrics:
    """The same figures by scikit-learn; its AUPR-In is that of the negated scores."""
    scores = np.concatenate([id_scores.double().numpy(), ood_scores.double().numpy()])
    is_ood = np.repeat([0, 1], [len(id_scores), len(ood_scores)])
    fpr, tpr, _ = roc_curve(is_ood, scores, drop_intermediate=False)
    id_fpr, id_tpr, _ = roc_curve(1 - is_ood, -scores, drop_intermediate=False)
    return DetectionMetrics(
        auroc=float(roc_auc_score(is_ood, scores)),
        aupr_in=float(average_precision_score(1 - is_ood, -scores)),
        aupr_out=float(average_precision_score(is_ood, scores)),
        detection_error=float(((fpr + 1 - tpr) / 2).min()),
        fpr95_id_positive=float(id_fpr[id_tpr >= 0.95][0]),
        fpr95_ood_positive=float(fpr[tpr >= 0.95][0]),
    )


def pytorch_ood(id_scores: Tensor, ood_scores: Tensor) -> dict[str, float]:
    labels = torch.cat([torch.zeros(len(id_scores)), -torch.ones(len(ood_scores))]).long()
    found: dict[str, float] = (
        OODMetrics().update(torch.cat([id_scores, ood_scores]), labels).compute()
    )
    return found


def test_by_hand() -> None:
    # Flagged from 3 on: both OOD, one of four ID. From 2 on: no more OOD, one more ID.
    found = detection_metrics(torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([3.0, 4.0]))
    assert found.auroc == (3.5 + 4) / 8
    assert found.aupr_out == pytest.approx((1 + 2 / 3) / 2, abs=EXACT)
    assert found.aupr_in == pytest.approx((1 + 1 + 1 + 4 / 5) / 4, abs=EXACT)
    assert found.detection_error == (1 / 4 + 0) / 2
    assert found.fpr95_ood_positive == 1 / 4
    assert found.fpr95_id_positive == 1 / 2


def test_a_perfect_detector_and_the_reverse_of_it() -> None:
    low, high = torch.arange(30.0), torch.arange(30.0) + 100
    assert astuple(detection_metrics(low, high)) == (1, 1, 1, 0, 0, 0)
    worst = detection_metrics(high, low)
    assert (worst.auroc, worst.detection_error) == (0, 0.5)
    assert (worst.fpr95_id_positive, worst.fpr95_ood_positive) == (1, 1)


def test_one_score_for_all_is_guessing() -> None:
    found = detection_metrics(torch.ones(30), torch.ones(10))
    assert astuple(found) == (0.5, 0.75, 0.25, 0.5, 1, 1)


def test_exactly_95_percent_is_enough() -> None:
    # 19 of 20 are at or above 1, and 0.95 is no binary fraction.
    twenty = torch.tensor([0.0] + [1.0] * 19)
    assert detection_metrics(torch.tensor([0.5]), twenty).fpr95_ood_positive == 0
    assert detection_metrics(-twenty, torch.tensor([-0.5])).fpr95_id_positive == 0


@pytest.mark.parametrize(("id_scores", "ood_scores"), cases())
def test_the_same_as_scikit_learn(id_scores: Tensor, ood_scores: Tensor) -> None:
    expected = oracle(id_scores, ood_scores)
    found = detection_metrics(id_scores, ood_scores)
    assert astuple(found) == pytest.approx(astuple(expected), abs=EXACT)


SCORES = st.lists(st.integers(-3, 3) | st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(SCORES, SCORES)
def test_the_same_as_scikit_learn_whatever_the_scores(ours: list[float], odd: list[float]) -> None:
    scores = torch.tensor(ours), torch.tensor(odd)
    found = astuple(detection_metrics(*scores))
    assert found == pytest.approx(astuple(oracle(*scores)), abs=EXACT)
    assert auroc(*scores) == pytest.approx(found[0], abs=EXACT)


@pytest.mark.parametrize(("id_scores", "ood_scores"), cases())
def test_the_same_as_pytorch_ood_where_it_means_the_same(
    id_scores: Tensor, ood_scores: Tensor
) -> None:
    found = detection_metrics(id_scores, ood_scores)
    theirs = pytorch_ood(id_scores, ood_scores)
    assert theirs["AUROC"] == pytest.approx(found.auroc, abs=EXACT)
    assert theirs["FPR95TPR"] == pytest.approx(found.fpr95_ood_positive, abs=EXACT)
    turned = pytorch_ood(-ood_scores, -id_scores)
    assert turned["FPR95TPR"] == pytest.approx(found.fpr95_id_positive, abs=EXACT)


def test_pytorch_ood_takes_another_area_under_the_same_precisions() -> None:
    low, high = torch.arange(30.0), torch.arange(30.0) + 100
    assert pytorch_ood(low, high)["AUPR-OUT"] == detection_metrics(low, high).aupr_out == 1
    assert pytorch_ood(low, high)["AUPR-IN"] == detection_metrics(low, high).aupr_in == 1
    # One cut for all: a line from precision 1 to 1/4 against the 1/4 that the cut reaches.
    same = torch.tensor([0.0] + [1.0] * 30), torch.ones(10)
    assert pytorch_ood(*same)["AUPR-OUT"] == (1 + 1 / 4) / 2
    assert detection_metrics(*same).aupr_out == 1 / 4


def test_the_curve_has_the_area() -> None:
    for id_scores, ood_scores in cases():
        curve = roc(id_scores, ood_scores)
        area = auc(curve.id_flagged.numpy(), curve.ood_flagged.numpy())
        assert area == pytest.approx(auroc(id_scores, ood_scores), abs=EXACT)
        assert (curve.id_flagged[0].item(), curve.ood_flagged[-1].item()) == (0, 1)


@pytest.mark.parametrize(
    ("id_scores", "ood_scores", "reason"),
    [([], [1.0], "both"), ([1.0], [], "both"), ([1.0, float("nan")], [1.0], "NaN")],
)
def test_what_cannot_be_measured(
    id_scores: list[float], ood_scores: list[float], reason: str
) -> None:
    for measure in (detection_metrics, bootstrap):
        with pytest.raises(ValueError, match=reason):
            measure(torch.tensor(id_scores), torch.tensor(ood_scores))


def redrawn_one_by_one(id_scores: Tensor, ood_scores: Tensor, resamples: int) -> Tensor:
    """Percentiles of figures that are made anew from each resample's own scores."""
    generator = torch.Generator().manual_seed(7)
    rows = []
    for _ in range(resamples):
        sides = [
            side[torch.randint(len(side), (1, len(side)), generator=generator)[0]]
            for side in (id_scores, ood_scores)
        ]
        rows.append(astuple(oracle(*sides)))
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    return torch.tensor(rows, dtype=torch.float64).quantile(ends, dim=0)


@pytest.mark.parametrize("kind", ["continuous", "tied", "saturated"])
def test_intervals_are_those_of_resamples_one_by_one(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.model.metrics._CELLS", 1)  # one resample at a time
    scores = drawn(kind, 1)
    found = bootstrap(*scores, resamples=60, seed=7)
    expected = redrawn_one_by_one(*scores, resamples=60)
    assert astuple(found.low) == pytest.approx(expected[0].tolist(), abs=EXACT)
    assert astuple(found.high) == pytest.approx(expected[1].tolist(), abs=EXACT)


def test_intervals_hold_what_they_promise() -> None:
    """Of 120 samples from two normal curves about 95 % have an interval with the true AUROC."""
    true = 0.5 * (1 + torch.erf(torch.tensor(0.5)).item())  # means sqrt(2) / 2 * sqrt(2) apart
    held = 0
    for seed in range(120):
        generator = torch.Generator().manual_seed(seed)
        id_scores = torch.randn(150, generator=generator)
        ood_scores = torch.randn(150, generator=generator) + 1
        low, high = bootstrap(id_scores, ood_scores, resamples=200, seed=seed)
        assert low.auroc <= auroc(id_scores, ood_scores) <= high.auroc
        held += low.auroc <= true <= high.auroc
    assert 104 <= held <= 119


def test_the_same_seed_gives_the_same_intervals_and_another_others() -> None:
    scores = drawn("continuous", 0)
    assert bootstrap(*scores, resamples=50) == bootstrap(*scores, resamples=50)
    assert bootstrap(*scores, resamples=50, seed=1) != bootstrap(*scores, resamples=50)


def test_ten_thousand_images_a_side_take_seconds() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 10_000, generator=generator)
    began = time.process_time()
    bootstrap(scores[0], scores[1] + 1)
    assert time.process_time() - began < 15  # 1 s on a quiet core
