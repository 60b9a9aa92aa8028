"""Rows alone, without the images: csv, jsonl and parquet."""

from __future__ import annotations

import csv
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from curate.errors import UsageError
from curate.export.rows import COLUMNS, Record

ManifestFormat = Literal["csv", "jsonl", "parquet"]
BATCH = 10_000
"""Rows of a row group in parquet, and the most that are held in memory."""
_TYPES = {
    "score": "float64",
    "p_value": "float64",
    "confidence": "float64",
    "width": "int32",
    "height": "int32",
    "bytes": "int64",
}
_MOMENTS = ("first_seen", "reviewed_at")
_BEGINNINGS = (b"path,source,", b'{"path": ')
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTED = re.compile(r"'+[=+\-@\t\r]")


def write_manifest(rows: Iterable[Record], format: ManifestFormat, out: IO[str]) -> int:
    """Write rows as csv or jsonl; returns how many. Cells a spreadsheet would run are quoted."""
    return write_csv(rows, out) if format == "csv" else write_jsonl(rows, out)


def write_csv(rows: Iterable[Record], out: IO[str]) -> int:
    """Write rows as csv; returns how many."""
    return sum(1 for _ in listed(rows, out, COLUMNS))


def listed(rows: Iterable[Record], out: IO[str], columns: Sequence[str]) -> Iterator[Record]:
    """The rows, each written as csv by then, cells that a spreadsheet would run quoted.

    RFC 4180, but lines end in LF. Where spreadsheets part cells at semicolons, one in a name would
    begin a cell: quotes around it hold it together.
    """
    bare = csv.DictWriter(out, columns, lineterminator="\n")
    quoted = csv.DictWriter(out, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
    bare.writeheader()
    for row in rows:
        parted = any(isinstance(value, str) and ";" in value for value in row.values())
        writer = quoted if parted else bare
        writer.writerow({name: _cell(value) for name, value in row.items()})
        yield row


def write_jsonl(rows: Iterable[Record], out: IO[str]) -> int:
    """Write rows as JSON, one to a line; returns how many."""
    count = 0
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def write_parquet(rows: Iterable[Record], out: IO[bytes]) -> int:
    """Write rows as Parquet, numbers and UTC moments typed; returns how many.

    Raises UsageError where pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    moment = arrow.timestamp("us", tz="UTC")
    types = _TYPES | dict.fromkeys(_MOMENTS, moment)
    schema = arrow.schema([(name, types.get(name, "string")) for name in COLUMNS])
    count, left = 0, iter(rows)
    with parquet.ParquetWriter(out, schema) as writer:
        while some := [_typed(row) for row in islice(left, BATCH)]:
            writer.write_table(arrow.Table.from_pylist(some, schema))
            count += len(some)
    return count


def write_file(rows: Iterable[Record], format: ManifestFormat, out: IO[bytes]) -> int:
    """Write rows to an open binary file in any of the three formats; returns how many."""
    if format == "parquet":
        return write_parquet(rows, out)
    text = TextIOWrapper(out, encoding="utf-8", newline="")
    try:
        return write_manifest(rows, format, text)
    finally:
        text.detach()


def check_possible(format: str) -> None:
    """Raise UsageError where a format needs a package that is not installed."""
    if format == "parquet":
        _pyarrow()


def is_manifest(path: Path, standing: os.stat_result) -> bool:
    """Whether a regular file is empty or one of the manifests that are written here."""
    if not stat.S_ISREG(standing.st_mode):
        return False
    with path.open("rb") as file:
        beginning = file.read(16)
    return not beginning or beginning.startswith(_BEGINNINGS) or _is_parquet(path, beginning)


def plain(cell: str) -> str:
    """What a cell of our csv held before it was quoted for spreadsheets."""
    return cell[1:] if _QUOTED.match(cell) else cell


def _cell(value: object) -> object:
    """A text that begins as a formula, or as one that was quoted, gets a quote before it."""
    if isinstance(value, str) and (value.startswith(_FORMULA) or _QUOTED.match(value)):
        return f"'{value}"
    return value


def _is_parquet(path: Path, beginning: bytes) -> bool:
    """Whether a Parquet file has just our columns."""
    if not beginning.startswith(b"PAR1"):
        return False
    arrow, parquet = _pyarrow()
    try:
        return tuple(parquet.read_schema(path).names) == COLUMNS
    except (OSError, arrow.ArrowException):
        return False


def _typed(row: Record) -> Record:
    moments = {name: row[name] for name in _MOMENTS}
    return row | {
        name: datetime.fromisoformat(str(value)) if value else None
        for name, value in moments.items()
    }


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            "parquet needs pyarrow: install curate with its extra `parquet`, or choose csv or jsonl"
        ) from error
    return pyarrow, parquet
