"""Which images a query can mean, where an index names them and they are few.

Images are listed as they arrived, and a walk in that order meets every other image too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, select, union

from curate.catalog.counting import scored, total
from curate.catalog.query import Query
from curate.catalog.rates import rate_in_force
from curate.catalog.serving import in_service
from curate.catalog.tables import Image, Pending, Review, Score
from curate.catalog.verdicts import standing

Key = tuple[datetime, str]
"""first_seen and sha256 of an image, by which images are ordered."""

VERDICTS = ("id", "ood")
WALKED = 4
"""So many images are walked over in the time that it takes to look one up, or more."""
NARROWED = 100
"""One in so many is taken to be meant by the other terms as well; no index tells."""
MOST = 1_000_000
"""Keys that are held in memory."""


@dataclass(frozen=True)
class _Named:
    """Hashes that an index names: how many, how many of them are meant, by how many terms."""

    number: int
    meant: int
    terms: int
    hashes: Select[str]


def candidates(connection: Connection, query: Query, limit: int | None) -> list[Key] | None:
    """The keys of all images that `query` can mean, in order; None where a walk costs less.

    A walk ends at the `limit`-th image that is meant: sooner, the more there are. One with
    `since` begins late, and is left to it.
    """
    if query.since is not None:
        return None
    named = min(_named(connection, query), key=lambda named: named.number, default=None)
    if named is None:
        return None
    images = total(connection, "image")
    meant = named.meant if named.terms == _terms(query) else named.meant // NARROWED
    walk = images if limit is None else min(images, limit * images // max(meant, 1))
    if named.number * WALKED > walk or named.number > MOST:
        return None
    chosen = named.hashes.subquery()
    rows = select(Image.first_seen, Image.sha256).join(chosen, chosen.c.sha256 == Image.sha256)
    return sorted((row.first_seen, row.sha256) for row in connection.execute(rows))


def _named(connection: Connection, query: Query) -> Iterator[_Named]:
    """What of the query an index answers."""
    detector = in_service(connection, "detector")
    if query.reviewed:
        verdicts = [query.tag] if query.tag in VERDICTS else VERDICTS
        number = sum(total(connection, verdict) for verdict in verdicts)
        yield _Named(number, number, 1 + (query.tag is not None), _judged(verdicts))
    if detector is None:
        return
    for bound in query.comparisons:
        if bound.field == "p" and bound.operator in ("<", "<="):
            number = scored(connection, detector, bound.value)
            yield _Named(number, number, 1, _flagged(detector, bound.value))
    if query.tag == "pending":
        number = total(connection, "image") - scored(connection, detector)
        waiting = select(Pending.sha256).where(Pending.checkpoint_id == detector)
        yield _Named(number, number, 1, waiting)
    if query.tag == "ood" and not query.reviewed:
        yield _alarms(connection, detector, query)


def _alarms(connection: Connection, detector: str, query: Query) -> _Named:
    """What the model flags and, unless these are left out, what people called OOD."""
    rate = rate_in_force(connection)
    number, flagged = scored(connection, detector, rate), _flagged(detector, rate)
    if query.reviewed is False:
        return _Named(number, scored(connection, detector, rate, "none"), 2, flagged)
    number += total(connection, "ood")
    either = union(flagged, _judged(["ood"])).subquery()
    return _Named(number, number, 1, select(either.c.sha256))


def _terms(query: Query) -> int:
    named = (query.tag, query.label, query.source, query.path, query.format, query.reviewed)
    return len(query.comparisons) + sum(term is not None for term in named)


def _flagged(detector: str, p_value: float) -> Select[str]:
    return select(Score.sha256).where(Score.checkpoint_id == detector, Score.p_value <= p_value)


def _judged(verdicts: Sequence[str | None]) -> Select[str]:
    return standing().with_only_columns(Review.sha256).where(Review.verdict.in_(verdicts))
