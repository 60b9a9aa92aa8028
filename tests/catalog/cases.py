"""What the tests of the catalog are made of: moments, hashes, images and scores by number."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Select

from curate.catalog.engine import make_engine, read
from curate.catalog.store import NewImage, NewScore

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROOT = "file:///in/box"
Place = Path | str
AddCheckpoint = Callable[..., str]


def name_of(number: int | str) -> str:
    """A SHA-256 that a number stands for."""
    return sha256(str(number).encode()).hexdigest()


def image(number: int, path: str | None = None, **values: int) -> NewImage:
    """An image whose content is `number`."""
    stat = {"mtime_ns": 1, "ctime_ns": 2, "inode": 3} | values
    return NewImage(
        path=path or f"{number}.jpg",
        sha256=name_of(number),
        format="JPEG",
        width=640,
        height=480,
        bytes=1_000 + number,
        **stat,
    )


def stored(place: Place, rows: Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What the catalog at a place holds."""
    engine = make_engine(place)
    with read(engine) as connection:
        found = [tuple(row) for row in connection.execute(rows)]
    engine.dispose()
    return found


def score(
    number: int,
    p_value: float = 0.5,
    label: str = "shirt",
    score: float = 0.25,
    disagreement: float = 0.25,
) -> NewScore:
    """A score of the image `number`."""
    return NewScore(
        sha256=name_of(number),
        score=score,
        discrepancy=0.5,
        msp=0.125,
        energy=-3.5,
        knn=0.75,
        disagreement=disagreement,
        label=label,
        confidence=0.875,
        p_value=p_value,
        calibration="held_out",
    )


def after(**age: float) -> datetime:
    """A moment after NOW."""
    return NOW + timedelta(**age)


def in_processes(*works: Callable[[], object]) -> list[int | None]:
    """Do each of `works` in a process of its own, at once; their exit codes.

    Forked, which spares the imports; engines must be disposed of before.
    """
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        ready.wait(60)
        work()

    running = [context.Process(target=run, args=(work,)) for work in works]
    for process in running:
        process.start()
    for process in running:
        process.join(800)
    return [process.exitcode for process in running]
