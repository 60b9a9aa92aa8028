"""Rules by which the program works on what lies in the inbox."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from curate.images.decode import Decoder

from ..watch.inbox import SCAN, SETTLE
from . import invariants as must
from .contents import Content, contents
from .disk import is_ignored
from .filling import Filling, names, numbers, some_file
from .model import Model
from .program import Program

LONG = 10_000.0
"""Seconds after which the whole inbox is scanned again, however slow the machine."""


class Working(Filling):
    """The program at work on the inbox, and a model of what it has to hold."""

    def __init__(
        self, base: Path, decoder: Decoder, oracle: must.Oracle, tally: Counter[str]
    ) -> None:
        super().__init__(base)
        self.base, self.oracle, self.tally = base, oracle, tally
        place = base / "project-0" / ".curate"
        self.program = Program(place, self.disk, decoder, base / "migrations")
        rows, self.named = self.program.rows(), set[str]()
        self.model = Model(rows.active("classifier"), rows.active("detector"), rows.networks)
        self.worked = True
        tally["examples"] += 1

    def teardown(self) -> None:
        """End the program."""
        self.program.close()
        shutil.rmtree(self.base)

    @invariant()
    def all_holds(self) -> None:
        """After each step in which the program had a part."""
        self.tally["steps"] += 1
        if not self.worked:
            return
        rows, workspace = self.program.rows(), self.program.workspace
        must.check_images(rows, self.disk, self.model)
        must.check_scores(rows, self.model, workspace, self.oracle)
        must.check_tags(rows, self.model, workspace)
        must.check_house(workspace, self.program.decoder, self.program.fresh)
        seen = {str(Path(path).relative_to(self.disk.root)) for path, _ in rows.sightings}
        assert {name for name in seen if is_ignored(name)} <= self.named
        self.worked = self.program.fresh = False

    def turn(self, seconds: float) -> None:
        """A turn of the watch, so much later: it takes only what has been quiet."""
        self.worked = True
        self.clock += seconds
        lying = {(self.disk.path(name), sha256): name for name, sha256 in self.disk.now.items()}
        since = {pair: self.disk.changed[name] for pair, name in lying.items()}
        before = set(self.program.rows().sightings)
        self.program.watch.service.turn(self.clock)
        rows = self.program.rows()
        for pair in set(rows.sightings) - before:
            assert self.clock - since.get(pair, 0.0) >= SETTLE, "read before it was quiet"
        must.check_scored(rows, self.model)

    def catch_up(self, shut: str | None = None) -> None:
        """Time enough for all that lies there."""
        self.turn(LONG)
        self.turn(SETTLE)
        must.check_caught_up(self.program.rows(), self.disk, shut)
        self.caught_up = shut is None

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, SETTLE, SCAN]))
    def one_turn(self, seconds: float) -> None:
        """The watch looks."""
        self.turn(seconds)

    @rule()
    def quiet_hours(self) -> None:
        """Nothing changes for a long time."""
        self.catch_up()

    @some_file
    @rule(number=numbers, seconds=st.sampled_from([0.5, 1.0, SETTLE]))
    def hinted(self, number: int, seconds: float) -> None:
        """An event says where something happened, and the watch looks there."""
        self.program.watch.service.hints.hint((self.disk.root / self.file(number)).parent)
        self.turn(seconds)

    @rule(name=names, content=contents(), seconds=st.sampled_from([0.5, 1.0, SETTLE]))
    def arrive_and_hint(self, name: str, content: Content, seconds: float) -> None:
        """An upload, and at once its event."""
        self.arrive(name, content)
        self.program.watch.service.hints.hint((self.disk.root / name).parent)
        self.turn(seconds)

    @some_file
    @rule(number=numbers, content=contents(), how=st.sampled_from(["write", "arrive", "delete"]))
    def changed_meanwhile(self, number: int, content: Content, how: str) -> None:
        """A file changes while the watch reads it or its neighbours."""
        name, change = self.file(number), getattr(self.disk, how)
        arguments = [name] if how == "delete" else [name, content.bytes]
        self.turn(LONG)
        self.program.watch.meanwhile = partial(self._change, partial(change, *arguments))
        self.turn(SETTLE)
        if happens := self.program.watch.meanwhile:  # it read nothing
            self.program.watch.meanwhile = None
            happens()

    def _change(self, change: Callable[[], None]) -> None:
        with self.changing():
            change()

    @some_file
    @rule(number=numbers)
    def shut(self, number: int) -> None:
        """A file that cannot be read, for long."""
        name = self.file(number)
        with self.disk.shut(name) as holds:
            self.catch_up(name if holds else None)
        self.caught_up = False

    @rule()
    def unmounted(self) -> None:
        """The inbox goes away for long and comes back."""
        self.disk.root.rename(self.base / "unmounted")
        before = self.program.rows().sightings
        self.turn(LONG)
        assert self.program.rows().sightings == before
        (self.base / "unmounted").rename(self.disk.root)

    @rule()
    def ingest_all(self) -> None:
        """`curate ingest INBOX`: at once, whatever is quiet."""
        self.worked = self.caught_up = True
        self.program.ingest(str(self.disk.root))
        rows = self.program.rows()
        must.check_caught_up(rows, self.disk)
        must.check_scored(rows, self.model)

    @some_file
    @rule(number=numbers)
    def ingest_one(self, number: int) -> None:
        """`curate ingest FILE`."""
        self.worked, name = True, self.file(number)
        self.named.add(name)
        self.program.ingest(self.disk.path(name))
        must.check_ingested(self.program.rows(), self.disk, name)

    @rule()
    def restart(self) -> None:
        """The program ends and starts again."""
        self.worked = True
        self.program.stop()
        self.program.start()
