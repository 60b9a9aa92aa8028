"""Newly tagged images that a hook is to be told of, in a queue of the catalog.

A notice is written in the commit of the score that gives an image its first tag, and deleted only
after its delivery was accepted: a kill in between can double it, not lose it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, func, select, update

from curate.catalog import listing
from curate.catalog.engine import insert, read, write
from curate.catalog.query import Query
from curate.catalog.rows import ImageRow, columns
from curate.catalog.tables import Hook, Notice

ON_TAG = "on-tag"


@dataclass(frozen=True)
class HookRow:
    """What came of the deliveries so far; `delivered` counts images."""

    delivered: int
    failures: int
    last_delivered_at: datetime | None
    last_failed_at: datetime | None
    last_error: str | None


class Hooks:
    """The hook of a catalog, and its queue."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set(self) -> None:
        """From now on, queue what is tagged; what came of earlier deliveries is kept."""
        with write(self._engine) as connection:
            new = {"name": ON_TAG, "delivered": 0, "failures": 0}
            connection.execute(insert(connection, Hook).on_conflict_do_nothing(), new)

    def remove(self) -> int:
        """Queue nothing any more; returns how many notices are dropped."""
        with write(self._engine) as connection:
            dropped = connection.execute(delete(Notice)).rowcount
            connection.execute(delete(Hook))
        return dropped

    def state(self) -> tuple[HookRow, int] | None:
        """What came of it, and how many images wait; None where no hook is set."""
        with read(self._engine) as connection:
            row = connection.execute(select(*columns(HookRow, Hook))).one_or_none()
            waiting = connection.scalar(select(func.count()).select_from(Notice)) or 0
        return (HookRow(*row), waiting) if row is not None else None

    def due(self, limit: int) -> list[ImageRow]:
        """At most `limit` images that wait, those that wait longest, as they are now."""
        waiting = select(Notice.sha256).order_by(Notice.queued_at, Notice.sha256).limit(limit)
        with read(self._engine) as connection:
            hashes = connection.scalars(waiting).all()
            return listing.among(connection, Query(), hashes, all_paths=False)

    def accepted(self, hashes: Sequence[str], now: datetime) -> None:
        """Take delivered images off the queue."""
        with write(self._engine) as connection:
            connection.execute(delete(Notice).where(Notice.sha256.in_(hashes)))
            done = Hook.delivered + len(hashes)
            connection.execute(update(Hook).values(delivered=done, last_delivered_at=now))

    def failed(self, reason: str, now: datetime) -> None:
        """Record that a delivery was not accepted; its images stay in the queue."""
        with write(self._engine) as connection:
            came = {"failures": Hook.failures + 1, "last_failed_at": now, "last_error": reason}
            connection.execute(update(Hook).values(**came))
