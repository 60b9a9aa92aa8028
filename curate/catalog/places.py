"""Where a content was seen, and which content was seen at a place."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, and_, or_, select

from curate.catalog.tables import Sighting, Source, Unreadable

Place = tuple[str, str]
"""A source's id and an encoded path below its root; nested sources give a file several."""
Stat = tuple[int, int, int, int]
"""size, mtime_ns, ctime_ns, inode"""


def places(sha256: str) -> Select[str, str]:
    """(root URI, path) of each sighting of a content, the newest first."""
    seen = select(Source.root_uri, Sighting.path).join(
        Sighting, Sighting.source_id == Source.source_id
    )
    return seen.where(Sighting.sha256 == sha256).order_by(Sighting.last_seen.desc())


def seen_as(at: Sequence[Place], stat: Stat) -> Select[str]:
    """The content that was read at one of these places from a file with this stat."""
    columns = (Sighting.size, Sighting.mtime_ns, Sighting.ctime_ns, Sighting.inode)
    same = (column == value for column, value in zip(columns, stat, strict=True))
    return _newest(at).where(*same)


def seen_last(at: Sequence[Place]) -> Select[str]:
    """The content that was read last at one of these places; none if it was no image then."""
    later = select(Unreadable.path).where(
        _lies(Unreadable, at),
        or_(Unreadable.source_id == Sighting.source_id, Unreadable.last_seen > Sighting.last_seen),
    )
    return _newest(at).where(~later.exists())


def _newest(at: Sequence[Place]) -> Select[str]:
    order = (Sighting.last_seen.desc(), Sighting.first_seen.desc())
    return select(Sighting.sha256).where(_lies(Sighting, at)).order_by(*order).limit(1)


def _lies(file: type[Sighting | Unreadable], at: Sequence[Place]) -> ColumnElement[bool]:
    return or_(*(and_(file.source_id == source, file.path == path) for source, path in at))
