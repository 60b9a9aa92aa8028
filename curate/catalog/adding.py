"""How files enter the catalog: the content once, each place it was seen, and its queue rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from curate.catalog.engine import insert
from curate.catalog.rows import NewImage, NewUnreadable, values
from curate.catalog.tables import Image, Pending, Scoring, Sighting, Source, Unreadable
from curate.catalog.tally import counting_files

_STAT = ("size", "mtime_ns", "ctime_ns", "inode")


def add_images(
    connection: Connection, source_id: str, images: Sequence[NewImage], now: datetime
) -> int:
    """Catalogue a batch of readable files; returns how many contents are new."""
    if not images:
        return 0
    new = _new_contents(connection, images)
    paths, contents = [image.path for image in images], [image.sha256 for image in new]
    with counting_files(connection, source_id, paths, contents):
        if new:
            connection.execute(insert(connection, Image), [_image(image, now) for image in new])
            _queue(connection, contents)
        _see(connection, source_id, images, now)
    for other, named in _everywhere(connection, source_id, paths):
        with counting_files(connection, other, named):
            connection.execute(
                delete(Unreadable).where(Unreadable.source_id == other, Unreadable.path.in_(named))
            )
    return len(new)


def add_unreadable(
    connection: Connection, source_id: str, files: Sequence[NewUnreadable], now: datetime
) -> None:
    """Record a batch of files that are no readable image."""
    rows = {file.path: _seen(source_id, now) | values(file) for file in files}
    if rows:
        statement = insert(connection, Unreadable)
        names = ("reason", "policy", *_STAT, "last_seen")
        statement = statement.on_conflict_do_update(
            index_elements=[Unreadable.source_id, Unreadable.path],
            set_={name: statement.excluded[name] for name in names},
        )
        with counting_files(connection, source_id, rows):
            connection.execute(statement, list(rows.values()))


def _everywhere(
    connection: Connection, source_id: str, paths: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """Each source that holds some of these files of one source, with what it calls them."""
    rows = connection.execute(select(Source.source_id, Source.root_uri))
    roots = {row.source_id: row.root_uri.removesuffix("/") + "/" for row in rows}
    own = roots[source_id]
    for other, root in roots.items():
        if root.startswith(own):
            below = root.removeprefix(own)
            named = [path.removeprefix(below) for path in paths if path.startswith(below)]
        else:
            named = [own.removeprefix(root) + path for path in paths if own.startswith(root)]
        if named:
            yield other, named


def _new_contents(connection: Connection, images: Sequence[NewImage]) -> list[NewImage]:
    contents = {image.sha256: image for image in images}
    known = connection.scalars(select(Image.sha256).where(Image.sha256.in_(list(contents))))
    for sha256 in known:
        del contents[sha256]
    return list(contents.values())


def _image(image: NewImage, now: datetime) -> dict[str, Any]:
    names = ("sha256", "format", "width", "height", "bytes")
    return {name: getattr(image, name) for name in names} | {"first_seen": now}


def _queue(connection: Connection, hashes: list[str]) -> None:
    """One row for each checkpoint that scores."""
    checkpoints = connection.scalars(select(Scoring.checkpoint_id)).all()
    rows = [{"checkpoint_id": one, "sha256": name} for one in checkpoints for name in hashes]
    if rows:
        connection.execute(insert(connection, Pending), rows)


def _see(connection: Connection, source_id: str, images: Sequence[NewImage], now: datetime) -> None:
    rows = {(image.path, image.sha256): _sighting(image, source_id, now) for image in images}
    statement = insert(connection, Sighting)
    statement = statement.on_conflict_do_update(
        index_elements=[Sighting.source_id, Sighting.path, Sighting.sha256],
        set_={name: statement.excluded[name] for name in (*_STAT, "last_seen")},
    )
    connection.execute(statement, list(rows.values()))


def _sighting(image: NewImage, source_id: str, now: datetime) -> dict[str, Any]:
    names = ("path", "sha256", "mtime_ns", "ctime_ns", "inode")
    values = {name: getattr(image, name) for name in names}
    return values | {"size": image.bytes} | _seen(source_id, now)


def _seen(source_id: str, now: datetime) -> dict[str, Any]:
    return {"source_id": source_id, "first_seen": now, "last_seen": now}
