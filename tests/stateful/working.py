"""Rules by which the program works on what lies in the inbox, and people on what it found."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from curate.catalog.query import parse
from curate.config import FinetuneConfig, GuardedRecipe, PaperRecipe
from curate.doctor import examine
from curate.errors import UsageError
from curate.export import export
from curate.finetune import finetune
from curate.images.decode import Decoder
from curate.tagging import tag, undo

from ..watch.inbox import SCAN, SETTLE
from . import invariants as must
from .contents import Content, contents
from .disk import is_ignored
from .filling import Filling, names, numbers, some_file
from .handed import FILTERS, check_copies, check_manifest, lies_somewhere
from .model import Model, Verdict
from .program import Program
from .rows import opened

LONG = 10_000.0
"""Seconds after which the whole inbox is scanned again, however slow the machine."""
REVIEWERS = ("ann", "bob")
VERDICTS: tuple[Verdict, ...] = (("id", None), ("ood", None), ("id", "disc"), ("id", "a new class"))
RATES = (0.05, 0.1, 0.25, 0.5)
reviewers, verdicts = st.sampled_from(REVIEWERS), st.sampled_from(VERDICTS)
LOSSES = {
    "preview": ("previews.db", "DELETE FROM previews WHERE sha256 = ?"),
    "score": ("catalog.db", "DELETE FROM score WHERE sha256 = ?"),
}
PAPER = PaperRecipe(epochs=1, margin=0.5)
GUARDED = GuardedRecipe(min_updates=2, max_updates=2)


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

    @rule(picked=st.lists(numbers, min_size=1, max_size=3), verdict=verdicts, reviewer=reviewers)
    def review(self, picked: list[int], verdict: Verdict, reviewer: str) -> None:
        """`curate tag` by hash."""
        self.worked = True
        if not self.model.images:
            return
        hashes = {self.image(number) for number in picked}
        tag(self.program.workspace, sorted(hashes), *verdict, reviewer)
        self.model.say(reviewer, dict.fromkeys(hashes, verdict))

    def image(self, number: int) -> str:
        """One of the images."""
        hashes = sorted(self.model.images)
        return hashes[number % len(hashes)]

    @rule(number=numbers, verdict=verdicts, reviewer=reviewers)
    def review_file(self, number: int, verdict: Verdict, reviewer: str) -> None:
        """`curate tag` by name: what lies there now, or what last did."""
        self.worked = True
        names = sorted({name for name, _ in self.disk.lain})
        if not names:
            return
        name = names[number % len(names)]
        try:
            tag(self.program.workspace, [self.disk.path(name)], *verdict, reviewer)
        except UsageError:
            lies = self.disk.uploads().get(name)
            assert not self.caught_up or lies not in self.model.images, "refused what it knows"
            return
        ((sha256, said),) = self.program.rows().last_step().items()
        assert said == verdict
        assert self.disk.now.get(name, sha256) == sha256, "said of other bytes"
        assert (name, sha256) in self.disk.lain
        self.model.say(reviewer, {sha256: verdict})

    @rule(reviewer=reviewers)
    def undo(self, reviewer: str) -> None:
        """`curate undo`."""
        self.worked = True
        assert undo(self.program.workspace, reviewer) == self.model.undo(reviewer)

    @rule(rate=st.sampled_from(RATES))
    def choose_rate(self, rate: float) -> None:
        """`curate rate`."""
        self.worked = True
        self.program.workspace.catalog.rates.set(rate, datetime.now(UTC))
        self.model.rate = rate

    @rule(seed=st.integers(0, 2), guarded=st.booleans())
    def finetune(self, seed: int, guarded: bool) -> None:
        """`curate finetune`, with two updates or one epoch."""
        self.worked = True
        config = FinetuneConfig(GUARDED if guarded else PAPER, "cpu", seed, force=True)
        result = finetune(self.program.workspace, config)
        assert result.images == len(self.model.unlabeled())
        self.model.candidate_left = False
        if result.outcome == "promoted":
            assert result.checkpoint_id is not None
            self.model.networks[result.checkpoint_id] = self.model.classifier
            self.model.detector = result.checkpoint_id
        assert [run for run in self.program.rows().runs if run["ended_at"] is None] == []

    @rule(number=numbers)
    def use(self, number: int) -> None:
        """`curate models use`."""
        self.worked = True
        network = self.network(number)
        self.program.scorer.use(network)
        self.model.use(network)

    def network(self, number: int) -> str:
        """One of the networks."""
        return list(self.model.networks)[number % len(self.model.networks)]

    @rule(
        query=st.sampled_from(sorted(FILTERS)),
        format=st.sampled_from(["csv", "jsonl", "imagefolder"]),
        all_paths=st.booleans(),
    )
    def export(
        self, query: str, format: Literal["csv", "jsonl", "imagefolder"], all_paths: bool
    ) -> None:
        """`curate export`; a manifest goes over the one from before."""
        place, all_paths = self.base / f"out.{format}", all_paths and format != "imagefolder"
        exported = export(self.program.workspace, parse(query), place, format, all_paths)
        if format == "imagefolder":
            check_copies(place, self.program.rows(), query, self.disk, exported)
            shutil.rmtree(place)
        else:
            check_manifest(place, self.program.rows(), query, all_paths)
        must.check_swept(self.base)

    @rule(number=numbers, what=st.sampled_from(sorted(LOSSES)))
    def lose(self, number: int, what: str) -> None:
        """`curate doctor --fix` after a loss: found, and mended where it can be."""
        self.worked = True
        if not self.model.images:
            return
        sha256, (file, statement) = self.image(number), LOSSES[what]
        if what == "preview" and not lies_somewhere(sha256, self.program.rows(), self.disk):
            return
        with opened(self.program.place / file) as database:
            database.execute(statement, (sha256,))
        found = list(examine(self.program.workspace, self.program.decoder, mend=True))
        states = [finding.state for finding in found]
        assert "broken" not in states
        assert "mended" in states or what == "score"
        self.program.scorer.score_active()
