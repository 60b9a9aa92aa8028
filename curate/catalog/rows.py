"""What goes into the catalog and comes out of it: frozen rows, no database object among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement
from sqlalchemy.orm import DeclarativeBase

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewImage:
    """A readable file: its place below the source's root, its content, its stat."""

    path: str
    sha256: str
    format: str
    width: int
    height: int
    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class NewUnreadable:
    """A file that is no readable image, by which policy of the decoder, and its stat."""

    path: str
    reason: str
    policy: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class NewScore:
    """What one checkpoint says of one image. Larger scores are more out-of-distribution."""

    sha256: str
    score: float
    """What the checkpoint tags by."""
    discrepancy: float
    msp: float
    energy: float
    knn: float
    disagreement: float
    """How far apart the methods lie that the score is made of; 0 where it is one alone."""
    label: str
    confidence: float
    p_value: float
    calibration: str
    """What the p-value was read against: "held_out" or "canary"."""
    nearest: str = ""
    """Rows of the checkpoint's bank that lie nearest, apart by spaces, the nearest first."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image as lists and exports show it; `path` and `source` are those of a sighting."""

    path: str
    source: str
    sha256: str
    tag: str
    score: float | None
    p_value: float | None
    label: str | None
    confidence: float | None
    checkpoint: str | None
    format: str
    width: int
    height: int
    bytes: int
    first_seen: datetime
    reviewed_by: str | None
    reviewed_at: datetime | None


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """An unreadable file as lists show it."""

    path: str
    source: str
    reason: str
    size: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A folder that images come from, and its last scan."""

    source_id: str
    root_uri: str
    added_at: datetime
    last_scan_at: datetime | None
    last_scan_files: int | None
    watch_mode: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the catalog holds; `id`, `ood` and `pending` are tags and add up to `images`."""

    images: int
    id: int
    ood: int
    pending: int
    reviewed: int
    reviewed_ood: int
    false_alarms: int
    """Reviewed as id, although the detector flags them."""
    sightings: int
    unreadable: int
    sources: int


def columns(kind: type[Any], table: type[DeclarativeBase]) -> list[ColumnElement[Any]]:
    """The columns of `table` that the fields of `kind` are named after, in their order."""
    return [getattr(table, field.name) for field in fields(kind)]


def values(row: Any) -> dict[str, Any]:
    """The fields of a row by their names, as they are; `asdict` copies each, and is slow."""
    return {field.name: getattr(row, field.name) for field in fields(row)}


def made(kind: type[T], rows: Iterable[Iterable[Any]]) -> tuple[T, ...]:
    """Each row of a SELECT of `columns(kind, ...)` as a `kind`."""
    return tuple(kind(*row) for row in rows)
