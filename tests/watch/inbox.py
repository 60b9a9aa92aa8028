"""A watch whose turns the test calls."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from curate.catalog.query import Query
from curate.config import WatchConfig
from curate.images.decode import Decoder
from curate.images.paths import decode
from curate.ingest import Source
from curate.score import Scorer
from curate.watch.events import Event
from curate.watch.service import Watch
from curate.workspace import Workspace, hold

SETTLE, SCAN = 2.0, 60.0


class Inbox:
    """A watch over `root` whose turns are called by hand."""

    def __init__(
        self, workspace: Workspace, root: Path, decoder: Decoder, stack: ExitStack
    ) -> None:
        self.events: list[Event] = []
        self.workspace, self.root, self.decoder = workspace, root, decoder
        self.lease = stack.enter_context(hold(workspace, "watch", "the inbox"))
        self.service = self.start()

    def start(self, finetune_images: int | None = None) -> Watch:
        """A watch that has done nothing yet."""
        return Watch(
            self.workspace,
            Source(self.workspace, self.root, self.decoder),
            Scorer(self.workspace, "cpu"),
            WatchConfig(settle_seconds=SETTLE, scan_seconds=SCAN, finetune_images=finetune_images),
            [sys.executable, "-c", ""],
            self.lease,
            self.hear,
        )

    def hear(self, event: Event) -> None:
        """Keep what the watch tells."""
        self.events.append(event)

    def catalogued(self) -> list[str]:
        """The names of every sighting."""
        rows = self.workspace.catalog.iter_images(Query(), all_paths=True)
        return sorted(str(decode(row.path)) for row in rows)
