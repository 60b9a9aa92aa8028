"""Fine-tuning beside the ways in which it is published: images passed a second.

    python -m tests.benchmarks.finetuning --work DIR --networks small-resnet:32 --updates 100

The same network, batch, device and number of images for all, from a random start, in turn `--runs`
times. `ours` is `curate`'s loop with the paper's recipe, the reading of the previews included; each
peer is written anew from its description and reads its files through a DataLoader on all cores:
`author`, the paper's released code (Step A, then Step B with a forward pass for either batch, three
optimisers), and `openood`, one joint step on both batches together, flipped and cropped. One JSON
line for each network: images passed a second (median, least, most), and the medians of ours over
each peer's, of runs side by side.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchvision import datasets, transforms

from curate.config import DecodeConfig, PaperRecipe
from curate.demo.pictures import picture
from curate.demo.subjects import CLASSES
from curate.images.decode import Decoder
from curate.images.pictures import class_indices, read_pictures
from curate.images.previews import Previews
from curate.images.transforms import load_pixels
from curate.model.backbones import build_network
from curate.model.device import choose_device, memory_format
from curate.model.loss import supervised_loss, unsupervised_loss
from curate.model.network import TwoHeadNetwork
from curate.model.split import LabeledSplit
from curate.recipes.runs import Run, run_paper

RECIPE = PaperRecipe(epochs=1, margin=0.8, learning_rate=0.01)
"""Reached by the demo's few classes."""


class Data:
    """Labeled and unlabeled pictures: files in folders of classes, and previews of the same."""

    def __init__(self, folder: Path, side: int, count: int) -> None:
        self.side, self.labeled, self.unlabeled = side, folder / "labeled", folder / "unlabeled"
        draw(self.labeled, side, range(count))
        draw(self.unlabeled, side, range(count, 2 * count))
        self.previews = Previews.open(folder / "previews.db")
        with Decoder(DecodeConfig()) as decoder:
            known = read_pictures(self.labeled, decoder, self.previews)
            theirs = read_pictures(self.unlabeled, decoder, self.previews)
        self.classes = sorted(CLASSES)
        self.labels = torch.tensor(class_indices(known, self.classes))
        self.known, self.theirs = tuple(known.images), tuple(theirs.images)


def draw(folder: Path, side: int, numbers: range) -> None:
    """The demo's pictures, as PNG at the side of the network's images."""
    names = sorted(CLASSES)
    for number in numbers:
        name = names[number % len(names)]
        path = folder / name / f"{number}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(Random(f"{name} {number}"), CLASSES[name]).resize((side, side)).save(path)


def ours(network: TwoHeadNetwork, data: Data, batch: int) -> int:
    """The loop of `curate finetune --recipe paper`; returns how many images it passed."""
    pixels = load_pixels(data.previews, data.known, data.side)
    split = LabeledSplit(pixels, data.labels, data.known)
    unlabeled = load_pixels(data.previews, data.theirs, data.side)
    recipe = PaperRecipe(RECIPE.epochs, RECIPE.margin, RECIPE.learning_rate, batch_size=batch)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(split, unlabeled, 0, Path(folder) / "progress", lambda _: None)
        return run_paper(network, recipe, run) * 3 * batch


def author(network: TwoHeadNetwork, data: Data, batch: int) -> int:
    """Step A and Step B by three optimisers: extractor and either head."""
    device = next(network.parameters()).device
    steps = transforms.ToTensor()
    heads = [network.head_1, network.head_2]
    of_heads = {id(parameter) for head in heads for parameter in head.parameters()}
    extractor = [p for p in network.parameters() if id(p) not in of_heads]
    parts = [extractor, *(list(head.parameters()) for head in heads)]
    optimizers = [descent(part) for part in parts]
    network.train()
    passed = 0
    for (images, labels), (others, _) in zip(
        batches(data.labeled, steps, batch), batches(data.unlabeled, steps, batch), strict=True
    ):
        known, classes, theirs = images.to(device), labels.to(device), others.to(device)
        first, second = network(known)
        stepped(optimizers, cross_entropy(first, classes) + cross_entropy(second, classes))
        first, second = network(known)
        supervised = supervised_loss(first, second, classes)
        first, second = network(theirs)
        unsupervised = unsupervised_loss(first, second, RECIPE.margin)
        stepped(optimizers, supervised + unsupervised)
        passed += 3 * len(images)
    return passed


def openood(network: TwoHeadNetwork, data: Data, batch: int) -> int:
    """One joint step on both batches in one forward pass, by one optimiser."""
    device = next(network.parameters()).device
    steps = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(data.side, padding=data.side // 8),
            transforms.ToTensor(),
        ]
    )
    optimizers = [descent(list(network.parameters()))]
    network.train()
    passed = 0
    for (images, labels), (others, _) in zip(
        batches(data.labeled, steps, batch), batches(data.unlabeled, steps, batch), strict=True
    ):
        first, second = network(torch.cat([images, others]).to(device))
        known, classes = slice(len(images)), labels.to(device)
        supervised = supervised_loss(first[known], second[known], classes)
        theirs = slice(len(images), None)
        unsupervised = unsupervised_loss(first[theirs], second[theirs], RECIPE.margin)
        stepped(optimizers, supervised + unsupervised)
        passed += 2 * len(images)
    return passed


def batches(folder: Path, steps: Callable[[Any], Tensor], size: int) -> Iterator[list[Tensor]]:
    """Shuffled whole batches of a folder, decoded in worker processes."""
    loader: Any = torch.utils.data.DataLoader(
        datasets.ImageFolder(folder, steps),
        batch_size=size,
        shuffle=True,
        drop_last=True,
        num_workers=os.cpu_count() or 1,
        pin_memory=torch.cuda.is_available(),
    )
    yield from loader


def descent(parameters: Sequence[Tensor]) -> torch.optim.SGD:
    """SGD with momentum."""
    return torch.optim.SGD(parameters, RECIPE.learning_rate, RECIPE.momentum)


def stepped(optimizers: list[torch.optim.SGD], loss: Tensor) -> None:
    """One step of all."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    torch.autograd.backward(loss)
    for optimizer in optimizers:
        optimizer.step()


PEERS = (author, openood)


def rate(way: Callable[..., int], start: TwoHeadNetwork, data: Data, batch: int) -> float:
    """Images passed a second by one way, from the weights of `start`."""
    network = copy.deepcopy(start)
    device = next(network.parameters()).device
    began = time.perf_counter()
    passed = way(network, data, batch)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return passed / (time.perf_counter() - began)


def measure(network: str, work: Path, options: argparse.Namespace) -> dict[str, object]:
    """The line of one network."""
    backbone, side = network.split(":")
    device, count = choose_device(options.device), options.updates * options.batch
    data = Data(work / f"{side}-{count}", int(side), count)
    start = build_network(backbone, None, len(data.classes), int(side))
    start.to(device).to(memory_format=memory_format(device))
    rates: dict[str, list[float]] = {way.__name__: [] for way in (ours, *PEERS)}
    for _ in range(options.runs):
        for way in (ours, *PEERS):
            rates[way.__name__].append(rate(way, start, data, options.batch))
    line: dict[str, object] = {"network": network, "batch": options.batch}
    for name, own in rates.items():
        line |= {name: round(statistics.median(own)), f"{name} from": round(min(own))}
        line[f"{name} to"] = round(max(own))
    for peer in PEERS:
        ratios = [a / b for a, b in zip(rates["ours"], rates[peer.__name__], strict=True)]
        line[f"ours over {peer.__name__}"] = round(statistics.median(ratios), 2)
    return line


def main() -> None:
    """Network by network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=["small-resnet:32"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    for network in options.networks:
        sys.stdout.write(json.dumps(measure(network, options.work.absolute(), options)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
