"""Interrupted training goes on as if it had not been interrupted, or starts anew."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from curate.errors import StorageError
from curate.model.network import TwoHeadNetwork
from curate.model.progress import load_progress, save_progress

State = dict[str, Tensor]


def fresh(seed: int) -> tuple[nn.Module, torch.optim.SGD]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    return network, torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=5e-4)


def train(network: nn.Module, optimizer: torch.optim.SGD, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(6, 3, 4, 4, generator=generator)
        labels = torch.randint(0, 2, (6,), generator=generator)
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (1 + step)
        optimizer.zero_grad()
        torch.autograd.backward([nn.functional.cross_entropy(network(images), labels)])
        optimizer.step()


def copied(network: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: State, two: State) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def saved(path: Path) -> State:
    network, optimizer = fresh(0)
    train(network, optimizer, range(3))
    save_progress(path, network, optimizer, {"step": 3}, "run")
    return copied(network)


@pytest.mark.parametrize("stop", [0, 1, 5, 9])
def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(stop: int, tmp_path: Path) -> None:
    path = tmp_path / "progress.safetensors"
    network, optimizer = fresh(0)
    train(network, optimizer, range(10))
    stopped, its_optimizer = fresh(0)
    train(stopped, its_optimizer, range(stop))
    save_progress(path, stopped, its_optimizer, {"step": stop, "losses": [0.5]}, "run")

    resumed, new_optimizer = fresh(99)
    train(resumed, new_optimizer, range(50, 52))
    facts = load_progress(path, resumed, new_optimizer, "run")
    assert facts == {"step": stop, "losses": [0.5]}
    assert same(copied(resumed), copied(stopped))
    train(resumed, new_optimizer, range(stop, 10))
    assert same(copied(resumed), copied(network))


def test_saving_changes_neither_network_nor_optimizer(tmp_path: Path) -> None:
    network, optimizer = fresh(0)
    save_progress(tmp_path / "p", network, optimizer, {}, "run")
    assert len(optimizer.state) == 0
    train(network, optimizer, range(2))
    other, its_optimizer = fresh(0)
    train(other, its_optimizer, range(2))
    assert same(copied(network), copied(other))


def test_frozen_parameters_have_no_momentum(tmp_path: Path, tiny: TwoHeadNetwork) -> None:
    heads = [*tiny.head_1.parameters(), *tiny.head_2.parameters()]
    optimizer = torch.optim.SGD(heads, 0.1, 0.9)
    torch.autograd.backward([tiny.logits(torch.ones(1, 3))[0].sum()])
    optimizer.step()
    save_progress(tmp_path / "p", tiny, optimizer, {"step": 1}, "run")
    before = [optimizer.state[tiny.head_1.weight]["momentum_buffer"].clone()]
    optimizer.state.clear()
    assert load_progress(tmp_path / "p", tiny, optimizer, "run") == {"step": 1}
    assert torch.equal(optimizer.state[tiny.head_1.weight]["momentum_buffer"], before[0])
    assert tiny.backbone.get_parameter("norm.weight") not in optimizer.state
    assert tiny.head_2.weight not in optimizer.state


def test_a_missing_file_or_another_run_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "p"
    network, optimizer = fresh(7)
    before = copied(network)
    assert load_progress(path, network, optimizer, "run") is None
    saved(path)
    assert load_progress(path, network, optimizer, "another run") is None
    assert same(copied(network), before)
    assert len(optimizer.state) == 0


@pytest.mark.parametrize("version", ["curate.model.progress.__version__", "torch.__version__"])
def test_another_version_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    saved(tmp_path / "p")
    network, optimizer = fresh(7)
    before = copied(network)
    with monkeypatch.context() as patch:
        patch.setattr(version, "0.0.1")
        assert load_progress(tmp_path / "p", network, optimizer, "run") is None
    assert same(copied(network), before)
    assert load_progress(tmp_path / "p", network, optimizer, "run") == {"step": 3}


def test_damaged_files_start_anew(tmp_path: Path) -> None:
    path = tmp_path / "p"
    kept = saved(path)
    whole = path.read_bytes()
    network, optimizer = fresh(7)
    before = copied(network)
    chance = random.Random(0)
    for _ in range(200):
        place = chance.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        found = load_progress(path, network, optimizer, "run")
        assert found is None or same(copied(network), kept)
        assert found is not None or same(copied(network), before)
    for cut in (0, 5, 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert load_progress(path, network, optimizer, "run") is None


def test_another_network_starts_anew(tmp_path: Path, tiny: TwoHeadNetwork) -> None:
    saved(tmp_path / "p")
    before = copied(tiny)
    optimizer = torch.optim.SGD(tiny.parameters(), 0.1, 0.9)
    assert load_progress(tmp_path / "p", tiny, optimizer, "run") is None
    assert same(copied(tiny), before)


def test_a_failed_save_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "p")
    before = (tmp_path / "p").read_bytes()
    network, optimizer = fresh(1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        save_progress(tmp_path / "p", network, optimizer, {}, "run")
    assert os.listdir(tmp_path) == ["p"]
    assert (tmp_path / "p").read_bytes() == before
