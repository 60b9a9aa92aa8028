"""The program forked from a process that has imported it already, so that a run costs little.

What runs is what `curate` runs, from its first instruction after the imports on.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

SECONDS = 120.0
_PRELOADED = [
    "curate.cli",
    "curate.backup",
    "curate.evaluate",
    "curate.export",
    "curate.finetune",
    "curate.ingest",
    "curate.networks",
    "curate.review",
    "curate.train",
    "curate.watch.service",
    "tests.browser.seen",
    "tests.forked",
    "torch._dynamo",  # an optimiser's first step would load it, for seconds
]
SAID = "said.txt"
Before = Callable[[], None]
"""What a fork does first; it must be importable."""


def fork_server() -> ForkServerContext:
    """The one that this process has; who asks first settles what it imports, so all ask here."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def environment() -> dict[str, str]:
    """The caller's, without what would change what the program shows."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CURATE_")}
    return kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}


def nothing() -> None:
    """Be the program as it is."""


@dataclass(frozen=True)
class Streams:
    """The files that a run reads and writes, from its folder."""

    stdin: Path | str = os.devnull
    stdout: Path | str = SAID
    stderr: Path | str = SAID


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, negative for a signal, what it said, and how long it took."""

    code: int
    said: str
    seconds: float


class Fork:
    """`curate` with these arguments in `folder`, after `before`; it stands still until `go`.

    What it says lies in said.txt of the folder, unless `streams` says otherwise.
    """

    # A start looks after all processes of this one: two threads that read the code of an ended one
    # at once would lose it.
    _reading = threading.Lock()

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[object],
        before: Before = nothing,
        streams: Streams | None = None,
    ) -> None:
        streams = streams or Streams()
        self._said = folder / streams.stderr
        self._began = time.monotonic()
        context = fork_server()
        self._gate, inner = context.Pipe()
        told = ([*map(str, arguments)], environment(), streams)
        given = (folder, *told, before, inner)
        self._process: BaseProcess = context.Process(target=_run, args=given)
        with self._reading:
            self._process.start()
        inner.close()
        self.pid: int = self._gate.recv()

    def go(self) -> Fork:
        """Let it run."""
        self._began = time.monotonic()
        self._gate.send(None)
        return self

    def wait(self, seconds: float) -> None:
        """Wait for its end, but no longer than that."""
        wait([self._process.sentinel], seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def end(self, seconds: float = SECONDS) -> Ended:
        """Wait for its end, but no longer than that."""
        self.wait(seconds)
        took = time.monotonic() - self._began
        with self._reading:
            code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise AssertionError(f"still running after {seconds:.0f} s")
        self._gate.close()
        return Ended(code, self._said.read_text(errors="replace"), took)


def undisturbed(folder: Path, arguments: Sequence[object], before: Before = nothing) -> Ended:
    """Run it to its end, which must be a good one."""
    ended = Fork(folder, arguments, before).go().end()
    assert ended.code == 0, ended
    return ended


def _run(
    folder: Path,
    arguments: list[str],
    environment: dict[str, str],
    streams: Streams,
    before: Before,
    gate: Connection,
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _connect(streams)
    gate.send(os.getpid())
    gate.recv()
    before()
    import torch

    from curate.cli import main

    torch.set_num_threads(1)  # the variable comes too late: torch has been imported
    sys.argv = ["curate", *arguments]
    main()


def _connect(streams: Streams) -> None:
    os.dup2(os.open(streams.stdin, os.O_RDONLY), 0)
    sys.stdin = os.fdopen(0, closefd=False)
    new = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    os.dup2(os.open(streams.stdout, new), 1)
    os.dup2(1 if streams.stderr == streams.stdout else os.open(streams.stderr, new), 2)
