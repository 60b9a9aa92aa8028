"""Files that are there whole or not at all, and networks that are trained once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from curate.durable import sync_folder, temporary_beside, write_synced
from curate.model.network import TwoHeadNetwork
from curate.model.tensorfile import (
    NotTensorsError,
    pack,
    take_state,
    unpack,
)


def once(
    work: Path, key: str, network: TwoHeadNetwork, train: Callable[[Path], None]
) -> TwoHeadNetwork:
    """`network` as it was kept under `key` in `work`, or trained now, resuming, and kept."""
    kept = work / f"{key}.safetensors"
    try:
        take_state(network, unpack(kept.read_bytes()))
    except (OSError, NotTensorsError):
        progress = work / f"{key}.progress"
        train(progress)
        write_whole(kept, pack(network.state_dict(), {}))
        progress.unlink(missing_ok=True)
    return network


def key_of(kind: str, *parts: object) -> str:
    """A name for what `parts`, taken together, make."""
    return f"{kind}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    temporary = temporary_beside(path)
    write_synced(temporary, content)
    temporary.replace(path)
    sync_folder(path.parent)
