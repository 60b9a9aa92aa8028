"""Random samples that people judge to learn the true rates; their tables beside their only user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Connection,
    Engine,
    ForeignKeyConstraint,
    Select,
    func,
    select,
    update,
)
from sqlalchemy.orm import Mapped

from curate.catalog import listing
from curate.catalog.columns import Base, key, number_key
from curate.catalog.engine import chunks, insert, read, write
from curate.catalog.query import Query
from curate.catalog.rows import columns, made
from curate.catalog.serving import in_service
from curate.catalog.tables import Score
from curate.catalog.views import CurrentTag

BEYOND = "g"
"""Above every hash."""
_PIECE = 500


class Audit(Base):
    """A sample, and whether the detector was calibrated with it."""

    __tablename__ = "audit"
    seq: Mapped[int] = number_key()
    drawn_at: Mapped[datetime]
    query: Mapped[str]
    recalibrated_at: Mapped[datetime | None]


class AuditImage(Base):
    """An image of a sample."""

    __tablename__ = "audit_image"
    __table_args__ = (
        ForeignKeyConstraint(["seq"], ["audit.seq"]),
        ForeignKeyConstraint(["sha256"], ["image.sha256"]),
    )
    seq: Mapped[int] = number_key()
    sha256: Mapped[str] = key()


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A sample: of what, and when it was drawn and calibrated with."""

    seq: int
    drawn_at: datetime
    query: str
    recalibrated_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditedImage:
    """An image of a sample: the word that stands on it, and what the detector in service says."""

    sha256: str
    verdict: str | None
    score: float | None
    p_value: float | None


class Audits:
    """The samples of a catalog; the last one is the one that is asked about."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def draw(self, query: Query, text: str, size: int, start: str, now: datetime) -> int:
        """Draw `size` images at random among those that `query`, written as `text`, means.

        They are those that follow the hash `start`, in the order of hashes, which know nothing of
        the pictures. Returns how many there are: fewer where no more are meant; with none, nothing
        is drawn. Images without a score are left out.
        """
        with read(self._engine) as connection:
            sample = _following(connection, query, size, start)
        if not sample:
            return 0
        with write(self._engine) as connection:
            seq = (connection.scalar(select(func.max(Audit.seq))) or 0) + 1
            row = {"seq": seq, "drawn_at": now, "query": text, "recalibrated_at": None}
            connection.execute(insert(connection, Audit), row)
            for piece in chunks(sample):
                rows = [{"seq": seq, "sha256": sha256} for sha256 in piece]
                connection.execute(insert(connection, AuditImage), rows)
        return len(sample)

    def latest(self) -> AuditRow | None:
        """The last sample."""
        return self._first(select(*columns(AuditRow, Audit)))

    def images(self, seq: int) -> tuple[AuditedImage, ...]:
        """The images of a sample, by hash: an order that is as random as the sample."""
        rows = (
            select(*columns(AuditedImage, CurrentTag))
            .join(AuditImage, AuditImage.sha256 == CurrentTag.sha256)
            .where(AuditImage.seq == seq)
            .order_by(AuditImage.sha256)
        )
        with read(self._engine) as connection:
            return made(AuditedImage, connection.execute(rows))

    def calibrating(self) -> list[str]:
        """Images of our classes in the last sample that a detector was calibrated with."""
        sample = self._in_force()
        images = self.images(sample.seq) if sample else ()
        return [image.sha256 for image in images if image.verdict == "id"]

    def reserved(self) -> set[str]:
        """Images of the last sample, and of the one that a detector was calibrated with.

        What is measured by them would not be true of a network that was trained on them.
        """
        samples = filter(None, (self.latest(), self._in_force()))
        return {image.sha256 for sample in samples for image in self.images(sample.seq)}

    def recalibrated(self, seq: int, now: datetime) -> None:
        """Note that detectors are calibrated with a sample from now on."""
        with write(self._engine) as connection:
            connection.execute(update(Audit).where(Audit.seq == seq).values(recalibrated_at=now))

    def _in_force(self) -> AuditRow | None:
        rows = select(*columns(AuditRow, Audit)).where(Audit.recalibrated_at.is_not(None))
        return self._first(rows)

    def _first(self, rows: Select[*tuple[object, ...]]) -> AuditRow | None:
        with read(self._engine) as connection:
            found = made(AuditRow, connection.execute(rows.order_by(Audit.seq.desc()).limit(1)))
        return found[0] if found else None


def newest(connection: Connection) -> int | None:
    """The number of the last sample."""
    return connection.scalar(select(func.max(Audit.seq)))


def _following(connection: Connection, query: Query, size: int, start: str) -> list[str]:
    """At most `size` scored images that are meant: those after `start`, then the first ones."""
    detector, found = in_service(connection, "detector") or "", list[str]()
    for after, last in ((start, BEYOND), ("", start)):
        while len(found) < size and (piece := _scored(connection, detector, after, last)):
            meant = listing.among(connection, query, piece, all_paths=False)
            found += sorted(row.sha256 for row in meant)
            after = piece[-1]
    return found[:size]


def _scored(connection: Connection, detector: str, after: str, last: str) -> Sequence[str]:
    rows = select(Score.sha256).where(
        Score.checkpoint_id == detector, Score.sha256 > after, Score.sha256 <= last
    )
    return connection.scalars(rows.order_by(Score.sha256).limit(_PIECE)).all()
