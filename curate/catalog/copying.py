"""A catalog copied while others work on it: one state of it, whole, from and to either database.

Nobody works on the copy: it takes over no lease, and no fine-tune that runs.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Select, Table, delete, insert, select, update

from curate.catalog.columns import Base
from curate.catalog.engine import chunks, copy_file, file_of, place_of, read, write
from curate.catalog.runs import ABANDONED
from curate.catalog.schema import open_catalog
from curate.catalog.store import Catalog
from curate.catalog.tables import FinetuneRun, Lease, SchemaVersion
from curate.errors import UsageError

_STREAM = 10_000


def copy_catalog(old: Catalog, new: Path | str) -> None:
    """Copy a catalog to `new`, a path or URL where there is none yet, or an empty one.

    Between SQLite files it is SQLite's own copy, else row by row. Raises UsageError where `new`
    holds something, StorageError where either place refuses.
    """
    file = file_of(old.engine)
    by_file = file if isinstance(new, Path) and not new.exists() else None
    if by_file:
        copy_file(by_file, Path(new))
    with closing(open_catalog(new, create=True)) as made:
        if not by_file:
            _copy_rows(old.engine, made.engine)
        _disown(made.engine)


def require_empty(place: str) -> None:
    """Raise UsageError where the catalog at a URL holds something; an empty one is made there."""
    with closing(open_catalog(place, create=True)) as made, read(made.engine) as connection:
        for table in _tables():
            if connection.execute(select(table).limit(1)).first():
                raise UsageError(
                    f"the catalog at {place_of(made.engine)!r} holds something ({table.name}); "
                    "give an empty database"
                )


def _copy_rows(old: Engine, new: Engine) -> None:
    with read(old) as source, write(new) as target:
        target.execute(delete(SchemaVersion))
        for table in Base.metadata.sorted_tables:
            rows = source.execution_options(yield_per=_STREAM).execute(_roots_first(table))
            for some in chunks(rows.mappings()):
                target.execute(insert(table), [dict(row) for row in some])


def _disown(copy: Engine) -> None:
    """Let go of what belongs to processes that work on the original, and may well live."""
    stopped = {"ended_at": datetime.now(UTC), "outcome": "failed", "reason": ABANDONED}
    with write(copy) as connection:
        connection.execute(update(Lease).values(released=True))
        connection.execute(
            update(FinetuneRun).where(FinetuneRun.ended_at.is_(None)).values(**stopped)
        )


def _tables() -> list[Table]:
    """All but the version's own, parents first."""
    return [t for t in Base.metadata.sorted_tables if t.name != SchemaVersion.__tablename__]


def _roots_first(table: Table) -> Select[Any]:
    """All rows, those first that others of the same table refer to."""
    parents = [
        column.is_not(None)
        for column in table.columns
        if any(key.column.table is table for key in column.foreign_keys)
    ]
    return select(table).order_by(*parents)
