"""Which images a query can mean, where an index names them and they are few.

Images are listed as they arrived, and a walk in that order meets every other image too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, Select, func, select, union

from curate.catalog.counting import scored
from curate.catalog.models import in_service
from curate.catalog.query import Query
from curate.catalog.rates import rate_in_force
from curate.catalog.tables import Image, Pending, Review, Score, Total
from curate.catalog.verdicts import standing

Key = tuple[datetime, str]
"""first_seen and sha256 of an image, by which images are ordered."""

WALKED = 4
"""So many images are walked over in the time that it takes to look one up, or more."""
NARROWED = 100
"""One in so many is taken to be meant by the other terms as well; no index tells."""
MOST = 1_000_000
"""Keys that are held in memory."""


def candidates(connection: Connection, query: Query, limit: int | None) -> list[Key] | None:
    """The keys of all images that `query` can mean, in order; None where a walk costs less.

    A walk ends at the `limit`-th image that is meant: sooner, the more there are. One with
    `since` begins late, and is left to it.
    """
    if query.since is not None:
        return None
    found = min(_named(connection, query), key=lambda named: named[0], default=None)
    if found is None:
        return None
    number, named = found
    images = _total(connection, "image")
    meant = max(number if _terms(query) == 1 else number // NARROWED, 1)
    walk = images if limit is None else min(images, limit * images // meant)
    if number * WALKED > walk or number > MOST:
        return None
    chosen = named.subquery()
    rows = select(Image.first_seen, Image.sha256).join(chosen, chosen.c.sha256 == Image.sha256)
    return sorted((row.first_seen, row.sha256) for row in connection.execute(rows))


def _named(connection: Connection, query: Query) -> Iterator[tuple[int, Select[str]]]:
    """Each term of the query that an index answers: how many images at most, and their hashes."""
    detector = in_service(connection, "detector")
    if query.reviewed:
        yield _total(connection, "id") + _total(connection, "ood"), _judged()
    if detector is None:
        return
    for bound in query.comparisons:
        if bound.field == "p" and bound.operator in ("<", "<="):
            yield scored(connection, detector, bound.value), _flagged(detector, bound.value)
    if query.tag == "pending":
        waiting = select(Pending.sha256).where(Pending.checkpoint_id == detector)
        yield _total(connection, "image") - scored(connection, detector), waiting
    if query.tag == "ood":
        rate = rate_in_force(connection)
        either = union(_flagged(detector, rate), _judged().where(Review.verdict == "ood"))
        number = scored(connection, detector, rate) + _total(connection, "ood")
        yield number, select(either.subquery().c.sha256)


def _terms(query: Query) -> int:
    named = (query.tag, query.label, query.source, query.path, query.format, query.reviewed)
    return len(query.comparisons) + sum(term is not None for term in named)


def _flagged(detector: str, p_value: float) -> Select[str]:
    return select(Score.sha256).where(Score.checkpoint_id == detector, Score.p_value <= p_value)


def _judged() -> Select[str]:
    return standing().with_only_columns(Review.sha256)


def _total(connection: Connection, what: str) -> int:
    number = select(func.sum(Total.number)).where(Total.what == what)
    return int(connection.scalar(number) or 0)
