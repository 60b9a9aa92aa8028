"""Whether the process that wrote a row still runs, and what the dead have left.

A pid alone may have passed to another process.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from curate.durable import maker_of

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def started(pid: int) -> str:
    """When `pid` started: boot and clock ticks since then (field 22 of /proc/PID/stat), or ''."""
    fields = _stat(pid)
    return f"{_BOOT.read_text().strip()}/{fields[19]}" if fields else ""


def is_running(pid: int, host: str, process_started: str) -> bool | None:
    """Whether the process runs; None where that cannot be told from here.

    A zombie has ended. `process_started` is what `started` said, '' on systems without /proc.
    """
    if host != socket.gethostname() or sys.platform == "win32":
        return None
    fields = _stat(pid)
    if fields and fields[0] in ("Z", "X"):
        return False
    if process_started:
        return started(pid) == process_started
    return _exists(pid)


def sweep(paths: Iterable[Path]) -> None:
    """Remove those of the temporary files and folders whose makers, on this host, are dead."""
    for path in paths:
        maker = maker_of(path)
        if maker and is_running(*maker, "") is False:
            remove(path)


def take_over(path: Path, new: Path) -> bool:
    """Give a folder that a dead process of this host and user left another name; whether it was."""
    maker = maker_of(path)
    if not maker or is_running(*maker, "") is not False:
        return False
    with suppress(OSError):
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            path.rename(new)
            return True
    return False


def remove(path: Path) -> None:
    """Remove a file or a folder, if the disk lets us: the next sweep tries again."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _stat(pid: int) -> list[str]:
    """Fields 3 and on of /proc/PID/stat; the name before them may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
