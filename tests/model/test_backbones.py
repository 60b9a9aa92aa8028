"""Backbones: sizes as published, every torchvision name, weights from files and from the net."""

from __future__ import annotations

import re
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models import regnet

from curate.errors import CurateError, UsageError
from curate.model.backbones import (
    backbone_names,
    build_backbone,
    build_network,
    default_epochs,
    normalisation,
)
from curate.model.cifar import DenseNet, SmallResNet, WideResNet
from curate.model.network import TwoHeadNetwork

IMAGENET_MEAN = (0.485, 0.456, 0.406)
SIZES = {"vit": 224, "maxvit": 224, "inception": 75}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def with_heads(name: str, classes: int = 7, image_size: int = 64) -> TwoHeadNetwork:
    return build_network(name, None, classes, image_size)


@pytest.mark.parametrize(
    ("kind", "with_one_head"),
    [(DenseNet, 769_162), (WideResNet, 36_479_194), (SmallResNet, 371_088 + 970)],
)
def test_parameter_counts_with_one_head_of_ten_classes(
    kind: type[DenseNet | WideResNet | SmallResNet], with_one_head: int
) -> None:
    with torch.device("meta"):
        network = kind()
    assert parameters(network) + 10 * (network.features + 1) == with_one_head


@pytest.mark.parametrize("name", ["small-resnet", "densenet-bc-100-12"])
@pytest.mark.parametrize("size", [32, 64])
def test_own_networks_take_any_image_size(name: str, size: int) -> None:
    network = with_heads(name).eval()
    one, two = network(torch.zeros(2, 3, size, size, dtype=torch.uint8))
    assert one.shape == two.shape == (2, 7)
    assert torch.isfinite(one).all()


def test_the_small_network_halves_large_images_only() -> None:
    shapes: list[torch.Size] = []
    network = SmallResNet().eval()
    network.blocks.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))
    for size in (32, 48, 64):
        network(torch.zeros(1, 3, size, size))
    assert [shape[-1] for shape in shapes] == [32, 48, 32]


@pytest.mark.parametrize("name", ["small-resnet", "densenet-bc-100-12"])
def test_own_networks_learn_what_they_see(name: str) -> None:
    torch.manual_seed(0)
    network = with_heads(name, 2, 32)
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    pixels = torch.rand(8, 3, 16, 16)
    labels = torch.arange(8) % 2
    pixels[:4, 0] = 1.0 - labels[:4, None, None].float()
    for _ in range(12):
        loss = nn.functional.cross_entropy(network(pixels)[0], labels)
        optimizer.zero_grad()
        torch.autograd.backward([loss])
        optimizer.step()
    assert loss.item() < 0.2


def regnet_widths_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """RegNet works its widths out with tensors, which the meta device cannot read."""
    widths = regnet.BlockParams.from_init_params

    def on_cpu(*args: Any, **options: Any) -> Any:
        with torch.device("cpu"):
            return widths(*args, **options)

    monkeypatch.setattr(regnet.BlockParams, "from_init_params", on_cpu)


@pytest.mark.parametrize("name", [name for name in backbone_names() if "-" not in name])
def test_every_torchvision_model_gives_two_rows_of_logits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    regnet_widths_on_cpu(monkeypatch)
    size = next((size for start, size in SIZES.items() if name.startswith(start)), 64)
    with torch.device("meta"):
        network = with_heads(name, 7, size).train()
        one, two = network(torch.zeros(2, 3, size, size, dtype=torch.uint8))
    assert one.shape == two.shape == (2, 7)
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert all(layer.weight.shape[0] != 1000 for layer in last[-3:])


def test_all_of_torchvision_is_known() -> None:
    assert len(backbone_names()) == 4 + len(models.list_models(module=models))
    assert backbone_names()[0] == "small-resnet"


def test_unknown_names_are_answered_with_close_ones() -> None:
    with pytest.raises(UsageError, match=r"'resnet81'; did you mean .*resnet"):
        build_backbone("resnet81", None)
    with pytest.raises(UsageError, match="the default is small-resnet"):
        build_backbone("???", None)


@pytest.mark.parametrize(
    ("name", "size"), [("alexnet", 32), ("inception_v3", 64), ("vit_b_16", 100), ("maxvit_t", 64)]
)
def test_sizes_that_a_network_cannot_take_are_refused(name: str, size: int) -> None:
    with torch.device("meta"), pytest.raises(UsageError, match=name):
        build_backbone(name, None, size)


def test_epochs_and_normalisation() -> None:
    names = ["densenet-bc-100-12", "wrn-28-10", "small-resnet", "resnet18"]
    assert [default_epochs(name) for name in names] == [300, 200, 60, 30]
    assert normalisation("resnet18", "DEFAULT")[0] == IMAGENET_MEAN
    assert normalisation("inception_v3", "w.safetensors") == ((0.5,) * 3, (0.5,) * 3)
    assert normalisation("resnet18", None) == ((0.5,) * 3, (0.25,) * 3)


def test_a_network_sees_what_its_weights_were_trained_on(tmp_path: Path) -> None:
    published("resnet18", tmp_path / "w.safetensors")
    network = build_network("resnet18", str(tmp_path / "w.safetensors"), 5)
    assert network.mean.flatten().tolist() == pytest.approx(IMAGENET_MEAN)
    assert network.head_2.weight.shape == (5, 512)
    assert build_network("small-resnet", None, 5).std.flatten().tolist() == [0.25] * 3


@pytest.mark.parametrize(
    ("name", "first"), [("googlenet", "conv1"), ("inception_v3", "Conv2d_1a_3x3")]
)
def test_the_inceptions_do_not_normalise_once_more(name: str, first: str) -> None:
    seen: list[Tensor] = []
    with torch.device("meta"):
        backbone, _ = build_backbone(name, None)
        images = torch.zeros(1, 3, 75, 75)
    layer = backbone.get_submodule(first)
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    backbone.eval()(images)
    assert seen[0] is images


def published(name: str, path: Path, **options: Any) -> dict[str, Tensor]:
    torch.manual_seed(5)
    state: dict[str, Tensor] = models.get_model(name, weights=None, **options).state_dict()
    save_file(state, path)
    return state


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("squeezenet1_1", {}),
        ("mnasnet0_5", {}),
        ("googlenet", {"init_weights": False, "aux_logits": True}),
    ],
)
def test_a_weights_file_is_taken_without_its_classifier(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    state = published(name, tmp_path / "w.safetensors", **options)
    backbone, _ = build_backbone(name, str(tmp_path / "w.safetensors"))
    filled = backbone.state_dict()
    assert len(filled) > 10
    assert all(torch.equal(tensor, state[key]) for key, tensor in filled.items())
    assert not any(key.startswith("aux") for key in filled)


def test_densenets_old_names_are_understood(tmp_path: Path) -> None:
    state = published("densenet121", tmp_path / "new.safetensors")
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))", r"\1.", key): state[key] for key in state}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    save_file(old, tmp_path / "old.safetensors")
    filled = build_backbone("densenet121", str(tmp_path / "old.safetensors"))[0].state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in filled.items())


def test_own_networks_take_a_weights_file_too(tmp_path: Path) -> None:
    state = SmallResNet().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    filled = build_backbone("small-resnet", str(tmp_path / "w.safetensors"))[0].state_dict()
    assert all(torch.equal(filled[key], state[key]) for key in state)
    with pytest.raises(UsageError, match="no published weights"):
        build_backbone("small-resnet", "DEFAULT")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = published("resnet18", path)
    with pytest.raises(CurateError, match="do not fit resnet34: Missing key"):
        build_backbone("resnet34", str(path))
    save_file({key: value for key, value in state.items() if key != "fc.bias"}, path)
    with pytest.raises(CurateError, match=r"fc\.bias"):
        build_backbone("resnet18", str(path))
    save_file({**state, "conv1.weight": torch.zeros(64, 3, 5, 5)}, path)
    with pytest.raises(CurateError, match=r"size mismatch for conv1\.weight"):
        build_backbone("resnet18", str(path))
    save_file({**state, "extra": torch.zeros(1)}, path)
    with pytest.raises(CurateError, match="extra"):
        build_backbone("resnet18", str(path))


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CurateError, match="cannot be read: No such file"):
        build_backbone("resnet18", str(tmp_path / "missing.safetensors"))
    torch.save({"fc.bias": torch.zeros(3)}, tmp_path / "w.pt")
    with pytest.raises(CurateError, match="only safetensors files are taken"):
        build_backbone("resnet18", str(tmp_path / "w.pt"))


@pytest.mark.parametrize(
    "failure",
    [urllib.error.URLError("name or service not known"), RuntimeError("invalid hash value")],
)
def test_a_failed_download_says_what_to_do(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise failure

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(CurateError) as caught:
        build_backbone("resnet18", "DEFAULT")
    message = str(caught.value)
    assert "could not be downloaded" in message
    assert "resnet18-f37072fd.pth" in message
    assert "--weights FILE.safetensors" in message


def test_downloaded_weights_are_checked_and_never_unpickled_freely(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = published("resnet18", tmp_path / "w.safetensors")
    asked: dict[str, object] = {}

    def fetch(url: str, **options: object) -> dict[str, Tensor]:
        asked.update(options)
        return state

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    filled = build_backbone("resnet18", "DEFAULT")[0].state_dict()
    assert asked == {"progress": False, "check_hash": True, "weights_only": True}
    assert torch.equal(filled["conv1.weight"], state["conv1.weight"])
