"""The orders in which people look at images, page after page, each walked along an index.

A page looks at so many images and no more, whatever the size of the catalog: it may come short, and
says where to go on.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, repeat
from operator import gt, lt
from typing import Any

from sqlalchemy import Connection, Engine, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from curate.catalog import listing
from curate.catalog.audits import AuditImage, newest
from curate.catalog.counting import lowest_flagged
from curate.catalog.engine import read
from curate.catalog.query import Query
from curate.catalog.rates import rate_in_force
from curate.catalog.rows import ImageRow
from curate.catalog.serving import in_service
from curate.catalog.tables import Image, Score
from curate.errors import UsageError

LOOKED_AT = 1_000
"""Images that one page looks at, at most: 60 ms."""
_PIECE = 250

# A walk along hashes begins before the first one.
_HASH = re.compile(r"[0-9a-f]{64}|")
Position = list[Any]
"""Where a walk has come to; in JSON the cursor that a page hands out."""
BOUND = 2**31
"""Above every number that counts up."""
_FIRST: dict[str, type] = {"newest": str, "random": str, "audit": int}
"""Of a position, where it is no score."""
Step = tuple[str, Position]
"""An image, and the position after it."""


@dataclass(frozen=True)
class QueuePage:
    """Some images in the order of a queue; `cursor` leads to the next ones, None at the end."""

    rows: list[ImageRow]
    cursor: str | None


class Queues:
    """The queues of a catalog."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, order: str, query: Query, cursor: str | None, limit: int) -> QueuePage:
        """At most `limit` images that `query` means, in an order of ORDERS, after `cursor`.

        Only "newest" has images without a score. Raises UsageError for another order, a cursor that
        no page handed out, and a query of unreadable files.
        """
        if order not in ORDERS:
            raise UsageError(f"no order {order!r}; use {', '.join(ORDERS)}")
        position = None if cursor is None else _position(cursor, order)
        with read(self._engine) as connection:
            walk = ORDERS[order](connection, position)
            return _page(connection, query, walk, limit)

    def changing_sides(self, rate: float, limit: int) -> list[ImageRow]:
        """Images without a review whose tag the rate would change, nearest its threshold first."""
        with read(self._engine) as connection:
            detector, now = in_service(connection, "detector"), rate_in_force(connection)
            low, high = sorted((rate, now))
            nearest = Score.p_value.desc() if rate > now else Score.p_value
            rows = (
                select(Score.sha256)
                .where(Score.checkpoint_id == detector, Score.p_value > low, Score.p_value <= high)
                .order_by(nearest)
                .limit(LOOKED_AT)
            )
            hashes = connection.scalars(rows).all()
            return _meant(connection, Query(reviewed=False), hashes)[:limit]

    def rows(self, hashes: Sequence[str]) -> list[ImageRow]:
        """Those of the images that the catalog holds, in the order in which they are given."""
        with read(self._engine) as connection:
            return _meant(connection, Query(), hashes)


def _page(connection: Connection, query: Query, walk: Iterator[Step], limit: int) -> QueuePage:
    """The next of the walk that the query means; at most LOOKED_AT are looked at."""
    rows: list[ImageRow] = []
    cursor, left, size = None, LOOKED_AT, limit  # most often a page is what comes first
    while left:
        asked = min(size, left)
        piece = dict(islice(walk, asked))
        for row in _meant(connection, query, list(piece)):
            rows.append(row)
            if len(rows) == limit:
                return QueuePage(rows, json.dumps(piece[row.sha256]))
        if len(piece) < asked:
            return QueuePage(rows, None)
        cursor = json.dumps(list(piece.values())[-1])
        left, size = left - asked, _PIECE
    return QueuePage(rows, cursor)


def _meant(connection: Connection, query: Query, hashes: Sequence[str]) -> list[ImageRow]:
    """Those of the images that the query means, in the order in which they are given."""
    rows = {row.sha256: row for row in listing.among(connection, query, hashes, all_paths=False)}
    return [rows[sha256] for sha256 in hashes if sha256 in rows]


def _position(cursor: str, order: str) -> Position:
    """Read a cursor; whoever asks may have made it up."""
    first = _FIRST.get(order, float)
    forms = [[first, str], [first, str, first, str]] if order == "threshold" else [[first, str]]
    try:
        position: Position = json.loads(cursor)
        if list(map(type, position)) not in forms or (
            first is int and not 0 <= position[0] < BOUND
        ):
            raise ValueError(cursor)
        if order == "newest":
            position[0] = datetime.fromisoformat(position[0]).astimezone(UTC).isoformat()
        hashes = [part for part in position[order == "newest" :] if isinstance(part, str)]
        if not all(map(_HASH.fullmatch, hashes)):
            raise ValueError(cursor)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError("that is no cursor of this order; begin with the first page") from error
    return position


def _along(
    connection: Connection,
    columns: Sequence[InstrumentedAttribute[Any]],
    position: Position | None,
    checkpoint_id: str | None = None,
    down: bool = False,
    audit: int | None = None,
) -> Iterator[Step]:
    """Images in the order of an index of two columns, the second the hash, after `position`."""
    chosen = select(*columns).order_by(*(column.desc() if down else column for column in columns))
    if checkpoint_id is not None:
        chosen = chosen.where(Score.checkpoint_id == checkpoint_id)
    if audit is not None:
        chosen = chosen.where(AuditImage.seq == audit)
    beyond = lt if down else gt
    while True:
        rows = chosen.limit(_PIECE)
        if position is not None:
            last = (
                literal(part, column.type) for part, column in zip(position, columns, strict=True)
            )
            rows = rows.where(beyond(tuple_(*columns), tuple_(*last)))
        found = connection.execute(rows).all()
        for row in found:
            position = list(row)
            yield row.sha256, position
        if len(found) < _PIECE:
            return


def _by_score(connection: Connection, position: Position | None) -> Iterator[Step]:
    detector = in_service(connection, "detector")
    return _along(connection, (Score.score, Score.sha256), position, detector or "", down=True)


def _by_disagreement(connection: Connection, position: Position | None) -> Iterator[Step]:
    detector = in_service(connection, "detector")
    columns = (Score.disagreement, Score.sha256)
    return _along(connection, columns, position, detector or "", down=True)


def _at_random(connection: Connection, position: Position | None) -> Iterator[Step]:
    """By hash, which knows nothing of the picture."""
    detector = in_service(connection, "detector")
    return _along(connection, (Score.checkpoint_id, Score.sha256), position, detector or "")


def _audited(connection: Connection, position: Position | None) -> Iterator[Step]:
    """The last random sample, in an order as random as it is."""
    columns = (AuditImage.seq, AuditImage.sha256)
    return _along(connection, columns, position, audit=newest(connection) or 0)


def _newest(connection: Connection, position: Position | None) -> Iterator[Step]:
    at = position and [datetime.fromisoformat(position[0]), position[1]]
    steps = _along(connection, (Image.first_seen, Image.sha256), at, down=True)
    return ((sha256, [moment.isoformat(), sha256]) for sha256, (moment, _) in steps)


def _nearest(connection: Connection, position: Position | None) -> Iterator[Step]:
    """Both ways from the lowest score that is flagged, always the nearer side first."""
    detector = in_service(connection, "detector") or ""
    threshold = lowest_flagged(connection, detector, rate_in_force(connection))
    if position is not None and len(position) != (4 if threshold is not None else 2):
        raise UsageError("the rate has changed the order; begin with the first page")
    if threshold is None:
        yield from _by_score(connection, position)
        return
    at = position or [threshold, "", threshold, ""]
    columns = (Score.score, Score.sha256)
    above = _along(connection, columns, at[:2], detector)
    below = _along(connection, columns, at[2:], detector, down=True)

    def distance(found: tuple[bool, Step]) -> float:
        score: float = found[1][1][0]
        return abs(score - threshold)

    sides = (zip(repeat(True), above), zip(repeat(False), below))
    for upward, (sha256, reached) in heapq.merge(*sides, key=distance):
        at = [*reached, *at[2:]] if upward else [*at[:2], *reached]
        yield sha256, at


ORDERS: dict[str, Callable[[Connection, Position | None], Iterator[Step]]] = {
    "threshold": _nearest,
    "highest": _by_score,
    "disagreement": _by_disagreement,
    "newest": _newest,
    "random": _at_random,
    "audit": _audited,
}
"""What each order begins with: nearest the threshold, most unusual, methods least of one mind."""
