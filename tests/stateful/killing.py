"""Rules by which the program is killed: what a command did is done then, or not done."""

from __future__ import annotations

import copy
import shutil
import signal
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from curate.catalog.query import parse
from curate.export import export

from . import invariants as must
from .contents import Content, pictures
from .disk import NAMES
from .filling import numbers
from .handed import FILTERS, check_copies, check_manifest
from .judging import RATES, REVIEWERS, VERDICTS, Judging

early = st.integers(1, 12)
moments = st.integers(1, 8) | st.integers(1, 30)
"""Before which of its lasting calls a command is killed; one that makes fewer ends by itself."""
COMMANDS = ("tagging", "undoing", "choosing", "finetuning", "switching", "exporting")


class Killing(Judging):
    """Commands that end in the middle."""

    def kill(self, at: int, *arguments: object) -> bool:
        """Run a command in a fork that is killed; whether it came to its end before."""
        self.worked = True
        ended = self.program.killed(arguments, at).code != -signal.SIGKILL
        self.tally["kills"] += not ended
        return ended

    @rule(name=st.sampled_from(NAMES), content=pictures(), at=early, once=st.booleans())
    def killed_while_reading(self, name: str, content: Content, at: int, once: bool) -> None:
        """An upload arrives, and `ingest` or `watch --once` is killed."""
        self.arrive(name, content)
        command = ("watch", "--once", "--settle", 0) if once else ("ingest",)
        if self.kill(at, *command, self.disk.root, "--device", "cpu"):
            must.check_caught_up(self.program.rows(), self.disk)

    @rule(what=st.sampled_from(COMMANDS), at=moments, number=numbers)
    def killed_while(self, what: str, at: int, number: int) -> None:
        """Another command is killed, whose details are drawn by a number."""
        getattr(self, f"_killed_{what}")(at, number)

    def _killed_tagging(self, at: int, number: int) -> None:
        """`tag`, which has happened or has not."""
        if not self.model.images:
            return
        verdict, reviewer = VERDICTS[number % len(VERDICTS)], REVIEWERS[number % len(REVIEWERS)]
        word, of_class = verdict
        options = ["--reviewer", reviewer, *(["--class", of_class] if of_class else [])]
        sha256, before = self.image(number), len(self.program.rows().reviews)
        ended = self.kill(at, "tag", word, sha256, *options)
        if len(self.program.rows().reviews) > before:
            self.model.say(reviewer, {sha256: verdict})
        else:
            assert not ended

    def _killed_undoing(self, at: int, number: int) -> None:
        """`undo`."""
        reviewer = REVIEWERS[number % len(REVIEWERS)]
        before, after = len(self.program.rows().reviews), copy.deepcopy(self.model)
        ended = self.kill(at, "undo", "--reviewer", reviewer)
        if after.undo(reviewer) and len(self.program.rows().reviews) > before:
            self.model = after
        elif ended:
            assert after == self.model

    def _killed_choosing(self, at: int, number: int) -> None:
        """`rate`."""
        before, rate = len(self.program.rows().rates), RATES[number % len(RATES)]
        ended = self.kill(at, "rate", rate)
        if len(self.program.rows().rates) > before:
            self.model.rate = rate
        else:
            assert not ended

    def _killed_finetuning(self, at: int, number: int) -> None:
        """`finetune`: its network may be kept, and then be in service or not."""
        paper = ("--recipe", "paper", "--epochs", 1, "--margin", 0.5, "--seed", number)
        ended = self.kill(at, "finetune", *paper, "--device", "cpu")
        self.model.candidate_left = not ended
        rows = self.program.rows()
        made = rows.networks.keys() - self.model.networks.keys()
        assert len(made) <= 1
        self.model.networks |= dict.fromkeys(made, self.model.classifier)
        if rows.active("detector") in made:
            (self.model.detector,) = made

    def _killed_switching(self, at: int, number: int) -> None:
        """`models use`, which switches both roles at once."""
        network = self.network(number)
        ended = self.kill(at, "models", "use", network, "--device", "cpu")
        self.model.candidate_left |= not ended
        rows = self.program.rows()
        serving = rows.active("classifier"), rows.active("detector")
        if ended or serving != (self.model.classifier, self.model.detector):
            self.model.use(network)

    def _killed_exporting(self, at: int, number: int) -> None:
        """`export`: what has the name is whole."""
        format: Literal["csv", "imagefolder"] = "imagefolder" if number % 2 else "csv"
        query, place = sorted(FILTERS)[number % len(FILTERS)], self.base / f"killed-{format}"
        rows = self.program.rows()
        options = ["--query", query] if query else []
        ended = self.kill(at, "export", place, "--format", format, *options)
        assert place.exists() or not ended
        if not place.exists():
            export(self.program.workspace, parse(query), place, format)
            must.check_swept(self.base)
        if format == "csv":
            check_manifest(place, rows, query, all_paths=False)
            place.unlink()
        else:
            check_copies(place, rows, query, self.disk)
            shutil.rmtree(place)
