"""One watched inbox: what is due at each turn. Time comes in as an argument."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from curate.catalog.schema import on_network_file_system
from curate.config import WatchConfig
from curate.images.inbox import StabilityTracker, restat, scan
from curate.images.paths import real
from curate.ingest import Ingested, Source
from curate.score import LEASE, Scorer
from curate.watch.events import (
    Arrived,
    Event,
    FinetuneEnded,
    FinetuneImpossible,
    FinetuneStarted,
    InboxGone,
    Reading,
    Scanned,
    Watched,
)
from curate.watch.finetuning import Finetuning
from curate.watch.hints import Hints, topmost, watches_left
from curate.watch.manager import ServiceManager
from curate.workspace import Lease, Workspace

RETRY_SECONDS = 3_600.0
NEVER = datetime.min.replace(tzinfo=UTC)


class Watch:
    """One inbox, watched; `turn` does what is due now and says when to come back."""

    def __init__(
        self,
        workspace: Workspace,
        source: Source,
        scorer: Scorer,
        config: WatchConfig,
        child_command: Sequence[str],
        lease: Lease,
        on_event: Callable[[Event], None],
        manager: ServiceManager | None = None,
        failures: Callable[[], Iterable[Event]] = tuple,
    ) -> None:
        self.workspace, self.source, self.scorer, self.config = workspace, source, scorer, config
        self.lease, self.manager = lease, manager or ServiceManager({})
        self.hints = Hints(source.root)
        self.total = Watched()
        self._tracker = StabilityTracker(config.settle_seconds)
        self._child_command, self._on_event, self._failures = child_command, on_event, failures
        self._child: Finetuning | None = None
        self._next_scan = 0.0
        self._next_hint = 0.0
        self._next_due_check = 0.0
        self._arrived = False
        """Whether images have come since it was last looked whether a fine-tune is due."""
        self._tried = NEVER
        self._root_is: tuple[int, int] | None = None
        self._refused: set[tuple[Path, str]] = set()
        self.has_events = True
        self.left_over = False
        """Whether the last scan found more files than may wait at a time."""
        self._remote = on_network_file_system(source.root)

    def turn(self, now: float) -> None:
        """Scan what is due, catalogue and score what has settled, look after the fine-tune."""
        scanned = self._scan_due(now)
        settled = self._settled(now)
        for start in range(0, len(settled), self.config.batch):
            self._arrive(settled[start : start + self.config.batch], start, len(settled))
        if scanned and not settled:
            self._score_queued()
        self._finetune_due(now)
        self.manager.status(self._doing())
        for failure in self._failures():
            self._on_event(failure)

    def go_on(self) -> None:
        """Keep the lease and tell the service manager; called wherever work may take long."""
        self.lease.renew()
        self.manager.alive()

    def pause(self, now: float) -> float:
        """Seconds until the next turn has something to do, hints apart."""
        due = [now if self.has_room else self._next_scan, self._tracker.next_due(now)]
        if self._child or self.config.finetune_minutes:
            due.append(now + 1.0)
        if self._arrived:
            due.append(self._next_due_check)
        if self.manager.every:
            due.append(now + self.manager.every)
        return max(0.5, min(moment for moment in due if moment is not None) - now)

    def wait(self) -> None:
        """Sleep until something is due or a hint arrives; hints are taken in bundles."""
        now = time.monotonic()
        if self.hints.arrived.is_set():
            time.sleep(max(0.0, min(self._next_hint - now, self.pause(now))))
        else:
            self.hints.arrived.wait(self.pause(now))

    def _doing(self) -> str:
        """A line for the service manager, without names: a file could be called anything."""
        images = self.total.ingested.images
        doing = "fine-tuning and watching" if self._child else "watching"
        return f"{doing}; {images} new images, {self.total.ingested.unreadable} unreadable"

    @property
    def waiting(self) -> int:
        """Files that are not settled yet."""
        return self._tracker.waiting()

    @property
    def has_room(self) -> bool:
        """Whether the files that a scan left over may come now."""
        return self.left_over and self._tracker.has_room()

    @property
    def _polls(self) -> bool:
        """Whether events cannot be counted on."""
        return self.config.poll or self._remote or not self.has_events

    def _scan_due(self, now: float) -> bool:
        """Scan what is due; returns whether that was the whole inbox."""
        if now >= self._next_scan or self.has_room:
            self.hints.take()
            self._scan([self.source.root], now)
            return True
        if self.hints.arrived.is_set() and now >= self._next_hint:
            # Where a link has taken a folder's place since the event, it leads elsewhere.
            self._scan([d for d in topmost(self.hints.take()) if real(d) == d], now)
        return False

    def _scan(self, directories: Sequence[Path], now: float) -> None:
        began, files, whole = time.monotonic(), 0, self.source.root in directories
        refused, self.left_over = Ingested(), self.left_over and not whole
        for directory in directories:
            for file in scan(directory, refused.refuse):
                files += 1
                self.manager.alive()
                if not self.source.is_known(file) and not self._tracker.observe(file, now):
                    self.left_over = True
        took = time.monotonic() - began
        self._next_hint = now + max(0.2, 10 * took)
        self._tell_refused(refused.reasons, whole)
        if whole:
            self.has_events = self.has_events and watches_left(self.source.root)
            every = self.config.poll_seconds if self._polls else self.config.scan_seconds
            self._next_scan = now + max(every, 100 * took)
            self._record_scan(files, took)

    def _tell_refused(self, found: list[tuple[Path, str]], whole: bool) -> None:
        """Tell of what a scan could not look at: once, until a scan of the whole could."""
        new = [reason for reason in found if reason not in self._refused]
        self._refused = set(found) if whole else self._refused.union(found)
        if new:
            told = Ingested(unreadable=len(new), reasons=new)
            self.total.ingested.add(told)
            self._on_event(Arrived(told, 0))

    def _record_scan(self, files: int, seconds: float) -> None:
        root = self.source.root
        if not os.path.isdir(root):  # Path.is_dir raises what a dead mount says
            self._root_is = None
            self._next_scan = min(self._next_scan, time.monotonic() + 5)
            self._on_event(InboxGone(root))
            return
        mode = "poll" if self._polls else "events"
        self.workspace.catalog.record_scan(self.source.source_id, datetime.now(UTC), files, mode)
        self._on_event(Scanned(files, seconds))

    def root_changed(self) -> bool:
        """Whether the root is another directory than when last asked (re-created, remounted)."""
        try:
            status = self.source.root.stat()
        except OSError:
            return False
        before, self._root_is = self._root_is, (status.st_dev, status.st_ino)
        return self._root_is != before

    def _settled(self, now: float) -> list[Path]:
        for file in restat(self._tracker.due(now)):
            self._tracker.observe(file, now)
        return [file.path for file in self._tracker.settled(now)]

    def _arrive(self, paths: list[Path], before: int, total: int) -> None:
        def read(done: int) -> None:
            self.go_on()
            self._on_event(Reading(before + done, total))

        ingested = self.source.ingest(paths, read)
        scored = self.scorer.score_active(lambda _: self.go_on())
        self.total.ingested.add(ingested)
        self.total.scored += scored
        self._arrived = True
        self._on_event(Arrived(ingested, scored))

    def _score_queued(self) -> None:
        """Score what no arrival of ours has queued: what was left, or `doctor` queued again."""
        scored = self.scorer.score_active(lambda _: self.go_on())
        if scored:
            self.total.scored += scored
            self._on_event(Arrived(Ingested(), scored))

    def _finetune_due(self, now: float) -> None:
        if self.config.once:
            return
        if self._child is not None:
            self._finetune_ended(self._child, now)
        elif now >= self._next_due_check:
            self._next_due_check, self._arrived = now + 1.0, False
            if images := self._images_due():
                self._tried = datetime.now(UTC)
                self._on_event(FinetuneStarted(images))
                last = self.workspace.catalog.runs.latest()
                after = last.run_id if last else None
                self._child = Finetuning(self._child_command, self.workspace.progress, after)

    def _finetune_ended(self, child: Finetuning, now: float) -> None:
        ended = child.ended()
        if ended is None:
            return
        self._child = None
        self.workspace.catalog.runs.abandon(datetime.now(UTC))
        run = self.workspace.catalog.runs.latest()
        if run is not None and run.run_id != child.after:
            self._on_event(FinetuneEnded(run))
        else:
            # Nothing is recorded that the next one could be counted from.
            self._tried, self._next_due_check = NEVER, now + RETRY_SECONDS
            self._on_event(FinetuneImpossible(*ended))

    def _images_due(self) -> int:
        """How many images a fine-tune that is due now would learn from anew; 0 when none is.

        One that was stopped does not count as the last, so it falls due again: at the next start,
        for one that a process dies of must not be tried for ever.
        """
        catalog, enough = self.workspace.catalog, self.config.finetune_images
        if enough is None and self.config.finetune_minutes is None:
            return 0
        serving = catalog.models.active_since("classifier")
        if serving is None or catalog.leases.holder(LEASE):
            return 0
        last = catalog.runs.latest_ended()
        since = max(last.started_at, self._tried) if last else self._tried
        # Asked each second: no more is counted than it takes.
        arrived = enough is not None and catalog.new_images_since(since, enough) >= enough
        due = arrived or self._waited(max(since, serving[1]))
        return catalog.new_images_since(since) if due else 0

    def _waited(self, since: datetime) -> bool:
        minutes = self.config.finetune_minutes
        return minutes is not None and datetime.now(UTC) - since >= timedelta(minutes=minutes)

    def stop_child(self) -> None:
        """End a running fine-tune; it falls due again when the next watch starts.

        There it resumes where it stopped, unless more images have come before it begins.
        """
        if self._child is not None:
            self._child.stop()
            self._child = None
