"""Deliveries of a hook, in a thread of their own: however slow or broken it is, a watch goes on.

Nothing is held in memory but the batch at hand; what waits, waits in the catalog.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event as Flag
from threading import Thread

from curate.catalog.hooks import Hooks
from curate.errors import CurateError
from curate.export.rows import record
from curate.watch.events import DeliveryFailed, Event
from curate.watch.hook import Target
from curate.workspace import Workspace, hold

BATCH = 100
LOOK_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
END_SECONDS = 15.0
LEASE = "hook"


class Delivery:
    """Tells a target of what waits in the queue."""

    def __init__(self, hooks: Hooks, target: Target) -> None:
        self._hooks, self._target = hooks, target
        self._pause = FIRST_PAUSE
        self._failures: deque[DeliveryFailed] = deque(maxlen=10)

    def turn(self) -> float | None:
        """Deliver a batch; returns the seconds to wait before the next, None after a failure."""
        try:
            rows = self._hooks.due(BATCH)
            if not rows:
                return LOOK_SECONDS
            self._target.deliver([record(row) for row in rows])
            self._hooks.accepted([row.sha256 for row in rows], datetime.now(UTC))
        except (CurateError, OSError) as error:  # OSError: no room for what a command says, say
            self._failed(str(error))
            return None
        self._pause = FIRST_PAUSE
        return 0.0

    def next_pause(self) -> float:
        """The pause after a failure: twice the one before, five minutes at most."""
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return pause

    def failures(self) -> Iterator[DeliveryFailed]:
        """What has failed since the last call, the last few."""
        while self._failures:
            yield self._failures.popleft()

    def run(self, ending: Flag, draining: Flag) -> None:
        """Deliver until told to end; when draining, until nothing waits or a delivery fails."""
        while not ending.is_set():
            last = draining.is_set()
            pause = self.turn()
            if last and pause != 0.0:
                return
            wait = self.next_pause() if pause is None else pause
            if wait and not draining.is_set():
                ending.wait(wait)

    def _failed(self, reason: str) -> None:
        self._failures.append(DeliveryFailed(reason))
        try:
            self._hooks.failed(reason, datetime.now(UTC))
        except CurateError:
            return  # the catalog itself is what failed, and the watch says so


@contextmanager
def delivering(
    workspace: Workspace,
    target: Target | None,
    on_event: Callable[[Event], None],
    *,
    drain: bool,
) -> Iterator[Callable[[], Iterator[DeliveryFailed]]]:
    """Deliver while inside, under a lease; gives what tells of failures.

    At the end what is under way may finish; with `drain`, all that waits is delivered first.
    """
    if target is None:
        yield lambda: iter(())
        return
    with hold(workspace, LEASE, "the hook of newly tagged images") as lease:
        workspace.catalog.hooks.set()
        delivery, ending, draining = Delivery(workspace.catalog.hooks, target), Flag(), Flag()
        thread = Thread(target=delivery.run, args=(ending, draining), name="hook", daemon=True)
        thread.start()

        def failures() -> Iterator[DeliveryFailed]:
            lease.renew()
            return delivery.failures()

        try:
            yield failures
            if drain:
                draining.set()
                thread.join()
        finally:
            ending.set()
            thread.join(END_SECONDS)
            for failure in delivery.failures():
                on_event(failure)
