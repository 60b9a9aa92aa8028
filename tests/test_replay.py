"""Replayed updates do what the same updates do one by one; on CUDA as a captured graph."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from curate.config import GuardedRecipe, PaperRecipe, TrainConfig
from curate.model.backbones import build_network
from curate.model.candidates import Candidates
from curate.model.device import memory_format
from curate.model.network import TwoHeadNetwork
from curate.model.split import LabeledSplit
from curate.recipes.memory import in_memory
from curate.recipes.pretraining import Epoch, pretrain
from curate.recipes.replay import WARM_UP, Replayed, set_rate, sgd
from curate.recipes.runs import Run, Update, run_guarded, run_paper
from curate.recipes.steps import step_a

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
CONFIG = TrainConfig(batch_size=16, learning_rate=0.05, epochs=3, compressed=0.0)


def network(device: torch.device, backbone: str = "small-resnet") -> TwoHeadNetwork:
    torch.manual_seed(0)
    made = build_network(backbone, None, 5, 32)
    return made.to(device).to(memory_format=memory_format(device))


def labeled(count: int = 96) -> LabeledSplit:
    """Noise that is brighter for later classes."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % 5
    noise = torch.randint(0, 100, (count, 3, 32, 32), generator=generator)
    pixels = (noise + 30 * labels[:, None, None, None]).to(torch.uint8)
    return LabeledSplit(pixels, labels, tuple(map(str, range(count))))


def test_elsewhere_every_update_runs_as_it_is() -> None:
    seen: list[Tensor] = []

    def update(value: Tensor) -> Tensor:
        seen.append(value)
        return 2 * value

    replayed = Replayed(update, CPU)
    assert [float(replayed(torch.tensor(float(n)))) for n in range(9)] == [
        2.0 * n for n in range(9)
    ]
    assert len(seen) == 9


def test_a_rate_is_set_for_the_next_updates() -> None:
    weight = torch.nn.Linear(1, 1, bias=False)
    optimizer = sgd(weight, PaperRecipe(learning_rate=0.5, momentum=0.0, weight_decay=0.0))
    before = weight.weight.item()
    set_rate(optimizer, 0.25)
    torch.autograd.backward(weight(torch.ones(1, 1)).sum())
    optimizer.step()
    assert weight.weight.item() == pytest.approx(before - 0.25)


@needs_cuda
def test_a_captured_update_learns_as_one_that_is_launched_each_time() -> None:
    split, rates = labeled(), [0.05, 0.05, 0.04, 0.04, 0.03, 0.03, 0.0, 0.02, 0.01, 0.01]
    found = []
    for captured in (False, True):
        net = network(CUDA)
        optimizer = sgd(net, CONFIG, nesterov=True)
        net.train()
        step = Replayed(partial(step_a, net, optimizer), CUDA if captured else CPU)
        losses = []
        for number, rate in enumerate(rates):
            rows = (torch.arange(16) + 16 * number) % 96
            set_rate(optimizer, rate)
            losses.append(step(split.pixels[rows].to(CUDA), split.labels[rows].to(CUDA)))
        found.append(torch.stack(losses).tolist())
    assert len(rates) > WARM_UP + 3
    assert found[1] == pytest.approx(found[0], abs=0.05)
    assert max(found[1]) - min(found[1]) > 0.5


@needs_cuda
def test_a_network_is_trained_alike_on_both_devices(tmp_path: Path) -> None:
    found = {}
    for device in (CPU, CUDA):
        epochs: list[Epoch] = []
        net = network(device)
        pretrain(net, labeled(), labeled(), CONFIG, tmp_path / f"{device}.progress", epochs.append)
        found[device] = [epoch.loss for epoch in epochs]
        assert len(epochs) == 3
        assert epochs[-1].loss < epochs[0].loss
    assert found[CUDA] == pytest.approx(found[CPU], abs=0.1)


@needs_cuda
@pytest.mark.parametrize("guarded", [False, True])
def test_fine_tunes_are_alike_on_both_devices(tmp_path: Path, guarded: bool) -> None:
    found = {}
    for device in (CPU, CUDA):
        updates: list[Update] = []
        split, inbox = labeled(), labeled(60).pixels.flip(2)
        run = Run(split, inbox, 7, tmp_path / f"{device}.safetensors", updates.append)
        net = network(device)
        if guarded:
            some = Candidates(torch.arange(0, 96, 2), torch.arange(60), 0.2, 0.0)
            short = GuardedRecipe(min_updates=12, max_updates=12, batch_size=8, compressed=0.0)
            run_guarded(net, short, some, run)
        else:
            run_paper(net, PaperRecipe(epochs=2, batch_size=16, learning_rate=0.01), run)
        found[device] = [(u.supervised, u.unsupervised) for u in updates]
    assert len(found[CUDA]) == 12
    for here, there in zip(found[CPU], found[CUDA], strict=True):
        assert there == pytest.approx(here, abs=0.15)


@contextmanager
def room_of(size: int) -> Iterator[None]:
    """No more than so many bytes of the GPU are free, as where other programs hold the rest."""
    torch.cuda.empty_cache()
    held = torch.empty(torch.cuda.mem_get_info()[0] - size, dtype=torch.uint8, device=CUDA)
    try:
        yield
    finally:
        del held
        torch.cuda.empty_cache()


def six_updates(size: int) -> tuple[list[float], int]:
    """Losses of updates of a wide network on batches of `size` images, and how many ran as such."""
    net = network(CUDA, "wrn-28-10")
    optimizer = sgd(net, CONFIG)
    launched = []

    def update(pixels: Tensor, labels: Tensor) -> Tensor:
        launched.append(1)
        return step_a(net, optimizer, pixels, labels)

    step, split = Replayed(update, CUDA), labeled(size)
    pixels, labels = split.pixels.to(CUDA), split.labels.to(CUDA)
    return [float(step(pixels, labels)) for _ in range(6)], len(launched)


@needs_cuda
def test_batches_without_room_are_halved_until_they_fit() -> None:
    with room_of(3 * 2**29):
        losses, figures = in_memory(lambda size: six_updates(size)[0], 256)
    assert all(map(math.isfinite, losses))
    assert figures["batch_size"] in (8, 16, 32, 64, 128)


@needs_cuda
def test_without_room_for_a_capture_updates_are_launched_and_learn_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected, before = six_updates(16)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (2**20, 2**37))
    losses, launched = six_updates(16)
    assert (before, launched) == (WARM_UP + 1, 6)
    assert losses == pytest.approx(expected, abs=0.05)
