"""Scoring everything again, as after a fine-tune, beside what bounds it.

    python -m tests.benchmarks.rescoring --work DIR --images 1000 --networks resnet50:224

For each network, named with the side of its images, a catalog of generated photographs that wait
for their scores. Then `--runs` times in turn: the whole pass (queue, previews, network, commit),
the network alone on pixels in memory, and the reading of the previews alone, on all cores. One JSON
line for each network: images a second (median, least, most), and the median of the whole pass over
the network alone, and over what both take one after the other, of runs side by side.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from curate.config import DecodeConfig, TrainConfig
from curate.demo import write_demo
from curate.images.decode import Decoder
from curate.images.transforms import load_pixels
from curate.ingest import ingest
from curate.model import checkpoint as checkpoints
from curate.model.inference import predict
from curate.score import Scorer
from curate.train import train
from curate.workspace import open_workspace

from .ingesting import drawn

CPU = torch.device("cpu")


def prepared(folder: Path, images: int, backbone: str, side: int) -> Path:
    """A project whose network has scored nothing yet; returns its catalog's folder."""
    place = folder / ".curate"
    if (folder / "waiting.db").exists():
        return place
    shutil.rmtree(folder, ignore_errors=True)
    write_demo(folder / "demo", 0)
    inbox = folder / "inbox"
    inbox.mkdir()
    for number, content in enumerate(islice(drawn("640x480"), images)):
        (inbox / f"{number:06}.jpg").write_bytes(content)
    config = TrainConfig(backbone=backbone, image_size=side, epochs=1, device="cpu")
    with (
        Decoder(DecodeConfig()) as decoder,
        open_workspace(str(place), create=True) as workspace,
    ):
        train(workspace, folder / "demo" / "labeled", config, decoder)
        ingest(workspace, [str(inbox)], decoder)
    shutil.copy(place / "catalog.db", folder / "waiting.db")
    return place


def whole(place: Path) -> float:
    """Seconds of a pass over everything, with a network that is loaded already."""
    shutil.copy(place.with_name("waiting.db"), place / "catalog.db")
    with open_workspace(str(place), create=False) as workspace:
        active = str(workspace.catalog.models.active("detector"))
        scorer = Scorer(workspace, str(CPU))
        list(scorer._networks.scored(active, []))
        return seconds(scorer.score_active)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(place: Path, runs: int) -> dict[str, list[float]]:
    """Images a second of each contender, run by run."""
    with open_workspace(str(place), create=False) as workspace:
        hashes = list(workspace.catalog.contents())
        active = str(workspace.catalog.models.active("detector"))
        made, network, reference = checkpoints.load(workspace.checkpoints / active)
        pixels = load_pixels(workspace.previews, hashes, made.image_size)
    rates: dict[str, list[float]] = {"whole": [], "network": [], "read": []}
    for _ in range(runs):
        rates["whole"].append(len(hashes) / whole(place))
        alone = seconds(lambda: predict(network, pixels, CPU, reference=reference))
        rates["network"].append(len(hashes) / alone)
        with open_workspace(str(place), create=False) as workspace:
            read = seconds(partial(load_pixels, workspace.previews, hashes, made.image_size))
        rates["read"].append(len(hashes) / read)
    return rates


def main() -> None:
    """Network by network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--networks", nargs="+", default=["small-resnet:64", "resnet50:224"])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    for name in options.networks:
        backbone, side = name.split(":")
        folder = options.work.absolute() / f"{backbone}-{side}-{options.images}"
        rates = measure(prepared(folder, options.images, backbone, int(side)), options.runs)
        runs = list(zip(rates["whole"], rates["network"], rates["read"], strict=True))
        line: dict[str, object] = {"network": name}
        for part, own in rates.items():
            line |= {part: round(statistics.median(own), 1), f"{part} from": round(min(own), 1)}
            line[f"{part} to"] = round(max(own), 1)
        alone, both = (w / n for w, n, _ in runs), (w / n + w / r for w, n, r in runs)
        line["whole over network"] = round(statistics.median(alone), 3)
        line["whole over both in turn"] = round(statistics.median(both), 3)
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
