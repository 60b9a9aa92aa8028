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
    ColumnElement,
    Connection,
    Select,
    delete,
    func,
    select,
    true,
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
Table = type[Tally] | type[Total]


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
    words = _by_verdict(_words(contents))
    with (
        counting_scores(connection, contents),
        _counting(connection, Total, lambda: _grouped(connection, words)),
    ):
        yield


def faults(connection: Connection) -> list[str]:
    """Which counts differ from what is counted; a walk over everything."""
    found = []
    for table, counted in _counted_anew(connection).items():
        kept = _kept(connection, table)
        found += [
            f"{table.__tablename__} of {', '.join(map(str, key))}: {kept[key]} for {counted[key]}"
            for key in sorted(kept.keys() | counted.keys())
            if kept[key] != counted[key]
        ]
    return found


def count_anew(connection: Connection) -> None:
    """Make every count what it should be; a walk over everything."""
    for table, numbers in _counted_anew(connection).items():
        connection.execute(delete(table))
        _add(connection, table, numbers)


def _counted_anew(connection: Connection) -> dict[Table, Numbers]:
    every = {
        "image": select(func.count()).select_from(Image),
        "sighting": select(func.count()).select_from(Sighting),
        "unreadable": select(func.count()).select_from(Unreadable),
    }
    totals = _numbers(connection, every) + _grouped(connection, _by_verdict(standing()))
    return {Tally: _tallied_anew(connection), Total: totals}


def _tallied_anew(connection: Connection) -> Numbers:
    """All scores, counted along their index, and then those with a word set apart."""
    plain = select(Score.checkpoint_id, Score.p_value, func.count())
    scores = _grouped(connection, plain.group_by(Score.checkpoint_id, Score.p_value))
    found: Numbers = Counter({(made, "none", p): number for (made, p), number in scores.items()})
    word = standing().subquery()
    judged = (
        select(Score.checkpoint_id, word.c.verdict, Score.p_value, func.count())
        .select_from(word)
        .join(Checkpoint, true())
        .join(
            Score,
            (Score.checkpoint_id == Checkpoint.checkpoint_id) & (Score.sha256 == word.c.sha256),
        )
        .group_by(Score.checkpoint_id, word.c.verdict, Score.p_value)
    )
    for (made, verdict, p), number in _grouped(connection, judged).items():
        found[made, verdict, p] += number
        found[made, "none", p] -= number
    return found


def _kept(connection: Connection, table: Table) -> Numbers:
    rows = select(*table.__table__.primary_key, table.number)
    return _grouped(connection, rows)


def _by_p_value(contents: Collection[str]) -> Select[*tuple[Any, ...]]:
    """(checkpoint, verdict, p-value, images) of the scores of these contents."""
    word = _words(contents).subquery()
    verdict = func.coalesce(word.c.verdict, "none")
    return (
        select(Score.checkpoint_id, verdict, Score.p_value, func.count())
        .outerjoin(word, word.c.sha256 == Score.sha256)
        .where(Score.sha256.in_(contents))
        .group_by(Score.checkpoint_id, verdict, Score.p_value)
    )


def _by_verdict(words: Select[str, str, str | None]) -> Select[*tuple[Any, ...]]:
    word = words.subquery()
    return select(word.c.verdict, func.count()).group_by(word.c.verdict)


def _words(contents: Collection[str]) -> Select[str, str, str | None]:
    return standing().where(Review.sha256.in_(contents))


def _numbers(connection: Connection, chosen: Mapping[str, Select[int]]) -> Numbers:
    return Counter({(name,): connection.scalar(rows) or 0 for name, rows in chosen.items()})


def _grouped(connection: Connection, rows: Select[*tuple[Any, ...]]) -> Numbers:
    """Rows whose last column is a number."""
    return Counter({tuple(row[:-1]): int(row[-1]) for row in connection.execute(rows)})


@contextmanager
def _counting(connection: Connection, table: Table, count: Callable[[], Numbers]) -> Iterator[None]:
    before = count()
    yield
    change = count()
    change.subtract(before)
    _add(connection, table, change)


def _add(connection: Connection, table: Table, change: Numbers) -> None:
    names = [column.name for column in table.__table__.primary_key]
    rows = [
        {**dict(zip(names, key, strict=True)), "number": more}
        for key, more in change.items()
        if more
    ]
    if rows:
        statement = insert(connection, table)
        statement = statement.on_conflict_do_update(
            index_elements=names, set_={"number": table.number + statement.excluded.number}
        )
        connection.execute(statement, rows)
