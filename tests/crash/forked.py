"""The program forked from a process that has imported it already, so that a kill costs little.

What runs is what `curate` runs, from its first instruction after the imports on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it; 255, which the program never gives, is a code that was lost."""
        return self.code in (-signal.SIGKILL, 255)


class Fork:
    """`curate` with these arguments in `folder`, after `before`; it stands still until `go`."""

    def __init__(self, folder: Path, arguments: Sequence[object], before: Before) -> None:
        self._said = folder / "said.txt"
        self._began = time.monotonic()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        given = (folder, [*map(str, arguments)], before)
        self._process: BaseProcess = context.Process(target=_run, args=given)
        self._process.start()
        while _state(self.pid) != "T":
            time.sleep(0.001)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    def go(self) -> Fork:
        """Let it run."""
        os.kill(self.pid, signal.SIGCONT)
        self._began = time.monotonic()
        return self

    def wait(self, seconds: float) -> None:
        """Wait for its end, but no longer than that."""
        self._process.join(seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def end(self) -> Ended:
        """Wait for its end."""
        self._process.join(SECONDS)
        seconds = time.monotonic() - self._began
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise AssertionError(f"still running after {SECONDS:.0f} s")
        self._process.close()
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
    command = ["strace", "-y", "-s", "9999", "-qq", "-p", str(fork.pid), "-o", str(out)]
    options = [part for expression in expressions for part in ("-e", expression)]
    tracer = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    while not _tracer(fork.pid):
        assert tracer.poll() is None, "strace does not run here"
        time.sleep(0.001)
    ended = fork.go().end()
    tracer.wait(SECONDS)
    return ended


def _run(folder: Path, arguments: list[str], before: Before) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment())
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, said, said)):
        os.dup2(file, number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  (multiprocessing has put another there)
    os.kill(os.getpid(), signal.SIGSTOP)
    before()
    import torch

    from curate.cli import main

    torch.set_num_threads(1)  # the variable comes too late: torch has been imported

    sys.argv = ["curate", *arguments]
    main()


def _status(pid: int, field: str) -> str:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return ""
    return text.partition(f"{field}:\t")[2].partition("\n")[0]


def _state(pid: int) -> str:
    return _status(pid, "State")[:1]


def _tracer(pid: int) -> bool:
    return _status(pid, "TracerPid") not in ("", "0")
