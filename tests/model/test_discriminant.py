"""What sets the inbox's unusual images apart: descriptions and weights by hand, then in use."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from curate.model.backbones import build_network
from curate.model.discriminant import chance_p_value, describe, fit_discriminant
from curate.model.inference import descriptions, features, predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference, combined, standard_of

CPU = torch.device("cpu")


class Stages(nn.Module):
    """Two convolutions of the picture as it is, one of its half; features are channel means."""

    def __init__(self) -> None:
        super().__init__()
        self.unseen, self.whole = nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 1, 1, bias=False)
        self.halved = nn.Conv2d(1, 1, 2, stride=2, bias=False)
        for convolution in (self.unseen, self.whole, self.halved):
            nn.init.ones_(convolution.weight)

    def forward(self, images: Tensor) -> Tensor:
        self.unseen(images)
        features: Tensor = self.halved(self.whole(images)).mean((2, 3))
        return features


def staged() -> TwoHeadNetwork:
    torch.manual_seed(0)
    return TwoHeadNetwork(Stages(), 1, 2, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_a_description_by_hand() -> None:
    # Summed over channels the left column is 3, the right 0; halved, both rows of two give 6.
    pixels = torch.zeros(1, 3, 4, 2)
    pixels[:, :, :, 0] = 1
    found, description = describe(staged(), pixels)
    assert found.tolist() == [[6.0]]
    # Features; mean and deviation of the whole, of the half.
    assert description.tolist() == [[6.0, 1.5, 1.5, 6.0, 0.0]]


def test_nothing_listens_after_a_description() -> None:
    network = staged()
    with pytest.raises(RuntimeError, match="Kernel size"):
        describe(network, torch.zeros(1, 3, 1, 1))
    describe(network, torch.zeros(1, 3, 4, 4))
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("name", "numbers"),
    # D features, and twice the channels of the last convolution at each resolution above one pixel.
    [
        ("small-resnet", 96 + 2 * (16 + 48 + 96)),
        ("wrn-28-10", 640 + 2 * (160 + 320 + 640)),
        ("mobilenet_v3_small", 1024 + 2 * (16 + 72 + 96 + 288)),
    ],
)
def test_a_description_is_of_every_stage(name: str, numbers: int) -> None:
    network = build_network(name, None, 10, 32).eval()
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        found, description = describe(network, images)
        assert torch.equal(found, network.features(images))
    assert description.shape == (2, numbers)
    assert torch.equal(description[:, : found.shape[1]], found)


def test_a_description_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    # 96 features; stages of 2 * 16, 2 * 48 and 2 * 96 numbers, of which the finest come first.
    network = build_network("small-resnet", None, 10, 32).eval()
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        _, whole = describe(network, images)
        monkeypatch.setattr("curate.model.discriminant.LONGEST", 96 + 2 * (16 + 48))
        _, found = describe(network, images)
        assert torch.equal(found, whole[:, : 96 + 2 * (16 + 48)])
        monkeypatch.setattr("curate.model.discriminant.LONGEST", 96 + 2 * 16 - 1)
        _, found = describe(network, images)
    assert torch.equal(found, whole[:, :96])


def fit(ours: Tensor, theirs: Tensor, *nuisances: Tensor) -> Tensor:
    found = fit_discriminant(ours, theirs, *nuisances)
    assert found is not None
    return found


def test_one_number_by_hand() -> None:
    # Ours have mean 0 and deviation 2; theirs mean 3 and deviation 4; a nuisance moves it by 1.
    ours, theirs = torch.tensor([[-2.0], [2.0]]), torch.tensor([[-1.0], [7.0]])
    within = (1 + 4) / 2 + 50 * 0.25 + 3
    found = fit(ours, theirs, torch.tensor([[1.0], [-1.0]]))
    assert found.tolist() == pytest.approx([1.5 / within / 2])


def shifted(shift: list[float], seed: int) -> Tensor:
    noise = torch.randn(4_000, len(shift), generator=torch.Generator().manual_seed(seed))
    return noise + torch.tensor(shift)


def test_it_points_where_theirs_lie_and_not_where_a_nuisance_leads() -> None:
    ours, theirs = shifted([0, 0, 0], seed=1), shifted([1, 1, 0], seed=2)
    free = fit(ours, theirs)
    assert free[0].item() == pytest.approx(free[1].item(), rel=0.1)
    assert abs(free[2].item()) < 0.1 * free[0].item()
    for nuisances in ([[1.0, 0, 0]], [[0.7, 0, 0], [-1.3, 0, 0]]):
        spared = fit(ours, theirs, torch.tensor(nuisances))
        assert abs(spared[0].item()) < 0.1 * spared[1].item()
        assert spared[1].item() == pytest.approx(free[1].item(), rel=0.2)
    both = fit(ours, theirs, torch.eye(3)[:1], torch.eye(3)[2:])
    one = fit(ours, theirs, torch.eye(3)[:1])
    assert abs(both[2].item()) < abs(one[2].item())


def test_the_unit_of_a_number_does_not_matter() -> None:
    sides = [shifted([0, 0], 1), shifted([1, 0.5], 2), shifted([0, 0.1], 3)]
    unit = torch.tensor([1e-3, 1e3])
    found, other = fit(*sides), fit(*(side * unit for side in sides))
    assert (other * unit).tolist() == pytest.approx(found.tolist(), rel=1e-3)


def test_what_never_moves_among_ours_has_no_weight() -> None:
    ours, theirs = shifted([0, 0], seed=1), shifted([1, 5], seed=2)
    ours[:, 1] = 7.0
    found = fit(ours, theirs)
    assert found[1].item() == 0.0
    assert found[0].item() > 0


def test_fewer_images_than_numbers_are_enough() -> None:
    ours, theirs = shifted([0.0] * 50, seed=1)[:3], shifted([1.0] * 50, seed=2)[:1]
    assert fit(ours, theirs).isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e38])
def test_without_numbers_there_is_none(bad: float) -> None:
    ours, theirs = shifted([0, 0], seed=1), shifted([1, 5], seed=2)
    theirs[3, 1] = bad
    assert fit_discriminant(ours, theirs) is None
    assert fit_discriminant(ours, ours + 1, theirs) is None


def p_value(theirs: Tensor, arrived: Tensor, held_out: Tensor, *nuisances: Tensor) -> float:
    ours, generator = shifted([0.0] * 40, seed=1), torch.Generator().manual_seed(7)
    return chance_p_value(ours, theirs, arrived, held_out, nuisances, generator)


@pytest.mark.parametrize("held_out", [0, 300])
def test_what_was_known_before_says_whether_it_was_chance(held_out: int) -> None:
    arrived = torch.arange(400) % 4 > 0
    unseen = shifted([0.0] * 40, seed=3)[:held_out]
    noise = [
        p_value(shifted([0.0] * 40, seed=seed)[:400], arrived, unseen) for seed in range(10, 110)
    ]
    assert 35 <= sum(p < 0.5 for p in noise) <= 65
    assert sum(p < 0.05 for p in noise) <= 11
    ood = shifted([0.0] * 40, seed=2)[:400]
    ood[arrived] += 0.3
    assert p_value(ood, arrived, unseen) < 1e-6
    away = torch.ones(1, 40)
    assert p_value(ood, arrived, unseen, away) > 0.01


def test_held_out_images_make_little_ood_sure() -> None:
    arrived, ood = torch.arange(400) >= 20, shifted([0.0] * 40, seed=2)[:400]
    ood[arrived] += 0.12
    held_out = shifted([0.0] * 40, seed=3)
    assert p_value(ood, arrived, held_out[:380]) < 0.5 * p_value(ood, arrived, held_out[:0])


def test_without_either_kind_all_may_be_chance() -> None:
    theirs, unseen = shifted([0.0] * 40, seed=2)[:9], shifted([0.0] * 40, seed=3)
    arrived = torch.ones(9, dtype=torch.bool)
    assert p_value(theirs, ~arrived, unseen) == 1.0
    assert p_value(theirs, arrived, unseen[:0]) == 1.0
    assert 0 < p_value(theirs, arrived, unseen) < 1
    assert p_value(theirs[:1], arrived[:1], unseen[:5]) == 1.0
    assert p_value(theirs * math.nan, arrived, unseen) == 1.0


def test_a_score_lies_along_the_weights() -> None:
    network = staged().eval()
    images = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    bank, weights = features(network, images, CPU), torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])
    found = predict(network, images, CPU, 2, Reference(bank, weights))
    along = descriptions(network, images, CPU) @ weights
    assert found.discriminant.tolist() == pytest.approx(along.tolist(), rel=1e-5)
    without = predict(network, images, CPU, 2, Reference(bank))
    assert without.discriminant.isnan().all()
    assert torch.equal(without.knn, found.knn)
    assert torch.equal(without.energy, found.energy)


def test_it_counts_as_much_as_each_of_the_others() -> None:
    network = staged().eval()
    images = torch.randint(0, 256, (40, 3, 4, 4), dtype=torch.uint8)
    bank, weights = features(network, images[:20], CPU), torch.tensor([1.0, 2.0, 3.0, 0.0, 0.0])
    scores = predict(network, images, CPU, 8, Reference(bank, weights))
    standard = standard_of(scores)
    assert list(standard) == ["discrepancy", "energy", "knn", "discriminant"]
    three = {name: pair for name, pair in standard.items() if name != "discriminant"}
    mean, deviation = standard["discriminant"]
    fourth = (scores.discriminant - mean) / deviation
    expected = (3 * combined(scores, three) + fourth) / 4
    assert combined(scores, standard).tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert math.isclose(fourth.std(correction=0).item(), 1, rel_tol=1e-3)
