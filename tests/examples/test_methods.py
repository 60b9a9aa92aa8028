"""The methods of one forward pass against pytorch-ood, and what is kept on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pytorch_ood.detector import KNN, EnergyBased, MaxSoftmax
from torch import Tensor

from curate.model.inference import features, predict
from curate.model.loss import entropy
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference
from curate.model.split import LabeledSplit
from examples.paper.methods import Laboratory, mean_discrepancy, pretraining, recipe_of
from examples.paper.protocol import Bench, Case

from .networks import pictures, tiny_network
from .test_protocol import SETTINGS

CPU = torch.device("cpu")


@pytest.fixture
def network() -> TwoHeadNetwork:
    return tiny_network().float()


def both(network: TwoHeadNetwork, pixels: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        one, other = network(pixels)
    return one, other


def test_msp_is_pytorch_oods_of_the_mean_softmax(network: TwoHeadNetwork) -> None:
    one, other = both(network, pictures(50))
    expected = 1 + MaxSoftmax.score(((one.softmax(1) + other.softmax(1)) / 2).log())
    assert torch.allclose(predict(network, pictures(50), CPU).msp, expected, atol=1e-6)


def test_energy_is_pytorch_oods_of_the_mean_logits(network: TwoHeadNetwork) -> None:
    one, other = both(network, pictures(50))
    expected = EnergyBased.score((one + other) / 2)
    assert torch.allclose(predict(network, pictures(50), CPU).energy, expected, atol=1e-6)


def test_knn_is_pytorch_oods_with_ten_neighbours(network: TwoHeadNetwork) -> None:
    bank = features(network, pictures(80, seed=2), CPU)
    oracle = KNN(None, k=10).fit_features(bank, torch.zeros(80, dtype=torch.long))
    expected = oracle.predict_features(features(network, pictures(50), CPU)).float()
    found = predict(network, pictures(50), CPU, reference=Reference(bank)).knn
    assert torch.allclose(found, expected, atol=1e-5)


def test_the_mean_discrepancy_is_that_of_eq_1(network: TwoHeadNetwork) -> None:
    one, other = both(network, pictures(300))
    expected = float((entropy(one) - entropy(other)).mean())
    assert mean_discrepancy(network, pictures(300), CPU) == pytest.approx(expected, abs=1e-6)


def test_the_schedules_are_the_papers_and_a_short_one() -> None:
    paper = pretraining(replace(SETTINGS, schedule="paper", epochs=None, backbone="wrn-28-10"))
    assert (paper.epochs, paper.schedule, paper.learning_rate) == (200, "paper", 0.1)
    fast = pretraining(replace(SETTINGS, epochs=None))
    assert (fast.epochs, fast.schedule) == (30, "one-cycle")
    assert pretraining(replace(SETTINGS, epochs=3)).epochs == 3


def test_ours_is_the_papers_recipe() -> None:
    recipe = recipe_of(replace(SETTINGS, finetune_epochs=10))
    assert (recipe.epochs, recipe.margin, recipe.learning_rate, recipe.detach) == (
        10,
        1.2,
        0.1,
        False,
    )


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    labels = torch.arange(40) % 5
    split = LabeledSplit(pictures(40), labels, tuple(map(str, range(40))))
    oods = {"far": pictures(30, seed=3), "near": pictures(30, seed=4)}
    bench = Bench(
        split, 5, split.part(slice(10)), split, pictures(30, seed=5), oods["far"], oods, oods
    )
    settings = replace(SETTINGS, size=4, ood_specs={"far": "f", "near": "n"})
    return Laboratory(bench, settings, CPU, tmp_path, lambda _: None)


def kept(laboratory: Laboratory) -> set[str]:
    return {file.name for file in laboratory.work.iterdir()}


def test_a_network_is_trained_once_and_again_when_its_file_is_damaged(
    laboratory: Laboratory,
) -> None:
    case = Case(2, "frozen", ("far",), ("far",))
    pixels = pictures(20, seed=9)
    first = laboratory.detector(case).score(pixels)
    (file,) = laboratory.work.iterdir()
    written = file.stat().st_mtime_ns
    assert torch.equal(laboratory.detector(case).score(pixels), first)
    assert file.stat().st_mtime_ns == written
    file.write_bytes(file.read_bytes()[:-100])
    assert torch.equal(laboratory.detector(case).score(pixels), first)
    assert file.stat().st_mtime_ns != written


def test_networks_are_shared_by_the_rows_that_can(laboratory: Laboratory) -> None:
    laboratory.detector(Case(4, "ours", ("far",), ("near",)))
    before = kept(laboratory)
    laboratory.detector(Case(2, "ours", ("far",), ("far",)))
    assert kept(laboratory) == before
    laboratory.detector(Case(2, "ours", ("near",), ("near",)))
    assert len(kept(laboratory)) == len(before) + 1
    slower = replace(laboratory, settings=replace(laboratory.settings, learning_rate=0.01))
    slower.detector(Case(2, "ours", ("far",), ("far",)))
    assert len([name for name in kept(laboratory) if name.startswith("pretrained")]) == 1
    assert len([name for name in kept(laboratory) if name.startswith("finetuned")]) == 3


def test_fine_tuning_leaves_the_pretrained_network_alone(laboratory: Laboratory) -> None:
    frozen, pixels = Case(2, "frozen", ("far",), ("far",)), pictures(20, seed=9)
    before = laboratory.detector(frozen).score(pixels)
    tuned = laboratory.detector(Case(2, "ours", ("far",), ("far",))).score(pixels)
    assert torch.equal(laboratory.detector(frozen).score(pixels), before)
    assert not torch.allclose(tuned, before)
