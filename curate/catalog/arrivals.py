"""The images that arrived last, and what the detector says of them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, select

from curate.catalog.engine import read
from curate.catalog.serving import in_service
from curate.catalog.tables import Image, Score


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the detector takes an image for, and how unusual it is among images of our classes."""

    label: str
    p_value: float


def latest(engine: Engine, limit: int) -> list[Arrival]:
    """The `limit` images that arrived last, newest first; those without a score are left out."""
    with read(engine) as connection:
        newest = (
            select(Image.sha256, Image.first_seen)
            .order_by(Image.first_seen.desc(), Image.sha256.desc())
            .limit(limit)
            .subquery()
        )
        rows = (
            select(Score.label, Score.p_value)
            .join(newest, newest.c.sha256 == Score.sha256)
            .where(Score.checkpoint_id == in_service(connection, "detector"))
            .order_by(newest.c.first_seen.desc(), newest.c.sha256.desc())
        )
        return [Arrival(label, p_value) for label, p_value in connection.execute(rows)]
