"""Scores for images that have none: the queue, one forward pass, one commit a batch.

A checkpoint goes into service only after it has scored everything, so that no image is ever
without a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import torch

from curate.catalog.models import CheckpointRow
from curate.catalog.store import NewScore
from curate.images.transforms import load_pixels
from curate.model import checkpoint as checkpoints
from curate.model.calibration import p_values
from curate.model.checkpoint import Checkpoint
from curate.model.inference import predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference, Scores, disagreement
from curate.workspace import Workspace

ROLES = ("classifier", "detector")
BATCH = 500


class Scorer:
    """Scores pending images with the checkpoints of a workspace; keeps the loaded ones at hand."""

    def __init__(self, workspace: Workspace, device: torch.device) -> None:
        self._workspace = workspace
        self._device = device
        self._loaded: dict[str, tuple[Checkpoint, TwoHeadNetwork, Reference]] = {}

    def score_active(self, on_images: Callable[[int], None] = lambda _: None) -> int:
        """Score what is pending for the active checkpoints; returns how many scores were made."""
        models = self._workspace.catalog.models
        active = {models.active(role) for role in ROLES} - {None}
        self._loaded = {name: kept for name, kept in self._loaded.items() if name in active}
        return sum(self.score(name, on_images) for name in sorted(filter(None, active)))

    def score(self, checkpoint_id: str, on_images: Callable[[int], None] = lambda _: None) -> int:
        """Score everything that is pending for one checkpoint."""
        catalog, done = self._workspace.catalog, 0
        while hashes := catalog.pending(checkpoint_id, BATCH):
            catalog.add_scores(checkpoint_id, self._rows(checkpoint_id, hashes), datetime.now(UTC))
            done += len(hashes)
            on_images(done)
        return done

    def put_in_service(
        self,
        serving: Mapping[str, str],
        reason: str,
        fence: tuple[str, int] | None = None,
        on_images: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Score everything with each role's checkpoint, then switch the roles in one commit.

        Images that arrive meanwhile are scored too before the switch. Scores of checkpoints long
        out of service make room first. `fence` names the lease under which this is done; raises
        HeldByAnother when it has passed on.
        """
        models = self._workspace.catalog.models
        total = sum(models.begin_scoring(name) for name in sorted(set(serving.values())))
        while models.forget_scores(BATCH):
            on_images(0, total)
        while True:
            done = 0
            for name in sorted(set(serving.values())):
                done += self.score(name, partial(_told, on_images, done, total))
            if models.activate(serving, reason, datetime.now(UTC), fence):
                return

    def use(
        self, prefix: str, on_images: Callable[[int, int], None] = lambda done, total: None
    ) -> CheckpointRow:
        """Put the checkpoint whose id begins with `prefix` back in service.

        A pre-trained one serves in both roles; a fine-tuned one detects, and its parent names the
        classes.
        """
        models = self._workspace.catalog.models
        row = models.get(prefix)
        parent = row.parent_id or row.checkpoint_id
        serving = {"classifier": parent, "detector": row.checkpoint_id}
        self.put_in_service(serving, "chosen by hand", on_images=on_images)
        return row

    def _rows(self, checkpoint_id: str, hashes: Sequence[str]) -> list[NewScore]:
        made, network, reference = self._load(checkpoint_id)
        pixels = load_pixels(self._workspace.previews, hashes, made.image_size)
        return score_rows(made, hashes, predict(network, pixels, self._device, reference=reference))

    def _load(self, checkpoint_id: str) -> tuple[Checkpoint, TwoHeadNetwork, Reference]:
        if checkpoint_id not in self._loaded:
            self._loaded[checkpoint_id] = checkpoints.load(
                self._workspace.checkpoints / checkpoint_id
            )
        return self._loaded[checkpoint_id]


def _told(on_images: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    on_images(before + done, max(before + done, total))


def score_rows(made: Checkpoint, hashes: Sequence[str], scores: Scores) -> list[NewScore]:
    """The catalog's rows for `scores` of the images `hashes`, each with its p-value.

    An image that was in the fine-tune's pool is read against the canaries, which were treated as
    it was; any other against the calibration images that were held out.
    """
    read_against = ["canary" if name in made.pool else "held_out" for name in hashes]
    score, apart = made.score(scores), disagreement(scores, made.standard)
    p = {name: p_values(score, torch.tensor(made.calibration[name])) for name in set(read_against)}
    near = scores.nearest.tolist()
    return [
        NewScore(
            sha256=name,
            score=float(score[i]),
            discrepancy=float(scores.discrepancy[i]),
            msp=float(scores.msp[i]),
            energy=float(scores.energy[i]),
            knn=float(scores.knn[i]),
            disagreement=float(apart[i]),
            label=made.classes[int(scores.label[i])],
            confidence=float(scores.confidence[i]),
            p_value=float(p[against][i]),
            calibration=against,
            nearest=" ".join(str(row) for row in near[i] if row >= 0),
        )
        for i, (name, against) in enumerate(zip(hashes, read_against, strict=True))
    ]
