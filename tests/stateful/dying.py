"""What a fork of the program does before it begins: it will end before its n-th lasting call."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from types import FrameType

import pytest

from curate.catalog.schema import open_catalog
from curate.config import DecodeConfig
from curate.images import pixels
from curate.images.frames import Header
from curate.images.worker import look_at

from .small import make_known

LASTING = {"fsync", "mkdir", "rename", "replace", "rmdir", "unlink"}
"""What the operating system is asked to do to files, as far as Python asks."""


class Here:
    """A decode worker without a process of its own, which would take longer than all the rest."""

    pid = None
    timed_out = False

    def __init__(self, config: DecodeConfig) -> None:
        self._config, self.limits = config, dict[str, bool]()
        pixels.prepare(config)

    def ask(self, file: bytes) -> tuple[Header, bytes]:
        """What the worker would answer."""
        root, _, below = file.partition(b"\0")
        return look_at(root, below, self._config)

    def start(self) -> None:
        """There is nothing to start."""

    stop = close = start

    def kill_if_late(self, now: float) -> None:
        """It is never late."""


def make_newer(patch: pytest.MonkeyPatch, migrations: Path) -> None:
    """Become the program that has these migrations."""
    defaults = open_catalog.__kwdefaults__
    assert defaults
    patch.setitem(defaults, "migrations", migrations)


def dying(at: int, migrations: Path) -> None:
    """End by SIGKILL before lasting call number `at`; know the network and the `migrations`."""
    patch, calls, changes = pytest.MonkeyPatch(), 0, dict[int, int]()
    make_known(patch)
    patch.setattr("curate.images.decode.Child", Here)
    make_newer(patch, migrations)

    def lasts(owner: object, name: str) -> bool:
        """Whether a call ends a transaction that has changed something, or changes a file."""
        if not isinstance(owner, sqlite3.Connection):
            return name in LASTING and getattr(owner, "__name__", "") == "posix"
        if name == "backup":
            return True
        changed = owner.total_changes - changes.get(id(owner), 0)
        changes[id(owner)] = owner.total_changes
        return bool(changed)

    def count(frame: FrameType, event: str, called: object) -> None:
        nonlocal calls
        if event == "c_call" and lasts(
            getattr(called, "__self__", None), getattr(called, "__name__", "")
        ):
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
