"""The record of fine-tunes: written when one starts and again when it ends, whatever came."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, exists, select, update

from curate.catalog.engine import insert, read, write
from curate.catalog.processes import is_running, started
from curate.catalog.rows import columns
from curate.catalog.tables import FinetuneRun, Lease

ABANDONED = "the process ended before the run was finished"


@dataclass(frozen=True)
class RunRow:
    """A fine-tune; `outcome` is promoted, rejected, skipped, failed, or None while it runs."""

    run_id: str
    started_at: datetime
    ended_at: datetime | None
    recipe: str
    outcome: str | None
    reason: str | None
    figures: Mapping[str, Any]
    images: int
    checkpoint_id: str | None
    pid: int
    host: str


_NEWEST = select(*columns(RunRow, FinetuneRun)).order_by(
    FinetuneRun.started_at.desc(), FinetuneRun.run_id.desc()
)


class Runs:
    """The fine-tunes of a catalog."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self, recipe: str, pid: int, host: str, now: datetime) -> str:
        """Record that the process begins to fine-tune; returns the run's id."""
        run_id = uuid.uuid4().hex
        with write(self._engine) as connection:
            connection.execute(
                insert(connection, FinetuneRun).values(
                    run_id=run_id,
                    started_at=now,
                    recipe=recipe,
                    figures="{}",
                    images=0,
                    pid=pid,
                    host=host,
                    process_started=started(pid),
                )
            )
        return run_id

    def finish(
        self,
        run_id: str,
        outcome: str,
        reason: str,
        figures: Mapping[str, Any],
        images: int,
        checkpoint_id: str | None,
        now: datetime,
    ) -> None:
        """Record what came of it; `images` is how many unlabeled images it learned from."""
        with write(self._engine) as connection:
            connection.execute(
                update(FinetuneRun)
                .where(FinetuneRun.run_id == run_id)
                .values(
                    ended_at=now,
                    outcome=outcome,
                    reason=reason,
                    figures=json.dumps(dict(figures), sort_keys=True),
                    images=images,
                    checkpoint_id=checkpoint_id,
                )
            )

    def abandon(self, now: datetime) -> int:
        """Record as failed the runs whose process is gone; returns how many."""
        with write(self._engine) as connection:
            open_runs = connection.execute(
                select(
                    FinetuneRun.run_id,
                    FinetuneRun.pid,
                    FinetuneRun.host,
                    FinetuneRun.process_started,
                ).where(FinetuneRun.ended_at.is_(None))
            ).all()
            gone = [row.run_id for row in open_runs if not _runs_on(connection, row, now)]
            connection.execute(
                update(FinetuneRun)
                .where(FinetuneRun.run_id.in_(gone))
                .values(ended_at=now, outcome="failed", reason=ABANDONED)
            )
        return len(gone)

    def latest(self) -> RunRow | None:
        """The run that started last."""
        with read(self._engine) as connection:
            row = connection.execute(_NEWEST.limit(1)).one_or_none()
        return _made(row) if row is not None else None

    def latest_ended(self) -> RunRow | None:
        """The run that started last of those that came to an outcome: none that was stopped."""
        with read(self._engine) as connection:
            # Of a run that has not ended the reason is NULL, and that differs from nothing.
            ended = _NEWEST.where(FinetuneRun.reason != ABANDONED)
            row = connection.execute(ended.limit(1)).one_or_none()
        return _made(row) if row is not None else None

    def list(self) -> tuple[RunRow, ...]:
        """All runs, the newest first."""
        with read(self._engine) as connection:
            return tuple(map(_made, connection.execute(_NEWEST)))


def _runs_on(connection: Connection, row: Row[*tuple[Any, ...]], now: datetime) -> bool:
    """Whether the run's process lives; on another host, whether it renews a lease."""
    running = is_running(row.pid, row.host, row.process_started)
    if running is not None:
        return running
    holds = exists().where(
        Lease.pid == row.pid,
        Lease.host == row.host,
        Lease.released.is_(False),
        Lease.expires_at > now,
    )
    return bool(connection.scalar(select(holds)))


def _made(row: Row[*tuple[Any, ...]]) -> RunRow:
    return RunRow(**{**row._mapping, "figures": json.loads(row.figures)})
