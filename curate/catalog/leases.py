"""Leases: who may watch an inbox or fine-tune. Each holder gets a larger fence than the one before.

The fence is checked in the transaction that matters, so one who slept through a takeover cannot
do harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, select, update

from curate.catalog.engine import insert, read, write
from curate.catalog.processes import is_running, started
from curate.catalog.rows import columns
from curate.catalog.tables import Lease
from curate.errors import HeldByAnother


@dataclass(frozen=True)
class LeaseRow:
    """A lease that is held, by whom and until when."""

    name: str
    what: str
    fence: int
    pid: int
    host: str
    acquired_at: datetime
    expires_at: datetime


_LEASES = select(*columns(LeaseRow, Lease), Lease.process_started, Lease.released)


class Leases:
    """The leases of a catalog."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def acquire(
        self, name: str, what: str, pid: int, host: str, now: datetime, ttl_seconds: float
    ) -> int:
        """Take the lease `name` on `what` (shown to people) and return its fence.

        A holder loses it by not renewing, and on this host by ending.
        Raises HeldByAnother while there is one.
        """
        with write(self._engine) as connection:
            row = connection.execute(_LEASES.where(Lease.name == name)).one_or_none()
            if row is not None and _is_held(row, now):
                raise HeldByAnother(row.what, row.pid, row.host)
            fence = row.fence + 1 if row is not None else 1
            connection.execute(delete(Lease).where(Lease.name == name))
            connection.execute(
                insert(connection, Lease).values(
                    name=name,
                    what=what,
                    fence=fence,
                    pid=pid,
                    host=host,
                    process_started=started(pid),
                    acquired_at=now,
                    expires_at=now + timedelta(seconds=ttl_seconds),
                    released=False,
                )
            )
        return fence

    def renew(self, name: str, fence: int, now: datetime, ttl_seconds: float) -> None:
        """Keep the lease for `ttl_seconds` from `now`; raises HeldByAnother when it passed on."""
        with write(self._engine) as connection:
            check_fence(connection, name, fence)
            expires = now + timedelta(seconds=ttl_seconds)
            connection.execute(update(Lease).where(Lease.name == name).values(expires_at=expires))

    def release(self, name: str, fence: int) -> None:
        """Give the lease back; nothing happens when it has passed on."""
        with write(self._engine) as connection:
            connection.execute(
                update(Lease).where(Lease.name == name, Lease.fence == fence).values(released=True)
            )

    def holder(self, name: str, now: datetime | None = None) -> LeaseRow | None:
        """Who holds the lease at `now` (None: this moment), None when nobody does."""
        return next((row for row in self.list(now) if row.name == name), None)

    def list(self, now: datetime | None = None) -> tuple[LeaseRow, ...]:
        """All leases that are held at `now` (None: this moment), by name."""
        with read(self._engine) as connection:
            rows = connection.execute(_LEASES.order_by(Lease.name)).all()
        moment = now or datetime.now(UTC)
        return tuple(LeaseRow(*row[:-2]) for row in rows if _is_held(row, moment))


def check_fence(connection: Connection, name: str, fence: int) -> None:
    """Raise HeldByAnother unless `fence` is still that of the lease `name`."""
    row = connection.execute(_LEASES.where(Lease.name == name)).one()
    if row.fence != fence or row.released:
        raise HeldByAnother(row.what, row.pid, row.host)


def _is_held(row: Row[*tuple[Any, ...]], now: datetime) -> bool:
    if row.released:
        return False
    # One that has slept past its end has lost it even if it wakes: the fence sees to that.
    running = is_running(row.pid, row.host, row.process_started)
    return bool(row.expires_at > now) and running is not False
