"""All that a project holds, read past the program."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

Row = sqlite3.Row


class Rows:
    """The tables of a catalog as of one moment, each row by its columns' names; and previews."""

    def __init__(self, place: Path) -> None:
        with opened(place / "catalog.db") as database:
            database.execute("BEGIN")

            def table(name: str) -> list[Row]:
                return database.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608  (ours)

            self.images = {row["sha256"]: row for row in table("image")}
            self.tags = {row["sha256"]: row for row in table("current_tag")}
            self.scores = {(row["checkpoint_id"], row["sha256"]): row for row in table("score")}
            self.pending = {(row["checkpoint_id"], row["sha256"]) for row in table("pending")}
            self.reviews = table("review")
            self.networks = {row["checkpoint_id"]: row["parent_id"] for row in table("checkpoint")}
            self.runs = table("finetune_run")
            self.rates = table("alarm_rate")
            self.version = max(row["version"] for row in table("schema_version"))
            self._activations = table("activation")
            roots = {row["source_id"]: row["root_uri"] for row in table("source")}
            self.sightings = [
                (_path(roots[row["source_id"]], row["path"]), row["sha256"])
                for row in table("sighting")
            ]
            self.unreadable = {
                (roots[row["source_id"]], _path(roots[row["source_id"]], row["path"])): row
                for row in table("unreadable")
            }
            """By the root's URI and the file."""
        with opened(place / "previews.db") as database:
            self.previews = dict(database.execute("SELECT sha256, bytes FROM previews").fetchall())

    def active(self, role: str) -> str:
        """The network in service."""
        rows = [row for row in self._activations if row["role"] == role]
        return str(max(rows, key=lambda row: int(row["seq"]))["checkpoint_id"])

    def last_step(self) -> dict[str, tuple[str, str | None]]:
        """What was said last, by content."""
        step = max((row["step"] for row in self.reviews), default=0)
        return {
            row["sha256"]: (row["verdict"], row["class_name"])
            for row in self.reviews
            if row["step"] == step
        }


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """A database, for a moment."""
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as database:
        database.row_factory = Row
        yield database


def _path(root_uri: str, encoded: str) -> str:
    """The file that a row names, absolute."""
    root = unquote_to_bytes(root_uri.removeprefix("file://"))
    return os.fsdecode(root + b"/" + unquote_to_bytes(encoded))
