"""Which images finished exports have handed on, so that the next can hand on the others alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Engine

from curate.catalog.engine import chunks, insert, write
from curate.catalog.tables import HandedOn


class Handed:
    """The images that a catalog's exports have handed on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, contents: Iterable[str], now: datetime) -> None:
        """Record these images, some at a time so that others get their turn; the first time stays.

        What a kill leaves out is handed on once more.
        """
        for piece in chunks(contents):
            with write(self._engine) as connection:
                connection.execute(
                    insert(connection, HandedOn).on_conflict_do_nothing(),
                    [{"sha256": sha256, "handed_on_at": now} for sha256 in piece],
                )
