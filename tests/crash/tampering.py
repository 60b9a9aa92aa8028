"""The program under strace, which sees what it asks of the system, and answers in its place."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ..forked import Before, Ended, Fork, nothing


def tampered(
    folder: Path, arguments: Sequence[object], inject: str, before: Before = nothing
) -> Ended:
    """Run it under strace, which does what `inject` says to its system calls (`-e inject=`).

    To those of its main thread: that one alone writes, but for requests to the decode workers.
    """
    calls = inject.partition(":")[0]
    options = ("-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={inject}")
    return _under_strace(folder, arguments, before, options)


def traced(folder: Path, arguments: Sequence[object], calls: str, before: Before = nothing) -> str:
    """Run it to its good end; every one of these system `calls`, with its files, as strace says."""
    trace = folder / "trace.txt"
    ended = _under_strace(folder, arguments, before, ("-o", str(trace), "-e", f"trace={calls}"))
    assert ended.code == 0, ended
    return trace.read_text()


def traced_with_children(folder: Path, arguments: Sequence[object], calls: str) -> str:
    """The same of all its processes and threads, one after the other."""
    with TemporaryDirectory() as place:
        options = ("-ff", "-o", f"{place}/of", "-e", f"trace={calls}")
        ended = _under_strace(folder, arguments, nothing, options)
        assert ended.code == 0, ended
        return "".join(trace.read_text() for trace in sorted(Path(place).iterdir()))


def _under_strace(
    folder: Path, arguments: Sequence[object], before: Before, options: Sequence[str]
) -> Ended:
    fork = Fork(folder, arguments, before)
    command = ["strace", "-y", "-s", "9999", "-p", str(fork.pid)]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as tracer:
        said = next(iter(tracer.stderr or ()), "")
        if "attached" not in said:
            fork.kill()
            raise AssertionError(f"strace does not run here: {said}")
        return fork.go().end()
