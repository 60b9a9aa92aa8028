"""The program forked from a process that has imported it already, so that a kill costs little.

What runs is what `curate` runs, from its first instruction after the imports on.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from ..program import environment

SECONDS = 120.0
_PRELOADED = [
    "curate.cli",
    "curate.backup",
    "curate.evaluate",
    "curate.export",
    "curate.finetune",
    "curate.ingest",
    "curate.train",
    "curate.watch.service",
    "tests.crash.forked",
    "torch._dynamo",  # an optimiser's first step would load it, for seconds
]
Before = Callable[[], None]
"""What a fork does first; it must be importable."""


def nothing() -> None:
    """Be the program as it is."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, negative for a signal, what it said, and how long it took."""

    code: int
    said: str
    seconds: float


class Fork:
    """`curate` with these arguments in `folder`, after `before`; it stands still until `go`."""

    # A start looks after all processes of this one: two threads that read the code of an ended one
    # at once would lose it.
    _reading = threading.Lock()

    def __init__(self, folder: Path, arguments: Sequence[object], before: Before) -> None:
        self._said = folder / "said.txt"
        self._began = time.monotonic()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._gate, inner = context.Pipe()
        given = (folder, [*map(str, arguments)], before, inner)
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

    def end(self) -> Ended:
        """Wait for its end."""
        self.wait(SECONDS)
        seconds = time.monotonic() - self._began
        with self._reading:
            code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise AssertionError(f"still running after {SECONDS:.0f} s")
        self._gate.close()
        return Ended(code, self._said.read_text(errors="replace"), seconds)


def undisturbed(folder: Path, arguments: Sequence[object], before: Before = nothing) -> Ended:
    """Run it to its end, which must be a good one."""
    ended = Fork(folder, arguments, before).go().end()
    assert ended.code == 0, ended
    return ended


def tampered(
    folder: Path, arguments: Sequence[object], inject: str, before: Before = nothing
) -> Ended:
    """Run it under strace, which does what `inject` says to its system calls (`-e inject=`).

    To those of its main thread: that one alone writes, but for requests to the decode workers.
    """
    calls = inject.partition(":")[0]
    return _under_strace(
        folder, arguments, before, os.devnull, f"trace={calls}", f"inject={inject}"
    )


def traced(folder: Path, arguments: Sequence[object], calls: str, before: Before = nothing) -> str:
    """Run it to its good end; every one of these system `calls`, with its files, as strace says."""
    trace = folder / "trace.txt"
    ended = _under_strace(folder, arguments, before, trace, f"trace={calls}")
    assert ended.code == 0, ended
    return trace.read_text()


def _under_strace(
    folder: Path, arguments: Sequence[object], before: Before, out: Path | str, *expressions: str
) -> Ended:
    fork = Fork(folder, arguments, before)
    command = ["strace", "-y", "-s", "9999", "-p", str(fork.pid), "-o", str(out)]
    options = [part for expression in expressions for part in ("-e", expression)]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            fork.kill()
            raise AssertionError(f"strace does not run here: {said}")
        return fork.go().end()


def _run(folder: Path, arguments: list[str], before: Before, gate: Connection) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment())
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(said, number)
    gate.send(os.getpid())
    gate.recv()
    before()
    import torch

    from curate.cli import main

    torch.set_num_threads(1)  # the variable comes too late: torch has been imported
    sys.argv = ["curate", *arguments]
    main()
