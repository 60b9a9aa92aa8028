"""ODIN: by hand, by finite differences, and against pytorch-ood where both mean the same."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_ood.detector import ODIN
from torch import Tensor

from examples.paper.eloc import eloc_scores
from examples.paper.odin import EPSILONS, choose_epsilon, direction, max_softmax, odin_scores

from .networks import MEAN, STD, pictures, tiny_network

CPU = torch.device("cpu")


def test_the_temperature_is_a_thousand() -> None:
    logits = torch.tensor([[0.0, 1000 * math.log(3)], [5.0, 5.0]])
    assert max_softmax(logits).tolist() == pytest.approx([0.75, 0.5], abs=1e-6)
    assert max_softmax(logits).dtype == torch.float64


def test_the_step_goes_where_both_heads_are_surer() -> None:
    network, images = tiny_network(), pictures(3).double() / 255
    signs = direction(network, images)
    slope = torch.zeros_like(images).flatten()
    for place in range(slope.numel()):
        tip = torch.zeros_like(slope)
        tip[place] = 1e-5
        step = tip.view_as(images)
        slope[place] = surety(network, images + step) - surety(network, images - step)
    assert torch.equal(signs, slope.sign().view_as(images))
    assert surety(network, images + 0.01 * signs) > surety(network, images)


def surety(network: torch.nn.Module, images: Tensor) -> Tensor:
    """Sum over images of the mean over heads of log S, the quantity that a step raises."""
    heads = [(logits / 1000).softmax(1).amax(1).log() for logits in network(images)]
    return torch.stack(heads).mean(0).sum()


@pytest.mark.parametrize("epsilon", [0.0, 0.0014, 0.004])
def test_one_head_is_scored_as_by_pytorch_ood(epsilon: float) -> None:
    network, pixels = tiny_network(alike=True), pictures(450)
    oracle = ODIN(lambda x: network(x)[0], eps=epsilon, temperature=1000.0)
    expected = oracle.predict(pixels / 255)
    assert torch.allclose(odin_scores(network, pixels, CPU, epsilon), expected, rtol=0, atol=1e-12)


def test_a_step_in_pixels_is_odins_step_on_normalised_images() -> None:
    network, pixels = tiny_network(alike=True), pictures(20)

    def of_normalised(images: Tensor) -> Tensor:
        logits: Tensor = network.head_1(network.backbone(images))
        return logits

    oracle = ODIN(of_normalised, eps=0.002, temperature=1000.0, norm_std=list(STD))
    mean, std = (torch.tensor(values).double().view(3, 1, 1) for values in (MEAN, STD))
    expected = oracle.predict((pixels.double() / 255 - mean) / std)
    assert torch.allclose(odin_scores(network, pixels, CPU, 0.002), expected, rtol=0, atol=1e-9)


def test_the_score_is_the_mean_of_both_heads() -> None:
    network, pixels = tiny_network(), pictures(5)
    images = pixels / 255
    one, other = network(images + 0.002 * direction(network, images))
    expected = -((one / 1000).softmax(1).amax(1) + (other / 1000).softmax(1).amax(1)) / 2
    assert torch.allclose(odin_scores(network, pixels, CPU, 0.002), expected, atol=1e-12)


def test_parameters_collect_no_gradient() -> None:
    network = tiny_network()
    odin_scores(network, pictures(3), CPU, 0.002)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_step_is_the_one_after_which_id_images_are_surest() -> None:
    network, pixels = tiny_network(), pictures(450)
    steps = (0.0, 0.03, 0.3, 3.0, 30.0)
    surest = [odin_scores(network, pixels, CPU, step).mean().item() for step in steps]
    best = surest.index(min(surest))
    assert 0 < best < 4
    assert choose_epsilon(network, pixels, CPU, steps) == steps[best]


@pytest.mark.parametrize("allowed", [True, False])
def test_convolutions_are_in_full_precision_while_scores_are_made(
    monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    cudnn, network, seen = torch.backends.cudnn, tiny_network(), []
    monkeypatch.setattr(cudnn, "allow_tf32", allowed)
    network.register_forward_hook(lambda *_: seen.append(cudnn.allow_tf32))
    network.head_1.register_full_backward_hook(lambda *_: seen.append(cudnn.allow_tf32))
    # Forward, backward and forward again for the scores; a step's search has 21 to try.
    for made, make in (
        (3, lambda: odin_scores(network, pictures(3), CPU, 0.002)),
        (3, lambda: eloc_scores([network], pictures(3), CPU)),
        (23, lambda: choose_epsilon(network, pictures(3), CPU)),
    ):
        seen.clear()
        make()
        assert seen == [False] * made
        assert cudnn.allow_tf32 == allowed


def test_the_setting_of_convolutions_comes_back_after_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with pytest.raises(RuntimeError):
        odin_scores(tiny_network(), pictures(3)[..., 1:], CPU, 0.002)
    assert torch.backends.cudnn.allow_tf32


def test_odin_searched_21_steps_up_to_0_004() -> None:
    assert len(EPSILONS) == 21
    assert EPSILONS[0] == 0
    assert EPSILONS[-1] == pytest.approx(0.004)
