"""What a killed export leaves in its temporary folder, and how the next one goes on with it.

A journal stands there until the end: in its first line the terms of the export, then the copies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from curate.catalog.processes import remove
from curate.copies import JOURNAL
from curate.durable import finish


def begin(folder: Path, terms: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """Make `folder` ready for an export on these terms; returns the copies that may be kept.

    By their names: hash of the original, and of the copy. Nothing stays that was made on other
    terms, and of the files at the top none but whole shards: they are written anew.
    """
    line = json.dumps(terms)
    found = _read(folder / JOURNAL, line)
    for path in list(folder.iterdir()):
        if found is None or (path.is_file() and path.name != JOURNAL and path.suffix != ".tar"):
            remove(path)
    if found is None:
        with (folder / JOURNAL).open("w", encoding="utf-8") as journal:
            journal.write(f"{line}\n")
            finish(journal)
    return found or {}


def end(folder: Path) -> None:
    """Take away the journal: all is there."""
    (folder / JOURNAL).unlink()


def _read(journal: Path, line: str) -> dict[str, tuple[str, str]] | None:
    """The copies that a journal names; None where there is none, or one on other terms."""
    found = dict[str, tuple[str, str]]()
    with suppress(OSError, ValueError), journal.open(encoding="utf-8") as lines:
        if lines.readline() != f"{line}\n":
            return None
        for copied in lines:
            with suppress(ValueError):  # cut short by the kill
                name, of, digest = json.loads(copied)
                found[name] = (of, digest)
    return found if journal.exists() else None
