"""Where to compute, and in which number and memory formats."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from curate.errors import UsageError


def choose_device(name: str) -> torch.device:
    """The device for "auto" (CUDA, else MPS, else CPU) or for a name such as "cuda:1".

    Raises UsageError when this machine has no such device.
    """
    if name == "auto":
        return torch.device(_best())
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device is called {name!r}; use auto, cpu, cuda or mps") from error
    if not _present(device):
        raise UsageError(f"this machine has no device {name!r}; use --device auto")
    return device


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 on CUDA; full precision elsewhere, so that a score is the same on every CPU."""
    if device.type != "cuda":
        return nullcontext()
    return torch.autocast("cuda", torch.bfloat16)


def training_autocast(network: nn.Module) -> AbstractContextManager[object]:
    """bfloat16 on CUDA, and on CPUs that multiply it: a step took 0.4 to 0.6 of the time there.

    Not for grouped convolutions on a CPU: MobileNetV3 took twice the time.
    """
    device = next(network.parameters()).device
    grouped = any(m.groups > 1 for m in network.modules() if isinstance(m, nn.Conv2d))
    if device.type == "cpu" and _multiplies_bfloat16() and not grouped:
        return torch.autocast("cpu", torch.bfloat16)
    return autocast(device)


def memory_format(device: torch.device) -> torch.memory_format:
    """The layout in which convolutions run fastest on `device`."""
    return torch.channels_last if device.type in ("cuda", "cpu") else torch.contiguous_format


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _multiplies_bfloat16() -> bool:
    """Older versions of torch do not say."""
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def _present(device: torch.device) -> bool:
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or (device.type == "mps" and torch.backends.mps.is_available())
