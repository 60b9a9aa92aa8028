"""Notices of newly tagged images, written in the commit that tags them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, literal, select

from curate.catalog.columns import UtcTime
from curate.catalog.engine import insert
from curate.catalog.tables import Activation, Hook, Notice, Pending


def announce(
    connection: Connection, checkpoint_id: str, now: datetime, among: Sequence[str] | None = None
) -> None:
    """Queue a notice of each image, or each of these, that the detector in service is to score.

    To be called in the commit that takes them off the detector's own queue. Does nothing where no
    hook is set, or for a checkpoint that does not detect.
    """
    detector = select(Activation.checkpoint_id).where(Activation.role == "detector")
    newest = connection.scalar(detector.order_by(Activation.seq.desc()).limit(1))
    if newest != checkpoint_id or connection.scalar(select(Hook.name)) is None:
        return
    images = select(Pending.sha256, literal(now, UtcTime())).where(
        Pending.checkpoint_id == checkpoint_id
    )
    if among is not None:
        images = images.where(Pending.sha256.in_(among))
    rows = insert(connection, Notice).from_select(["sha256", "queued_at"], images)
    connection.execute(rows.on_conflict_do_nothing())
