"""Checkpoints: what was saved comes back, anything else is refused before it is used."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor

from curate.errors import CheckpointRefused
from curate.model.backbones import build_backbone
from curate.model.checkpoint import Checkpoint, Draft, load, read_manifest, save
from curate.model.inference import predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference, combined

CREATED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
REFERENCE = Reference(torch.arange(12.0).view(4, 3))
DRAFT = Draft(
    kind="finetuned",
    backbone="tiny",
    image_size=32,
    classes=("bread", "soup"),
    parent="a" * 64,
    snapshot="b" * 64,
    recipe="guarded",
    calibration={"held_out": (0.1, 1 / 3, 0.7), "canary": (0.2,)},
    standard={"discrepancy": (-4.5, 1 / 3), "energy": (-7.25, 2.0), "knn": (0.5, 0.1)},
    pool=frozenset({"c" * 64, "d" * 64}),
    figures={"accuracy": 0.91, "reason": None},
)


@pytest.fixture
def made(tmp_path: Path, tiny: TwoHeadNetwork) -> Checkpoint:
    return save(tmp_path, tiny, REFERENCE, DRAFT, CREATED)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def forged(
    tmp_path: Path,
    made: Checkpoint,
    change_tensors: Callable[[dict[str, Tensor]], object] = lambda _: None,
    change_facts: Callable[[dict[str, Any]], object] = lambda _: None,
) -> Path:
    """A checkpoint with other content whose hashes are all right."""
    tensors = load_file(tmp_path / made.id / "model.safetensors")
    facts = json.loads((tmp_path / made.id / "checkpoint.json").read_bytes())
    change_tensors(tensors)
    change_facts(facts)
    manifest = json.dumps(facts).encode()
    return written(tmp_path, serialise(tensors, {"checkpoint.json": digest(manifest)}), manifest)


def written(tmp_path: Path, weights: bytes, manifest: bytes) -> Path:
    path = tmp_path / digest(weights)
    path.mkdir()
    (path / "model.safetensors").write_bytes(weights)
    (path / "checkpoint.json").write_bytes(manifest)
    return path


def test_what_is_saved_comes_back(
    tmp_path: Path, tiny: TwoHeadNetwork, pixels: Tensor, made: Checkpoint
) -> None:
    again, network, reference = load(tmp_path / made.id)
    assert again == made == Checkpoint(id=made.id, created=CREATED, **vars(DRAFT))
    assert torch.equal(reference.bank, REFERENCE.bank)
    assert not network.training
    for name, tensor in tiny.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)
    cpu = torch.device("cpu")
    here, there = (
        predict(tiny, pixels, cpu, reference=REFERENCE),
        predict(network, pixels, cpu, reference=reference),
    )
    for name, found in asdict(here).items():
        assert torch.equal(found.nan_to_num(-1), asdict(there)[name].nan_to_num(-1))


def test_a_checkpoint_tags_as_it_did_before_it_was_saved(
    tmp_path: Path, tiny: TwoHeadNetwork, pixels: Tensor, made: Checkpoint
) -> None:
    found = predict(tiny, pixels, torch.device("cpu"), reference=REFERENCE)
    for read in (read_manifest(tmp_path / made.id), load(tmp_path / made.id)[0]):
        assert read.standard == DRAFT.standard
        assert torch.equal(read.score(found), combined(found, DRAFT.standard))
    plain = save(tmp_path, tiny, REFERENCE, replace(DRAFT, standard={}), CREATED)
    assert plain.id != made.id
    read = read_manifest(tmp_path / plain.id)
    assert read.standard == {}
    assert torch.equal(read.score(found), found.discrepancy)


def learned(tmp_path: Path, tiny: TwoHeadNetwork) -> Checkpoint:
    """A checkpoint with a discriminant; the tiny network's descriptions are its three features."""
    draft = replace(DRAFT, standard={**DRAFT.standard, "discriminant": (0.5, 2.0)})
    reference = replace(REFERENCE, discriminant=torch.tensor([1.0, -2.0, 0.5]))
    return save(tmp_path, tiny, reference, draft, CREATED)


def test_a_discriminant_comes_back(tmp_path: Path, tiny: TwoHeadNetwork) -> None:
    made, pixels = learned(tmp_path, tiny), torch.rand(500, 3, 4, 4)
    read, network, reference = load(tmp_path / made.id)
    assert reference.discriminant is not None
    assert reference.discriminant.tolist() == [1.0, -2.0, 0.5]
    found = predict(network, pixels, torch.device("cpu"), reference=reference)
    in_memory = {**DRAFT.standard, "discriminant": (0.5, 2.0)}
    assert torch.equal(read.score(found), combined(found, in_memory))


def test_a_discriminant_that_does_not_fit_is_refused(tmp_path: Path, tiny: TwoHeadNetwork) -> None:
    made = learned(tmp_path, tiny)
    changes: dict[str, Callable[[dict[str, Tensor]], object]] = {
        r"'discriminant' is \(4,\)": lambda t: t.update(discriminant=torch.zeros(4)),
        "'discriminant' is missing": lambda t: t.pop("discriminant"),
        "no number": lambda t: t["discriminant"].fill_(float("nan")),
    }
    for reason, change in changes.items():
        with pytest.raises(CheckpointRefused, match=reason):
            load(forged(tmp_path, made, change_tensors=change))
    plain = save(tmp_path, tiny, REFERENCE, DRAFT, CREATED)
    with pytest.raises(CheckpointRefused, match="'discriminant' is one too many"):
        load(forged(tmp_path, plain, lambda t: t.update(discriminant=torch.zeros(3))))


@pytest.mark.parametrize("size", [1_000_000, 0])
def test_no_image_size_costs_memory_or_ends_in_a_traceback(size: int, tmp_path: Path) -> None:
    backbone, features = build_backbone("small-resnet", None)
    network = TwoHeadNetwork(backbone, features, 2, (0.5,) * 3, (0.2,) * 3)
    standard = {**DRAFT.standard, "discriminant": (0.5, 2.0)}
    draft = replace(DRAFT, backbone="small-resnet", standard=standard, image_size=size)
    reference = Reference(torch.zeros(5, features), torch.zeros(7))
    made = save(tmp_path, network, reference, draft, CREATED)
    expected = "for images of 0 pixels" if size == 0 else r"'discriminant' is \(7,\)"
    with pytest.raises(CheckpointRefused, match=expected):
        load(tmp_path / made.id)


def test_the_id_is_the_hash_of_the_weights_and_covers_the_manifest(
    tmp_path: Path, tiny: TwoHeadNetwork, made: Checkpoint
) -> None:
    assert made.id == digest((tmp_path / made.id / "model.safetensors").read_bytes())
    other = save(tmp_path, tiny, REFERENCE, replace(DRAFT, recipe="paper"), CREATED)
    assert other.id != made.id
    assert sorted(os.listdir(tmp_path)) == sorted([made.id, other.id])


def test_the_manifest_is_read_without_the_weights(tmp_path: Path, made: Checkpoint) -> None:
    path = tmp_path / made.id / "model.safetensors"
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    path.write_bytes(path.read_bytes()[:header])
    assert read_manifest(tmp_path / made.id) == made
    with pytest.raises(CheckpointRefused):
        load(tmp_path / made.id)


@pytest.mark.parametrize("name", ["small-resnet", "mnasnet0_5"])
def test_networks_in_training_mode_and_other_layouts_are_kept_too(
    name: str, tmp_path: Path
) -> None:
    backbone, features = build_backbone(name, None)
    network = TwoHeadNetwork(backbone, features, 3, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    network.train().to(memory_format=torch.channels_last)
    draft = replace(DRAFT, backbone=name, classes=("a", "b", "c"))
    made = save(tmp_path / "new", network, Reference(torch.zeros(5, features)), draft, CREATED)
    loaded = load(tmp_path / "new" / made.id)[1].state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in network.state_dict().items())
    assert loaded["mean"].flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_saving_twice_is_saving_once(
    tmp_path: Path, tiny: TwoHeadNetwork, made: Checkpoint
) -> None:
    before = (tmp_path / made.id / "model.safetensors").stat().st_mtime_ns
    assert save(tmp_path, tiny, REFERENCE, DRAFT, CREATED) == made
    assert os.listdir(tmp_path) == [made.id]
    assert (tmp_path / made.id / "model.safetensors").stat().st_mtime_ns == before


def test_saving_again_mends_a_damaged_one(
    tmp_path: Path, tiny: TwoHeadNetwork, made: Checkpoint
) -> None:
    (tmp_path / made.id / "checkpoint.json").write_bytes(b"{}")
    save(tmp_path, tiny, REFERENCE, DRAFT, CREATED)
    assert load(tmp_path / made.id)[0] == made


def test_every_flipped_bit_is_found(tmp_path: Path, made: Checkpoint) -> None:
    chance = random.Random(0)
    for number in range(200):
        name = ("model.safetensors", "checkpoint.json")[number % 2]
        path = tmp_path / made.id / name
        whole = path.read_bytes()
        place = chance.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(CheckpointRefused, match=r"refused: .*is not what it was"):
            load(tmp_path / made.id)
        path.write_bytes(whole)
    assert load(tmp_path / made.id)[0] == made


def test_flips_in_manifest_or_header_are_found_without_the_weights(
    tmp_path: Path, made: Checkpoint
) -> None:
    chance = random.Random(0)
    path = tmp_path / made.id / "checkpoint.json"
    whole = path.read_bytes()
    for _ in range(50):
        place = chance.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(CheckpointRefused):
            read_manifest(tmp_path / made.id)


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("kept", [0, 7, 8, 50, -1])
def test_truncated_files_are_refused(
    tmp_path: Path, made: Checkpoint, name: str, kept: int
) -> None:
    path = tmp_path / made.id / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointRefused):
        load(tmp_path / made.id)


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.json"])
def test_missing_files_are_refused(tmp_path: Path, made: Checkpoint, name: str) -> None:
    (tmp_path / made.id / name).unlink()
    for read in (load, read_manifest):
        with pytest.raises(CheckpointRefused, match=f"{name}: No such file"):
            read(tmp_path / made.id)


def test_a_missing_checkpoint_and_a_renamed_one_are_refused(
    tmp_path: Path, made: Checkpoint
) -> None:
    with pytest.raises(CheckpointRefused, match="No such file"):
        load(tmp_path / ("0" * 64))
    shutil.copytree(tmp_path / made.id, tmp_path / ("0" * 64))
    with pytest.raises(CheckpointRefused) as caught:
        load(tmp_path / ("0" * 64))
    assert caught.value.exit_code == 7


class Bomb:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_is_refused_and_not_executed(
    kind: str, tmp_path: Path, made: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if kind == "pickle":
        (tmp_path / "bad").write_bytes(pickle.dumps(Bomb()))
    else:
        torch.save(Bomb(), tmp_path / "bad")
    manifest = (tmp_path / made.id / "checkpoint.json").read_bytes()
    path = written(tmp_path, (tmp_path / "bad").read_bytes(), manifest)
    with pytest.raises(CheckpointRefused, match="not a whole safetensors file"):
        load(path)
    assert not (tmp_path / "exploded").exists()


def test_right_hashes_do_not_help_wrong_tensors(tmp_path: Path, made: Checkpoint) -> None:
    changes: dict[str, Callable[[dict[str, Tensor]], object]] = {
        "'extra' is one too many": lambda t: t.update(extra=torch.zeros(1)),
        "'head_2.bias' is missing": lambda t: t.pop("head_2.bias"),
        r"'head_1.weight' is \(2, 4\)": lambda t: t.update({"head_1.weight": torch.zeros(2, 4)}),
        "float16, where": lambda t: t.update({"head_1.bias": torch.zeros(2).half()}),
        r"'bank' is \(4, 5\)": lambda t: t.update(bank=torch.zeros(4, 5)),
        "'bank' is missing": lambda t: t.pop("bank"),
        r"'bank' is \(\)": lambda t: t.update(bank=torch.tensor(1.0)),
    }
    for reason, change in changes.items():
        with pytest.raises(CheckpointRefused, match=reason):
            load(forged(tmp_path, made, change_tensors=change))


def test_right_hashes_do_not_help_a_wrong_manifest(tmp_path: Path, made: Checkpoint) -> None:
    changes: dict[str, Callable[[dict[str, Any]], object]] = {
        r"'head_1.weight' is \(2, 3\)": lambda f: f.update(classes=["bread", "soup", "tea"]),
        "no backbone is called 'resnet1'": lambda f: f.update(backbone="resnet1"),
        r"where \(4, 1280\)": lambda f: f.update(backbone="mnasnet0_5"),
        "format 99, this curate knows 1": lambda f: f.update(format=99),
        "cannot be read": lambda f: f.pop("calibration"),
        "cannot be read .*'standard'": lambda f: f.pop("standard"),
        "a standard of label": lambda f: f.update(standard={"label": [0, 1]}),
        "a standard that is no number": lambda f: f["standard"].update(knn=[0, 0]),
        "cannot be read .*unpack": lambda f: f["standard"].update(knn=[0]),
        "cannot be read .*unexpected": lambda f: f.update(surprise=1),
    }
    for reason, change in changes.items():
        with pytest.raises(CheckpointRefused, match=reason):
            load(forged(tmp_path, made, change_facts=change))
