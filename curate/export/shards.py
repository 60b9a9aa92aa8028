"""WebDataset: tar shards with a `.json` beside each image, the same bytes for the same rows.

A shard takes its name when it is whole; one of the same rows that an earlier try finished is kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from curate.catalog.store import Catalog
from curate.copies import (
    Manner,
    MetadataStays,
    content_of,
    file_name,
    original_of,
    read_checked,
    suffix_of,
)
from curate.durable import finish
from curate.export.copying import places_of
from curate.export.rows import Record

SHARD_SIZE = 1_000
"""Images in a shard."""


class Shards:
    """Shards in a folder; `missing` and `unstripped` name the originals that are in none."""

    def __init__(self, folder: Path, manner: Manner, elsewhere: Catalog, size: int) -> None:
        self._folder, self._manner, self._elsewhere = folder, manner, elsewhere
        self._size, self.missing, self.unstripped = size, list[str](), list[str]()

    def of(self, rows: Iterable[Record]) -> Iterator[Record]:
        """Write the rows' shards; yields each row, with `file_name` and `file_sha256` as copied."""
        left, number = iter(rows), 0
        while some := list(islice(left, self._size)):
            shard = self._folder / f"shard-{number:06}.tar"
            yield from self._kept(shard, some) or self._written(shard, some)
            number += 1
        for old in self._folder.glob("shard-*.tar"):
            if int(old.stem.removeprefix("shard-")) >= number:
                old.unlink()

    def _kept(self, shard: Path, rows: Sequence[Record]) -> list[Record]:
        """The rows as they stand in a whole shard of an earlier try; none where one differs."""
        told = {row["sha256"]: row for row in _told(shard)}
        made = [told.get(row["sha256"], {}) for row in rows]
        same = all(row.items() <= new.items() for row, new in zip(rows, made, strict=True))
        return made if same and len(told) == len(rows) else []

    def _written(self, shard: Path, rows: Sequence[Record]) -> list[Record]:
        temporary, made = shard.with_suffix(".part"), list[Record]()
        with temporary.open("wb") as out:
            with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
                made = [self._added(tar, row) for row in rows]
            finish(out)
        temporary.replace(shard)
        return made

    def _added(self, tar: tarfile.TarFile, row: Record) -> Record:
        """Add an image and its row to a shard, if the image is still there and can be stripped."""
        name = None
        content = self._content(row)
        if content is not None:
            key = re.sub(r"\.", "_", Path(file_name(row, str(row["sha256"]))).stem)
            name = key + suffix_of(row)
            row = row | {"file_name": name, "file_sha256": hashlib.sha256(content).hexdigest()}
            _add(tar, name, content)
            _add(tar, f"{key}.json", json.dumps(row, ensure_ascii=False).encode())
        return row if name else row | {"file_name": None, "file_sha256": None}

    def _content(self, row: Record) -> bytes | None:
        for original in chain([original_of(str(row["path"]))], places_of(self._elsewhere, row)):
            content = read_checked(original, row)
            if content is not None:
                try:
                    return content_of(content, row, self._manner)
                except MetadataStays:
                    self.unstripped.append(str(row["path"]))
                    return None
        self.missing.append(str(row["path"]))
        return None


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """A member that tells nothing of who made it, or when."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def _told(shard: Path) -> Iterator[Record]:
    """Every row in a shard whose image is what the row says."""
    try:
        with tarfile.open(shard) as tar:
            digest = ""
            for member in tar:
                content = (tar.extractfile(member) or io.BytesIO()).read()
                if not member.name.endswith(".json"):
                    digest = hashlib.sha256(content).hexdigest()
                elif (row := json.loads(content))["file_sha256"] == digest:
                    yield row
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError):
        return
