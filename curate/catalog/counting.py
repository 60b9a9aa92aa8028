"""How many images bear which tag, read from running counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, case, func, select

from curate.catalog.rates import rate_in_force
from curate.catalog.rows import Counts
from curate.catalog.serving import in_service
from curate.catalog.tables import Score, Source, Tally, Total


@dataclass(frozen=True, slots=True)
class Level:
    """A p-value that images have: at a rate of so much, these and all below are flagged."""

    p_value: float
    number: int
    """Images on which no word of a person stands."""
    lowest: float
    """The smallest score with this p-value."""


def counts(connection: Connection) -> Counts:
    """How much there is of everything.

    Tags are the model's by p-value, where no word of a person stands.
    """
    rows = connection.execute(select(Total.what, Total.number))
    number = {row.what: row.number for row in rows}
    tagged, flagged = _by_verdict(
        connection, in_service(connection, "detector"), rate_in_force(connection)
    )
    as_id = tagged.get("none", 0) - flagged.get("none", 0) + number.get("id", 0)
    as_ood = flagged.get("none", 0) + number.get("ood", 0)
    images = number.get("image", 0)
    return Counts(
        images=images,
        id=as_id,
        ood=as_ood,
        pending=images - as_id - as_ood,
        reviewed=number.get("id", 0) + number.get("ood", 0),
        reviewed_ood=number.get("ood", 0),
        false_alarms=flagged.get("id", 0),
        sightings=number.get("sighting", 0),
        unreadable=number.get("unreadable", 0),
        sources=connection.scalar(select(func.count()).select_from(Source)) or 0,
    )


def total(connection: Connection, what: str) -> int:
    """How many rows of a kind there are, or images on which a verdict stands."""
    number = connection.scalar(select(Total.number).where(Total.what == what))
    return number or 0


def scored(
    connection: Connection, detector: str, at_most: float = 1.0, verdict: str | None = None
) -> int:
    """How many images, or those of a verdict, have a p-value of at most so much."""
    number = select(func.sum(Tally.number)).where(
        Tally.checkpoint_id == detector, Tally.p_value <= at_most
    )
    if verdict is not None:
        number = number.where(Tally.verdict == verdict)
    return int(connection.scalar(number) or 0)


def lowest_flagged(connection: Connection, checkpoint_id: str, rate: float) -> float | None:
    """The smallest score of those p-values that are at most `rate`, each looked up by itself."""
    lowest = _lowest()
    flagged = select(func.min(lowest)).where(
        Tally.checkpoint_id == checkpoint_id, Tally.p_value <= rate, Tally.number > 0
    )
    found: float | None = connection.scalar(flagged)
    return found


def levels(connection: Connection, checkpoint_id: str, at_most: float) -> list[Level]:
    """The p-values up to `at_most` that images have, rising."""
    unjudged = func.sum(case((Tally.verdict == "none", Tally.number), else_=0))
    rows = (
        select(Tally.p_value, unjudged, func.min(_lowest()))
        .where(Tally.checkpoint_id == checkpoint_id, Tally.p_value <= at_most, Tally.number > 0)
        .group_by(Tally.p_value)
        .order_by(Tally.p_value)
    )
    return [Level(p, int(number), lowest) for p, number, lowest in connection.execute(rows)]


def _lowest() -> ScalarSelect[Any]:
    """The smallest score with the p-value of a row of counts."""
    return (
        select(func.min(Score.score))
        .where(Score.checkpoint_id == Tally.checkpoint_id, Score.p_value == Tally.p_value)
        .correlate(Tally)
        .scalar_subquery()
    )


def _by_verdict(
    connection: Connection, detector: str | None, rate: float
) -> tuple[dict[str, int], dict[str, int]]:
    """Of the images with each verdict, how many the detector has scored, and how many it flags."""
    flagged: ColumnElement[Any] = case((Tally.p_value <= rate, Tally.number), else_=0)
    rows = connection.execute(
        select(Tally.verdict, func.sum(Tally.number), func.sum(flagged))
        .where(Tally.checkpoint_id == detector)
        .group_by(Tally.verdict)
    ).all()
    return {row[0]: int(row[1]) for row in rows}, {row[0]: int(row[2]) for row in rows}
