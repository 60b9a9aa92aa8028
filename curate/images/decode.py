"""The one door for untrusted bytes: files are opened and decoded in worker processes only.

A worker that dies or takes too long is replaced, and its file tried once more before it is
recorded; so no file can end the run, hold it up or make it grow. Where a good picture fares no
better, it is not the file's fault.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from curate.config import DecodeConfig
from curate.images.child import Child
from curate.images.frames import Header

DECODER_VERSION = 2
"""Raised whenever the same bytes would come out differently, or become readable."""
AHEAD = 32
"""Files in work or waiting to be taken, for each worker: enough to go on during a commit."""
_GOOD = b"GIF89a\1\0\1\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
"""One white pixel."""
_AGAIN = "not the file's fault, so it is tried again at the next scan"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileStat:
    """What tells a file from an earlier state of it, short of reading it. Times in ns."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStat:
        """The part of `status` that counts."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An image: upright size of the original in pixels, and its preview (PNG or JPEG)."""

    sha256: str
    format: str
    width: int
    height: int
    stat: FileStat
    preview: bytes


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """No image, for `reason`; tried again only when the file or the policy changes.

    Without a `stat` the reason lies outside the file (a failing disk, a system that kills every
    worker): it is tried at each scan.
    """

    reason: str
    stat: FileStat | None


@dataclass(frozen=True, slots=True)
class Passing:
    """The file vanished or changed while it was read: the next scan sees what became of it."""

    reason: str


DecodeResult = DecodedImage | UnreadableImage | Passing


def policy(config: DecodeConfig) -> str:
    """Text of everything that decides what is readable: rules, Pillow, formats, limits."""
    return (
        f"rules {DECODER_VERSION}, Pillow {version('pillow')}, {' '.join(config.formats)}, "
        f"{config.max_pixels} pixels, {config.max_side} a side, {config.max_bytes} bytes, "
        f"{config.seconds:g} s, {config.memory_bytes} bytes of memory"
    )


class Decoder:
    """A pool of decode workers; a context manager, which ends them."""

    def __init__(self, config: DecodeConfig) -> None:
        self.policy = policy(config)
        self._config = config
        count = config.workers or os.cpu_count() or 1
        self._children = [Child(config) for _ in range(count)]
        self._idle: SimpleQueue[Child] = SimpleQueue()
        for child in self._children:
            self._idle.put(child)
        self._closed = threading.Event()
        self._alone = threading.Lock()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decode")
        self._watchdog = threading.Thread(target=self._watch, name="decode-watchdog", daemon=True)
        self._watchdog.start()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers at once, whatever they are at."""
        self._closed.set()
        for child in self._children:
            child.close()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.stop()
        self._watchdog.join()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run now; they start with the first files."""
        return [child.pid for child in self._children if child.pid is not None]

    def limits(self) -> dict[str, bool]:
        """Which limits the operating system holds a worker to, by what is limited.

        Raises CurateError when no worker can be started.
        """
        child = self._idle.get()
        try:
            child.start()
            return dict(child.limits)
        finally:
            self._idle.put(child)

    def map(
        self, paths: Iterable[Path], root: Path | None = None
    ) -> Iterator[tuple[Path, DecodeResult]]:
        """Decode files, in the order given; AHEAD per worker are read ahead, never more.

        Below `root` no link is followed; without it, links to folders are. Raises CurateError when
        no worker can be started.
        """
        window: deque[tuple[Path, Future[DecodeResult]]] = deque()
        try:
            for path in paths:
                window.append((path, self._threads.submit(self._decode, path, root)))
                if len(window) >= AHEAD * len(self._children):
                    yield _oldest(window)
            while window:
                yield _oldest(window)
        finally:
            for _, future in window:
                future.cancel()

    def _decode(self, path: Path, root: Path | None) -> DecodeResult:
        file, child = _request(path, root), self._idle.get()
        try:
            return self._asked(child, file) or self._once_more(child, file, path)
        finally:
            self._idle.put(child)

    def _asked(self, child: Child, file: bytes) -> DecodeResult | None:
        answer = child.ask(file)
        try:
            return None if answer is None else _result(*answer)
        except (KeyError, TypeError, ValueError):
            child.stop()  # whatever speaks there, it is not our worker any more
            return None

    def _once_more(self, child: Child, file: bytes, path: Path) -> DecodeResult:
        status = _lstat(path)
        with self._alone:
            if (result := self._asked(child, file)) is not None:
                return result
            took = f"decoding took longer than {self._config.seconds:g} s"
            reason = took if child.timed_out else "the decoder died (memory or crash)"
            is_to_blame = self._good_one_is_decoded(child)
        if self._closed.is_set():
            return Passing("the program ended")
        if is_to_blame:
            return UnreadableImage(reason, status)
        return UnreadableImage(f"{reason}, over a good picture too; {_AGAIN}", None)

    def _good_one_is_decoded(self, child: Child) -> bool:
        """Whether a worker gets through a picture that is known to be good; a full disk says no."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "good.gif")
                path.write_bytes(_GOOD)
                return self._asked(child, _request(path, None)) is not None
        except OSError:
            return False

    def _watch(self) -> None:
        pause = min(0.25, self._config.seconds / 4)
        while not self._closed.wait(pause):
            now = time.monotonic()
            for child in self._children:
                child.kill_if_late(now)


def _oldest(window: deque[tuple[Path, Future[DecodeResult]]]) -> tuple[Path, DecodeResult]:
    path, future = window.popleft()
    return path, future.result()


def _request(path: Path, root: Path | None) -> bytes:
    """What a worker is asked: a trusted folder, NUL, and the path below it."""
    path = path.absolute()
    root = path.parent if root is None else root
    return os.fsencode(root) + b"\0" + os.fsencode(path.relative_to(root))


def _lstat(path: Path) -> FileStat | None:
    try:
        return FileStat.of(os.lstat(path))
    except OSError:
        return None


def _result(header: Header, body: bytes) -> DecodeResult:
    """What an answer says. Raises KeyError, TypeError or ValueError for what is no answer."""
    match header["kind"]:
        case "image":
            return DecodedImage(
                _sha256(header["sha256"]),
                str(header["format"]),
                _count(header["width"]),
                _count(header["height"]),
                _stat(header["stat"]),
                body,
            )
        case "unreadable":
            found = header["stat"]
            return UnreadableImage(str(header["reason"]), None if found is None else _stat(found))
        case "passing":
            return Passing(str(header["reason"]))
    raise ValueError(header["kind"])


def _sha256(value: object) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(value)
    return value


def _count(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value


def _stat(value: object) -> FileStat:
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError(value)
    return FileStat(*map(_count, value))
