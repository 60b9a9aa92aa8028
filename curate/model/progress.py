"""Training that resumes where it was stopped: one safetensors file, replaced whole.

It holds the network, the optimizer's momentum and the caller's facts. Learning rates are not in
it: a schedule sets them from the step, which is one of the facts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from curate import __version__
from curate.durable import sync_folder, temporary_beside, write_synced
from curate.errors import StorageError
from curate.model.tensorfile import (
    NotTensorsError,
    metadata_of,
    pack,
    require_same,
    take_state,
    unpack,
)

Facts = dict[str, Any]
SAVE_EVERY = 50
"""Updates between two states that an interrupted run resumes from."""
SAVE_EVERY_ON_CUDA = 1_000
"""There 50 updates take less time than keeping a large network does."""
_NETWORK = "network."
_MOMENTUM = "momentum."
_BUFFER = "momentum_buffer"


def save_every(device: torch.device) -> int:
    """Updates between two states that are kept."""
    return SAVE_EVERY_ON_CUDA if device.type == "cuda" else SAVE_EVERY


def save_progress(
    path: Path, network: nn.Module, optimizer: torch.optim.SGD, facts: Facts, key: str
) -> None:
    """Replace the file at `path` by the state of a training run.

    `facts` are JSON values; `key` names the run that may resume from it (data, options), with the
    same versions of curate and torch. Raises StorageError when it cannot be written.
    """
    tensors = {_NETWORK + name: tensor for name, tensor in network.state_dict().items()}
    for name, momentum in _momenta(network, optimizer).items():
        tensors[_MOMENTUM + name] = momentum
    text = json.dumps({"key": _versioned(key), "facts": facts})
    sealed = json.dumps({"progress": text, "sha256": _seal(text, tensors)})
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_synced(temporary, pack(tensors, {"sealed": sealed}))
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(path, f"progress cannot be kept: {error.strerror}") from error


def load_progress(
    path: Path, network: nn.Module, optimizer: torch.optim.SGD, key: str
) -> Facts | None:
    """Put `network` and `optimizer` back where they were and return the facts.

    None, with both untouched, when the file is missing, damaged, or of another run or version.
    """
    try:
        content = path.read_bytes()
        tensors = unpack(content)
        progress = _opened(metadata_of(content), tensors)
        if progress["key"] != _versioned(key):
            return None
        momenta = _part(tensors, _MOMENTUM)
        parameters = dict(network.named_parameters())
        require_same({name: parameters[name] for name in momenta}, momenta)
        take_state(network, _part(tensors, _NETWORK))
    except (OSError, NotTensorsError, ValueError, KeyError):
        return None
    _set_momenta(optimizer, parameters, momenta)
    facts: Facts = progress["facts"]
    return facts


def _versioned(key: str) -> str:
    return f"{key} curate {__version__} torch {torch.__version__}"


def _momenta(network: nn.Module, optimizer: torch.optim.SGD) -> dict[str, Tensor]:
    held = {name: optimizer.state[tensor] for name, tensor in _known(network, optimizer)}
    return {name: state[_BUFFER] for name, state in held.items() if state.get(_BUFFER) is not None}


def _known(network: nn.Module, optimizer: torch.optim.SGD) -> list[tuple[str, nn.Parameter]]:
    # optimizer.state is a defaultdict: asking for an unknown parameter would add it.
    return [item for item in network.named_parameters() if item[1] in optimizer.state]


def _set_momenta(
    optimizer: torch.optim.SGD,
    parameters: Mapping[str, nn.Parameter],
    momenta: Mapping[str, Tensor],
) -> None:
    optimizer.state.clear()
    for name, momentum in momenta.items():
        buffer = torch.empty_like(parameters[name], requires_grad=False)
        optimizer.state[parameters[name]] = {_BUFFER: buffer.copy_(momentum)}


def _opened(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    sealed = json.loads(metadata["sealed"])
    text: str = sealed["progress"]
    if sealed["sha256"] != _seal(text, tensors):
        raise NotTensorsError("not what was written")
    progress: dict[str, Any] = json.loads(text)
    return progress


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _seal(text: str, tensors: Mapping[str, Tensor]) -> str:
    seal = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        seal.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        seal.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return seal.hexdigest()
