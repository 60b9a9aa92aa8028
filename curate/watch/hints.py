"""File-system events as hints at directories worth scanning; nothing depends on their arrival."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from watchdog import events
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from curate.images.inbox import ignored

HINTS_KEPT = 1_000
_HINTING: list[type[FileSystemEvent]] = [
    events.DirAttribEvent,
    events.DirCreatedEvent,
    events.DirDeletedEvent,
    events.DirModifiedEvent,
    events.DirMovedEvent,
    events.FileAttribEvent,
    events.FileClosedEvent,
    events.FileCreatedEvent,
    events.FileModifiedEvent,
    events.FileMovedEvent,
]
"""What may bring something to read; reading itself does not, or each decode would count."""


class Hints(FileSystemEventHandler):
    """Directories that events say are worth scanning; beyond 1,000 everything is."""

    def __init__(self, root: Path) -> None:
        self.root, self._lock = root, threading.Lock()
        self._directories: set[Path] = set()
        self.arrived = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by the observer's thread."""
        for name in filter(None, (event.src_path, event.dest_path)):
            path = Path(os.fsdecode(cast("str | bytes", name)))
            self.hint(path if event.is_directory else path.parent)

    def hint(self, directory: Path) -> None:
        """Mark a directory, unless it lies outside the root or a scan of that would ignore it.

        The catalog's own folder may lie in the inbox, hidden: its changes must wake nobody.
        """
        if not directory.is_relative_to(self.root):
            return
        if any(map(ignored, directory.relative_to(self.root).parts)):
            return
        with self._lock:
            self._directories.add(directory)
            if len(self._directories) > HINTS_KEPT:
                self._directories = {self.root}
        self.arrived.set()

    def take(self) -> set[Path]:
        """The directories hinted at since the last call."""
        self.arrived.clear()
        with self._lock:
            taken, self._directories = self._directories, set()
        return taken


class _Lost(logging.Handler):
    """What watchdog warns of are lost events; there is no other word of them."""

    def __init__(self, hints: Hints) -> None:
        super().__init__(logging.WARNING)
        self._hints = hints

    def emit(self, record: logging.LogRecord) -> None:
        """Look at everything."""
        self._hints.hint(self._hints.root)


@contextmanager
def observed(hints: Hints, root: Path) -> Iterator[bool]:
    """Let events below `root` hint at directories; gives whether there are any to be had."""
    lost, log = _Lost(hints), logging.getLogger("watchdog")
    with ExitStack() as stack:
        log.addHandler(lost)
        stack.callback(log.removeHandler, lost)
        yield _started(hints, root, stack, recursive=True)


def watches_left(root: Path) -> bool:
    """Whether the system would watch one more folder.

    Where Linux has no watches left, a folder that was to be watched is deaf, and nothing says so.
    """
    if not sys.platform.startswith("linux"):
        return True
    with ExitStack() as stack:
        return _started(Hints(root), root, stack, recursive=False)


def _started(hints: Hints, root: Path, stack: ExitStack, *, recursive: bool) -> bool:
    """Start an observer that ends with `stack`; False where the system has no watches left."""
    try:
        observer = Observer()
        stack.callback(_end, observer)
        observer.schedule(hints, str(root), recursive=recursive, event_filter=_HINTING)
        observer.start()
    except OSError:
        return False
    return True


def _end(observer: BaseObserver) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join()


def topmost(directories: set[Path]) -> list[Path]:
    """The directories that lie below no other of them."""
    return [d for d in sorted(directories) if not any(up in directories for up in d.parents)]
