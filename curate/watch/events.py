"""What a watch tells of itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from curate.catalog.runs import RunRow
from curate.ingest import Ingested


@dataclass(frozen=True)
class Reading:
    """`done` of the `total` files that have settled by now are read."""

    done: int
    total: int


@dataclass(frozen=True)
class Arrived:
    """A batch of files has been catalogued and scored, or a scan could not look at some."""

    ingested: Ingested
    scored: int


@dataclass(frozen=True)
class Scanned:
    """The whole inbox was scanned."""

    files: int
    seconds: float


@dataclass(frozen=True)
class FinetuneStarted:
    """A fine-tune fell due: `images` have arrived since the last one."""

    images: int


@dataclass(frozen=True)
class FinetuneEnded:
    """A fine-tune ended; `run` is its record."""

    run: RunRow


@dataclass(frozen=True)
class FinetuneImpossible:
    """The fine-tune's process ended before a run was recorded; `reason` is its last line."""

    exit_code: int
    reason: str


@dataclass(frozen=True)
class DeliveryFailed:
    """The hook did not accept a delivery; its images wait, and are delivered again."""

    reason: str


@dataclass(frozen=True)
class InboxGone:
    """The inbox is not there any more; nothing is forgotten, the watch waits for it."""

    inbox: Path


Event = (
    Reading
    | Arrived
    | Scanned
    | FinetuneStarted
    | FinetuneEnded
    | FinetuneImpossible
    | DeliveryFailed
    | InboxGone
)


@dataclass
class Watched:
    """What a watch did until it ended, and the files it left because they were still changing."""

    ingested: Ingested = field(default_factory=Ingested)
    scored: int = 0
    left: int = 0
