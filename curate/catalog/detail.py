"""What there is to see of one image, and of the threshold, beyond the rows of a list."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, select

from curate.catalog import counting
from curate.catalog.counting import Level
from curate.catalog.engine import read
from curate.catalog.rows import columns, made
from curate.catalog.serving import in_service
from curate.catalog.tables import Score
from curate.catalog.views import CurrentTag


@dataclass(frozen=True, slots=True)
class Methods:
    """What each method says of an image; larger is more out-of-distribution."""

    discrepancy: float | None
    msp: float | None
    energy: float | None
    knn: float | None
    disagreement: float | None


def methods(engine: Engine, sha256: str) -> Methods:
    """What the detector in service says of a catalogued image; nothing before it has scored it."""
    chosen = select(*columns(Methods, CurrentTag)).where(CurrentTag.sha256 == sha256)
    with read(engine) as connection:
        return made(Methods, connection.execute(chosen))[0]


def nearest_rows(engine: Engine, sha256: str) -> tuple[str, list[int]]:
    """The detector in service, and the rows of its bank that lie nearest to an image."""
    with read(engine) as connection:
        detector = in_service(connection, "detector") or ""
        rows = select(Score.nearest).where(Score.checkpoint_id == detector, Score.sha256 == sha256)
        found = connection.scalar(rows) or ""
    return detector, [int(row) for row in found.split()]


def levels(engine: Engine, at_most: float) -> list[Level]:
    """The p-values up to `at_most` that the detector in service has given, rising."""
    with read(engine) as connection:
        return counting.levels(connection, in_service(connection, "detector") or "", at_most)
