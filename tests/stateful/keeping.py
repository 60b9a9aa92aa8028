"""Rules of backups, restored projects and migrations, each of them killed or not."""

from __future__ import annotations

import copy
import shutil
from collections import Counter
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from curate.backup import back_up, restore
from curate.images.decode import Decoder

from . import invariants as must
from .filling import numbers
from .invariants import Oracle
from .killing import Killing, moments
from .model import Model
from .rows import opened

MIGRATIONS = (
    "ALTER TABLE image ADD COLUMN note TEXT;",
    "CREATE TABLE extra (name TEXT NOT NULL, PRIMARY KEY (name));",
)
MOST_BACKUPS = 4


class Keeping(Killing):
    """The program moved and brought up to date."""

    def __init__(self, base: Path, decoder: Decoder, oracle: Oracle, tally: Counter[str]) -> None:
        super().__init__(base, decoder, oracle, tally)
        self.backups: list[tuple[Path, Model]] = []
        self.moves, self.version = 0, 1

    @precondition(lambda self: len(self.backups) < MOST_BACKUPS)
    @rule(at=st.none() | moments)
    def back_up(self, at: int | None) -> None:
        """`curate backup`, killed or not: it is whole or not there."""
        place = self.base / f"backup-{len(self.backups)}"
        if at is not None:
            self.kill(at, "backup", place)
        if not place.exists():
            assert back_up(self.program.workspace, place).missing == ()
        must.check_swept(self.base)
        self.backups.append((place, copy.deepcopy(self.model)))

    @rule(at=st.none() | moments, number=numbers, now=st.booleans())
    def restore(self, at: int | None, number: int, now: bool) -> None:
        """`curate restore` to a new place, killed or not; the old one is lost.

        From a backup that was made long ago, or just now.
        """
        if not self.backups or (now and len(self.backups) < MOST_BACKUPS):
            self.back_up(None)
            number = len(self.backups) - 1
        backup, model = self.backups[number % len(self.backups)]
        self.worked, self.caught_up = True, False
        self.moves += 1
        place = self.base / f"project-{self.moves}" / ".curate"
        place.parent.mkdir()
        self.program.stop()
        if at is not None:
            ended = self.program.forked(("restore", backup, "--catalog", place), at)
            self.tally["kills"] += ended.code != 0
        if not place.exists():
            assert restore(backup, str(place)).missing == ()
        shutil.rmtree(self.program.place.parent)
        self.program.place, self.model = place, copy.deepcopy(model)
        self.program.start()
        must.check_swept(self.base)

    @precondition(lambda self: self.version <= len(MIGRATIONS))
    @rule(at=st.none() | moments)
    def migrate(self, at: int | None) -> None:
        """A newer program, killed or not in the middle of bringing the catalog up."""
        self.worked = True
        self.version += 1
        before = self.program.rows().images.keys()
        self.program.stop()
        file = self.program.migrations / f"{self.version:04}_more.sql"
        file.write_text(MIGRATIONS[self.version - 2])
        if at is not None:
            self.tally["kills"] += self.program.forked(("status",), at).code != 0
        self.program.start()
        assert self.program.rows().version == self.version
        with opened(self.program.place / f"catalog.db.before-v{self.version}") as kept:
            assert {row[0] for row in kept.execute("SELECT sha256 FROM image")} == before
