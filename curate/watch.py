"""The inbox service: hint -> scan -> settled -> ingest -> score; when due, fine-tune in a child.

File-system events get lost, so they are hints only: the scan is the truth.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from curate.catalog.runs import RunRow
from curate.catalog.schema import on_network_file_system
from curate.config import WatchConfig
from curate.finetune import LEASE
from curate.images.decode import Decoder
from curate.images.inbox import StabilityTracker, check_inbox, restat, scan
from curate.ingest import Ingested, Source
from curate.score import Scorer
from curate.workspace import Lease, Workspace, hold

HINTS_KEPT = 1_000
CHILD_SECONDS = 10.0


@dataclass(frozen=True)
class Arrived:
    """A batch of files has been catalogued and scored."""

    ingested: Ingested
    scored: int


@dataclass(frozen=True)
class FinetuneStarted:
    """A fine-tune fell due: `images` have arrived since the last one."""

    images: int


@dataclass(frozen=True)
class FinetuneEnded:
    """A fine-tune ended; `run` is its record."""

    run: RunRow


@dataclass(frozen=True)
class InboxGone:
    """The inbox is not there any more; nothing is forgotten, the watch waits for it."""

    inbox: Path


Event = Arrived | FinetuneStarted | FinetuneEnded | InboxGone


@dataclass
class Watched:
    """What a watch did until it ended, and the files it left because they were still changing."""

    ingested: Ingested = field(default_factory=Ingested)
    scored: int = 0
    left: int = 0


class Hints(FileSystemEventHandler):
    """Directories that events say are worth scanning; beyond 1,000 everything is."""

    def __init__(self, root: Path) -> None:
        self._root, self._lock = root, threading.Lock()
        self._directories: set[Path] = set()
        self.arrived = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by the observer's thread."""
        if event.event_type in ("opened", "closed_no_write"):
            return
        for name in filter(None, (event.src_path, event.dest_path)):
            self._add(Path(os.fsdecode(cast("str | bytes", name))))

    def _add(self, path: Path) -> None:
        with self._lock:
            self._directories |= {path if path.is_dir() else path.parent}
            if len(self._directories) > HINTS_KEPT:
                self._directories = {self._root}
        self.arrived.set()

    def take(self) -> set[Path]:
        """The directories hinted at since the last call."""
        self.arrived.clear()
        with self._lock:
            taken, self._directories = self._directories, set()
        return taken


class Watch:
    """One inbox, watched; `turn` does what is due now and says when to come back."""

    def __init__(
        self,
        workspace: Workspace,
        source: Source,
        scorer: Scorer,
        config: WatchConfig,
        child_command: Sequence[str],
        on_event: Callable[[Event], None],
    ) -> None:
        self.workspace, self.source, self.scorer, self.config = workspace, source, scorer, config
        self.hints = Hints(source.root)
        self.total = Watched()
        self._tracker = StabilityTracker(config.settle_seconds)
        self._child_command, self._on_event = child_command, on_event
        self._child: subprocess.Popen[bytes] | None = None
        self._next_scan = 0.0
        self._next_hint = 0.0
        self._next_due_check = 0.0
        self._root_is: tuple[int, int] | None = None
        self._polled = config.poll or on_network_file_system(source.root)

    def turn(self, now: float) -> None:
        """Scan what is due, catalogue and score what has settled, look after the fine-tune."""
        self._scan_due(now)
        for batch in self._settled(now):
            self._arrive(batch)
        self._finetune_due(now)

    def pause(self, now: float) -> float:
        """Seconds until the next turn has something to do, hints apart."""
        due = [self._next_scan, self._tracker.next_due(now)]
        if self._child or self.config.finetune_minutes:
            due.append(now + 1.0)
        return max(0.05, min(moment for moment in due if moment is not None) - now)

    def wait(self) -> None:
        """Sleep until something is due or a hint arrives; hints are taken in bundles."""
        now = time.monotonic()
        if self.hints.arrived.is_set():
            time.sleep(max(0.0, min(self._next_hint - now, self.pause(now))))
        else:
            self.hints.arrived.wait(self.pause(now))

    @property
    def waiting(self) -> int:
        """Files that are not settled yet."""
        return self._tracker.waiting()

    def _scan_due(self, now: float) -> None:
        if now >= self._next_scan:
            self.hints.take()
            self._scan([self.source.root], now)
        elif self.hints.arrived.is_set() and now >= self._next_hint:
            self._scan(_topmost(self.hints.take()), now)

    def _scan(self, directories: Sequence[Path], now: float) -> None:
        began, files, whole = time.monotonic(), 0, self.source.root in directories
        for directory in directories:
            for file in scan(directory):
                files += 1
                if not self.source.is_known(file):
                    self._tracker.observe(file, now)
        took = time.monotonic() - began
        self._next_hint = now + max(0.2, 10 * took)
        if whole:
            every = self.config.poll_seconds if self._polled else self.config.scan_seconds
            self._next_scan = now + max(every, 100 * took)
            self._record_scan(files)

    def _record_scan(self, files: int) -> None:
        root = self.source.root
        if not root.is_dir():
            self._root_is = None
            self._next_scan = min(self._next_scan, time.monotonic() + 5)
            self._on_event(InboxGone(root))
            return
        mode = "poll" if self._polled else "events"
        self.workspace.catalog.record_scan(self.source.source_id, datetime.now(UTC), files, mode)

    def root_changed(self) -> bool:
        """Whether the root is another directory than when last asked (re-created, remounted)."""
        try:
            status = self.source.root.stat()
        except OSError:
            return False
        before, self._root_is = self._root_is, (status.st_dev, status.st_ino)
        return self._root_is != before

    def _settled(self, now: float) -> Iterator[list[Path]]:
        for file in restat(self._tracker.due(now)):
            self._tracker.observe(file, now)
        settled = [file.path for file in self._tracker.settled(now)]
        for start in range(0, len(settled), self.config.batch):
            yield settled[start : start + self.config.batch]

    def _arrive(self, paths: list[Path]) -> None:
        ingested = self.source.ingest(paths, lambda _: None)
        scored = self.scorer.score_active()
        self.total.ingested.add(ingested)
        self.total.scored += scored
        self._on_event(Arrived(ingested, scored))

    def _finetune_due(self, now: float) -> None:
        if self.config.once:
            return
        if self._child is not None:
            self._finetune_ended()
        elif now >= self._next_due_check:
            self._next_due_check = now + 1.0
            if images := self._images_due():
                self._on_event(FinetuneStarted(images))
                self._child = subprocess.Popen(  # noqa: S603  (our own command line)
                    self._child_command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )

    def _finetune_ended(self) -> None:
        if self._child is None or self._child.poll() is None:
            return
        self._child = None
        self.workspace.catalog.runs.abandon(datetime.now(UTC))
        run = self.workspace.catalog.runs.latest()
        if run is not None:
            self._on_event(FinetuneEnded(run))

    def _images_due(self) -> int:
        """How many images a fine-tune that is due now would learn from anew; 0 when none is."""
        catalog = self.workspace.catalog
        if catalog.models.active("classifier") is None or catalog.leases.holder(LEASE):
            return 0
        last = catalog.runs.latest()
        since = last.started_at if last else datetime.min.replace(tzinfo=UTC)
        images = catalog.new_images_since(since)
        if self.config.finetune_images and images >= self.config.finetune_images:
            return images
        minutes = self.config.finetune_minutes
        waited = minutes is not None and datetime.now(UTC) - since >= timedelta(minutes=minutes)
        return images if waited else 0

    def stop_child(self) -> None:
        """End a running fine-tune; it resumes where it stopped when the next one falls due."""
        if self._child is None or self._child.poll() is not None:
            return
        self._child.terminate()
        try:
            self._child.wait(CHILD_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def watch(
    workspace: Workspace,
    inbox: Path,
    scorer: Scorer,
    decoder: Decoder,
    config: WatchConfig,
    child_command: Sequence[str] = (sys.executable, "-m", "curate", "finetune"),
    on_event: Callable[[Event], None] = lambda _: None,
) -> Watched:
    """Watch `inbox` until interrupted, or with `once` until what is there now is done.

    Raises InboxError for a place that cannot be an inbox, HeldByAnother while another process
    watches it.
    """
    inbox = inbox.absolute()
    check_inbox(inbox, workspace.folder)
    with ExitStack() as stack:
        source = Source(workspace, inbox, decoder)
        name = f"watch:{source.source_id}"
        lease = stack.enter_context(hold(workspace, name, f"the inbox {str(inbox)!r}"))
        watch = Watch(workspace, source, scorer, config, child_command, on_event)
        stack.callback(watch.stop_child)
        scorer.score_active()
        if config.once:
            return _once(watch)
        _for_ever(watch, lease)
    return watch.total


def _once(watch: Watch) -> Watched:
    end = time.monotonic() + 2 * watch.config.settle_seconds
    watch.turn(time.monotonic())
    while watch.waiting and time.monotonic() <= end:
        time.sleep(min(watch.pause(time.monotonic()), 0.5))
        watch.turn(time.monotonic())
    watch.total.left = watch.waiting
    return watch.total


def _for_ever(watch: Watch, lease: Lease) -> None:
    while True:
        with _observed(watch):
            while not watch.root_changed():
                watch.turn(time.monotonic())
                lease.renew()
                watch.wait()


@contextmanager
def _observed(watch: Watch) -> Iterator[None]:
    """Let events hint at directories for as long as the root stays the same directory."""
    watch.root_changed()
    if not watch.source.root.is_dir() or watch.config.poll:
        yield
        return
    observer = Observer()
    observer.schedule(watch.hints, str(watch.source.root), recursive=True)
    # Out of watches, the scan every minute finds everything, only later.
    with suppress(OSError):
        observer.start()
    try:
        yield
    finally:
        observer.stop()
        if observer.is_alive():
            observer.join()


def _topmost(directories: set[Path]) -> list[Path]:
    """The directories that lie below no other of them."""
    return [d for d in sorted(directories) if not any(up in directories for up in d.parents)]
