"""What a person or a program reads of each workflow's result: text for one, JSON for the other."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import console
from curate.cli.words import counted, near
from curate.console import safe

if TYPE_CHECKING:
    from curate.catalog.store import Catalog
    from curate.demo import Demo
    from curate.finetune import FinetuneResult
    from curate.ingest import Ingested
    from curate.recipes.pretraining import Epoch
    from curate.recipes.runs import Update
    from curate.train import Trained

REASONS_SHOWN = 5


def plain(value: Any) -> Any:
    """`value` as JSON types: dataclasses become objects, times ISO 8601, sets lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return safe(value) if isinstance(value, Path) else value


class Stages(ExitStack):
    """One bar after another: a stage's bar ends when the next stage begins."""

    def __init__(self) -> None:
        super().__init__()
        self._name = ""
        self._advance: console.Advance | None = None

    def advance(self, name: str, done: int, total: int) -> None:
        """How far the stage `name` is."""
        if name != self._name or self._advance is None:
            self.end()
            self._name, self._advance = name, self.enter_context(console.progress(name, total))
        self._advance(done, total)

    def end(self) -> None:
        """End the bar that stands."""
        self.close()
        self._advance = None


class Training(Stages):
    """The stages of training."""

    def on_image(self, done: int, total: int) -> None:
        """Reading the labeled folder."""
        self.advance("reading", done, total)

    def on_epoch(self, epoch: Epoch) -> None:
        """After each epoch."""
        self.advance("training", epoch.number, epoch.total)

    def on_scored(self, done: int, total: int) -> None:
        """Scoring what the catalog holds."""
        self.advance("scoring", done, total)


class Finetuning(Stages):
    """The stages of a fine-tune."""

    def on_update(self, update: Update) -> None:
        """After each update."""
        self.advance("fine-tuning", update.number, update.total)

    def on_images(self, done: int, total: int) -> None:
        """Scoring everything with the new detector."""
        self.advance("scoring", done, total)


def trained(result: Trained, rate: float, as_json: bool) -> None:
    """The new network, and what was left out of the labeled folder."""
    from curate.model.alarms import alarm_interval
    from curate.model.calibration import smallest_calibration

    made, labeled = result.checkpoint, result.labeled
    if as_json:
        facts = plain(made) | {"unreadable": plain(labeled.unreadable)}
        del facts["calibration"], facts["pool"]
        console.json_document(facts | {"conflicting": plain(labeled.conflicting)})
        return
    count = len(made.calibration["held_out"])
    console.note(
        f"{made.id[:12]} knows {len(made.classes)} classes: validation accuracy "
        f"{made.figures['validation_accuracy']:.1%} on {made.figures['validation_images']} images"
    )
    low, high = alarm_interval(count, 2_000, rate)
    which = "of the audit's" if made.figures["audited_images"] else "calibration"
    console.note(
        f"false alarms: {rate:.1%} asked; with {count} {which} images 99 % of networks "
        f"raise {low:.1%} to {high:.1%} on 2,000 uploads of your classes"
    )
    if count < smallest_calibration(rate):
        console.warn(
            f"{count} calibration images are too few for {rate:.1%}: nothing can be flagged; "
            "label more images or choose a higher `curate rate`"
        )
    _left_out(result)


def _left_out(result: Trained) -> None:
    labeled = result.labeled
    if labeled.duplicates:
        console.note(
            f"{counted(labeled.duplicates, 'file{s}')} with a picture that is there already"
        )
    if labeled.conflicting:
        console.warn(
            f"{len(labeled.conflicting)} files hold a picture that is in two classes and were "
            f"left out, the first is {safe(labeled.conflicting[0])}"
        )
    refused = [(Path(path), reason) for path, reason in labeled.unreadable]
    reasons(refused, len(refused), "`--json` names them all")


def reasons(found: list[tuple[Path, str]], count: int, where: str) -> None:
    """The first reasons of `count`, and where to find the others."""
    for path, reason in found[:REASONS_SHOWN]:
        console.warn(f"{near(path)}: {reason}", event="unreadable", path=path, reason=reason)
    if (more := count - REASONS_SHOWN) > 0:
        console.warn(f"and {more} more; {where}", event="more_unreadable", files=more)


def ingested(result: Ingested, catalog: Catalog, as_json: bool) -> None:
    """What came of some files."""
    if as_json:
        console.json_document(ingested_facts(result) | {"counts": plain(catalog.counts())})
        return
    console.note(ingested_text(result))
    refused(result)
    tags(catalog)


def refused(result: Ingested) -> None:
    """Why some files could not be read."""
    reasons(result.reasons, result.unreadable, "`curate list unreadable:`")


def ingested_facts(result: Ingested) -> dict[str, Any]:
    """What came of some files, with the reasons."""
    named = [{"path": safe(path), "reason": reason} for path, reason in result.reasons]
    facts: dict[str, Any] = plain(dataclasses.replace(result, reasons=[]))
    return facts | {"reasons": named}


def ingested_text(result: Ingested) -> str:
    """What came of some files, as a line."""
    parts = [counted(result.images, "new image{s}")]
    for count, text in (
        (result.known_content, "more name{s} for known ones"),
        (result.unreadable, "unreadable"),
        (result.skipped, "file{s} known already"),
        (result.skipped_unreadable, "of them unreadable"),
        (result.left, "left for the next time"),
    ):
        if count:
            parts.append(counted(count, text))
    return ", ".join(parts)


def numbers(result: Ingested, scored: int) -> dict[str, Any]:
    """What came of some files, in numbers alone."""
    facts = plain(dataclasses.replace(result, reasons=[])) | {"scored": scored}
    del facts["reasons"]
    return dict(facts)


def tags(catalog: Catalog) -> None:
    """How many images bear which tag."""
    counts = catalog.counts()
    if catalog.models.active("detector") is None:
        untagged = "no network yet, so nothing is tagged; run `curate train LABELED`"
        console.note(untagged, event="no_network")
        return
    number: dict[str, Any] = {"id": counts.id, "ood": counts.ood, "pending": counts.pending}
    said = ", ".join(f"{images} {tag}" for tag, images in number.items())
    console.note(f"in the catalog: {said}", event="tags", **number)


def finetuned(result: FinetuneResult, as_json: bool) -> None:
    """What came of a fine-tune and why."""
    if as_json:
        console.json_document(plain(result))
        return
    console.note(f"{result.outcome}: {result.reason}")
    for name, value in result.figures.items():
        console.note(f"  {name.replace('_', ' ')}: {value:.4g}")


def demo(made: Demo) -> None:
    """Where the pictures are and what to do with them."""
    console.note(f"{made.labeled_files} labeled pictures of {', '.join(made.classes)}")
    console.note(f"{made.inbox_files} files in the inbox, some broken, some of no class")
    console.note(
        f"next: curate train {safe(made.labeled)} && curate watch {safe(made.inbox)} --once",
        wrap=False,
    )
