"""Scores, AUROC and nearest neighbours at values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from curate.model.metrics import auroc
from curate.model.scores import (
    SHOWN,
    Neighbours,
    Scores,
    combined,
    disagreement,
    joined,
    neighbours,
    score_logits,
    standard_of,
    tag_score,
)

NEAR = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
"""Rows of a bank, three for each of three images."""
LN3 = math.log(3.0)
LEAST = 1e-6
"""Added to a discrepancy before its logarithm, and the smallest deviation."""


def known(discrepancy: list[float], energy: list[float], knn: list[float]) -> Scores:
    """Images by the three scores that are combined; the others must not matter."""
    count = len(energy)
    return Scores(
        discrepancy=torch.tensor(discrepancy),
        msp=torch.full((count,), torch.nan),
        energy=torch.tensor(energy),
        knn=torch.tensor(knn),
        discriminant=torch.full((count,), torch.nan),
        label=torch.zeros(count, dtype=torch.int64),
        confidence=torch.full((count,), torch.nan),
        nearest=torch.full((count, SHOWN), -1),
    )


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


# The logarithms of the discrepancies are 0 and -2, their mean -1, their deviation 1.
KNOWN = known([1 - LEAST, math.exp(-2) - LEAST], energy=[-3.0, -7.0], knn=[0.25, 0.75])
STANDARD = {"discrepancy": (-1.0, 1.0), "energy": (-5.0, 2.0), "knn": (0.5, 0.25)}


def test_the_standard_of_two_images_by_hand() -> None:
    found = standard_of(KNOWN)
    assert list(found) == ["discrepancy", "energy", "knn"]
    for name, pair in STANDARD.items():
        assert found[name] == pytest.approx(pair, abs=1e-6)


def test_the_combined_score_by_hand() -> None:
    # (0 - -1) / 1 = 1, (-1 - -5) / 2 = 2, (1.25 - 0.5) / 0.25 = 3; a discrepancy of 0 is log 1e-6.
    images = known([1 - LEAST, 0.0], energy=[-1.0, -5.0], knn=[1.25, 0.5])
    expected = [(1 + 2 + 3) / 3, (math.log(LEAST) + 1) / 3]
    assert combined(images, STANDARD).tolist() == pytest.approx(expected, abs=1e-5)


def test_the_reference_itself_has_mean_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    columns = torch.rand(3, 400, generator=generator) * torch.tensor([[2.0], [30.0], [0.1]])
    reference = known(*columns.tolist())
    found = combined(reference, standard_of(reference))
    assert float(found.double().mean()) == pytest.approx(0, abs=1e-5)
    # Three independent columns of deviation 1 have a mean of deviation 1 / sqrt(3), or nearly so.
    assert float(found.std()) == pytest.approx(1 / math.sqrt(3), abs=0.05)


def test_a_score_that_is_the_same_for_all_has_the_least_deviation() -> None:
    reference = known([0.5, 0.5], energy=[-0.1, -0.1], knn=[0.3, 0.3])
    standard = standard_of(reference)
    assert [deviation for _, deviation in standard.values()] == [LEAST] * 3
    assert combined(reference, standard).tolist() == pytest.approx([0, 0], abs=0.05)
    above = known([0.5], energy=[-0.1], knn=[0.3 + 3e-5])
    assert combined(above, standard).item() == pytest.approx(10, abs=0.1)


def test_the_disagreement_is_the_distance_of_the_farthest_methods() -> None:
    standard = {"discrepancy": (0.0, 1.0), "energy": (1.0, 2.0), "knn": (0.5, 0.25)}
    # An energy of 5 is 2 deviations above, 1 none; a distance of 0.25 is 1 below, 1 is 2 above.
    found = disagreement(known([1 - LEAST, 1 - LEAST], [5.0, 1.0], [0.25, 1.0]), standard)
    assert found.tolist() == pytest.approx([3.0, 2.0], abs=1e-6)
    assert disagreement(known([0.5], [1.0], [1.0]), {}).tolist() == [0.0]


def test_images_are_tagged_by_the_discrepancy_where_there_is_no_standard() -> None:
    alone = known([0.5, 1.5], energy=[0.0, 0.0], knn=[math.nan, math.nan])
    assert tag_score(alone, {}).tolist() == [0.5, 1.5]
    assert torch.equal(tag_score(KNOWN, STANDARD), combined(KNOWN, STANDARD))


def test_missing_neighbours_are_not_averaged_away() -> None:
    for knn in ([0.1, math.nan], [math.nan, math.nan]):
        images = known([0.1, 0.2], energy=[-1.0, -2.0], knn=knn)
        with pytest.raises(ValueError, match="knn is missing"):
            combined(images, STANDARD)
        with pytest.raises(ValueError, match="knn is missing"):
            standard_of(images)


def test_a_network_gone_to_nan_has_a_score_that_is_no_number() -> None:
    nan = math.nan
    images = known([nan, nan], energy=[nan, -1.0], knn=[nan, 0.1])
    assert combined(images, STANDARD).isnan().all()


def test_batches_are_joined_in_order() -> None:
    one, two = torch.eye(3), torch.zeros(3, 3)
    whole = score_logits(one, two, Neighbours(torch.tensor([1.0, 2.0, 3.0]), NEAR))
    parts = [
        score_logits(one[:1], two[:1], Neighbours(torch.tensor([1.0]), NEAR[:1])),
        score_logits(one[1:], two[1:], Neighbours(torch.tensor([2.0, 3.0]), NEAR[1:])),
    ]
    assert joined(parts).label.tolist() == whole.label.tolist() == [0, 1, 2]
    assert joined(parts).knn.tolist() == [1.0, 2.0, 3.0]
    assert joined(parts).nearest.tolist() == NEAR.tolist()


def test_the_distance_is_to_the_kth_neighbour_on_the_unit_circle() -> None:
    bank = torch.tensor([[5.0, 0.0], [0.0, 0.1], [-3.0, 0.0]])
    image = torch.tensor([[2.0, 0.0]])
    at_right_angles, opposite = math.sqrt(2), 2.0
    assert neighbours(image, bank, 1).distance.item() == 0.0
    assert neighbours(image, bank, 2).distance.item() == pytest.approx(at_right_angles, abs=1e-6)
    assert neighbours(image, bank, 3).distance.item() == pytest.approx(opposite, abs=1e-6)
    assert neighbours(image, bank).distance.item() == pytest.approx(opposite, abs=1e-6)
    assert neighbours(image, bank).rows.tolist() == [[0, 1, 2]]
    assert neighbours(image, bank[1:]).rows.tolist() == [[0, 1, -1]], "there are but two"


def test_neighbours_match_a_full_search_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.model.scores._CHUNK", 60)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(17, 5, generator=generator)
    bank = torch.randn(30, 5, generator=generator)
    unit, rows = images / images.norm(dim=1)[:, None], bank / bank.norm(dim=1)[:, None]
    brute = [sorted(math.dist(i, b) for b in rows.tolist())[9] for i in unit.tolist()]
    assert neighbours(images, bank).distance.tolist() == pytest.approx(brute, abs=1e-6)
    apart = torch.cdist(unit, rows)
    assert neighbours(images, bank).rows.tolist() == apart.argsort(1)[:, :3].tolist()


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
