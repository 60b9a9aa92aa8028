"""The catalog: sources, images, scores and their tags. Every method is a transaction of its own.

Nothing has a status: pending is a row of the queue, a tag is what the view says now.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import cast
from uuid import uuid4

from sqlalchemy import Engine, delete, func, select, union_all, update

from curate.catalog import adding, counting, listing
from curate.catalog.audits import Audits
from curate.catalog.candidates import Key, candidates
from curate.catalog.engine import chunks, insert, read, write
from curate.catalog.handed import Handed
from curate.catalog.hooks import Hooks
from curate.catalog.leases import Leases
from curate.catalog.models import Models
from curate.catalog.notices import announce
from curate.catalog.places import Place, Stat, places, seen_as, seen_last
from curate.catalog.query import Query
from curate.catalog.queues import Queues
from curate.catalog.rates import Rates
from curate.catalog.reviews import Reviews
from curate.catalog.rows import (
    Counts,
    ImageRow,
    NewImage,
    NewScore,
    NewUnreadable,
    SourceRow,
    UnreadableRow,
    values,
)
from curate.catalog.runs import Runs
from curate.catalog.serving import in_service
from curate.catalog.tables import (
    Image,
    Pending,
    Review,
    Score,
    Sighting,
    Source,
    Unreadable,
)
from curate.catalog.tally import counting_scores
from curate.catalog.verdicts import standing

__all__ = [
    "Catalog",
    "Counts",
    "ImageRow",
    "NewImage",
    "NewScore",
    "NewUnreadable",
    "SourceRow",
    "UnreadableRow",
]

PAGE = 1_000
STREAM = 10_000

Identity = tuple[str, int, int, int, int]
"""path, size, mtime_ns, ctime_ns, inode"""
_IDENTITY = ("path", "size", "mtime_ns", "ctime_ns", "inode")


class Catalog:
    """An open catalog; made by `curate.catalog.schema.open_catalog`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.models = Models(engine)
        self.reviews = Reviews(engine)
        self.leases = Leases(engine)
        self.runs = Runs(engine)
        self.rates = Rates(engine)
        self.queues = Queues(engine)
        self.hooks = Hooks(engine)
        self.handed = Handed(engine)
        self.audits = Audits(engine)

    @property
    def engine(self) -> Engine:
        """For what copies or checks the whole of it."""
        return self._engine

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def source(self, root_uri: str, now: datetime) -> str:
        """The id of the source at `root_uri`, which is added when it is new."""
        with write(self._engine) as connection:
            connection.execute(
                insert(connection, Source)
                .values(source_id=uuid4().hex, root_uri=root_uri, added_at=now)
                .on_conflict_do_nothing(index_elements=[Source.root_uri])
            )
            found = select(Source.source_id).where(Source.root_uri == root_uri)
            return connection.execute(found).scalar_one()

    def sources(self, named: str | None = None) -> tuple[SourceRow, ...]:
        """Every source, or those that a query's `source:` means by `named`; oldest first."""
        with read(self._engine) as connection:
            return listing.sources(connection, named)

    def record_scan(self, source_id: str, now: datetime, files: int, mode: str) -> None:
        """Note that a scan ended at `now` and saw `files`; `mode` is "events" or "poll"."""
        with write(self._engine) as connection:
            connection.execute(
                update(Source)
                .where(Source.source_id == source_id)
                .values(last_scan_at=now, last_scan_files=files, watch_mode=mode)
            )

    def identities(self, source_id: str, policy: str) -> Iterator[Identity]:
        """Path and stat of every file that need not be opened again.

        These are all sightings of the source, and what was unreadable under the same `policy`.
        """
        files = select(*(getattr(Sighting, name) for name in _IDENTITY)).where(
            Sighting.source_id == source_id
        )
        refused = select(*(getattr(Unreadable, name) for name in _IDENTITY)).where(
            Unreadable.source_id == source_id, Unreadable.policy == policy
        )
        rows = union_all(files, refused).execution_options(yield_per=STREAM)
        with read(self._engine) as connection:
            for row in connection.execute(rows):
                yield cast("Identity", tuple(row))

    def identities_of(self, source_id: str, contents: Iterable[str]) -> Iterator[Identity]:
        """Path and stat of every sighting of those contents in a source."""
        names = (*_IDENTITY, "source_id")
        files = select(*(getattr(Sighting, name) for name in names))
        for piece in chunks(contents):
            # Asked for the source too, SQLite would walk all of it for each piece.
            with read(self._engine) as connection:
                rows = connection.execute(files.where(Sighting.sha256.in_(piece))).all()
            yield from (cast("Identity", tuple(r[:-1])) for r in rows if r.source_id == source_id)

    def contents(self) -> Iterator[str]:
        """Every content that was ever in an inbox, in order."""
        rows = select(Image.sha256).order_by(Image.sha256).execution_options(yield_per=STREAM)
        with read(self._engine) as connection:
            yield from connection.scalars(rows)

    def add_images(self, source_id: str, images: Sequence[NewImage], now: datetime) -> int:
        """Catalogue readable files; returns how many contents are new.

        A new content is queued for every checkpoint that scores. The same again changes nothing
        but when it was last seen.
        """
        with write(self._engine) as connection:
            return sum(
                adding.add_images(connection, source_id, piece, now) for piece in chunks(images)
            )

    def add_unreadable(self, source_id: str, rows: Sequence[NewUnreadable], now: datetime) -> None:
        """Record files that are no readable image; one that is recorded gets the new reason."""
        with write(self._engine) as connection:
            for piece in chunks(rows):
                adding.add_unreadable(connection, source_id, piece, now)

    def iter_unreadable(self) -> Iterator[UnreadableRow]:
        """Every unreadable file, by source and path."""
        after = ("", "")
        while rows := self._unreadable(after):
            for _, row in rows:
                yield row
            after = (rows[-1][0], rows[-1][1].path)

    def _unreadable(self, after: tuple[str, str]) -> list[tuple[str, UnreadableRow]]:
        with read(self._engine) as connection:
            return listing.unreadable_page(connection, after, PAGE)

    def pending(self, checkpoint_id: str, limit: int, after: str = "") -> list[str]:
        """At most `limit` images that the checkpoint has yet to score, in order, behind `after`."""
        waiting = select(Pending.sha256).where(
            Pending.checkpoint_id == checkpoint_id, Pending.sha256 > after
        )
        with read(self._engine) as connection:
            return list(connection.scalars(waiting.order_by(Pending.sha256).limit(limit)))

    def pending_count(self, checkpoint_id: str) -> int:
        """How many images the checkpoint has yet to score."""
        waiting = select(func.count()).where(Pending.checkpoint_id == checkpoint_id)
        with read(self._engine) as connection:
            return connection.scalar(waiting) or 0

    def add_scores(self, checkpoint_id: str, rows: Sequence[NewScore], now: datetime) -> None:
        """Keep scores and take their images off the queue, in one commit.

        A score that is there already stays: the same network says the same of the same bytes.
        """
        common = {"checkpoint_id": checkpoint_id, "scored_at": now}
        with write(self._engine) as connection:
            statement = insert(connection, Score).on_conflict_do_nothing()
            for piece in chunks(rows):
                contents = [row.sha256 for row in piece]
                with counting_scores(connection, contents, checkpoint_id):
                    connection.execute(statement, [values(row) | common for row in piece])
                if checkpoint_id == in_service(connection, "detector"):
                    announce(connection, checkpoint_id, now, contents)
                queued = Pending.checkpoint_id == checkpoint_id
                connection.execute(delete(Pending).where(queued, Pending.sha256.in_(contents)))

    def iter_images(
        self,
        query: Query,
        all_paths: bool = False,
        wanted: int | None = None,
        after: Key | None = None,
    ) -> Iterator[ImageRow]:
        """Every image that `query` means, by (first_seen, sha256), a page to a transaction.

        Each has one row, with its first sighting; with `all_paths` one for each sighting. `wanted`
        says how many will be taken, where it is not all: that may come cheaper. Those up to the
        key `after` are left out.
        """
        with read(self._engine) as connection:
            few = candidates(connection, query, wanted)
        if few is None:
            yield from self._walked(query, after, min(PAGE, wanted or PAGE), all_paths)
            return
        left = few if after is None else few[bisect_right(few, after) :]
        for keys in chunks(left, PAGE):
            with read(self._engine) as connection:
                rows = listing.among(connection, query, [key[1] for key in keys], all_paths)
            yield from rows

    def _walked(
        self, query: Query, after: Key | None, limit: int, all_paths: bool
    ) -> Iterator[ImageRow]:
        while True:
            with read(self._engine) as connection:
                rows = listing.page(connection, query, after, limit, all_paths)
            if not rows:
                return
            yield from rows
            after = (rows[-1].first_seen, rows[-1].sha256)

    def has_image(self, sha256: str) -> bool:
        """Whether the content was ever in an inbox."""
        with read(self._engine) as connection:
            found = connection.scalar(select(Image.sha256).where(Image.sha256 == sha256))
        return found is not None

    def places(self, sha256: str) -> list[tuple[str, str]]:
        """(root URI, path) of each sighting of a content, the newest first."""
        with read(self._engine) as connection:
            return [(root, path) for root, path in connection.execute(places(sha256))]

    def content_at(self, at: Sequence[Place], stat: Stat | None) -> str | None:
        """The content that was read at one of these places from a file with this `stat`.

        None stands for a file that is gone: what was read there last, if that was an image.
        """
        if not at:
            return None
        with read(self._engine) as connection:
            return connection.scalar(seen_last(at) if stat is None else seen_as(at, stat))

    def unlabeled(self) -> Iterator[str]:
        """The content of every image on which no review stands."""
        word = standing().where(Review.sha256 == Image.sha256)
        rows = select(Image.sha256).where(~word.exists()).execution_options(yield_per=STREAM)
        with read(self._engine) as connection:
            yield from connection.scalars(rows)

    def counts(self) -> Counts:
        """How much there is of everything, as of one moment."""
        with read(self._engine) as connection:
            return counting.counts(connection)

    def new_images_since(self, when: datetime, at_most: int | None = None) -> int:
        """How many contents were first seen after `when`; beyond `at_most` none is counted."""
        newer = select(Image.sha256).where(Image.first_seen > when).limit(at_most).subquery()
        with read(self._engine) as connection:
            return connection.scalar(select(func.count()).select_from(newer)) or 0

    def score_sample(self, checkpoint_id: str, limit: int = STREAM) -> list[float]:
        """Scores of `limit` images; hashes are random, so is the sample."""
        rows = select(Score.score).where(Score.checkpoint_id == checkpoint_id)
        with read(self._engine) as connection:
            return list(connection.scalars(rows.order_by(Score.sha256).limit(limit)))

    def lowest_flagged(self, checkpoint_id: str, rate: float) -> float | None:
        """The smallest score that the rate flags, None when it flags nothing."""
        with read(self._engine) as connection:
            return counting.lowest_flagged(connection, checkpoint_id, rate)
