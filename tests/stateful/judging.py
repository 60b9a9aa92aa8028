"""Rules by which people work on what the program found: reviews, networks, exports, the doctor."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from curate.catalog.query import parse
from curate.config import FinetuneConfig, GuardedRecipe, PaperRecipe
from curate.doctor import examine
from curate.errors import UsageError
from curate.export import Options, export
from curate.finetune import finetune
from curate.tagging import tag, undo

from . import invariants as must
from .contents import Content, pictures
from .filling import numbers
from .handed import FILTERS, check_copies, check_manifest, lies_somewhere
from .model import Verdict
from .rows import opened
from .working import Working

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


class Judging(Working):
    """People at work."""

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

    @rule(
        number=numbers,
        verdict=verdicts,
        reviewer=reviewers,
        content=st.none() | pictures(),
    )
    def review_file(
        self, number: int, verdict: Verdict, reviewer: str, content: Content | None
    ) -> None:
        """`curate tag` by name: what lies there now, or what last did; overwritten just before."""
        self.worked = True
        names = sorted({name for name, _ in self.disk.lain})
        if not names:
            return
        name = names[number % len(names)]
        if content:
            self.write(name, content)
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
        assert len(undo(self.program.workspace, reviewer)) == self.model.undo(reviewer)

    @rule(number=numbers, first=verdicts, second=verdicts, reviewer=reviewers)
    def second_thoughts(self, number: int, first: Verdict, second: Verdict, reviewer: str) -> None:
        """A word on an image, and another one that is taken back."""
        if not self.model.images:
            return
        self.review([number], first, "ann")
        self.review([number], second, reviewer)
        self.undo(reviewer)

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
        exported = export(self.program.workspace, parse(query), place, format, Options(all_paths))
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
