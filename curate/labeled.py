"""From the catalog to tensors, and from a network to a checkpoint in the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import torch

from curate.catalog.models import CheckpointRow
from curate.images.transforms import load_pixels
from curate.model import checkpoint as checkpoints
from curate.model.checkpoint import Checkpoint, Draft
from curate.model.network import TwoHeadNetwork
from curate.model.sampling import reservoir
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


@dataclass(frozen=True)
class Reviewed:
    """What people said: images of our classes with their class, and hashes and pixels of OOD."""

    ours: LabeledSplit
    ood: tuple[str, ...]
    ood_pixels: torch.Tensor
    """uint8 (R, 3, S, S)"""


def load_reviewed(workspace: Workspace, made: Checkpoint, limit: int, seed: int) -> Reviewed:
    """What people said of inbox images, at most `limit` of each side (a random reservoir).

    Left out are classes that the network does not have, and images of its labeled folder and of
    audits: what it is measured by must not be trained on. Raises StorageError when a preview is
    gone.
    """
    known = {row.sha256 for row in workspace.catalog.models.snapshot_images(made.snapshot)}
    known.update(workspace.catalog.audits.reserved())
    words = [word for word in workspace.catalog.reviews.standing() if word[0] not in known]
    classes = {sha256: name for sha256, _, name in words if name in made.classes}
    ours = reservoir(classes, limit, seed)
    ood = reservoir((sha256 for sha256, verdict, _ in words if verdict == "ood"), limit, seed)
    labels = torch.tensor([made.classes.index(str(classes[name])) for name in ours])
    pixels = load_pixels(workspace.previews, ours, made.image_size)
    return Reviewed(
        LabeledSplit(pixels, labels.long(), ours),
        ood,
        load_pixels(workspace.previews, ood, made.image_size),
    )


def load_audited(workspace: Workspace, snapshot: str, image_size: int) -> LabeledSplit | None:
    """Images of our classes that an audit has put in the place of the calibration images.

    Without those that are in the labeled folder's `snapshot` meanwhile. Their labels are 0, for
    nobody asks. None where there is no such audit. Raises StorageError when a preview is gone.
    """
    known = {row.sha256 for row in workspace.catalog.models.snapshot_images(snapshot)}
    hashes = tuple(name for name in workspace.catalog.audits.calibrating() if name not in known)
    if not hashes:
        return None
    pixels = load_pixels(workspace.previews, hashes, image_size)
    return LabeledSplit(pixels, torch.zeros(len(hashes), dtype=torch.long), hashes)


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
