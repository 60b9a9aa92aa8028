"""Pre-training: labeled images -> a checkpoint that names classes and, at first, tags OOD too."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from curate.catalog.models import LabeledRow
from curate.config import TrainConfig
from curate.images.decode import Decoder
from curate.images.folder import Labeled, find_classes, read_labeled
from curate.labeled import keep_checkpoint, load_audited, load_split
from curate.model.backbones import build_backbone, build_network, default_epochs
from curate.model.calibration import smallest_calibration
from curate.model.checkpoint import Checkpoint, Draft
from curate.model.device import choose_device, memory_format
from curate.model.inference import predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference, Scores, combined, standard_of
from curate.model.split import LabeledSplit, accuracy, bank_hashes, feature_bank
from curate.recipes.memory import in_memory
from curate.recipes.pretraining import Epoch, pretrain
from curate.score import ROLES, Scorer
from curate.workspace import Workspace


@dataclass(frozen=True)
class Trained:
    """The checkpoint, and what of the labeled folder it was made from."""

    checkpoint: Checkpoint
    labeled: Labeled


def train(
    workspace: Workspace,
    folder: Path,
    config: TrainConfig,
    decoder: Decoder,
    on_image: Callable[[int, int], None] = lambda done, total: None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    on_scored: Callable[[int, int], None] = lambda done, total: None,
) -> Trained:
    """Learn the classes of a labeled folder, and put the checkpoint in service in both roles.

    Everything that the catalog holds is scored with it before it becomes active. Goes on where an
    interrupted run on the same images and configuration stopped. Raises LabeledFolderError, and
    CurateError when the loss is no number.
    """
    device = choose_device(config.device)
    labeled = read_labeled(folder, decoder, workspace.previews, config.split, on_image)
    made = learn(workspace, labeled, settle(config), device, on_epoch)
    Scorer(workspace, str(device)).put_in_service(
        dict.fromkeys(ROLES, made.id), f"trained on {folder}", on_images=on_scored
    )
    return Trained(made, labeled)


def check(folder: Path, config: TrainConfig) -> None:
    """Raise what `train` would for folder, backbone and weights, before any image is read."""
    find_classes(folder)
    settled = settle(config)
    build_backbone(settled.backbone, settled.weights, settled.image_size or 0)


def learn(
    workspace: Workspace,
    labeled: Labeled,
    config: TrainConfig,
    device: torch.device,
    on_epoch: Callable[[Epoch], None],
) -> Checkpoint:
    """Train the two-head network on `labeled` (Eq. 2) and keep it as a checkpoint."""
    rows = [LabeledRow(i.sha256, i.class_name, i.split, i.path) for i in labeled.images]
    snapshot = workspace.catalog.models.add_snapshot(str(labeled.root), rows, datetime.now(UTC))
    splits = _splits(workspace, snapshot, labeled.classes, config.image_size or 0)
    progress = _progress_file(workspace, snapshot, config)

    def trained_by(size: int) -> TwoHeadNetwork:
        torch.manual_seed(config.seed)
        new = build_network(
            config.backbone, config.weights, len(labeled.classes), config.image_size or 0
        )
        new.to(device).to(memory_format=memory_format(device))
        given = replace(config, batch_size=size)
        pretrain(new, splits["train"], splits["validation"], given, progress, on_epoch)
        return new

    network, room = in_memory(trained_by, config.batch_size)
    reference = Reference(feature_bank(network, splits["train"], device, config.seed))
    draft = _draft(network, reference, splits, labeled.classes, snapshot, config, device)
    ours = {row.sha256 for row in rows}
    audited = sum(name not in ours for name in splits["calibration"].hashes)
    draft = replace(draft, figures={**draft.figures, **room, "audited_images": audited})
    made = keep_checkpoint(workspace, network, reference, draft)
    progress.unlink(missing_ok=True)
    return made


def settle(config: TrainConfig) -> TrainConfig:
    """Fill in what was left to us: image size by weights, epochs by backbone."""
    size = config.image_size or (224 if config.weights else 64)
    return replace(config, image_size=size, epochs=config.epochs or default_epochs(config.backbone))


def _splits(
    workspace: Workspace, snapshot: str, classes: tuple[str, ...], image_size: int
) -> dict[str, LabeledSplit]:
    """The labeled folder's splits; what an audit in force calibrates with comes in their place."""
    splits = {
        name: load_split(workspace, snapshot, name, classes, image_size)
        for name in ("train", "validation", "calibration")
    }
    audited = load_audited(workspace, snapshot, image_size)
    enough = smallest_calibration(workspace.catalog.rates.current())
    if audited is not None and len(audited) >= enough:
        splits["calibration"] = audited
    return splits


def _progress_file(workspace: Workspace, snapshot: str, config: TrainConfig) -> Path:
    key = hashlib.sha256(f"{snapshot} {replace(config, device='')}".encode()).hexdigest()
    return workspace.progress / f"train-{key[:32]}.safetensors"


def _draft(
    network: TwoHeadNetwork,
    reference: Reference,
    splits: dict[str, LabeledSplit],
    classes: tuple[str, ...],
    snapshot: str,
    config: TrainConfig,
    device: torch.device,
) -> Draft:
    def scores(split: str) -> Scores:
        return predict(network, splits[split].pixels, device, reference=reference)

    standard = standard_of(scores("validation"))
    calibration = combined(scores("calibration"), standard)
    return Draft(
        kind="pretrained",
        backbone=config.backbone,
        image_size=config.image_size or 0,
        classes=classes,
        parent=None,
        snapshot=snapshot,
        recipe="pretrained",
        calibration={"held_out": tuple(calibration.tolist())},
        standard=standard,
        pool=frozenset(),
        bank=bank_hashes(splits["train"], config.seed),
        figures={
            "validation_accuracy": accuracy(network, splits["validation"], device),
            "training_images": len(splits["train"]),
            "validation_images": len(splits["validation"]),
            "calibration_images": len(splits["calibration"]),
            "epochs": config.epochs,
            "seed": config.seed,
        },
    )
