"""A person's word on images: appended, never overwritten; undo is another row.

A step is what was judged at once. The newest row of an image stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from curate.catalog.engine import chunks, insert, read, write
from curate.catalog.rows import columns, made
from curate.catalog.tables import Image, Review
from curate.catalog.tally import counting_reviews
from curate.catalog.verdicts import standing

T = TypeVar("T")
Verdict = tuple[str, str, str | None]
"""sha256, "id", "ood" or "none" (no word on it), and the class where it is known."""


@dataclass(frozen=True)
class Judged:
    """What came of a judgement."""

    step: int
    """The newest step; it is the judgement's own unless all of its images were passed over."""
    passed_over: frozenset[str]
    """Images that were left out of it, for others had spoken on them since."""


@dataclass(frozen=True)
class Word:
    """One word on an image; `undoes` is the step that it takes back, if it does."""

    step: int
    verdict: str
    class_name: str | None
    reviewer: str
    reviewed_at: datetime
    undoes: int | None


class Reviews:
    """The reviews of a catalog."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, items: Sequence[Verdict], reviewer: str, now: datetime, as_of: int | None = None
    ) -> Judged:
        """Record verdicts as one step; an image named twice keeps the last.

        Images on which there is a word after step `as_of`, which whoever judges has not seen, are
        passed over. An image that the catalog does not hold is an IntegrityError.
        """
        judged = {sha256: (verdict, class_name) for sha256, verdict, class_name in items}
        with write(self._engine) as connection:
            step = _next_step(connection)
            unseen = set() if as_of is None else _spoken_since(connection, as_of, judged)
            for sha256 in unseen:
                del judged[sha256]
            rows = [
                {"sha256": sha256, "verdict": verdict, "class_name": class_name}
                for sha256, (verdict, class_name) in judged.items()
            ]
            common = {"reviewer": reviewer, "reviewed_at": now, "step": step, "undoes": None}
            _append(connection, [row | common for row in rows])
        return Judged(step if rows else step - 1, frozenset(unseen))

    def undo(self, reviewer: str, now: datetime) -> Sequence[str]:
        """Take back the reviewer's last step that still stands; returns the images that it held.

        What was said before stands again, and what others have said since goes on standing.
        """
        with write(self._engine) as connection:
            undone = _last_standing(connection, reviewer)
            if undone is None:
                return []
            step = _next_step(connection)
            judged = select(Review.sha256).where(Review.step == undone)
            hashes = connection.scalars(judged).all()
            common = {"reviewed_at": now, "step": step, "undoes": undone}
            for piece in chunks(hashes):
                before = _standing_without(connection, piece, undone)
                none = {"verdict": "none", "class_name": None, "reviewer": reviewer}
                _append(
                    connection,
                    [{"sha256": name, **before.get(name, none), **common} for name in piece],
                )
        return hashes

    def unknown(self, hashes: Sequence[str]) -> list[str]:
        """Those of the images that the catalog does not hold."""
        known = set[str]()
        with read(self._engine) as connection:
            for piece in chunks(hashes):
                known.update(
                    connection.scalars(select(Image.sha256).where(Image.sha256.in_(piece)))
                )
        return [name for name in hashes if name not in known]

    def last_step(self) -> int:
        """The number of the newest step; 0 before there is one."""
        with read(self._engine) as connection:
            return _next_step(connection) - 1

    def since(self, step: int, limit: int) -> list[str]:
        """Images on which there is a word after `step`, at most `limit` of them."""
        rows = select(Review.sha256).where(Review.step > step).distinct().limit(limit)
        with read(self._engine) as connection:
            return list(connection.scalars(rows))

    def standing(self) -> list[Verdict]:
        """The word that stands on each image that has one, by hash."""
        with read(self._engine) as connection:
            rows = connection.execute(standing().order_by(Review.sha256))
            return [(row.sha256, row.verdict, row.class_name) for row in rows]

    def classed(self, hashes: Sequence[str]) -> set[str]:
        """Those of the images on which a word stands that names a class."""
        told = standing().where(Review.sha256.in_(hashes), Review.class_name.is_not(None))
        with read(self._engine) as connection:
            return {row.sha256 for row in connection.execute(told)}

    def standing_since(self) -> dict[str, datetime]:
        """When the word that stands on each image was said, by hash."""
        with read(self._engine) as connection:
            said = standing().with_only_columns(Review.sha256, Review.reviewed_at)
            return {row.sha256: row.reviewed_at for row in connection.execute(said)}

    def history(self, sha256: str) -> list[Word]:
        """Every word on an image, the oldest first."""
        rows = select(*columns(Word, Review)).where(Review.sha256 == sha256).order_by(Review.seq)
        with read(self._engine) as connection:
            return list(made(Word, connection.execute(rows)))

    def last_reviewer(self) -> str | None:
        """Who made the last step that still stands; None where there is none."""
        with read(self._engine) as connection:
            return connection.scalar(_steps(Review.reviewer).limit(1))


def _next_step(connection: Connection) -> int:
    return (connection.scalar(select(func.max(Review.step))) or 0) + 1


def _spoken_since(connection: Connection, step: int, hashes: Iterable[str]) -> set[str]:
    """Those images on which there is a word after `step`."""
    found = set[str]()
    for piece in chunks(hashes):
        rows = select(Review.sha256).where(Review.sha256.in_(piece), Review.step > step)
        found.update(connection.scalars(rows))
    return found


def _last_standing(connection: Connection, reviewer: str) -> int | None:
    """The reviewer's last step that is no undo and was not undone."""
    return connection.scalar(_steps(Review.step).where(Review.reviewer == reviewer).limit(1))


def _steps(column: InstrumentedAttribute[T]) -> Select[T]:
    """A column of the steps that are no undo and were not undone, the last one first."""
    undo = aliased(Review)
    return (
        select(column)
        .where(Review.undoes.is_(None))
        .where(~select(undo.step).where(undo.undoes == Review.step).exists())
        .order_by(Review.step.desc())
    )


def _standing_without(
    connection: Connection, hashes: Sequence[str], undone: int
) -> dict[str, dict[str, Any]]:
    """For each image the newest judgement that is not taken back, `undone` being so now."""
    undo = aliased(Review)
    rows = connection.execute(
        select(Review.sha256, Review.verdict, Review.class_name, Review.reviewer)
        .where(Review.sha256.in_(hashes), Review.undoes.is_(None), Review.step != undone)
        .where(~select(undo.step).where(undo.undoes == Review.step).exists())
        .order_by(Review.step)
    )
    return {
        row.sha256: {
            "verdict": row.verdict,
            "class_name": row.class_name,
            "reviewer": row.reviewer,
        }
        for row in rows
    }


def _append(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Add rows of different images, each with the next seq of its image."""
    for piece in chunks(rows):
        hashes = [row["sha256"] for row in piece]
        newest = select(Review.sha256, func.max(Review.seq)).where(Review.sha256.in_(hashes))
        counted = connection.execute(newest.group_by(Review.sha256))
        last = {row.sha256: int(row[1]) for row in counted}
        with counting_reviews(connection, hashes):
            connection.execute(
                insert(connection, Review),
                [row | {"seq": last.get(row["sha256"], 0) + 1} for row in piece],
            )
