"""Which word on an image stands: that of its newest review, where it is a verdict."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import aliased

from curate.catalog.tables import Review


def standing() -> Select[str, str, str | None]:
    """(sha256, verdict, class_name) of the newest row of each image, where it is a verdict."""
    newer = aliased(Review)
    later = select(newer.seq).where(newer.sha256 == Review.sha256, newer.seq > Review.seq)
    return select(Review.sha256, Review.verdict, Review.class_name).where(
        Review.verdict != "none", ~later.exists()
    )
