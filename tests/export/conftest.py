"""A catalog whose images are tagged, two of a class with a name that needs care."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from curate.catalog.query import parse
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.workspace import Workspace, open_workspace

from ..program import picture

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "51 N 0 W by somebody"  # noqa: S105  (what an upload tells of its maker)
WORDS = {
    "a.jpg": ("id", "disc"),
    "b.png": ("id", "cup & saucer"),
    "=c.webp": ("id", "disc"),
    "d": ("ood", None),
    "e.e.gif": None,
}
"""What is said of each file; of the last one nothing, so that it is pending."""


@dataclass(frozen=True)
class Filled:
    """An open catalog and the hash of each file in its inbox."""

    workspace: Workspace
    inbox: Path
    hashes: dict[str, str]


@pytest.fixture
def filled(tmp_path: Path, decoder: Decoder) -> Iterator[Filled]:
    """Five uploads of four formats with metadata, reviewed as WORDS has it."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = SECRET, 6
    kinds = {"a.jpg": "JPEG", "=c.webp": "WEBP", "e.e.gif": "GIF"}
    for number, name in enumerate(WORDS):
        kind = kinds.get(name, "PNG")
        options = {"comment": SECRET.encode()} if kind == "GIF" else {"exif": exif}
        picture("disc", number).save(inbox / name, kind, **options)
    with open_workspace(str(tmp_path / "store"), create=True) as workspace:
        ingest(workspace, [str(inbox)], decoder)
        rows = workspace.catalog.iter_images(parse(""))
        hashes = {Path(unquote(row.path)).name: row.sha256 for row in rows}
        judged = [(hashes[name], *word) for name, word in WORDS.items() if word]
        workspace.catalog.reviews.add(judged, "ann", NOW)
        yield Filled(workspace, inbox, hashes)
