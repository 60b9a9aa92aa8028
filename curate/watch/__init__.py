"""The inbox service: hint -> scan -> settled -> ingest -> score; when due, fine-tune in a child.

File-system events get lost, so they are hints only: the scan is the truth.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from curate.config import WatchConfig
from curate.images.decode import Decoder
from curate.images.inbox import check_inbox
from curate.images.paths import real
from curate.ingest import Source
from curate.score import Scorer
from curate.watch.delivery import delivering
from curate.watch.events import Event, Watched
from curate.watch.hints import observed
from curate.watch.hook import Target
from curate.watch.manager import ServiceManager
from curate.watch.service import Watch
from curate.workspace import Workspace, hold


def watch(
    workspace: Workspace,
    inbox: Path,
    scorer: Scorer,
    decoder: Decoder,
    config: WatchConfig,
    child_command: Sequence[str] = (sys.executable, "-m", "curate", "finetune"),
    on_event: Callable[[Event], None] = lambda _: None,
    manager: ServiceManager | None = None,
    target: Target | None = None,
) -> Watched:
    """Watch `inbox` until interrupted, or with `once` until what is there now is done.

    `target` is told of newly tagged images. Raises InboxError for a place that cannot be an inbox,
    HeldByAnother while another process watches it, or tells of newly tagged images.
    """
    check_inbox(inbox.absolute(), workspace.folder)
    with ExitStack() as stack:
        source = Source(workspace, real(inbox), decoder)
        name = f"watch:{source.source_id}"
        lease = stack.enter_context(hold(workspace, name, f"the inbox {str(source.root)!r}"))
        failures = stack.enter_context(delivering(workspace, target, on_event, drain=config.once))
        service = Watch(
            workspace, source, scorer, config, child_command, lease, on_event, manager, failures
        )
        stack.callback(service.stop_child)
        service.manager.ready()
        stack.callback(service.manager.stopping)
        if config.once:
            return _once(service)
        _for_ever(service)
    return service.total


def _once(service: Watch) -> Watched:
    now = time.monotonic()
    end = now + 2 * service.config.settle_seconds
    service.turn(now)
    # The last turn is one after `end`: a machine that stalls must not make it leave quiet files.
    while service.has_room or (service.waiting and now < end):
        service.go_on()
        time.sleep(service.pause(now))
        now = time.monotonic()
        if service.has_room:
            end = now + 2 * service.config.settle_seconds
        service.turn(now)
    service.total.left = service.waiting
    return service.total


def _for_ever(service: Watch) -> None:
    while True:
        service.root_changed()
        with _hinted(service) as service.has_events:
            while not service.root_changed():
                service.turn(time.monotonic())
                service.go_on()
                service.wait()


def _hinted(service: Watch) -> AbstractContextManager[bool]:
    """Events, for as long as the root stays the same directory; none where they are of no use.

    Gives whether there are any.
    """
    if service.config.poll or not os.path.isdir(service.source.root):
        return nullcontext(False)
    return observed(service.hints, service.source.root)
