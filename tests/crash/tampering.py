"""The program under strace, which sees what it asks of the system, and answers in its place."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..forked import Before, Ended, Fork, nothing


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
