"""From the catalog to tensors, and from a network to a checkpoint in the catalog."""

from __future__ import annotations

from datetime import UTC, datetime

import torch

from curate.catalog.models import CheckpointRow
from curate.images.transforms import load_pixels
from curate.model import checkpoint as checkpoints
from curate.model.checkpoint import Draft
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference
from curate.model.split import LabeledSplit
from curate.workspace import Workspace


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


def keep_checkpoint(
    workspace: Workspace, network: TwoHeadNetwork, reference: Reference, draft: Draft
) -> checkpoints.Checkpoint:
    """Write a checkpoint to disk, then its row to the catalog; the same one twice is one."""
    now = datetime.now(UTC)
    made = checkpoints.save(workspace.checkpoints, network, reference, draft, now)
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
