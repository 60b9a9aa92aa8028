"""The labeled images that lie nearest to an image, as the detector in service sees them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from curate.catalog.detail import nearest_rows
from curate.workspace import Workspace


def nearest(workspace: Workspace, sha256: str) -> list[tuple[str, str | None]]:
    """(sha256, class) of labeled images, the nearest first; none where they are not known."""
    catalog = workspace.catalog
    detector, rows = nearest_rows(catalog.engine, sha256)
    bank = _bank(workspace.checkpoints / detector) if rows else ()
    found = [bank[row] for row in rows if row < len(bank)]
    # What a person called ours is learned from like the labeled folder.
    reviewed = {row.sha256: row.label for row in catalog.queues.rows(found) if row.label}
    classes = reviewed | catalog.models.classes_of(found)
    return [(name, classes.get(name)) for name in found]


@lru_cache(maxsize=2)
def _bank(checkpoint: Path) -> tuple[str, ...]:
    """The images of a checkpoint's bank; read once, for a checkpoint never changes."""
    try:
        return tuple(json.loads((checkpoint / "checkpoint.json").read_bytes()).get("bank", ()))
    except (OSError, ValueError, AttributeError, TypeError):
        return ()
