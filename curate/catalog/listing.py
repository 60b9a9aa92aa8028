"""Which images a query means, page after page in the order of their arrival."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote_from_bytes

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from curate.catalog.candidates import Key
from curate.catalog.columns import UtcTime
from curate.catalog.query import Query, is_text
from curate.catalog.rows import ImageRow, SourceRow, UnreadableRow, columns, made
from curate.catalog.tables import (
    Activation,
    HandedOn,
    Image,
    Pending,
    Sighting,
    Source,
    Unreadable,
)
from curate.catalog.views import CurrentTag
from curate.errors import UsageError

_COMPARE: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COLUMNS = {
    "sha256": Image.sha256,
    "tag": CurrentTag.tag,
    "score": CurrentTag.score,
    "p_value": CurrentTag.p_value,
    "label": CurrentTag.label,
    "confidence": CurrentTag.confidence,
    "checkpoint": CurrentTag.detector,
    "format": Image.format,
    "width": Image.width,
    "height": Image.height,
    "bytes": Image.bytes,
    "first_seen": Image.first_seen,
    "reviewed_by": CurrentTag.reviewed_by,
    "reviewed_at": CurrentTag.reviewed_at,
}


def page(
    connection: Connection, query: Query, after: Key | None, limit: int, all_paths: bool
) -> list[ImageRow]:
    """The next `limit` images after `after`, each with its first sighting that the query means.

    With `all_paths` each has a row for every such sighting. Raises UsageError for a query of
    unreadable files.
    """
    images = connection.execute(statement(query, after, limit)).all()
    return _shown(connection, query, images, all_paths)


def among(
    connection: Connection, query: Query, hashes: Sequence[str], all_paths: bool
) -> list[ImageRow]:
    """Those images of `hashes` that the query means, as of a page."""
    rows = _chosen(query).where(Image.sha256.in_(hashes))
    images = connection.execute(rows.order_by(Image.first_seen, Image.sha256)).all()
    return _shown(connection, query, images, all_paths)


def statement(query: Query, after: Key | None, limit: int) -> Select[*tuple[Any, ...]]:
    """The SELECT of one page."""
    chosen = _chosen(query)
    if after is not None:
        last = tuple_(literal(after[0], UtcTime()), literal(after[1]))
        chosen = chosen.where(tuple_(Image.first_seen, Image.sha256) > last)
    return chosen.order_by(Image.first_seen, Image.sha256).limit(limit)


def _chosen(query: Query) -> Select[*tuple[Any, ...]]:
    if query.unreadable:
        raise UsageError("unreadable: names files that are no images; `curate list` shows them")
    columns = [column.label(name) for name, column in _COLUMNS.items()]
    chosen = select(*columns).join(CurrentTag, CurrentTag.sha256 == Image.sha256)
    chosen = chosen.where(*_conditions(query))
    return chosen.where(_unscored()) if query.tag == "pending" else chosen


def _shown(
    connection: Connection,
    query: Query,
    images: Sequence[Row[*tuple[Any, ...]]],
    all_paths: bool,
) -> list[ImageRow]:
    """Each image with its first sighting that the query means, or with every one."""
    seen = _sightings(connection, query, [image.sha256 for image in images])
    return [
        ImageRow(path=path, source=root, **image._mapping)
        for image in images
        for path, root in seen[image.sha256][: None if all_paths else 1]
    ]


def _conditions(query: Query) -> list[ColumnElement[bool]]:
    compared = {"score": CurrentTag.score, "p": CurrentTag.p_value}
    # What refuses NULL makes an inner join of the view's LEFT JOIN, and SQLite would then begin
    # with all scores, for each page anew.
    found: list[ColumnElement[bool]] = [
        func.coalesce(_COMPARE[bound.operator](compared[bound.field], bound.value), false())
        for bound in query.comparisons
    ]
    if query.tag is not None:
        found.append(CurrentTag.tag == query.tag)
    if query.label is not None:
        found.append(CurrentTag.label == query.label)
    if query.format is not None:
        found.append(Image.format == query.format)
    if query.since is not None:
        found.append(Image.first_seen >= query.since)
    if query.reviewed is not None:
        found.append(CurrentTag.verdict.is_not(None) == query.reviewed)
    if query.exported is not None:
        handed = select(HandedOn.sha256).where(HandedOn.sha256 == Image.sha256)
        found.append(handed.exists() == query.exported)
    if query.path is not None or query.source is not None:
        seen = _seen(query).where(Sighting.sha256 == Image.sha256)
        found.append(seen.exists())
    return found


def _unscored() -> ColumnElement[bool]:
    """Whether the detector in service has yet to score an image, asked of its queue.

    The tag says the same, but only after every table of the view was looked into.
    """
    newest = select(Activation.checkpoint_id).where(Activation.role == "detector")
    detector = newest.order_by(Activation.seq.desc()).limit(1).scalar_subquery()
    queued = select(Pending.sha256).where(
        Pending.sha256 == Image.sha256, Pending.checkpoint_id == detector
    )
    return or_(detector.is_(None), queued.exists())


def _seen(query: Query) -> Select[str, str, str]:
    """Sightings that the query's path and source mean."""
    chosen = select(Sighting.sha256, Sighting.path, Source.root_uri).join(
        Source, Source.source_id == Sighting.source_id
    )
    if query.path is not None:
        chosen = chosen.where(_holds(Sighting.path, query.path))
    if query.source is not None:
        chosen = chosen.where(_holds(Source.root_uri, query.source))
    return chosen


def sources(connection: Connection, named: str | None) -> tuple[SourceRow, ...]:
    """Every source, or those that a query's `source:` means by `named`; oldest first."""
    rows = select(*columns(SourceRow, Source)).order_by(Source.added_at, Source.source_id)
    if named is not None:
        rows = rows.where(_holds(Source.root_uri, named))
    return made(SourceRow, connection.execute(rows))


def _holds(column: Any, text: str) -> ColumnElement[bool]:
    """Whether the encoded column holds `text`, given plain or encoded.

    Not by LIKE, which folds case on SQLite only.
    """
    given = {text} if is_text(text) else set[str]()
    given.add(quote_from_bytes(os.fsencode(text), safe="/:"))
    return or_(*(func.replace(column, part, "") != column for part in given))


def _sightings(
    connection: Connection, query: Query, hashes: Sequence[str]
) -> dict[str, list[tuple[str, str]]]:
    """(path, root URI) of each image's sightings, the first one first."""
    order = (Sighting.sha256, Sighting.first_seen, Source.root_uri, Sighting.path)
    rows = connection.execute(_seen(query).where(Sighting.sha256.in_(hashes)).order_by(*order))
    return {
        sha256: [(row.path, row.root_uri) for row in group]
        for sha256, group in groupby(rows, key=_hash_of)
    }


def unreadable_page(
    connection: Connection, after: tuple[str, str], limit: int
) -> list[tuple[str, UnreadableRow]]:
    """The next unreadable files after (source id, path), each with its source's id."""
    told = (Unreadable.reason, Unreadable.size, Unreadable.first_seen, Unreadable.last_seen)
    rows = (
        select(Unreadable.source_id, Unreadable.path, Source.root_uri, *told)
        .join(Source, Source.source_id == Unreadable.source_id)
        .where(tuple_(Unreadable.source_id, Unreadable.path) > after)
        .order_by(Unreadable.source_id, Unreadable.path)
        .limit(limit)
    )
    return [(row[0], UnreadableRow(*row[1:])) for row in connection.execute(rows)]


def tags(connection: Connection, query: Query) -> dict[str, int]:
    """How many of the images that `query` means bear each tag; all of these are looked at."""
    chosen = select(CurrentTag.tag, func.count()).select_from(Image)
    chosen = chosen.join(CurrentTag, CurrentTag.sha256 == Image.sha256)
    rows = connection.execute(chosen.where(*_conditions(query)).group_by(CurrentTag.tag))
    return {row[0]: row[1] for row in rows}


def unreadable(connection: Connection, query: Query) -> int:
    """How many unreadable files the source, path and age of `query` mean."""
    files = select(func.count()).select_from(Unreadable)
    files = files.join(Source, Source.source_id == Unreadable.source_id)
    if query.path is not None:
        files = files.where(_holds(Unreadable.path, query.path))
    if query.source is not None:
        files = files.where(_holds(Source.root_uri, query.source))
    if query.since is not None:
        files = files.where(Unreadable.first_seen >= query.since)
    return connection.scalar(files) or 0


def _hash_of(row: Row[*tuple[Any, ...]]) -> str:
    return str(row.sha256)
