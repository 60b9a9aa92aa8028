"""The views of the catalog, typed for queries like its tables."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import DeclarativeBase, Mapped

from curate.catalog.columns import Base, key


class View(DeclarativeBase):
    """In metadata of their own: Alembic would take them for tables."""

    type_annotation_map = Base.type_annotation_map


class CurrentTag(View):
    """The tag of an image as of now, and what it is made from."""

    __tablename__ = "current_tag"
    sha256: Mapped[str] = key()
    tag: Mapped[str]
    verdict: Mapped[str | None]
    class_name: Mapped[str | None]
    reviewed_by: Mapped[str | None]
    reviewed_at: Mapped[datetime | None]
    detector: Mapped[str | None]
    score: Mapped[float | None]
    p_value: Mapped[float | None]
    discrepancy: Mapped[float | None]
    msp: Mapped[float | None]
    energy: Mapped[float | None]
    knn: Mapped[float | None]
    disagreement: Mapped[float | None]
    label: Mapped[str | None]
    confidence: Mapped[float | None]
