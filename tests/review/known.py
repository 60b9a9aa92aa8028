"""A served project, its visitor, and what a stranger may not learn of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from curate.workspace import open_workspace

from .made import Served, Visitor
from .raw import Pair

JSON: Pair = ("Content-Type", "application/json")
READING = (
    *("/", "/static/review.js", "/api/queue?order=highest&query=&limit=9", "/api/news?since=0"),
    *("/api/scores", "/api/threshold?rate=0.1", "/api/matching?query=tag:ood"),
)


class Known:
    """A served project of a person who has opened the page."""

    def __init__(self, folder: Path, running: Served, hashes: list[str]) -> None:
        self.folder, self.running, self.hashes = folder, running, hashes
        self.port, self.prefix, self.first = running.port, running.prefix, running.token
        self.visitor = Visitor(running)
        self.host = f"127.0.0.1:{self.port}"
        self.cookie: Pair = ("Cookie", self.visitor.cookie)
        self.ours: tuple[Pair, ...] = (
            ("Host", self.host), ("Origin", f"http://{self.host}"), self.cookie
        )  # fmt: skip

    def untouched(self) -> bool:
        """Whether the catalog is as it was made: no word, no rate."""
        with open_workspace(str(self.folder / ".curate"), create=False) as workspace:
            catalog, ever = workspace.catalog, datetime(2000, 1, 1, tzinfo=UTC)
            return catalog.reviews.last_step() == 0 and not catalog.rates.changed_since(ever)

    def tells(self, body: bytes) -> bool:
        """Whether an answer holds anything of the catalog, or of the page."""
        found = (b"upload-", b"anna", b"rows", b"images", b"curate-", *map(str.encode, self.hashes))
        return any(part in body for part in found) and b"curate review" not in body
