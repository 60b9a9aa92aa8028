"""Checkpoints, the labeled snapshots they learned from, and which of them serve in which role.

A checkpoint comes into service in one commit, and only when it has scored every image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, literal, select

from curate.catalog.engine import chunks, insert, read, write
from curate.catalog.leases import check_fence
from curate.catalog.notices import announce
from curate.catalog.rows import columns, made, values
from curate.catalog.serving import (
    check_parent,
    in_service,
    near_service,
    put_in_service,
    retire,
)
from curate.catalog.tables import (
    Activation,
    Checkpoint,
    Image,
    LabeledImage,
    Pending,
    Score,
    Scoring,
    Snapshot,
    Tally,
)
from curate.catalog.tally import counting_scores
from curate.errors import NoCheckpoint, UsageError


@dataclass(frozen=True, slots=True)
class LabeledRow:
    """An image of the labeled folder; `split` is train, validation or calibration."""

    sha256: str
    class_name: str
    split: str
    path: str


@dataclass(frozen=True)
class CheckpointRow:
    """A trained network; a pre-trained one has no parent."""

    checkpoint_id: str
    kind: str
    parent_id: str | None
    snapshot_id: str
    backbone: str
    recipe: str
    figures: Mapping[str, Any]
    created_at: datetime


_CHECKPOINTS = select(*columns(CheckpointRow, Checkpoint))
_LEARNED_FROM = (
    select(Checkpoint.snapshot_id)
    .join(Activation, Activation.checkpoint_id == Checkpoint.checkpoint_id)
    .where(Activation.role == "classifier")
    .order_by(Activation.seq.desc())
    .limit(1)
    .scalar_subquery()
)
"""The labeled folder of the classifier in service."""


class Models:
    """The networks of a catalog."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_snapshot(self, root: str, images: Sequence[LabeledRow], now: datetime) -> str:
        """Keep a labeled folder as it was read; returns its id, the SHA-256 of its rows.

        The same images, classes, splits and paths are one snapshot however often they are added.
        """
        rows = sorted((values(image) for image in images), key=lambda row: row["sha256"])
        text = json.dumps([list(row.values()) for row in rows], separators=(",", ":"))
        snapshot_id = hashlib.sha256(text.encode()).hexdigest()
        with write(self._engine) as connection:
            new = {"snapshot_id": snapshot_id, "root": root, "taken_at": now}
            connection.execute(insert(connection, Snapshot).on_conflict_do_nothing(), new)
            statement = insert(connection, LabeledImage).on_conflict_do_nothing()
            for piece in chunks(rows):
                connection.execute(statement, [row | {"snapshot_id": snapshot_id} for row in piece])
        return snapshot_id

    def snapshot_images(self, snapshot_id: str) -> Sequence[LabeledRow]:
        """The images of a snapshot in the order of their hashes."""
        rows = select(*columns(LabeledRow, LabeledImage)).order_by(LabeledImage.sha256)
        with read(self._engine) as connection:
            found = connection.execute(rows.where(LabeledImage.snapshot_id == snapshot_id))
            return made(LabeledRow, found)

    def labeled_root(self) -> str | None:
        """The labeled folder that the classifier in service was trained on."""
        root = select(Snapshot.root).where(Snapshot.snapshot_id == _LEARNED_FROM)
        with read(self._engine) as connection:
            return connection.scalar(root)

    def classes(self) -> list[str]:
        """The classes of the classifier in service, by name; none before there is one."""
        names = select(LabeledImage.class_name).where(LabeledImage.snapshot_id == _LEARNED_FROM)
        with read(self._engine) as connection:
            return sorted(connection.scalars(names.distinct()))

    def classes_of(self, hashes: Sequence[str]) -> dict[str, str]:
        """The classes of those images that the classifier in service learned from."""
        rows = select(LabeledImage.sha256, LabeledImage.class_name).where(
            LabeledImage.snapshot_id == _LEARNED_FROM, LabeledImage.sha256.in_(hashes)
        )
        with read(self._engine) as connection:
            return {row.sha256: row.class_name for row in connection.execute(rows)}

    def add_checkpoint(self, row: CheckpointRow) -> None:
        """Keep a checkpoint's row; the same one twice is one. It does not serve yet."""
        kept = values(row) | {"figures": json.dumps(dict(row.figures), sort_keys=True)}
        with write(self._engine) as connection:
            connection.execute(insert(connection, Checkpoint).on_conflict_do_nothing(), kept)

    def begin_scoring(self, checkpoint_id: str) -> int:
        """Queue every image, now and from now on, that the checkpoint has not scored.

        Returns how many wait. Doing it again changes nothing.
        """
        with write(self._engine) as connection:
            _queue(connection, checkpoint_id)
            waiting = select(func.count()).where(Pending.checkpoint_id == checkpoint_id)
            return connection.scalar(waiting) or 0

    def queue_again(self, checkpoint_id: str) -> None:
        """Queue what a checkpoint that has a queue neither scored nor is to score."""
        with write(self._engine) as connection:
            _fill(connection, checkpoint_id)

    def score_again(self, contents: Iterable[str]) -> None:
        """Drop every score of these contents, for their previews were damaged, and queue them."""
        with write(self._engine) as connection:
            made_by = select(Checkpoint.checkpoint_id)
            for piece in chunks(contents):
                with counting_scores(connection, piece):
                    connection.execute(
                        delete(Score).where(
                            Score.checkpoint_id.in_(made_by), Score.sha256.in_(piece)
                        )
                    )
                for checkpoint_id in connection.scalars(select(Scoring.checkpoint_id)).all():
                    _fill(connection, checkpoint_id, piece)

    def drop_candidates(self) -> None:
        """Drop the queues of checkpoints that serve in no role, left by a fine-tune that died."""
        with write(self._engine) as connection:
            retire(connection)

    def forget_scores(self, limit: int) -> int:
        """Drop scores of a checkpoint that serves no more, `limit` at most; returns how many.

        Kept are those of checkpoints that have a queue, and of the ones that served before those in
        service, so that the way back is short. Any other scores anew when it is to serve again.
        """
        with write(self._engine) as connection:
            identity = Checkpoint.checkpoint_id
            retired = select(identity).where(identity.not_in(near_service(connection)))
            for checkpoint_id in connection.scalars(retired).all():
                if gone := _forget(connection, checkpoint_id, limit):
                    return gone
        return 0

    def activate(
        self,
        serving: Mapping[str, str],
        reason: str,
        now: datetime,
        fence: tuple[str, int] | None = None,
    ) -> bool:
        """Bring each checkpoint into its role, unless one has yet to score an image: then False.

        The queues of checkpoints that serve no more are dropped in the same commit. `fence` is
        the name and number of the lease that this is done under; raises HeldByAnother when the
        lease has passed on, and Superseded for a fine-tuned detector beside another classifier
        than the one that it was made from.
        """
        with write(self._engine) as connection:
            if fence is not None:
                check_fence(connection, *fence)
            for checkpoint_id in set(serving.values()):
                # Another's activation may have dropped this candidate's queue meanwhile.
                _queue(connection, checkpoint_id)
            waits = select(Pending.sha256).where(Pending.checkpoint_id.in_(serving.values()))
            if connection.scalar(waits.limit(1)) is not None:
                return False
            if detector := in_service(connection, "detector"):
                # What it has not scored gets its first tag now; its queue is dropped.
                announce(connection, detector, now)
            for role, checkpoint_id in serving.items():
                if in_service(connection, role) != checkpoint_id:
                    put_in_service(connection, role, checkpoint_id, reason, now)
            if "detector" in serving:
                check_parent(connection, serving["detector"])
            retire(connection)
        return True

    def active(self, role: str) -> str | None:
        """The checkpoint that serves in `role`, "classifier" or "detector"."""
        with read(self._engine) as connection:
            return in_service(connection, role)

    def active_since(self, role: str) -> tuple[CheckpointRow, datetime] | None:
        """The checkpoint that serves in `role`, and since when."""
        newest = (
            select(*columns(CheckpointRow, Checkpoint), Activation.activated_at)
            .join(Activation, Activation.checkpoint_id == Checkpoint.checkpoint_id)
            .where(Activation.role == role)
            .order_by(Activation.seq.desc())
            .limit(1)
        )
        with read(self._engine) as connection:
            row = connection.execute(newest).one_or_none()
        return (_made(row[:-1]), row.activated_at) if row is not None else None

    def list(self) -> tuple[CheckpointRow, ...]:
        """Every checkpoint, oldest first."""
        rows = _CHECKPOINTS.order_by(Checkpoint.created_at, Checkpoint.checkpoint_id)
        with read(self._engine) as connection:
            return tuple(map(_made, connection.execute(rows)))

    def get(self, prefix: str) -> CheckpointRow:
        """The checkpoint whose id begins with `prefix`.

        Raises NoCheckpoint when there is none, UsageError when there are several.
        """
        text = prefix.encode(errors="replace").decode()  # bytes that are no text become "?"
        begins = Checkpoint.checkpoint_id.startswith(text, autoescape=True)
        with read(self._engine) as connection:
            rows = connection.execute(_CHECKPOINTS.where(begins).limit(2)).all()
        if not rows:
            raise NoCheckpoint(f"no checkpoint begins with {prefix!r}; `curate models` lists them")
        if len(rows) > 1:
            raise UsageError(f"several checkpoints begin with {prefix!r}; give more characters")
        return _made(rows[0])


def _queue(connection: Connection, checkpoint_id: str) -> None:
    """Give `checkpoint_id` a queue with every image that it has not scored."""
    known = select(Scoring.checkpoint_id).where(Scoring.checkpoint_id == checkpoint_id)
    if connection.scalar(known) is not None:
        return
    connection.execute(insert(connection, Scoring).values(checkpoint_id=checkpoint_id))
    _fill(connection, checkpoint_id)


def _fill(connection: Connection, checkpoint_id: str, among: Sequence[str] | None = None) -> None:
    """Put every image, or each of these, into the queue that the checkpoint has not scored."""
    scored = select(Score.sha256).where(
        Score.checkpoint_id == checkpoint_id, Score.sha256 == Image.sha256
    )
    images = select(literal(checkpoint_id), Image.sha256).where(~scored.exists())
    if among is not None:
        images = images.where(Image.sha256.in_(among))
    rows = insert(connection, Pending).from_select(["checkpoint_id", "sha256"], images)
    connection.execute(rows.on_conflict_do_nothing())


def _forget(connection: Connection, checkpoint_id: str, limit: int) -> int:
    made = Score.checkpoint_id == checkpoint_id
    hashes = connection.scalars(select(Score.sha256).where(made).limit(limit)).all()
    with counting_scores(connection, hashes, checkpoint_id):
        connection.execute(delete(Score).where(made, Score.sha256.in_(hashes)))
    if len(hashes) < limit:
        connection.execute(delete(Tally).where(Tally.checkpoint_id == checkpoint_id))
    return len(hashes)


def _made(row: Sequence[Any]) -> CheckpointRow:
    found = CheckpointRow(*row)
    return replace(found, figures=json.loads(str(found.figures)))
