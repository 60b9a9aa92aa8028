"""How many images bear which tag, counted along indexes instead of tagging each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, case, func, select

from curate.catalog.rates import DEFAULT
from curate.catalog.rows import Counts
from curate.catalog.tables import (
    Activation,
    AlarmRate,
    Image,
    Review,
    Score,
    Sighting,
    Source,
    Unreadable,
)


def counts(connection: Connection) -> Counts:
    """Count everything, in one transaction.

    Tags are the model's, counted by p-value, with those of reviewed images exchanged for the
    reviews'.
    """
    detector = select(Activation.checkpoint_id).where(Activation.role == "detector")
    detector_id = connection.scalar(detector.order_by(Activation.seq.desc()).limit(1))
    rate = connection.scalar(select(AlarmRate.rate).order_by(AlarmRate.seq.desc()).limit(1))
    in_service = Score.checkpoint_id == detector_id
    alarms = Score.p_value <= (rate or DEFAULT)
    scored = _count(connection, select(func.count()).where(in_service))
    flagged = _count(connection, select(func.count()).where(in_service, alarms))
    reviewed = connection.execute(_reviewed(detector_id, alarms)).one()
    images = _count(connection, select(func.count()).select_from(Image))
    as_id = scored - flagged - (reviewed.scored - reviewed.flagged) + reviewed.id
    as_ood = flagged - reviewed.flagged + reviewed.ood
    return Counts(
        images=images,
        id=as_id,
        ood=as_ood,
        pending=images - as_id - as_ood,
        reviewed=reviewed.id + reviewed.ood,
        reviewed_ood=reviewed.ood,
        false_alarms=reviewed.false_alarms,
        sightings=_count(connection, select(func.count()).select_from(Sighting)),
        unreadable=_count(connection, select(func.count()).select_from(Unreadable)),
        sources=_count(connection, select(func.count()).select_from(Source)),
    )


def _count(connection: Connection, statement: Select[int]) -> int:
    return connection.scalar(statement) or 0


def _reviewed(detector_id: str | None, alarms: Any) -> Select[*tuple[Any, ...]]:
    """Of the images on which a review stands: how many by verdict, scored, flagged, and wrongly."""

    def number(condition: Any, name: str) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0).label(name)

    newest = select(Review.sha256, func.max(Review.seq).label("seq")).group_by(Review.sha256)
    last = newest.subquery()
    return (
        select(
            number(Review.verdict == "id", "id"),
            number(Review.verdict == "ood", "ood"),
            func.count(Score.sha256).label("scored"),
            number(alarms, "flagged"),
            number(alarms & (Review.verdict == "id"), "false_alarms"),
        )
        .select_from(Review)
        .join(last, (last.c.sha256 == Review.sha256) & (last.c.seq == Review.seq))
        .outerjoin(Score, (Score.sha256 == Review.sha256) & (Score.checkpoint_id == detector_id))
        .where(Review.verdict != "none")
    )
