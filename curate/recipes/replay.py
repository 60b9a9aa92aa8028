"""Updates without the cost of launching them: on CUDA a captured graph, replayed.

A network of many small layers keeps a GPU waiting for the next kernel; a graph launches them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

WARM_UP = 3
"""Updates before the capture, in which buffers are made and algorithms are chosen."""


class Descent(Protocol):
    """What a configuration says of its optimizer."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def momentum(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


def sgd(network: nn.Module, descent: Descent, nesterov: bool = False) -> torch.optim.SGD:
    """SGD that may be captured: on CUDA its learning rate lies there too."""
    device = next(network.parameters()).device
    cuda = device.type == "cuda"
    rate = descent.learning_rate
    return torch.optim.SGD(
        network.parameters(),
        lr=torch.tensor(rate, device=device) if cuda else rate,
        momentum=descent.momentum,
        weight_decay=descent.weight_decay,
        nesterov=nesterov,
        fused=cuda or None,
    )


def set_rate(optimizer: torch.optim.SGD, rate: float) -> None:
    """Give the next updates another learning rate; a captured one follows too."""
    group = optimizer.param_groups[0]
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


class Replayed:
    """An update as a function of tensors whose shapes never change; returns a tensor of its own.

    On CUDA its first calls run as they are, then it is captured and replayed: whatever it does
    that is no operation on tensors happens no more. Elsewhere, and where there is no room for a
    capture, which keeps memory of its own, every call runs as it is.
    """

    def __init__(self, update: Callable[..., Tensor], device: torch.device) -> None:
        self._update, self._device = update, device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._calls = 0

    def __call__(self, *inputs: Tensor) -> Tensor:
        if self._device.type != "cuda":
            return self._update(*inputs)
        self._calls += 1
        if self._calls == 1:
            self._beside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            self._held, self._peak = torch.cuda.memory_allocated(self._device), 0
        if self._calls == WARM_UP + 1 and self._has_room():
            self._graph = self._captured(inputs)
        if self._graph is None:
            return self._launched(inputs)
        for held, new in zip(self._inputs, inputs, strict=True):
            held.copy_(new)
        self._graph.replay()
        return self._result.clone()

    def _launched(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Beside the default stream, as a capture is, so that no buffer belongs to that one."""
        now = torch.cuda.current_stream(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        self._beside.wait_stream(now)
        with torch.cuda.stream(self._beside), _fastest_convolutions():
            result = self._update(*inputs)
        now.wait_stream(self._beside)
        self._peak = max(self._peak, torch.cuda.max_memory_allocated(self._device))
        return result

    def _has_room(self) -> bool:
        """Whether what the first calls took is free once more.

        A capture that found too little would keep what it had taken, until torch 2.13 for good:
        https://github.com/pytorch/pytorch/pull/190348
        """
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self._device)
        return free >= self._peak - self._held

    def _captured(self, inputs: tuple[Tensor, ...]) -> torch.cuda.CUDAGraph:
        self._inputs, graph = [part.clone() for part in inputs], torch.cuda.CUDAGraph()
        # Other threads bring the next batches meanwhile; that is no part of the graph.
        mode = "thread_local"
        with torch.cuda.graph(graph, capture_error_mode=mode), _fastest_convolutions():
            self._result = self._update(*self._inputs)
        return graph


@contextmanager
def _fastest_convolutions() -> Iterator[None]:
    """Shapes never change here, so it pays to try every algorithm once."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
