"""One row for each image, or for each of its sightings: the same columns in every format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from curate.catalog.query import Query
from curate.catalog.store import ImageRow
from curate.images.paths import decode, root_path
from curate.workspace import Workspace

Record = dict[str, object]
COLUMNS = (
    "path",
    "source",
    "sha256",
    "tag",
    "score",
    "p_value",
    "label",
    "confidence",
    "checkpoint",
    "format",
    "width",
    "height",
    "bytes",
    "first_seen",
    "reviewed_by",
    "reviewed_at",
)
COPY_COLUMNS = (*COLUMNS, "file_name", "file_sha256")
"""With the copy of an image: its path below the destination, and its hash, stripped as it is."""
# Rows go to terminals, and to tools that take a line for a row.
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def shown_path(root_uri: str, path: str) -> str:
    """The file's absolute path; as a `file:` URI where it holds control characters or no UTF-8."""
    full = str(root_path(root_uri) / decode(path))
    return f"{root_uri.rstrip('/')}/{path}" if _NOT_TEXT.search(full) else full


def record(row: ImageRow) -> Record:
    """One exported row: the same columns, in the same order, in every format."""
    values = {name: getattr(row, name) for name in COLUMNS}
    values["path"] = shown_path(row.source, row.path)
    values["source"] = shown_path(row.source, "").rstrip("/")
    return {
        name: value.isoformat() if isinstance(value := values[name], datetime) else value
        for name in COLUMNS
    }


def records(
    workspace: Workspace, query: Query, all_paths: bool = False, wanted: int | None = None
) -> Iterator[Record]:
    """Every row that `query` matches, oldest first; `wanted` where no more will be taken."""
    return map(record, workspace.catalog.iter_images(query, all_paths, wanted))
