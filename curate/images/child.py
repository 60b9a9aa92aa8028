"""One decode worker as the program sees it: started, asked, watched, killed, replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import IO, cast

from curate.config import DecodeConfig
from curate.errors import CurateError
from curate.images.frames import Header, receive, send

START_SECONDS = 60.0
STARTS = 2
_SECRETS = ("CURATE_", "PG")
"""Beginnings of the variables that may hold the catalog's address and password."""
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20), "MALLOC_TRIM_THRESHOLD_": str(16 << 20)}
"""Bytes. glibc gives a picture's memory back and takes it anew for the next one, page by page: that
took a fifth of the time of a photograph."""


class Child:
    """One worker process at a time, started when it is first asked.

    One thread at a time may ask; any thread may kill or close.
    """

    def __init__(self, config: DecodeConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline: float | None = None
        self._closed = False
        self.timed_out = False
        self.limits: dict[str, bool] = {}
        """Which limits the operating system holds the worker to, once it has started."""

    @property
    def pid(self) -> int | None:
        """Process id while the worker runs."""
        process = self._process
        return process.pid if process else None

    def start(self) -> None:
        """Start the worker unless it runs; raises CurateError when it cannot be started."""
        if self._process is None:
            self._started()
            self._deadline = None

    def ask(self, file: bytes) -> tuple[Header, bytes] | None:
        """The worker's answer about a file; None when it died or was killed over it.

        `file` is a trusted folder, NUL, and the path below it.
        """
        self.timed_out = False
        try:
            process = self._process or self._started()
            if process is None:
                return None
            self._deadline = time.monotonic() + self._config.seconds
            send(_pipe(process.stdin), {}, file)
            return receive(_pipe(process.stdout))
        except (EOFError, OSError, ValueError):
            self.stop()
            return None
        finally:
            self._deadline = None

    def kill_if_late(self, now: float) -> None:
        """Kill the worker when its time for the present file is over; `now` is monotonic."""
        deadline = self._deadline
        if deadline is not None and now >= deadline:
            self.timed_out = True
            self._kill()

    def close(self) -> None:
        """Kill the worker and never start another."""
        with self._lock:
            self._closed = True
        self._kill()

    def stop(self) -> None:
        """Kill the worker and wait for its end; the next file starts another."""
        self._kill()
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    _pipe(pipe).close()

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            process.kill()

    def _started(self) -> subprocess.Popen[bytes] | None:
        """A worker that said it is ready; None when this child is closed.

        Raises CurateError when it cannot be started, twice: that is not the file's fault.
        """
        for _ in range(STARTS):
            with self._lock:
                if self._closed:
                    return None
                self._process = process = _start(self._config)
            self._deadline = time.monotonic() + START_SECONDS
            try:
                ready, _ = receive(_pipe(process.stdout))
                self.limits = dict(cast("dict[str, bool]", ready.get("limits", {})))
            except (EOFError, ValueError, TypeError):
                self.stop()
            else:
                return process
        raise CurateError(
            f"the decode worker does not start (exit code {process.returncode}); "
            f"run `{sys.executable} -m curate.images.worker '{{}}'` to see why"
        )


def _start(config: DecodeConfig) -> subprocess.Popen[bytes]:
    """Start a worker that imports from where this process does, never from its directory."""
    places = os.pathsep.join(place or os.getcwd() for place in sys.path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    command = [sys.executable, "-P", "-B", "-m", "curate.images.worker"]
    try:
        return subprocess.Popen(  # noqa: S603  (our own command line)
            [*command, json.dumps(asdict(config))],
            env={**kept, **_MALLOC, "PYTHONPATH": places},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise CurateError(f"no decode worker can be started: {error.strerror}") from error


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the worker has no pipe")
    return pipe
