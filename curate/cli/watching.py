"""What a watch tells of itself while it runs and when it ends, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate import console
from curate.catalog.store import Catalog
from curate.cli.shown import Stages, ingested_facts, ingested_text, numbers, plain, refused, tags
from curate.cli.words import counted
from curate.console import safe
from curate.ingest import Ingested

if TYPE_CHECKING:
    from curate.watch.events import (
        Arrived,
        DeliveryFailed,
        Event,
        FinetuneEnded,
        FinetuneImpossible,
        FinetuneStarted,
        InboxGone,
        Watched,
    )

BACKLOG = 100
"""So many files at once are worth a bar."""


class Watching(Stages):
    """What a watch does: a line for each batch, or on a terminal a bar for a longer backlog.

    While the bar stands, batches are counted together; when it ends, one line tells of all.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sum = Ingested()
        self._scored = 0
        self._left = 0

    def tell(self, found: Event) -> None:
        """Show what has just happened."""
        from curate.watch.events import Arrived, Reading, Scanned

        if isinstance(found, Reading):
            self._left = found.total - found.done
            if found.total > BACKLOG and console.on_terminal():
                self.advance("reading", found.done, found.total)
        elif isinstance(found, Arrived):
            self._arrived(found)
        elif not isinstance(found, Scanned):
            _event(found)

    def _arrived(self, found: Arrived) -> None:
        self._sum.add(found.ingested)
        self._scored += found.scored
        if self._left and console.on_terminal():
            return
        self.end()
        said = f"{ingested_text(self._sum)}; {self._scored} scored"
        console.note(said, clock=True, event="arrived", **numbers(self._sum, self._scored))
        refused(self._sum)
        self._sum, self._scored = Ingested(), 0


def _event(
    found: FinetuneStarted | FinetuneEnded | FinetuneImpossible | DeliveryFailed | InboxGone,
) -> None:
    """One line for what a watch has just done."""
    from curate.watch.events import (
        DeliveryFailed,
        FinetuneEnded,
        FinetuneImpossible,
        FinetuneStarted,
    )

    if isinstance(found, FinetuneStarted):
        came = counted(found.images, "image{s}")
        said = f"fine-tuning: {came} new since the last time"
        console.note(said, clock=True, event="finetune_started", images=found.images)
    elif isinstance(found, FinetuneEnded):
        run, outcome = found.run, found.run.outcome or "running"
        said = f"fine-tune {outcome}: {run.reason or ''}"
        facts: dict[str, Any] = {"outcome": outcome, "reason": run.reason, "images": run.images}
        console.note(said, clock=True, event="finetune_ended", run=run.run_id, **facts)
    elif isinstance(found, FinetuneImpossible):
        console.warn(
            f"the fine-tune could not run (exit code {found.exit_code}): "
            f"{safe(found.reason)}; it is tried again in an hour",
            clock=True,
            event="finetune_impossible",
            exit_code=found.exit_code,
            reason=found.reason,
        )
    elif isinstance(found, DeliveryFailed):
        said = f"--on-tag: {found.reason}; its images wait and are delivered again"
        console.warn(said, clock=True, event="delivery_failed", reason=found.reason)
    else:
        said = f"{safe(found.inbox)} is not there; waiting for it"
        console.warn(said, clock=True, event="inbox_gone", inbox=found.inbox)


def watched(result: Watched, catalog: Catalog, as_json: bool) -> None:
    """What a watch did until it ended."""
    if as_json:
        facts = ingested_facts(result.ingested) | {"scored": result.scored}
        console.json_document(
            facts | {"still_changing": result.left, "counts": plain(catalog.counts())}
        )
        return
    said = f"{ingested_text(result.ingested)}; {result.scored} scored"
    console.note(said, event="ended", **numbers(result.ingested, result.scored))
    if result.left:
        left = counted(result.left, "file{s}")
        said = f"{left} still changing, left for the next time"
        console.warn(said, event="still_changing", files=result.left)
    tags(catalog)
