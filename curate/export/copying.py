"""The copies of an export, one after another, so that a killed one can be gone on with.

What was copied stands in a journal in the unfinished folder. The next try keeps a copy that is
still what the journal says, by its hash, and makes all others anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from curate.catalog.store import Catalog
from curate.copies import JOURNAL, Manner, MetadataStays, digest_of, file_name, place
from curate.durable import finish
from curate.export.rows import Record
from curate.images.paths import decode, root_path

PREFIX = 12


class Copies:
    """Copies below a folder; a `with` block ends when all are made."""

    def __init__(
        self,
        folder: Path,
        manner: Manner,
        elsewhere: Catalog | None,
        left: dict[str, tuple[str, str]],
    ) -> None:
        """An original that is gone is looked for wherever else `elsewhere` has seen its content.

        `left` are the copies of an earlier try, as `unfinished.begin` tells.
        """
        self._folder, self._manner, self._elsewhere = folder, manner, elsewhere
        self._left, self._resumed = left, len(list(folder.iterdir())) > 1
        self._placed, self._prefixes, self._last = set[str](), set[str](), ("", "")
        self._journal = (folder / JOURNAL).open("a", encoding="utf-8")
        if self._left:  # after a line that was cut short
            self._journal.write("\n")
        self.missing, self.unstripped = list[str](), list[str]()

    def __enter__(self) -> Copies:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._journal as journal:
            if kind is None:
                finish(journal)
        if kind is None and self._resumed:
            self._sweep()

    def of(self, rows: Iterable[Record], folder_of: Callable[[Record], str]) -> Iterator[Record]:
        """Each row with `file_name` and `file_sha256` of its copy; None where there is none."""
        for row in rows:
            name = f"{folder_of(row)}/{file_name(row, self._prefix(str(row['sha256'])))}"
            digest = self._kept(name, row) or self._made(name, row)
            yield row | {"file_name": name if digest else None, "file_sha256": digest}

    def _prefix(self, sha256: str) -> str:
        """The beginning of a hash; all of it where another image has the same one.

        Strangers can make images so. Rows of one image follow each other.
        """
        if self._last[0] != sha256:
            short = sha256[:PREFIX]
            self._last = (sha256, sha256 if short in self._prefixes else short)
            self._prefixes.add(short)
        return self._last[1]

    def _kept(self, name: str, row: Record) -> str | None:
        """The hash of a copy that an earlier try made, or this one for another sighting."""
        of, digest = self._left.get(name, ("", ""))
        if of != row["sha256"] or digest_of(self._folder / name) != digest:
            return None
        self._note(name)
        return digest

    def _made(self, name: str, row: Record) -> str | None:
        try:
            digest = place(row, self._folder / name, self._manner, places_of(self._elsewhere, row))
        except MetadataStays:
            self.unstripped.append(str(row["path"]))
            return None
        if digest is None:
            self.missing.append(str(row["path"]))
            return None
        if self._manner.link == "copy":
            line = json.dumps([name, row["sha256"], digest])
            self._journal.write(f"{line}\n")
            self._journal.flush()
        self._note(name)
        return digest

    def _note(self, name: str) -> None:
        if self._resumed:
            self._placed.add(name)

    def _sweep(self) -> None:
        """Take away what an earlier try made and no row asks for any more."""
        for path in sorted(self._folder.rglob("*"), reverse=True):
            below = path.relative_to(self._folder)
            if path.is_dir() and not path.is_symlink():
                with suppress(OSError):
                    path.rmdir()
            elif len(below.parts) > 1 and below.as_posix() not in self._placed:
                path.unlink()


def places_of(catalog: Catalog | None, row: Record) -> Iterator[Path]:
    """Where a content was seen, newest first; the catalog is asked only when one is wanted."""
    if catalog is not None:
        for root_uri, path in catalog.places(str(row["sha256"])):
            yield root_path(root_uri) / decode(path)
