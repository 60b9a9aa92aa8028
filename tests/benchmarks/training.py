"""What bounds an update of training: the bare step, the step replayed, and the real loop.

    python tests/benchmarks/training.py --backbones wrn-28-10 densenet-bc-100-12 --batches 64 128

Images of 32 by 32 pixels and ten classes. One JSON line per network and batch size, then a table:
milliseconds of a pre-training step on fixed tensors, launched one by one and replayed (median of
`--repeat` rounds that alternate), of the same step in the real loop, and in one that encodes half
of the images anew, as `curate train` does; seconds of an epoch of 50,000 images; the matrix
operations of the loop as a share of what a product of two large bfloat16 matrices reaches here;
memory of both steps on fixed tensors together, on a GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from curate.config import TrainConfig
from curate.model.backbones import build_network
from curate.model.device import choose_device, memory_format
from curate.model.network import TwoHeadNetwork
from curate.model.split import LabeledSplit
from curate.recipes.pretraining import pretrain
from curate.recipes.replay import WARM_UP, Replayed, sgd
from curate.recipes.steps import step_a

SIDE, CLASSES, EPOCH = 32, 10, 50_000
Row = dict[str, float | str]


def main() -> int:
    """Print a line per network and batch size, and the table of them."""
    options = _parser().parse_args()
    device = choose_device(options.device)
    peak = matrix_peak(device, options.matrix)
    _say(json.dumps({"device": _name(device), "bf16 matrix TFLOP/s": round(peak / 1e12, 1)}))
    rows = []
    for backbone in options.backbones:
        for batch in options.batches:
            rows.append(measured(backbone, batch, device, peak, options))
            _say(json.dumps(rows[-1]))
    _say("\n" + " | ".join(rows[0]))
    for row in rows:
        _say(" | ".join(str(cell) for cell in row.values()))
    return 0


def matrix_peak(device: torch.device, side: int) -> float:
    """Floating-point operations a second of a product of random bfloat16 matrices."""
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = timed(lambda: one @ other, device, 10)
    return 2.0 * side * side * side / seconds


def measured(
    backbone: str, batch: int, device: torch.device, peak: float, options: argparse.Namespace
) -> Row:
    """The figures of one network at one batch size."""
    pixels, labels = fixed(batch, device)
    steps = {}
    for name, where in (("launched", torch.device("cpu")), ("replayed", device)):
        network = fresh(backbone, device)
        optimizer = sgd(network, TrainConfig(), nesterov=True)
        step = Replayed(partial(step_a, network.train(), optimizer), where)
        steps[name] = partial(step, pixels, labels)
        for _ in range(WARM_UP + 2):
            steps[name]()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    rounds = [
        {name: timed(step, device, options.steps) for name, step in steps.items()}
        for _ in range(options.repeat)
    ]
    row: Row = {"network": backbone, "batch": batch}
    row |= {f"{name} ms": _ms([one[name] for one in rounds]) for name in steps}
    if device.type == "cuda":
        row["MB"] = torch.cuda.max_memory_allocated() >> 20
    del steps, step, network, optimizer
    for name, compressed in (("loop ms", 0.0), ("loop, half encoded, ms", 0.5)):
        row[name] = _ms([looped(backbone, batch, device, compressed, options.loop)])
    seconds = float(row["loop ms"]) / 1e3
    row["epoch s"] = round(seconds * EPOCH / batch, 2)
    row["% of bf16 peak"] = round(100 * operations(backbone) * batch / seconds / peak, 1)
    return row


def looped(backbone: str, batch: int, device: torch.device, compressed: float, steps: int) -> float:
    """Seconds of a step in the second of two epochs of `pretrain`."""
    pixels, labels = fixed(batch * steps, torch.device("cpu"))
    split = LabeledSplit(pixels, labels, tuple(map(str, range(len(labels)))))
    config = replace(TrainConfig(), batch_size=batch, epochs=3, compressed=compressed)
    ends: list[float] = []

    def on_epoch(_: object) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()
        ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / "progress"
        pretrain(fresh(backbone, device), split, split.part(slice(1)), config, progress, on_epoch)
    return (ends[1] - ends[0]) / steps


def fixed(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    return pixels.to(device), (torch.arange(count) % CLASSES).to(device)


def fresh(backbone: str, device: torch.device) -> TwoHeadNetwork:
    """An untrained network in the layout of training."""
    network = build_network(backbone, None, CLASSES, SIDE)
    return network.to(device).to(memory_format=memory_format(device))


def operations(backbone: str) -> float:
    """Floating-point operations of a training step per image: three times the forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build_network(backbone, None, CLASSES, SIDE).eval()(torch.zeros(1, 3, SIDE, SIDE))
    return 3.0 * float(counter.get_total_flops())


def timed(work: Callable[[], object], device: torch.device, times: int) -> float:
    """Seconds of one of so many calls in a row."""
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / times


def _ms(seconds: list[float]) -> float:
    return round(1e3 * statistics.median(seconds), 2)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--backbones", nargs="+", default=["wrn-28-10", "densenet-bc-100-12", "small-resnet"])
    add("--batches", nargs="+", type=int, default=[64, 128])
    add("--steps", type=int, default=20, help="in a row, on fixed tensors")
    add("--loop", type=int, default=100, help="steps of an epoch of the real loop")
    add("--repeat", type=int, default=5)
    add("--matrix", type=int, default=8192, help="side of the matrices of the peak")
    add("--device", default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
