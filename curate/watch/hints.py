"""File-system events as hints at directories worth scanning; nothing depends on their arrival."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from curate.images.inbox import ignored

HINTS_KEPT = 1_000


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
            path = Path(os.fsdecode(cast("str | bytes", name)))
            self.hint(path if event.is_directory else path.parent)

    def hint(self, directory: Path) -> None:
        """Mark a directory, unless it lies outside the root or a scan of that would ignore it.

        The catalog's own folder may lie in the inbox, hidden: its changes must wake nobody.
        """
        if not directory.is_relative_to(self._root):
            return
        if any(map(ignored, directory.relative_to(self._root).parts)):
            return
        with self._lock:
            self._directories.add(directory)
            if len(self._directories) > HINTS_KEPT:
                self._directories = {self._root}
        self.arrived.set()

    def take(self) -> set[Path]:
        """The directories hinted at since the last call."""
        self.arrived.clear()
        with self._lock:
            taken, self._directories = self._directories, set()
        return taken


@contextmanager
def observed(hints: Hints, root: Path) -> Iterator[None]:
    """Let events below `root` hint at directories; without watches the scan finds all, later."""
    observer = Observer()
    observer.schedule(hints, str(root), recursive=True)
    with suppress(OSError):
        observer.start()
    try:
        yield
    finally:
        observer.stop()
        if observer.is_alive():
            observer.join()


def topmost(directories: set[Path]) -> list[Path]:
    """The directories that lie below no other of them."""
    return [d for d in sorted(directories) if not any(up in directories for up in d.parents)]
