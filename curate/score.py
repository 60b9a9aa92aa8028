"""Scores for images that have none: the queue, one forward pass, one commit a batch.

A checkpoint goes into service only after it has scored everything, so that no image is ever
without a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from curate.catalog.models import CheckpointRow
from curate.workspace import Workspace

if TYPE_CHECKING:
    from curate.networks import Networks

ROLES = ("classifier", "detector")
LEASE = "finetune"
"""Whoever holds it may put another detector in service."""
BATCH = 500


class Scorer:
    """Scores pending images with the checkpoints of a workspace, once there are any."""

    def __init__(self, workspace: Workspace, device: str) -> None:
        """Raises UsageError for a wrong name of a `device`, as `check_device` does."""
        check_device(device)
        self._workspace = workspace
        self._device = device
        self._made: Networks | None = None

    def score_active(self, on_images: Callable[[int], None] = lambda _: None) -> int:
        """Score what is pending for the active checkpoints; returns how many scores were made."""
        models = self._workspace.catalog.models
        active = set(filter(None, map(models.active, ROLES)))
        if self._made is not None:
            self._made.keep(active)
        return sum(self.score(name, on_images) for name in sorted(active))

    def score(self, checkpoint_id: str, on_images: Callable[[int], None] = lambda _: None) -> int:
        """Score everything that is pending for one checkpoint."""
        catalog, done = self._workspace.catalog, 0
        while catalog.pending(checkpoint_id, 1):
            for rows in self._networks.scored(checkpoint_id, self._pending(checkpoint_id)):
                catalog.add_scores(checkpoint_id, rows, datetime.now(UTC))
                done += len(rows)
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

    def _pending(self, checkpoint_id: str) -> Iterator[list[str]]:
        """What is pending now, a batch at a time, whether or not the one before is scored yet."""
        last = ""
        while hashes := self._workspace.catalog.pending(checkpoint_id, BATCH, last):
            yield hashes
            last = hashes[-1]

    @property
    def _networks(self) -> Networks:
        if self._made is None:
            from curate.networks import Networks

            self._made = Networks(self._workspace, self._device)
        return self._made


def check_device(name: str) -> None:
    """Raise UsageError as `choose_device` does; "auto" is never wrong, so it costs no torch."""
    if name != "auto":
        from curate.model.device import choose_device

        choose_device(name)


def _told(on_images: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    on_images(before + done, max(before + done, total))
