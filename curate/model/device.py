"""Where to compute, and in which number and memory formats."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

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
    """bfloat16 where it pays, on CUDA; full precision elsewhere."""
    if device.type != "cuda":
        return nullcontext()
    return torch.autocast("cuda", torch.bfloat16)


def memory_format(device: torch.device) -> torch.memory_format:
    """The layout in which convolutions run fastest on `device`."""
    return torch.channels_last if device.type in ("cuda", "cpu") else torch.contiguous_format


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _present(device: torch.device) -> bool:
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or (device.type == "mps" and torch.backends.mps.is_available())
