"""Running counts, so that a look at the whole catalog walks over nothing.

Who adds or takes away rows that are counted does it inside `counting_files`, `counting_scores`
or `counting_reviews`, which bring the counts along in the same commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    select,
    update,
)

from curate.catalog.engine import insert
from curate.catalog.tables import (
    Checkpoint,
    Image,
    Review,
    Score,
    Sighting,
    Tally,
    Total,
    Unreadable,
)
from curate.catalog.verdicts import standing

Numbers = Counter[tuple[Any, ...]]
"""How many there are under each key of a table of counts."""
Counts = type[Tally] | type[Total]


@contextmanager
def counting_files(
    connection: Connection, source_id: str, paths: Collection[str], contents: Collection[str] = ()
) -> Iterator[None]:
    """Count along while files at these paths of a source, and these contents, come and go."""

    def here(table: type[Sighting] | type[Unreadable]) -> list[ColumnElement[bool]]:
        return [table.source_id == source_id, table.path.in_(paths)]

    chosen = {
        "image": select(func.count()).where(Image.sha256.in_(contents)),
        "sighting": select(func.count()).where(*here(Sighting)),
        "unreadable": select(func.count()).where(*here(Unreadable)),
    }
    with _counting(connection, Total, lambda: _numbers(connection, chosen)):
        yield


@contextmanager
def counting_scores(
    connection: Connection, contents: Collection[str], checkpoint_id: str | None = None
) -> Iterator[None]:
    """Count along while scores of these contents change: those of one checkpoint, or of all."""
    among = select(Checkpoint.checkpoint_id)  # without it SQLite would walk over all scores
    if checkpoint_id is not None:
        among = among.where(Checkpoint.checkpoint_id == checkpoint_id)
    scores = _by_p_value(contents).where(Score.checkpoint_id.in_(among))
    with _counting(connection, Tally, lambda: _grouped(connection, scores)):
        yield


@contextmanager
def counting_reviews(connection: Connection, contents: Collection[str]) -> Iterator[None]:
    """Count along while people say something of these contents."""
    words = _by_verdict(contents)
    with (
        counting_scores(connection, contents),
        _counting(connection, Total, lambda: _grouped(connection, words)),
    ):
        yield


def faults(connection: Connection) -> list[str]:
    """Which counts differ from what is counted; a walk over everything."""
    found = []
    for table, true in _counted_anew(connection).items():
        kept = Counter(_kept(connection, table))
        kept.subtract(true)
        found += [
            f"{table.__tablename__} of {', '.join(map(str, key))}: {true[key] + more} for "
            f"{true[key]}"
            for key, more in kept.items()
            if more
        ]
    return found


def count_anew(connection: Connection) -> None:
    """Make every count what it should be; a walk over everything."""
    for table, numbers in _counted_anew(connection).items():
        connection.execute(delete(table))
        _add(connection, table, numbers)


def _counted_anew(connection: Connection) -> dict[Counts, Numbers]:
    every = {
        "image": select(func.count()).select_from(Image),
        "sighting": select(func.count()).select_from(Sighting),
        "unreadable": select(func.count()).select_from(Unreadable),
    }
    totals = _numbers(connection, every) + _grouped(connection, _by_verdict(None))
    return {Tally: _grouped(connection, _by_p_value(None)), Total: totals}


def _kept(connection: Connection, table: Counts) -> Numbers:
    rows = select(*table.__table__.primary_key, table.number)
    return _grouped(connection, rows)


def _by_p_value(contents: Collection[str] | None) -> Select[*tuple[Any, ...]]:
    """(checkpoint, verdict, p-value, images) of scores; None stands for every content."""
    word = _words(contents).subquery()
    verdict = func.coalesce(word.c.verdict, "none")
    rows = select(Score.checkpoint_id, verdict, Score.p_value, func.count())
    rows = rows.outerjoin(word, word.c.sha256 == Score.sha256)
    if contents is not None:
        rows = rows.where(Score.sha256.in_(contents))
    return rows.group_by(Score.checkpoint_id, verdict, Score.p_value)


def _by_verdict(contents: Collection[str] | None) -> Select[*tuple[Any, ...]]:
    word = _words(contents).subquery()
    return select(word.c.verdict, func.count()).group_by(word.c.verdict)


def _words(contents: Collection[str] | None) -> Select[str, str, str | None]:
    words = standing()
    return words if contents is None else words.where(Review.sha256.in_(contents))


def _numbers(connection: Connection, chosen: Mapping[str, Select[int]]) -> Numbers:
    return Counter({(name,): connection.scalar(rows) or 0 for name, rows in chosen.items()})


def _grouped(connection: Connection, rows: Select[*tuple[Any, ...]]) -> Numbers:
    """Rows whose last column is a number."""
    return Counter({tuple(row[:-1]): int(row[-1]) for row in connection.execute(rows)})


@contextmanager
def _counting(
    connection: Connection, table: Counts, count: Callable[[], Numbers]
) -> Iterator[None]:
    before = count()
    yield
    change = count()
    change.subtract(before)
    _add(connection, table, change)


def _add(connection: Connection, table: Counts, change: Numbers) -> None:
    keys = list(table.__table__.primary_key)
    at: list[BindParameter[Any]] = [bindparam(f"at_{column.name}") for column in keys]
    rows = [
        {name.key: part for name, part in zip(at, key, strict=True)} | {"more": more}
        for key, more in change.items()
        if more
    ]
    if rows:
        # An INSERT of what is taken away would be refused before its conflict is seen.
        first = dict(zip((column.name for column in keys), at, strict=True)) | {"number": 0}
        connection.execute(insert(connection, table).values(first).on_conflict_do_nothing(), rows)
        here = [column == part for column, part in zip(keys, at, strict=True)]
        connection.execute(
            update(table).where(*here).values(number=table.number + bindparam("more")), rows
        )
