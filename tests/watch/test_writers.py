"""Files that come slowly, in pieces, or over others: each is ingested once, and whole."""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from curate.catalog.query import Query

from ..program import draw, picture
from .inbox import SETTLE, Inbox

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
BLOCK = 4_096
"""Bytes; a file that is as large from its beginning as it will be is filled in blocks."""


@dataclass
class Writer:
    """Something that writes a file in pieces, with pauses, on the clock of the test."""

    path: Path
    content: bytes
    rng: random.Random
    preallocates: bool
    due: float

    def write(self) -> Iterator[float]:
        """Write the next piece; gives the seconds until the one after it."""
        places = range(1, len(self.content))
        if self.preallocates:
            self.path.touch()
            os.truncate(self.path, len(self.content))
            places = range(BLOCK, len(self.content), BLOCK)
            yield self.rng.uniform(0.2, 4)
        cuts = sorted(self.rng.sample(places, min(len(places), self.rng.randrange(1, 5))))
        for start, end in zip([0, *cuts], [*cuts, len(self.content)], strict=True):
            with self.path.open("r+b" if self.path.exists() else "xb") as file:
                file.seek(start)
                file.write(self.content[start:end])
            yield self.rng.uniform(0.2, 4)


def encoded(number: int) -> bytes:
    stream = io.BytesIO()
    noise = picture("noise", number).resize((128, 128), Image.Resampling.BICUBIC)
    noise.save(stream, FORMATS[number % len(FORMATS)])
    return stream.getvalue()


def hashes(inbox: Inbox) -> set[str]:
    return {row.sha256 for row in inbox.workspace.catalog.iter_images(Query())}


def test_500_files_that_come_in_pieces_are_ingested_whole(inbox: Inbox) -> None:
    """Pauses of 0.2 to 4 s, when 2 s are taken for an end; some are as long as they will be."""
    rng = random.Random(0)
    writers = [
        Writer(inbox.root / str(i), encoded(i), rng, i % 5 == 0, rng.uniform(0, 60))
        for i in range(500)
    ]
    at_work = [(writer.due, writer, writer.write()) for writer in writers]
    now = 0.0
    while at_work:
        now += 0.5
        at_work = [later for due in at_work for later in written(*due, now)]
        inbox.service.hints.hint(inbox.root)
        inbox.service.turn(now)
    for _ in range(2):
        now += 2 * SETTLE
        inbox.service.hints.hint(inbox.root)
        inbox.service.turn(now)
    assert hashes(inbox) == {hashlib.sha256(writer.content).hexdigest() for writer in writers}
    assert list(inbox.workspace.catalog.iter_unreadable()) == []
    assert len(inbox.catalogued()) == len(writers)


def written(
    due: float, writer: Writer, pieces: Iterator[float], now: float
) -> Iterator[tuple[float, Writer, Iterator[float]]]:
    """What is left of a writer's work after what is due at `now`; its file is as old as that."""
    while due <= now:
        pause = next(pieces, None)
        if pause is None:
            return
        os.utime(writer.path, ns=(0, int(due * 1e9)))
        due += pause
    yield due, writer, pieces


@pytest.mark.parametrize("how", ["copied over", "renamed over"])
def test_another_content_under_a_name_is_another_image(inbox: Inbox, how: str) -> None:
    path, other = inbox.root / "a.png", inbox.root / ".b.png"
    for number, now in ((1, 0.0), (2, 100.0), (1, 200.0)):
        picture("disc", number).save(other if how == "renamed over" else path)
        if how == "renamed over":
            other.replace(path)
        inbox.service.turn(now)
        inbox.service.turn(now + SETTLE)
    assert len(hashes(inbox)) == 2
    assert inbox.catalogued() == ["a.png", "a.png"]


def test_a_content_under_many_names_is_one_image(inbox: Inbox) -> None:
    names = ["a.png", "A.png", "b/a.png", "\u00e9.png", "e\u0301.png", "a.PNG"]
    (inbox.root / "b").mkdir()
    picture("disc", 1).save(inbox.root / "original.png")
    for name in names[:3]:
        os.link(inbox.root / "original.png", inbox.root / name)
    for name in names[3:]:
        (inbox.root / name).write_bytes((inbox.root / "original.png").read_bytes())
    inbox.service.turn(0.0)
    inbox.service.turn(SETTLE)
    assert inbox.catalogued() == sorted([*names, "original.png"])
    assert inbox.workspace.catalog.counts().images == 1


@pytest.mark.parametrize("year", [1970, 1999, 2106, 2400])
def test_the_time_of_a_file_counts_only_where_it_changes(inbox: Inbox, year: int) -> None:
    picture("disc", year).save(inbox.root / "a.png")
    moment = (year - 1970) * 31_556_952
    os.utime(inbox.root / "a.png", (moment, moment))
    for now in (0.0, SETTLE, 100.0):
        inbox.service.turn(now)
    assert inbox.catalogued() == ["a.png"]
    assert inbox.service.waiting == 0


def test_a_clock_that_jumps_changes_nothing_but_when(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, year in enumerate((2026, 1999, 2106, 2026)):
        moment = datetime(year, 1, 1, tzinfo=UTC)
        monkeypatch.setattr("curate.ingest.datetime", SimpleNamespace(now=lambda _, at=moment: at))
        draw(inbox.root, "disc", range(number, number + 1))
        inbox.service.turn(100.0 * number)
        inbox.service.turn(100.0 * number + SETTLE)
    assert inbox.catalogued() == [f"disc-{number}.png" for number in range(4)]
    assert len(hashes(inbox)) == 4
    inbox.service.turn(1000.0)
    assert inbox.service.waiting == 0
