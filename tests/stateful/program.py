"""A project under test: the program's own functions, its watch, and forks of it that are killed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.score import Scorer
from curate.watch.events import Event, Reading
from curate.workspace import open_workspace

from ..forked import Ended, Fork
from ..watch.inbox import Inbox
from .disk import Disk
from .dying import dying, make_newer
from .invariants import check_swept
from .rows import Rows


class Watching(Inbox):
    """A watch in the middle of which something may happen: after the first file that it reads."""

    meanwhile: Callable[[], None] | None = None

    def hear(self, event: Event) -> None:
        """Let it happen."""
        super().hear(event)
        if isinstance(event, Reading) and (happens := self.meanwhile):
            self.meanwhile = None
            happens()


class Program:
    """The project at `place`, open and watched; it can be ended, killed and moved."""

    def __init__(self, place: Path, disk: Disk, decoder: Decoder, migrations: Path) -> None:
        self.place, self.disk, self.decoder = place, disk, decoder
        self.migrations = migrations
        self._open = ExitStack()
        migrations.mkdir()
        patch = pytest.MonkeyPatch()
        make_newer(patch, migrations)
        self._undo = patch.undo
        self.start()

    def start(self) -> None:
        """Open it and begin to watch; what the dead left must be gone."""
        self.workspace = self._open.enter_context(open_workspace(str(self.place), create=False))
        check_swept(self.place)
        self.watch = Watching(self.workspace, self.disk.root, self.decoder, self._open)
        self.scorer.score_active()
        self.fresh = True

    def stop(self) -> None:
        """End it as it should be ended."""
        self._open.close()

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._undo()

    @property
    def scorer(self) -> Scorer:
        """One that has loaded nothing yet."""
        return Scorer(self.workspace, "cpu")

    def rows(self) -> Rows:
        """What it holds now."""
        return Rows(self.place)

    def ingest(self, *paths: str) -> None:
        """Catalogue and score, as `curate ingest` does."""
        ingest(self.workspace, paths, self.decoder)
        self.scorer.score_active()

    def killed(self, arguments: Sequence[object], at: int) -> Ended:
        """Run a command in a fork, which is killed before its lasting call `at` if it makes it.

        The project is closed before, and opened again after.
        """
        self.stop()
        ended = self.forked(arguments, at)
        self.start()
        return ended

    def forked(self, arguments: Sequence[object], at: int) -> Ended:
        """The same while the project is closed."""
        before = partial(dying, at, self.migrations)
        ended = Fork(self.place.parent, arguments, before).go().end()
        assert "Traceback" not in ended.said, ended
        assert ended.code in (0, -signal.SIGKILL), ended
        return ended
