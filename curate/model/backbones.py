"""Backbones by name: our small network, the paper's two, and torchvision's classification models.

Each comes without its classification layer, so that it maps images to features.
"""

from __future__ import annotations

import difflib
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from curate.errors import CurateError, UsageError
from curate.model.cifar import DenseNet, SmallResNet, WideResNet
from curate.model.network import TwoHeadNetwork
from curate.model.tensorfile import NotTensorsError, unpack

OWN: dict[str, type[SmallResNet | DenseNet | WideResNet]] = {
    "small-resnet": SmallResNet,
    "densenet-bc-100-12": DenseNet,
    "wrn-28-10": WideResNet,
}
OWN_EPOCHS = {"small-resnet": 60, "densenet-bc-100-12": 300, "wrn-28-10": 200}
TORCHVISION_EPOCHS = 30

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CENTRED = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
RANDOM_START = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))

_INCEPTIONS = ("googlenet", "inception_v3")
_SMALLEST = {"alexnet": 63, "inception_v3": 75}
_OLD_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")

Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]


def build_backbone(name: str, weights: str | None, image_size: int = 224) -> tuple[nn.Module, int]:
    """The backbone `name` and the length D of its features: images (B, 3, S, S) become (B, D).

    `weights` is None (random start), "DEFAULT" (torchvision's own, downloaded) or the path of a
    safetensors file with the backbone's state dict as published. `image_size` S, in pixels, shapes
    the transformers that work at one size only. Raises UsageError for an unknown name or a size
    that the backbone cannot take, CurateError for weights that cannot be had or do not fit.
    """
    if name not in OWN and name not in backbone_names():
        raise UsageError(_unknown(name))
    if image_size < _SMALLEST.get(name, 0):
        raise UsageError(f"{name} needs images of at least {_SMALLEST[name]} pixels a side")
    state = None if weights is None else _published(name, weights)
    network = OWN[name]() if name in OWN else _torchvision(name, state is None, image_size)
    if state is not None:
        _fill(network, state, f"the weights {weights!r} do not fit {name}")
    return (network, OWN[name].features) if name in OWN else _headless(network)


def build_network(
    name: str, weights: str | None, classes: int, image_size: int = 224
) -> TwoHeadNetwork:
    """The two-head network for `classes` classes on a backbone, as `build_backbone` makes it."""
    backbone, features = build_backbone(name, weights, image_size)
    return TwoHeadNetwork(backbone, features, classes, *normalisation(name, weights))


def backbone_names() -> list[str]:
    """Every name that `build_backbone` knows, ours first."""
    models = _torchvision_models()
    return [*OWN, *cast("list[str]", models.list_models(module=models))]


def default_epochs(name: str) -> int:
    """Epochs of pre-training: the paper's for its networks (Section 4.1.2), fewer elsewhere."""
    return OWN_EPOCHS.get(name, TORCHVISION_EPOCHS)


def normalisation(name: str, weights: str | None) -> Normalisation:
    """Mean and standard deviation of each channel in [0, 1] that the backbone is to see.

    With weights they are those of the published training: ImageNet's, but centred for the two
    Inception networks.
    """
    if weights is None:
        return RANDOM_START
    return CENTRED if name in _INCEPTIONS else IMAGENET


def _torchvision_models() -> Any:
    """Imported where it is used: it takes seconds, which our own networks need not pay."""
    from torchvision import models

    return models


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, backbone_names(), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"the default is {next(iter(OWN))}"
    return f"no backbone is called {name!r}; {hint}"


def _torchvision(name: str, random_start: bool, image_size: int) -> nn.Module:
    options: dict[str, Any] = {}
    if name in _INCEPTIONS:
        # Their own re-normalisation would be lost in a checkpoint; `normalisation` replaces it.
        options = {"aux_logits": False, "transform_input": False, "init_weights": random_start}
    elif name.startswith("vit_"):
        options = {"image_size": image_size}
    elif name == "maxvit_t":
        options = {"input_size": (image_size, image_size)}
    try:
        return cast("nn.Module", _torchvision_models().get_model(name, weights=None, **options))
    except (ValueError, AssertionError) as error:
        raise UsageError(f"{name} cannot take images of {image_size} pixels ({error})") from error


def _headless(network: nn.Module) -> tuple[nn.Module, int]:
    """Put the identity in the place of the last classification layer."""
    place, layer = _last_layer(network)
    parent, _, child = place.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
    return network, layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def _last_layer(network: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    layers = [
        (place, layer)
        for place, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    return layers[-1]


def _published(name: str, weights: str) -> Mapping[str, Tensor]:
    """The state dict that `weights` names, in the names of today's torchvision."""
    state = _downloaded(name) if weights == "DEFAULT" else _from_file(Path(weights))
    named = OrderedDict((_OLD_DENSE_LAYER.sub(r"\1\2", key), state[key]) for key in state)
    if name in _INCEPTIONS:
        named = OrderedDict(item for item in named.items() if not item[0].lower().startswith("aux"))
    # MNASNet refuses a state without a version; a safetensors file carries none.
    vars(named)["_metadata"] = getattr(state, "_metadata", {"": {"version": 2}})
    return named


def _downloaded(name: str) -> Mapping[str, Tensor]:
    if name in OWN:
        raise UsageError(f"{name} has no published weights; leave out --weights or name a file")
    published = _torchvision_models().get_model_weights(name).DEFAULT
    try:
        state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise CurateError(
            f"the weights of {name} could not be downloaded ({error}); get {published.url} "
            "elsewhere, convert it to safetensors and pass it as --weights FILE.safetensors"
        ) from error
    return cast("Mapping[str, Tensor]", state)


def _from_file(path: Path) -> Mapping[str, Tensor]:
    try:
        return unpack(path.read_bytes())
    except OSError as error:
        raise UsageError(f"the weights {str(path)!r} cannot be read: {error.strerror}") from error
    except NotTensorsError as error:
        raise UsageError(
            f"the weights {str(path)!r} are {error}; only safetensors files are taken"
        ) from error


def _fill(network: nn.Module, state: Mapping[str, Tensor], failed: str) -> None:
    try:
        with torch.no_grad():
            network.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CurateError(f"{failed}: {lines[min(1, len(lines) - 1)][:200]}") from error
