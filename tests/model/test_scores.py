"""Scores, AUROC and nearest neighbours at values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from curate.model.metrics import auroc
from curate.model.scores import joined, knn_distance, score_logits

LN3 = math.log(3.0)


def test_scores_of_one_image_by_hand() -> None:
    # p1 = (3/4, 1/4), p2 = (1/4, 3/4) for the first image, p1 = p2 = (3/4, 1/4) for the second.
    one = torch.tensor([[LN3, 0.0], [LN3, 0.0]])
    two = torch.tensor([[0.0, LN3], [LN3, 0.0]])
    scores = score_logits(one, two)
    assert scores.discrepancy.tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert scores.msp.tolist() == pytest.approx([0.5, 0.25], abs=1e-6)
    assert scores.confidence.tolist() == pytest.approx([0.5, 0.75], abs=1e-6)
    assert scores.energy.tolist() == pytest.approx(
        [-math.log(2 * math.sqrt(3)), -math.log(4)], abs=1e-6
    )
    assert scores.label[1].item() == 0
    assert scores.label.dtype == torch.int64
    assert scores.knn.isnan().all()
    assert len(scores) == 2


def test_the_discrepancy_reaches_two_and_never_passes_it() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(500, 7, generator=generator).mul(30)
    two = one.flip(1).mul(30)
    scores = score_logits(torch.cat((one, torch.eye(7) * 99)), torch.cat((two, -torch.eye(7) * 99)))
    assert scores.discrepancy.max().item() == 2.0
    assert scores.msp.min().item() >= 0.0
    assert scores.confidence.max().item() <= 1.0


def test_half_precision_logits_are_scored_in_single() -> None:
    one = torch.tensor([[1.0, 0.5, 0.25]], dtype=torch.bfloat16)
    scores = score_logits(one, -one)
    assert scores.discrepancy.dtype == torch.float32
    exact = score_logits(one.float(), -one.float())
    assert scores.discrepancy.item() == exact.discrepancy.item()


def test_batches_are_joined_in_order() -> None:
    one, two = torch.eye(3), torch.zeros(3, 3)
    whole = score_logits(one, two, knn=torch.tensor([1.0, 2.0, 3.0]))
    parts = [
        score_logits(one[:1], two[:1], torch.tensor([1.0])),
        score_logits(one[1:], two[1:], torch.tensor([2.0, 3.0])),
    ]
    assert joined(parts).label.tolist() == whole.label.tolist() == [0, 1, 2]
    assert joined(parts).knn.tolist() == [1.0, 2.0, 3.0]


def test_the_distance_is_to_the_kth_neighbour_on_the_unit_circle() -> None:
    bank = torch.tensor([[5.0, 0.0], [0.0, 0.1], [-3.0, 0.0]])
    image = torch.tensor([[2.0, 0.0]])
    at_right_angles, opposite = math.sqrt(2), 2.0
    assert knn_distance(image, bank, 1).item() == 0.0
    assert knn_distance(image, bank, 2).item() == pytest.approx(at_right_angles, abs=1e-6)
    assert knn_distance(image, bank, 3).item() == pytest.approx(opposite, abs=1e-6)
    assert knn_distance(image, bank).item() == pytest.approx(opposite, abs=1e-6)


def test_neighbours_match_a_full_search_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.model.scores._CHUNK", 60)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(17, 5, generator=generator)
    bank = torch.randn(30, 5, generator=generator)
    unit, rows = images / images.norm(dim=1)[:, None], bank / bank.norm(dim=1)[:, None]
    brute = [sorted(math.dist(i, b) for b in rows.tolist())[9] for i in unit.tolist()]
    assert knn_distance(images, bank).tolist() == pytest.approx(brute, abs=1e-6)


@pytest.mark.parametrize(
    ("id_scores", "ood_scores", "expected"),
    [
        ([0.0, 1.0], [2.0, 3.0], 1.0),
        ([2.0, 3.0], [0.0, 1.0], 0.0),
        ([1.0, 1.0], [1.0, 1.0], 0.5),
        ([0.0, 1.0, 2.0], [1.0, 3.0], (1.5 + 3) / 6),
    ],
)
def test_auroc_counts_ties_half(
    id_scores: list[float], ood_scores: list[float], expected: float
) -> None:
    assert auroc(torch.tensor(id_scores), torch.tensor(ood_scores)) == pytest.approx(expected)


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    generator = torch.Generator().manual_seed(0)
    id_scores = torch.randint(0, 9, (40,), generator=generator).float()
    ood_scores = torch.randint(3, 12, (25,), generator=generator).float()
    pairs = [
        (ood > found) + 0.5 * (ood == found)
        for ood in ood_scores.tolist()
        for found in id_scores.tolist()
    ]
    assert auroc(id_scores, ood_scores) == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
