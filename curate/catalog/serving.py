"""Which checkpoint serves in which role, and which have queues, inside a transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from curate.catalog.engine import insert
from curate.catalog.tables import Activation, Checkpoint, Pending, Scoring
from curate.errors import Superseded


def in_service(connection: Connection, role: str) -> str | None:
    """The checkpoint that serves in `role`, None before there is one."""
    newest = select(Activation.checkpoint_id).where(Activation.role == role)
    return connection.scalar(newest.order_by(Activation.seq.desc()).limit(1))


def near_service(connection: Connection) -> set[str]:
    """Checkpoints that have a queue, and of each role the one that served before."""
    found = set(connection.scalars(select(Scoring.checkpoint_id)))
    for role in ("classifier", "detector"):
        served = select(Activation.checkpoint_id).where(
            Activation.role == role, Activation.checkpoint_id != in_service(connection, role)
        )
        found.update(connection.scalars(served.order_by(Activation.seq.desc()).limit(1)))
    return found


def put_in_service(
    connection: Connection, role: str, checkpoint_id: str, reason: str, now: datetime
) -> None:
    """Write down that a checkpoint serves in a role from now on."""
    last = connection.scalar(select(func.max(Activation.seq)).where(Activation.role == role))
    connection.execute(
        insert(connection, Activation).values(
            role=role,
            seq=(last or 0) + 1,
            checkpoint_id=checkpoint_id,
            activated_at=now,
            reason=reason,
        )
    )


def check_parent(connection: Connection, detector: str) -> None:
    """Raise Superseded for a detector beside another classifier than it was made from."""
    parent = select(Checkpoint.parent_id).where(Checkpoint.checkpoint_id == detector)
    if connection.scalar(parent) not in (None, in_service(connection, "classifier")):
        raise Superseded


def retire(connection: Connection) -> None:
    """Drop the queues of checkpoints that serve in no role."""
    serving = {in_service(connection, "classifier"), in_service(connection, "detector")} - {None}
    connection.execute(delete(Pending).where(Pending.checkpoint_id.not_in(serving)))
    connection.execute(delete(Scoring).where(Scoring.checkpoint_id.not_in(serving)))
