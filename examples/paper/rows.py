"""One JSON file per row: made once, written whole, and read back for the table."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from curate import __version__
from curate.model.metrics import detection_metrics
from curate.recipes.runs import Diverged
from examples.paper import published
from examples.paper.keeping import write_whole
from examples.paper.methods import (
    Detector,
    Laboratory,
    mean_discrepancy,
    pretraining,
    recipe_of,
)
from examples.paper.protocol import Bench, Case, Settings, settings_of

Row = dict[str, Any]
THRESHOLD = 1.0
"""The paper's cut of its own score (Section 4.1.5)."""


def path_of(case: Case, settings: Settings, work: Path) -> Path:
    """Where the row lies; any other setting or case lies elsewhere."""
    own = asdict(settings_of(case, settings))
    trained = asdict(recipe_of(settings)), asdict(pretraining(settings))
    text = json.dumps([asdict(case), own, *trained], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    words = (f"table{case.table}", *case.tested, case.method, f"seed{settings.seed}", digest)
    return work / f"{'-'.join(words)}.json"


def read_row(path: Path) -> Row | None:
    """The row in `path`, None when it is not made yet or no row."""
    try:
        row: Row = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return row


def make_row(case: Case, laboratory: Laboratory) -> Row:
    """Train what is missing, score, and write the row to its file.

    A fine-tune whose loss became no number is a row too, with the reason instead of figures.
    """
    began = time.monotonic()
    row = _described(case, laboratory)
    try:
        row |= _measured(case, laboratory, laboratory.detector(case))
    except Diverged as error:
        row |= {"failed": str(error), "facts": {}, "as_in_paper": None, "fresh": None}
    row["seconds"] = round(time.monotonic() - began, 1)
    path = path_of(case, laboratory.settings, laboratory.work)
    write_whole(path, (json.dumps(row, indent=1) + "\n").encode())
    return row


def paper_figures(case: Case, settings: Settings) -> dict[str, float]:
    """What the paper has for this row in percent, nats for the discrepancies; maybe nothing."""
    pool, tested = "+".join(case.pool), "+".join(case.tested)
    if case.table in (3, 4) and settings.id_name != published.ABLATION_ID:
        return {}
    if case.table == 3:
        known = published.amounts() if tested == published.TABLE_3_OOD else {}
        return known.get((case.id_of_9000, case.ood_of_9000), {})
    if case.table == 4:
        return published.selections().get((pool, tested), {})
    network = paper_network(case, settings)
    return published.detection(network, settings.id_name, tested, case.method)


def paper_network(case: Case, settings: Settings) -> str:
    """Whose figures stand beside ours: DenseNet's, unless Table 2 has the network itself."""
    wide = case.table == 2 and settings.backbone == "wrn-28-10"
    return settings.backbone if wide else "densenet-bc-100-12"


def _described(case: Case, laboratory: Laboratory) -> Row:
    settings = laboratory.settings
    return {
        **asdict(case),
        "settings": asdict(settings_of(case, settings)),
        "recipe": asdict(recipe_of(settings)),
        "pre_training": asdict(pretraining(settings)),
        "seed": settings.seed,
        "images": _amounts(laboratory.bench, case),
        "versions": _versions(),
        "device": _device_name(laboratory.device),
        "paper_network": paper_network(case, settings),
        "paper": paper_figures(case, settings),
    }


def _measured(case: Case, laboratory: Laboratory, detector: Detector) -> Row:
    fresh = laboratory.bench.fresh(case)
    tested = laboratory.bench.tested(case)
    return {
        "facts": detector.facts,
        "as_in_paper": _figures(detector, *tested, laboratory.device),
        "fresh": None if fresh is None else _figures(detector, *fresh, laboratory.device),
    }


def _figures(
    detector: Detector, id_pixels: Tensor, ood_pixels: Tensor, device: torch.device
) -> dict[str, float]:
    """Shares in [0, 1]; discrepancies in nats."""
    ours, strange = detector.score(id_pixels), detector.score(ood_pixels)
    figures = asdict(detection_metrics(ours, strange))
    if detector.network is None:
        return figures
    return figures | {
        "id_above_threshold": float((ours > THRESHOLD).float().mean()),
        "ood_above_threshold": float((strange > THRESHOLD).float().mean()),
        "id_discrepancy": mean_discrepancy(detector.network, id_pixels, device),
        "ood_discrepancy": mean_discrepancy(detector.network, ood_pixels, device),
    }


def _amounts(bench: Bench, case: Case) -> dict[str, int]:
    (ours, strange), fresh = bench.tested(case), bench.fresh(case)
    return {
        "train": len(bench.train),
        "held_out_to_choose_on": len(bench.choice),
        "unlabeled": len(bench.pool(case)) if case.method == "ours" else 0,
        "id_tested": len(ours),
        "ood_tested": len(strange),
        "fresh_of_each": 0 if fresh is None else len(fresh[0]),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "curate": __version__}
    for name in ("torch", "torchvision", "numpy", "pillow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.processor() or platform.machine()})"
