"""What fifty reviews of a new kind of OOD are worth to the next pictures of it.

    python tests/benchmarks/reviewed.py --work DIR --kinds heart arrow --others umbrella noise

The demo's classes are trained on once. For each kind an inbox holds 400 pictures of the classes, 50
of the kind and 15 of each of the `--others`; a fine-tune is made without reviews, and another one
after the 50 were called OOD. One JSON line for each network: the shares of fresh pictures, which no
network has seen, that it flags at 5 %: 600 of the classes, 300 of the kind, 60 of each other one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random

import torch

from curate.config import DecodeConfig, FinetuneConfig, TrainConfig
from curate.demo import write_demo
from curate.demo.pictures import picture
from curate.demo.scenes import SCENES
from curate.demo.subjects import CLASSES, STRANGERS
from curate.finetune import finetune
from curate.images.decode import Decoder
from curate.images.transforms import load_pixels
from curate.ingest import ingest
from curate.model import checkpoint as checkpoints
from curate.model.calibration import p_values
from curate.model.inference import predict
from curate.score import Scorer
from curate.train import train
from curate.workspace import Workspace, open_workspace

SIDE, EPOCHS, RATE = 32, 30, 0.05
CPU = torch.device("cpu")


def drawn(folder: Path, kind: str, numbers: Iterable[int]) -> list[str]:
    """Write pictures of one kind, each drawn by its number; returns their hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    hashes = []
    for number in numbers:
        rng = Random(f"{kind} {number}")
        subject = CLASSES.get(kind) or STRANGERS.get(kind)
        path = folder / f"{kind}-{number}.png"
        (picture(rng, subject) if subject else SCENES[kind](rng)).save(path)
        hashes.append(sha256(path.read_bytes()).hexdigest())
    return hashes


def fresh(folder: Path, kind: str, others: Iterable[str], decoder: Decoder) -> dict[str, list[str]]:
    """Fresh pictures in a catalog of their own in `folder`; hashes by what they show."""
    inbox = folder / "inbox"
    made = {
        "classes": [name for own in CLASSES for name in drawn(inbox, own, range(5_000, 5_100))],
        "kind": drawn(inbox, kind, range(5_000, 5_300)),
        "others": [name for other in others for name in drawn(inbox, other, range(5_000, 5_060))],
    }
    with open_workspace(str(folder / ".curate"), create=True) as workspace:
        ingest(workspace, [str(inbox)], decoder)
    return made


def flagged(workspace: Workspace, folder: Path, groups: dict[str, list[str]]) -> dict[str, float]:
    """The share of each group of fresh pictures that the detector in service flags."""
    active = str(workspace.catalog.models.active("detector"))
    made, network, reference = checkpoints.load(workspace.checkpoints / active)
    held_out, shares = torch.tensor(made.calibration["held_out"]), {}
    with open_workspace(str(folder / ".curate"), create=False) as seen:
        for name, hashes in groups.items():
            if hashes:
                pixels = load_pixels(seen.previews, hashes, SIDE)
                scores = made.score(predict(network, pixels, CPU, reference=reference))
                shares[name] = float((p_values(scores, held_out) <= RATE).float().mean())
    return shares


def measure(base: Path, folder: Path, kind: str, others: list[str], seed: int) -> None:
    """One kind, from its inbox to what the last fine-tune finds."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    for own in CLASSES:
        drawn(folder / "inbox", own, range(1_000, 1_067))
    for other in others:
        drawn(folder / "inbox", other, range(15))
    new = drawn(folder / "inbox", kind, range(50))
    with (
        Decoder(DecodeConfig()) as decoder,
        open_workspace(str(folder / ".curate"), create=False) as workspace,
    ):
        groups = fresh(folder / "fresh", kind, others, decoder)
        ingest(workspace, [str(folder / "inbox")], decoder)
        Scorer(workspace, str(CPU)).score_active()

        def tell(network: str, outcome: str) -> None:
            facts = {"kind": kind, "others": others, "seed": seed, "network": network}
            shares = flagged(workspace, folder / "fresh", groups)
            row = {**facts, "outcome": outcome, "flagged": shares}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()

        tell("frozen", "")
        config = FinetuneConfig(device="cpu", seed=seed)
        tell("without reviews", finetune(workspace, config).outcome)
        words = [(name, "ood", None) for name in new]
        workspace.catalog.reviews.add(words, "benchmark", datetime.now(UTC))
        tell("with 50 reviews", finetune(workspace, config).outcome)


def main() -> None:
    """Train once, then measure kind by kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", default=["heart", "arrow", "mushroom", "bicycle"])
    parser.add_argument("--others", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    base = given.work / f"trained-{given.seed}"
    if not base.exists():
        write_demo(base / "pictures", given.seed)
        with (
            Decoder(DecodeConfig()) as decoder,
            open_workspace(str(base / ".curate"), create=True) as workspace,
        ):
            config = TrainConfig(image_size=SIDE, epochs=EPOCHS, device="cpu", seed=given.seed)
            train(workspace, base / "pictures" / "labeled", config, decoder)
    for kind in given.kinds:
        measure(base, given.work / kind, kind, [o for o in given.others if o != kind], given.seed)


if __name__ == "__main__":
    main()
