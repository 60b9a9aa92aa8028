"""What an export must be, told from the catalog's rows."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from curate.copies import original_of
from curate.export import Exported

from .disk import Disk
from .rows import Row, Rows

FILTERS: dict[str, Callable[[Row], bool]] = {
    "": lambda row: True,
    "tag:ood": lambda row: row["tag"] == "ood",
    "tag:id": lambda row: row["tag"] == "id",
    "reviewed:yes": lambda row: row["verdict"] is not None,
    "label:disc reviewed:no": lambda row: row["label"] == "disc" and row["verdict"] is None,
    "p<=0.2": lambda row: row["p_value"] is not None and row["p_value"] <= 0.2,
}
"""Queries, and what each of them means."""


def check_manifest(place: Path, rows: Rows, query: str, all_paths: bool) -> None:
    """A row for each image that the query means, or for each of its sightings."""
    meant = {name for name, row in rows.tags.items() if FILTERS[query](row)}
    found = _read(place)
    if all_paths:
        # Nested folders give a file several sightings, in rows that look alike.
        seen = sorted((path, name) for path, name in rows.sightings if name in meant)
        assert sorted((str(original_of(row["path"])), row["sha256"]) for row in found) == seen
    else:
        assert sorted(row["sha256"] for row in found) == sorted(meant)
    for row in found:
        tagged = rows.tags[row["sha256"]]
        assert (str(original_of(row["path"])), row["sha256"]) in rows.sightings
        assert (row["tag"], row["label"] or None) == (tagged["tag"], tagged["label"])
        assert (row["checkpoint"] or None) == tagged["detector"]


def check_copies(
    place: Path, rows: Rows, query: str, disk: Disk, exported: Exported | None = None
) -> None:
    """A true copy of each image that still lies anywhere; the others are told of in `exported`."""
    check_manifest(place / "manifest.csv", rows, query, all_paths=False)
    listed = {row["sha256"]: row["path"] for row in _read(place / "manifest.csv")}
    there = {sha256 for sha256 in listed if lies_somewhere(sha256, rows, disk)}
    copies = {_digest(file): file for file in place.glob("*/*")}
    assert copies.keys() == there
    gone = sorted(listed[name] for name in listed.keys() - there)
    assert exported is None or sorted(exported.missing) == gone
    for sha256, file in copies.items():
        tagged = rows.tags[sha256]
        of_class = tagged["label"] if tagged["tag"] == "id" else f"_{tagged['tag']}"
        assert file.parent.name == of_class


def lies_somewhere(sha256: str, rows: Rows, disk: Disk) -> bool:
    """Whether the content is still at one of the places where it was seen."""
    lying = {(disk.path(name), found) for name, found in disk.now.items()}
    return any(found == sha256 for _, found in lying & set(rows.sightings))


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _read(place: Path) -> list[dict[str, str]]:
    """A manifest's rows; nothing of ours begins as a spreadsheet's formula does."""
    if place.suffix == ".jsonl":
        return [json.loads(line) for line in place.read_text().splitlines()]
    with place.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
