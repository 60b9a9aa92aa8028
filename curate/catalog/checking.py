"""Whether a catalog is what it should be: the database's own checks, and what no check covers."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine, func, select, text, union

from curate.catalog import tally
from curate.catalog.engine import file_of, read, write
from curate.catalog.tables import Image, LabeledImage, Pending, Score, Scoring, Snapshot

_STREAM = 10_000


def database_faults(engine: Engine, deep: bool) -> list[str]:
    """What SQLite finds wrong with its file; `deep` compares indexes with tables too.

    PostgreSQL checks its own pages, and has no such question.
    """
    if file_of(engine) is None:
        return []
    with read(engine) as connection:
        check = text("PRAGMA integrity_check" if deep else "PRAGMA quick_check")
        found = [str(fault) for fault in connection.scalars(check) if fault != "ok"]
        loose = connection.execute(text("PRAGMA foreign_key_check")).all()
    return found + [f"a row of {row[0]} refers to none of {row[2]}" for row in loose]


def every_content(engine: Engine) -> Iterator[str]:
    """SHA-256 of every image, of inboxes and labeled, in order."""
    named = union(select(Image.sha256), select(LabeledImage.sha256)).subquery()
    rows = select(named.c.sha256).order_by(named.c.sha256).execution_options(yield_per=_STREAM)
    with read(engine) as connection:
        yield from connection.scalars(rows)


def forgotten(engine: Engine) -> dict[str, int]:
    """How many images a checkpoint that scores has neither scored nor in its queue, by its id."""
    scored = select(Score.sha256).where(
        Score.sha256 == Image.sha256, Score.checkpoint_id == Scoring.checkpoint_id
    )
    waiting = select(Pending.sha256).where(
        Pending.sha256 == Image.sha256, Pending.checkpoint_id == Scoring.checkpoint_id
    )
    rows = (
        select(Scoring.checkpoint_id, func.count())
        .join(Image, ~scored.exists() & ~waiting.exists())
        .group_by(Scoring.checkpoint_id)
    )
    with read(engine) as connection:
        return {row[0]: row[1] for row in connection.execute(rows)}


def wrong_counts(engine: Engine) -> list[str]:
    """Which running counts are not what they count."""
    with read(engine) as connection:
        return tally.faults(connection)


def count_anew(engine: Engine) -> None:
    """Make every running count what it should be."""
    with write(engine) as connection:
        tally.count_anew(connection)


def labeled_places(engine: Engine, sha256: str) -> list[tuple[str, str]]:
    """(root, path) of a content in each labeled folder that it was read from, the newest first."""
    rows = (
        select(Snapshot.root, LabeledImage.path)
        .join(LabeledImage, LabeledImage.snapshot_id == Snapshot.snapshot_id)
        .where(LabeledImage.sha256 == sha256)
        .order_by(Snapshot.taken_at.desc())
    )
    with read(engine) as connection:
        return [(root, path) for root, path in connection.execute(rows)]
