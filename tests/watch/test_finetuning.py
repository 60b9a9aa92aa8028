"""A fine-tune that a watch starts and that cannot run: told with its reason, and left alone."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from curate.catalog.engine import write
from curate.catalog.tables import Activation
from curate.cli.inbox import finetune_command
from curate.config import DecodeConfig, WatchConfig
from curate.images.decode import Decoder
from curate.ingest import Source
from curate.score import Scorer
from curate.watch.events import Event, FinetuneEnded, FinetuneImpossible, FinetuneStarted
from curate.watch.service import RETRY_SECONDS, Watch
from curate.workspace import Workspace, hold, open_workspace

from ..program import draw, wait_until

FAILS = [sys.executable, "-c", "import sys; sys.exit('a line\\nerror: no such device\\n')"]
RUNS = """
import os, socket, sys
from datetime import UTC, datetime
from curate.workspace import open_workspace
with open_workspace(sys.argv[1], create=False) as workspace:
    workspace.catalog.runs.start("guarded", os.getpid(), socket.gethostname(), datetime.now(UTC))
"""


ALWAYS = WatchConfig(settle_seconds=0, finetune_images=1)


class Due:
    """A watch with a fine-tune that is always due, by default; its turns are called by hand."""

    def __init__(
        self,
        workspace: Workspace,
        inbox: Path,
        child: list[str],
        stack: ExitStack,
        config: WatchConfig = ALWAYS,
    ) -> None:
        self.events: list[Event] = []
        decoder = stack.enter_context(Decoder(DecodeConfig(workers=1)))
        self.service = Watch(
            workspace,
            Source(workspace, inbox, decoder),
            Scorer(workspace, "cpu"),
            config,
            child,
            stack.enter_context(hold(workspace, "watch", "the inbox")),
            self.events.append,
        )
        stack.callback(self.service.stop_child)

    def ended(self, now: float) -> Event:
        """Turn at the moment `now` until a fine-tune has ended, however it did."""

        def over() -> bool:
            self.service.turn(now)
            return isinstance(self.events[-1], FinetuneEnded | FinetuneImpossible)

        wait_until(over)
        return self.events[-1]

    def started(self) -> int:
        """How many fine-tunes were started."""
        return sum(isinstance(event, FinetuneStarted) for event in self.events)


@pytest.fixture
def workspace(trained: Path) -> Iterator[Workspace]:
    draw(trained / "inbox", "disc", range(1000, 1001))
    with open_workspace(str(trained / ".curate"), create=False) as opened:
        runs, before = opened.catalog.runs, datetime(2026, 1, 1, tzinfo=UTC)
        older = runs.start("guarded", os.getpid(), socket.gethostname(), before)
        runs.finish(older, "skipped", "an older one", {}, 1, None, before)
        yield opened


def test_it_is_told_with_its_reason_and_tried_again_after_an_hour(
    workspace: Workspace, trained: Path
) -> None:
    with ExitStack() as stack:
        due = Due(workspace, trained / "inbox", FAILS, stack)
        assert due.ended(0.0) == FinetuneImpossible(1, "error: no such device")
        for moment in (1.0, 60.0, RETRY_SECONDS - 1):
            due.service.turn(moment)
        assert due.started() == 1
        due.service.turn(RETRY_SECONDS)
        assert due.started() == 2


def test_a_run_that_was_recorded_is_told_as_it_ended(workspace: Workspace, trained: Path) -> None:
    with ExitStack() as stack:
        told = Due(
            workspace,
            trained / "inbox",
            [sys.executable, "-c", RUNS, str(trained / ".curate")],
            stack,
        ).ended(0.0)
    assert isinstance(told, FinetuneEnded)
    assert told.run.outcome == "failed"


def test_of_an_error_of_usage_the_line_that_says_it_is_told(
    workspace: Workspace, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_FINETUNE_SEED", "x")
    with ExitStack() as stack:
        command = finetune_command("guarded", "cpu")
        told = Due(workspace, trained / "inbox", command, stack).ended(0.0)
    assert isinstance(told, FinetuneImpossible)
    assert told.exit_code == 2
    assert "Invalid value for '--seed'" in told.reason


def test_it_begins_a_second_after_the_images_that_make_it_due_and_no_scan_later(
    workspace: Workspace, trained: Path
) -> None:
    inbox = trained / "inbox"
    [waiting] = inbox.iterdir()
    waiting.rename(trained / "later.png")
    with ExitStack() as stack:
        due = Due(workspace, inbox, FAILS, stack)
        due.service.turn(0.0)
        assert due.service.pause(0.0) > 1.0, "nothing has come"
        (trained / "later.png").rename(waiting)
        due.service.hints.hint(inbox)
        due.service.turn(0.5)
        assert due.started() == 0
        assert due.service.pause(0.5) <= 0.5
        due.service.turn(1.0)
        assert due.started() == 1


def test_the_first_by_time_is_due_so_long_after_the_network_came(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1000, 1001))
    hourly = WatchConfig(settle_seconds=0, finetune_images=None, finetune_minutes=60)
    with (
        open_workspace(str(trained / ".curate"), create=False) as workspace,
        ExitStack() as stack,
    ):
        due = Due(workspace, trained / "inbox", FAILS, stack, hourly)
        due.service.turn(0.0)
        assert workspace.catalog.counts().images == 1
        due.service.turn(60.0)
        assert due.started() == 0
        with write(workspace.catalog.engine) as connection:
            connection.execute(
                update(Activation).values(activated_at=datetime.now(UTC) - timedelta(minutes=60))
            )
        due.service.turn(120.0)
        assert due.started() == 1
