"""The labeled images of a snapshot as tensors, and what both ways of training do with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import torch

from curate.catalog.models import CheckpointRow
from curate.images.transforms import load_pixels
from curate.model import checkpoint as checkpoints
from curate.model.checkpoint import Draft
from curate.model.inference import features, predict
from curate.model.network import TwoHeadNetwork
from curate.model.sampling import Stream
from curate.workspace import Workspace

BANK_SIZE = 5_000


@dataclass(frozen=True)
class LabeledSplit:
    """Images of one split: uint8 pixels (N, 3, S, S), labels (N,), content hashes (N,)."""

    pixels: torch.Tensor
    labels: torch.Tensor
    hashes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.hashes)

    def part(self, rows: slice) -> LabeledSplit:
        """Some of the rows."""
        return LabeledSplit(self.pixels[rows], self.labels[rows], self.hashes[rows])


def load_split(
    workspace: Workspace, snapshot_id: str, split: str, classes: tuple[str, ...], size: int
) -> LabeledSplit:
    """The images of one split of a snapshot, in the order of their hashes.

    Raises StorageError when a preview is gone.
    """
    rows = workspace.catalog.models.snapshot_images(snapshot_id)
    rows = sorted((row for row in rows if row.split == split), key=lambda row: row.sha256)
    hashes = tuple(row.sha256 for row in rows)
    return LabeledSplit(
        load_pixels(workspace.previews, hashes, size),
        torch.tensor([classes.index(row.class_name) for row in rows], dtype=torch.long),
        hashes,
    )


def accuracy(network: TwoHeadNetwork, split: LabeledSplit, device: torch.device) -> float:
    """Share of `split` whose class the mean of both heads' softmax names."""
    return float((predict(network, split.pixels, device).label == split.labels).float().mean())


def feature_bank(
    network: TwoHeadNetwork, split: LabeledSplit, device: torch.device, seed: int
) -> torch.Tensor:
    """Features (at most 5,000, D) of training images, for the nearest-neighbour score."""
    chosen = Stream(len(split), seed).take(0, min(BANK_SIZE, len(split)))
    return features(network, split.pixels[chosen], device)


def keep_checkpoint(
    workspace: Workspace, network: TwoHeadNetwork, bank: torch.Tensor, draft: Draft
) -> checkpoints.Checkpoint:
    """Write a checkpoint to disk, then its row to the catalog; the same one twice is one."""
    now = datetime.now(UTC)
    made = checkpoints.save(workspace.checkpoints, network, bank, draft, now)
    workspace.catalog.models.add_checkpoint(
        CheckpointRow(
            checkpoint_id=made.id,
            kind=made.kind,
            parent_id=made.parent,
            snapshot_id=made.snapshot,
            backbone=made.backbone,
            recipe=made.recipe,
            figures=dict(made.figures),
            created_at=now,
        )
    )
    return made
