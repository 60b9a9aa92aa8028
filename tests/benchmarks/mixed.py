"""A fine-tune on inboxes of several OOD shares, from photographs whose truth is known.

    python tests/benchmarks/mixed.py LABELED INBOX TRUTH.csv RESERVE --work DIR --seeds 0 1 2

INBOX holds ID and OOD images, told apart by TRUTH.csv (columns `file` and `truth`, id or ood);
RESERVE holds more OOD. Of both kinds a part stays out as fresh images, the same at every share; of
the inbox's, as many arrive at every share.
Each run is what `curate evaluate --unlabeled` does, and one JSON line; one that is there is not
made again.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from curate.cli.shown import plain
from curate.config import DecodeConfig, EvaluateConfig, FinetuneConfig, SplitConfig, TrainConfig
from curate.evaluate import KINDS, Kind, evaluate_finetuning
from curate.images.decode import Decoder
from curate.train import train
from curate.workspace import Workspace, open_workspace

Row = dict[str, Any]
FRESH: Mapping[Kind, int] = {"id": 100, "ood": 300}


@dataclass(frozen=True)
class Mixture:
    """The images of a seed by kind, fresh ones first."""

    images: Mapping[Kind, Sequence[Path]]

    def fresh(self, kind: Kind) -> Sequence[Path]:
        """So many that no inbox holds."""
        return self.images[kind][: FRESH[kind]]

    def inbox(self, share: float) -> Mapping[Kind, Sequence[Path]]:
        """The inbox of this share, of which a larger one keeps the OOD images."""
        ours, strange = (self.images[kind][FRESH[kind] :] for kind in KINDS)
        count = round(share * len(ours))
        if count > len(strange):
            raise SystemExit(f"{count} OOD images are needed, {len(strange)} are left")
        return {"id": ours[: len(ours) - count], "ood": strange[:count]}


def mixture(options: argparse.Namespace, seed: int) -> Mixture:
    """Shuffle both kinds by the seed."""
    with options.truth.open(newline="") as file:
        truth = {row["file"]: row["truth"] for row in csv.DictReader(file)}
    uploads = sorted(path for path in options.inbox.iterdir() if path.name in truth)
    ours = [path for path in uploads if truth[path.name] == "id"]
    strange = [path for path in uploads if truth[path.name] == "ood"]
    strange += sorted(path for path in options.reserve.rglob("*") if path.is_file())
    for images in (ours, strange):
        random.Random(seed).shuffle(images)
    return Mixture({"id": ours, "ood": strange})


def run(workspace: Workspace, decoder: Decoder, mixed: Mixture, share: float, seed: int) -> Row:
    """Fine-tune on an inbox of this share beside the catalog; the figures before and after."""
    with tempfile.TemporaryDirectory() as place:
        inbox, sides = Path(place, "inbox"), {kind: Path(place, kind) for kind in KINDS}
        arrived = mixed.inbox(share)
        _fill(inbox, [*arrived["id"], *arrived["ood"]])
        for kind in KINDS:
            _fill(sides[kind], [*mixed.fresh(kind), *arrived[kind]])
        tuning = FinetuneConfig(seed=seed)
        found = evaluate_finetuning(workspace, sides, decoder, EvaluateConfig(), inbox, tuning)
    networks: Row = {network.role: plain(dict(network.figures)) for network in found.networks}
    return {"finetune": plain(found.finetune), **networks}


def _fill(folder: Path, images: Sequence[Path]) -> None:
    folder.mkdir()
    for number, path in enumerate(images):
        shutil.copy(path, folder / f"{number:05d}{path.suffix}")


def main() -> None:
    """Make every run that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("labeled", "inbox", "truth", "reserve"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.02, 0.1, 0.5, 0.9])
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    out = options.work / "mixed.jsonl"
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(row["seed"], row["share"]) for row in rows}
    with Decoder(DecodeConfig()) as decoder:
        for seed, share in product(options.seeds, options.shares):
            if (seed, share) in done:
                continue
            with open_workspace(str(options.work / f"seed-{seed}"), create=True) as workspace:
                if not workspace.catalog.models.list():
                    config = TrainConfig(seed=seed, split=SplitConfig(seed=seed))
                    train(workspace, options.labeled, config, decoder)
                found = run(workspace, decoder, mixture(options, seed), share, seed)
            with out.open("a") as file:
                print(json.dumps({"seed": seed, "share": share, **found}), file=file)


if __name__ == "__main__":
    main()
