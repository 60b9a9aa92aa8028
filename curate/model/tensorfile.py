"""Tensors on disk: safetensors only, and taken into a network only when they fit.

Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor, nn

HEADER_LIMIT = 100_000_000
"""Bytes; what the format itself allows."""


class NotTensorsError(Exception):
    """The bytes are not a whole safetensors file, or hold other tensors than they should."""


def pack(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The safetensors file of `tensors`; one metadata entry keeps its bytes the same each time."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return serialise(flat, dict(metadata))


def unpack(content: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file; raises NotTensorsError."""
    try:
        return parse(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise NotTensorsError(f"not a whole safetensors file ({error})") from error


def metadata_of(content: bytes) -> dict[str, str]:
    """The metadata in the header of a safetensors file, whole or cut behind it."""
    size = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + size])
        return {str(key): str(value) for key, value in header["__metadata__"].items()}
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise NotTensorsError("not a whole safetensors file (no readable header)") from error


def header_bytes(path: Path) -> bytes:
    """The first bytes of the file at `path`, up to the end of a safetensors header."""
    with path.open("rb") as file:
        start = file.read(8)
        return start + file.read(min(int.from_bytes(start, "little"), HEADER_LIMIT))


def take_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy `state` into `module`, whose tensors it must match in name, shape and type.

    Raises NotTensorsError, with `module` untouched, naming the first that does not.
    """
    own: dict[str, Tensor] = module.state_dict()
    require_same(own, state)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def require_same(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raise NotTensorsError unless both hold tensors of the same names, shapes and types."""
    for name in sorted(own.keys() ^ state.keys()):
        raise NotTensorsError(f"tensor {name!r} is {'missing' if name in own else 'one too many'}")
    for name, tensor in own.items():
        found = state[name]
        if (found.shape, found.dtype) != (tensor.shape, tensor.dtype):
            raise NotTensorsError(
                f"tensor {name!r} is {tuple(found.shape)} {found.dtype}, "
                f"where {tuple(tensor.shape)} {tensor.dtype} belongs"
            )
