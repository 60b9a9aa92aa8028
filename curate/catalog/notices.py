"""Notices of newly tagged images, written in the commit that tags them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, literal, select

from curate.catalog.columns import UtcTime
from curate.catalog.engine import insert
from curate.catalog.tables import Hook, Notice, Pending


def announce(
    connection: Connection, detector: str, now: datetime, among: Sequence[str] | None = None
) -> None:
    """Queue a notice of each image, or each of these, that a detector in service is to score.

    To be called in the commit that takes them off the detector's own queue. Does nothing where no
    hook is set.
    """
    if connection.scalar(select(Hook.name)) is None:
        return
    images = select(Pending.sha256, literal(now, UtcTime())).where(
        Pending.checkpoint_id == detector
    )
    if among is not None:
        images = images.where(Pending.sha256.in_(among))
    rows = insert(connection, Notice).from_select(["sha256", "queued_at"], images)
    connection.execute(rows.on_conflict_do_nothing())
