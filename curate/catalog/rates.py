"""The false-alarm rate that tags are made with; its table beside its only user."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.orm import Mapped

from curate.catalog.columns import Base, number_key
from curate.catalog.engine import insert, read, write

DEFAULT = 0.05


class AlarmRate(Base):
    """A false-alarm rate that was chosen."""

    __tablename__ = "alarm_rate"
    seq: Mapped[int] = number_key()
    rate: Mapped[float]
    set_at: Mapped[datetime]


class Rates:
    """The rates that were chosen; the last one is in force."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def current(self) -> float:
        """The rate in force, 0.05 before one is chosen."""
        with read(self._engine) as connection:
            return rate_in_force(connection)

    def changed_since(self, when: datetime) -> bool:
        """Whether a rate was chosen after `when`."""
        later = select(AlarmRate.seq).where(AlarmRate.set_at > when).limit(1)
        with read(self._engine) as connection:
            return connection.scalar(later) is not None

    def set(self, rate: float, now: datetime) -> None:
        """Choose a rate in (0, 0.5]; every tag follows at once."""
        with write(self._engine) as connection:
            seq = (connection.scalar(select(func.max(AlarmRate.seq))) or 0) + 1
            connection.execute(insert(connection, AlarmRate).values(seq=seq, rate=rate, set_at=now))


def rate_in_force(connection: Connection) -> float:
    """The rate that tags are made with at this moment."""
    newest = select(AlarmRate.rate).order_by(AlarmRate.seq.desc()).limit(1)
    return connection.scalar(newest) or DEFAULT
