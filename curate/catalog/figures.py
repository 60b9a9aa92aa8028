"""How many images bear which tag, and how many files are unreadable, among what a query means."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Engine

from curate.catalog import counting, listing
from curate.catalog.engine import read
from curate.catalog.query import Query


@dataclass(frozen=True)
class Figures:
    """Images by tag, and unreadable files; None where the query speaks of images alone."""

    id: int
    ood: int
    pending: int
    unreadable: int | None

    @property
    def images(self) -> int:
        """All of them."""
        return self.id + self.ood + self.pending


def figures(engine: Engine, query: Query) -> Figures:
    """What `query` means, counted as of one moment.

    Without terms it is read from the running counts, else all that is meant is looked at.
    """
    with read(engine) as connection:
        if query == Query():
            every = counting.counts(connection)
            return Figures(every.id, every.ood, every.pending, every.unreadable)
        tags = listing.tags(connection, query)
        return Figures(
            id=tags.get("id", 0),
            ood=tags.get("ood", 0),
            pending=tags.get("pending", 0),
            unreadable=listing.unreadable(connection, query) if _means_files(query) else None,
        )


def _means_files(query: Query) -> bool:
    """Whether every term could be said of an unreadable file too."""
    return replace(query, source=None, path=None, since=None) == Query()
