"""Files that are whole or not there: temporary names that tell their maker, and waits for the disk.

A maker writes beside the place, waits for the disk, renames, and waits for the folder.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from pathlib import Path
from typing import IO, Any

# Beside a database of that name lie its journal and the like.
_TEMPORARY = re.compile(r"\.tmp-(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{8}(-|$)")


def temporary_beside(path: Path) -> Path:
    """A fresh name beside `path` that tells whose it is, so that a sweep takes the dead's only."""
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f"{path.name}.tmp-{owner}")


def maker_of(path: Path) -> tuple[int, str] | None:
    """Process id and host of the maker of a temporary file, None where the name is no such one."""
    made = _TEMPORARY.search(path.name)
    return (int(made["pid"]), made["host"]) if made else None


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def finish(file: IO[Any]) -> None:
    """Wait until what was written to an open file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Wait until what was written to a file by another hand is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk; nothing to do where folders cannot open."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
