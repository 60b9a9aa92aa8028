"""ELOC: its loss against a float64 reference, its folds, its score, and its training resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from curate.config import TrainConfig
from curate.errors import UsageError
from curate.model.loss import entropy
from curate.model.split import LabeledSplit
from curate.recipes.pretraining import Course
from examples.paper import eloc
from examples.paper.eloc import (
    confidence,
    eloc_loss,
    eloc_scores,
    fold,
    margin_entropy_loss,
    partition,
    rate,
    train_fold,
)

from .networks import pictures, tiny_network

CPU = torch.device("cpu")
LN4 = np.log(4)


def logits(rows: int, seed: int, scale: float = 3) -> Tensor:
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed)) * scale


def reference_entropy(values: Tensor) -> float:
    exact = values.double().numpy()
    p = np.exp(exact - exact.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return float(-(p * np.log(p)).sum(1).mean())


@pytest.mark.parametrize("seed", range(5))
def test_margin_entropy_loss_in_float64(seed: int) -> None:
    kept, left_out = logits(7, seed, 1), logits(3, seed + 50, 2)
    expected = max(0.4 + reference_entropy(kept) - reference_entropy(left_out), 0)
    assert margin_entropy_loss(kept, left_out).item() == pytest.approx(expected, abs=1e-6)


def test_the_left_out_are_to_be_less_certain_by_the_margin() -> None:
    sure, unsure = torch.eye(4) * 100, torch.zeros(2, 4)
    assert margin_entropy_loss(sure, unsure).item() == 0.0
    assert margin_entropy_loss(unsure, sure).item() == pytest.approx(0.4 + LN4)
    assert margin_entropy_loss(sure, sure).item() == pytest.approx(0.4)


def test_the_loss_is_averaged_over_heads() -> None:
    one, other, out = logits(6, 1), logits(6, 2), logits(3, 3)
    labels = torch.arange(6) % 4
    heads = [
        torch.nn.functional.cross_entropy(head, labels) + 0.2 * margin_entropy_loss(head, out)
        for head in (one, other)
    ]
    got = eloc_loss([one, other], labels, [out, out])
    assert got.item() == pytest.approx(float(sum(heads)) / 2)


def test_every_class_is_left_out_once() -> None:
    parts = partition(10, seed=3)
    assert [len(part) for part in parts] == [2] * 5
    assert sorted(torch.cat(parts).tolist()) == list(range(10))
    assert torch.cat(parts).tolist() != torch.cat(partition(10, seed=4)).tolist()
    assert sorted(len(part) for part in partition(101, seed=0)) == [20, 20, 20, 20, 21]
    with pytest.raises(UsageError, match="4 are too few"):
        partition(4, seed=0)


def labeled(count: int = 60, classes: int = 5) -> LabeledSplit:
    labels = torch.arange(count) % classes
    return LabeledSplit(pictures(count), labels, tuple(map(str, range(count))))


def test_a_fold_renumbers_the_classes_it_keeps() -> None:
    train = labeled(10)
    split = fold(train, torch.tensor([1, 3]), 5)
    assert split.classes == 3
    assert split.kept.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert split.kept.hashes == ("0", "2", "4", "5", "7", "9")
    assert split.left_out.labels.tolist() == [1, 3, 1, 3]
    assert torch.equal(split.left_out.pixels, train.pixels[[1, 3, 6, 8]])


def test_the_confidence_is_the_largest_probability_minus_the_entropy() -> None:
    p = np.array([0.25, 0.75])
    expected = 0.75 + float((p * np.log(p)).sum())
    got = confidence(torch.tensor([[0.0, 1000 * np.log(3)]]))
    assert got.item() == pytest.approx(expected, abs=1e-6)


def test_scores_are_summed_over_classifiers_that_each_move_the_images() -> None:
    networks = [tiny_network(4, seed) for seed in range(3)]
    pixels = pictures(6)
    single = [eloc_scores([network], pixels, CPU) for network in networks]
    assert torch.allclose(eloc_scores(networks, pixels, CPU), sum(single, torch.zeros(6)))
    still = eloc_scores(networks[:1], pixels, CPU, epsilon=0.0)
    assert (single[0] < still).all()


def test_training_makes_the_left_out_uncertain(tmp_path: Path) -> None:
    train = labeled()
    split, network = fold(train, torch.tensor([4]), 5), tiny_network(4).float()
    before = gap(network, split)
    train_fold(network, split, config(epochs=120), tmp_path / "run.progress")
    assert before < 0.1
    assert gap(network, split) > 0.3


def gap(network: torch.nn.Module, split: eloc.Fold) -> float:
    with torch.no_grad():
        ours, theirs = network(split.kept.pixels)[0], network(split.left_out.pixels)[0]
    return float(entropy(theirs).mean() - entropy(ours).mean())


def config(epochs: int) -> TrainConfig:
    return TrainConfig(epochs=epochs, batch_size=16, learning_rate=0.05)


def test_an_interrupted_training_ends_as_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = fold(labeled(), torch.tensor([0, 2]), 5)
    whole, resumed = tiny_network(3).float(), tiny_network(3).float()
    train_fold(whole, split, config(6), tmp_path / "whole.progress")
    real, calls = Course._epoch, []

    def stopping(course: Course, first: int) -> float:
        calls.append(first // course.updates)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(course, first)

    monkeypatch.setattr(Course, "_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_fold(tiny_network(3).float(), split, config(6), tmp_path / "run.progress")
    train_fold(resumed, split, config(6), tmp_path / "run.progress")
    assert calls == [0, 1, 2, 3, 3, 4, 5]
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_published_rate_falls_in_a_line() -> None:
    paper = TrainConfig(schedule="paper")
    found = [rate(step, 101, paper) for step in (0, 50, 100)]
    assert found == pytest.approx([0.1, 0.05005, 0.0001])
