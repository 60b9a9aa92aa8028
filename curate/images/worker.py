"""The decode worker: opens untrusted files, locked in with nothing else; one answer per request.

`python -m curate.images.worker CONFIG` reads framed paths from standard input and ends with it:
a folder that is trusted, NUL, and the path below it, on which no link is followed. Whatever a file
does to Pillow, the answer is a preview or a reason.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import stat
import sys
from contextlib import suppress
from typing import IO

from PIL import Image, UnidentifiedImageError

from curate.config import DecodeConfig
from curate.images import pixels, sandbox
from curate.images.containers import Refused, end_of_riff
from curate.images.frames import Header, receive, send

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
# Enough to go through a folder, and no more, where the operating system can tell both apart.
_FOLDER_FLAGS = (
    getattr(os, "O_PATH", os.O_RDONLY)
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ELOOP)
_NOT_FILES = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}
_OPEN_FILES = 16
Answer = tuple[Header, bytes]


def main() -> None:
    """Answer requests until standard input ends, which it does when the program does."""
    config = DecodeConfig(**json.loads(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program to act on
    pixels.prepare(config)
    answers = _own_standard_output()
    send(answers, {"kind": "ready", "limits": _limit(config) | sandbox.enter()})
    with suppress(EOFError, BrokenPipeError):
        while True:
            _, request = receive(sys.stdin.buffer)
            _self_destruct(2 * config.seconds + 5)
            root, _, below = request.partition(b"\0")
            send(answers, *look_at(root, below, config))
            _self_destruct(0)


def _own_standard_output() -> IO[bytes]:
    """Standard output for answers alone: what a library prints must not get among them."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def _limit(config: DecodeConfig) -> dict[str, bool]:
    """Limit memory, and forbid writing files; which of the limits this operating system keeps."""
    return {
        "memory": _limited("RLIMIT_AS", config.memory_bytes),
        "written files": _limited("RLIMIT_FSIZE", 0),
        "core dumps": _limited("RLIMIT_CORE", 0),
        "open files": _limited("RLIMIT_NOFILE", _OPEN_FILES),
    }


def _limited(name: str, value: int) -> bool:
    try:
        import resource

        resource.setrlimit(getattr(resource, name), (value, value))
    except (ImportError, AttributeError, ValueError, OSError):
        return False
    return True


def _self_destruct(seconds: float) -> None:
    """End this process after `seconds` should nobody be left to do it; 0 takes it back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def look_at(root: bytes, below: bytes, config: DecodeConfig) -> Answer:
    """Open a file, read it whole and decode it; the answer's header says how that went.

    No link is followed `below` the `root`.
    """
    try:
        folder, name = _reached(root, below)
    except OSError as error:
        return _not_opened(error, None)
    try:
        return _look_at(folder, name, config)
    finally:
        if folder is not None:
            os.close(folder)


def _reached(root: bytes, below: bytes) -> tuple[int | None, bytes]:
    """The file's folder, opened (None for the root), and the file's path from there.

    Each folder is opened from the one above: a link that takes its place is never followed. Where
    paths are parted by backslashes, nothing is opened: folders cannot be opened like files there.
    """
    *parts, name = below.split(b"/")
    folder, place = None, root
    for part in parts:
        try:
            inner = os.open(os.path.join(place, part), _FOLDER_FLAGS, dir_fd=folder)
        finally:
            if folder is not None:
                os.close(folder)
        folder, place = inner, b""
    return folder, os.path.join(place, name)


def _look_at(folder: int | None, name: bytes, config: DecodeConfig) -> Answer:
    found = None
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            return _unreadable(_NOT_FILES.get(stat.S_IFMT(found.st_mode), "no file"), found)
        file = os.open(name, _FLAGS, dir_fd=folder)
    except OSError as error:
        return _not_opened(error, found)
    try:
        return _look_into(file, config)
    except OSError as error:
        # No stat: a failing disk may do better at the next scan.
        return _unreadable(f"cannot be read: {error.strerror}", None)
    finally:
        os.close(file)


def _look_into(file: int, config: DecodeConfig) -> Answer:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        return _passing("it was replaced while it was opened")
    if not found.st_size:
        return _unreadable("an empty file", found)
    if found.st_size > config.max_bytes:
        return _unreadable(f"{found.st_size:,} bytes; at most {config.max_bytes:,}", found)
    data = _read(file, found.st_size + 1)
    if len(data) != found.st_size or _identity(os.fstat(file)) != _identity(found):
        return _passing("it changed while it was read")
    if _is_hole(file, min(end_of_riff(data), len(data))):
        return _unreadable("cut short: the end of the WEBP file is not written yet", found)
    return _decoded(data, found, config)


def _is_hole(file: int, end: int) -> bool:
    """Whether nothing was ever written to the last byte before `end`, as far as one can know.

    So it is in a file that was made as large as it will be, and is being filled.
    """
    if not end or not hasattr(os, "SEEK_DATA"):
        return False
    try:
        return os.lseek(file, end - 1, os.SEEK_DATA) != end - 1
    except OSError as error:
        return error.errno == errno.ENXIO


def _read(file: int, count: int) -> bytes:
    with open(file, "rb", buffering=0, closefd=False) as stream:
        parts = []
        while count > 0 and (part := stream.read(count)):
            parts.append(part)
            count -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _decoded(data: bytes, found: os.stat_result, config: DecodeConfig) -> Answer:
    try:
        picture = pixels.decode(data, config)
    except Exception as error:  # whatever bytes can do to a decoder
        return _unreadable(_reason(error, config), found)
    header: Header = {
        "kind": "image",
        "sha256": hashlib.sha256(data).hexdigest(),
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "stat": _identity(found),
    }
    return header, picture.preview


def _reason(error: Exception, config: DecodeConfig) -> str:
    match error:
        case Refused():
            return str(error)
        case MemoryError():
            return f"needs more than {config.memory_bytes // 1_000_000:,} MB of memory"
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return f"more than {config.max_pixels:,} pixels"
        case UnidentifiedImageError():
            return "damaged: its header makes no sense"
    text = "".join(c if c.isprintable() else "?" for c in str(error)[:200])
    return f"damaged: {text or type(error).__name__}"


def _not_opened(error: OSError, found: os.stat_result | None) -> Answer:
    if error.errno in _GONE:
        return _passing("it vanished")
    refused = error.errno in (errno.EACCES, errno.EPERM)
    return _unreadable(f"cannot be read: {error.strerror}", found if refused else None)


def _unreadable(reason: str, found: os.stat_result | None) -> Answer:
    return {"kind": "unreadable", "reason": reason, "stat": found and _identity(found)}, b""


def _passing(reason: str) -> Answer:
    return {"kind": "passing", "reason": reason}, b""


def _identity(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


if __name__ == "__main__":
    main()
