"""What a person or a program reads of each workflow's result: text for one, JSON for the other."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import console
from curate.catalog.models import CheckpointRow
from curate.catalog.query import Query
from curate.catalog.runs import RunRow
from curate.catalog.store import Catalog
from curate.console import safe
from curate.demo import Demo
from curate.export import Exported, Format, records, shown_path, write_manifest
from curate.ingest import Ingested
from curate.status import Active, Status
from curate.workspace import Workspace

if TYPE_CHECKING:
    from curate.finetune import FinetuneResult
    from curate.recipes import Update
    from curate.train import Epoch, Trained
    from curate.watch import Event, Watched

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
            self.close()
            self._name, self._advance = name, self.enter_context(console.progress(name, total))
        self._advance(done, total)


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
    from curate.model.calibration import alarm_interval, smallest_calibration

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
    console.note(
        f"false alarms: {rate:.1%} asked; with {count} calibration images 99 % of networks "
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
        console.note(f"{labeled.duplicates} files hold a picture that is there already")
    if labeled.conflicting:
        console.warn(
            f"{len(labeled.conflicting)} files hold a picture that is in two classes and were "
            f"left out, the first is {safe(labeled.conflicting[0])}"
        )
    _reasons([(Path(path), reason) for path, reason in labeled.unreadable])


def _reasons(reasons: list[tuple[Path, str]]) -> None:
    for path, reason in reasons[:REASONS_SHOWN]:
        console.warn(f"{safe(path)}: {reason}")
    if len(reasons) > REASONS_SHOWN:
        console.warn(f"and {len(reasons) - REASONS_SHOWN} more; `curate list unreadable:`")


def ingested(result: Ingested, catalog: Catalog, as_json: bool) -> None:
    """What came of some files."""
    if as_json:
        console.json_document(_ingested_facts(result) | {"counts": plain(catalog.counts())})
        return
    console.note(_ingested_text(result))
    _reasons(result.reasons)
    _tags(catalog)


def _ingested_facts(result: Ingested) -> dict[str, Any]:
    reasons = [{"path": safe(path), "reason": reason} for path, reason in result.reasons]
    facts: dict[str, Any] = plain(dataclasses.replace(result, reasons=[]))
    return facts | {"reasons": reasons}


def _ingested_text(result: Ingested) -> str:
    parts = [f"{result.images} new images"]
    for count, text in (
        (result.known_content, "more names for known ones"),
        (result.unreadable, "unreadable"),
        (result.skipped, "files known already"),
        (result.left, "left for the next time"),
    ):
        if count:
            parts.append(f"{count} {text}")
    return ", ".join(parts)


def _tags(catalog: Catalog) -> None:
    counts = catalog.counts()
    if catalog.models.active("detector") is None:
        console.note("no network yet, so nothing is tagged; run `curate train LABELED`")
        return
    console.note(f"in the catalog: {counts.id} id, {counts.ood} ood, {counts.pending} pending")


def event(found: Event) -> None:
    """One line for what a watch has just done."""
    from curate.watch import Arrived, FinetuneEnded, FinetuneStarted

    clock = datetime.now().strftime("%H:%M:%S")
    if isinstance(found, Arrived):
        console.note(f"{clock} {_ingested_text(found.ingested)}; {found.scored} scored")
        _reasons(found.ingested.reasons)
    elif isinstance(found, FinetuneStarted):
        console.note(f"{clock} fine-tuning: {found.images} images have come since the last time")
    elif isinstance(found, FinetuneEnded):
        console.note(
            f"{clock} fine-tune {found.run.outcome or 'running'}: {found.run.reason or ''}"
        )
    else:
        console.warn(f"{clock} {safe(found.inbox)} is not there; waiting for it")


def watched(result: Watched, catalog: Catalog, as_json: bool) -> None:
    """What a watch did until it ended."""
    if as_json:
        facts = _ingested_facts(result.ingested) | {"scored": result.scored}
        console.json_document(
            facts | {"still_changing": result.left, "counts": plain(catalog.counts())}
        )
        return
    console.note(f"{_ingested_text(result.ingested)}; {result.scored} scored")
    if result.left:
        console.warn(f"{result.left} files were still changing and are left for the next time")
    _tags(catalog)


def finetuned(result: FinetuneResult, as_json: bool) -> None:
    """What came of a fine-tune and why."""
    if as_json:
        console.json_document(plain(result))
        return
    console.note(f"{result.outcome}: {result.reason}")
    for name, value in result.figures.items():
        console.note(f"  {name.replace('_', ' ')}: {value:.4g}")


def rate(workspace: Workspace, as_json: bool) -> None:
    """The false-alarm rate in force, and what it flags."""
    catalog = workspace.catalog
    counts, current = catalog.counts(), catalog.rates.current()
    if as_json:
        console.json_document({"rate": current, "id": counts.id, "ood": counts.ood})
        return
    console.show(f"{current:.4g}")
    console.note(f"{current:.1%} of your own classes may be flagged: {counts.ood} ood now")


def listing(
    workspace: Workspace, query: Query, limit: int | None, null: bool, as_json: bool
) -> None:
    """Rows of the catalog: a table, NDJSON, or names ended by zero bytes for `xargs -0`."""
    rows = islice(_listed(workspace, query), limit)
    if null:
        for row in rows:
            sys.stdout.buffer.write(str(row["path"]).encode("utf-8", "surrogateescape") + b"\0")
    elif as_json:
        console.ndjson(rows)
    elif query.unreadable:
        console.table("", ("file", "reason"), ((safe(r["path"]), r["reason"]) for r in rows))
    else:
        columns = ("tag", "score", "p", "label", "file")
        console.table("", columns, (_list_row(row) for row in rows))


def _listed(workspace: Workspace, query: Query) -> Iterator[dict[str, Any]]:
    if query.unreadable:
        for bad in workspace.catalog.iter_unreadable():
            yield plain(bad) | {"path": shown_path(bad.source, bad.path)}
    else:
        yield from records(workspace, query)


def _list_row(row: dict[str, Any]) -> tuple[str, ...]:
    score, p = ("" if row[name] is None else f"{row[name]:.3f}" for name in ("score", "p_value"))
    return str(row["tag"]), score, p, safe(str(row["label"] or "")), safe(str(row["path"]))


def manifest(workspace: Workspace, query: Query, format: Format, all_paths: bool) -> None:
    """A manifest on standard output."""
    from curate.errors import UsageError

    if format == "imagefolder":
        raise UsageError("imagefolder needs a folder to copy to: `curate export DEST`")
    count = write_manifest(records(workspace, query, all_paths), format, sys.stdout)
    console.note(f"{count} rows")


def exported(result: Exported, destination: Path) -> None:
    """How much was handed on, and what could not be."""
    console.note(f"{result.rows} rows in {safe(destination)}")
    if result.missing:
        console.warn(
            f"{len(result.missing)} originals are gone or changed and were not copied, the first "
            f"is {safe(result.missing[0])}; the manifest names them"
        )


def status(found: Status, workspace: Workspace, as_json: bool) -> None:
    """Everything in one look."""
    if as_json:
        console.json_document(plain(found))
        return
    rows = [
        ("catalog", safe(workspace.folder)),
        ("images", f"{found.counts.images} ({found.counts.unreadable} files unreadable)"),
        ("tags", f"{found.counts.id} id, {found.counts.ood} ood, {found.counts.pending} pending"),
        ("reviewed", str(found.counts.reviewed)),
        ("alarm rate", f"{found.rate:.1%} of your own classes may be flagged"),
        ("OOD share", _share(found)),
        ("classifier", _active(found.classifier)),
        ("detector", _active(found.detector)),
        *(("inbox", _source(source)) for source in found.sources),
        *(("running", f"{row.name.split(':')[0]}, process {row.pid}") for row in found.held),
        ("fine-tune", _run(found.last_finetune)),
    ]
    console.table("", ("", ""), rows)
    _histogram(found, workspace)


def _share(found: Status) -> str:
    if found.ood_share is None or found.ood_share_interval is None:
        return "unknown: nothing is tagged yet"
    low, high = found.ood_share_interval
    return f"at least about {found.ood_share:.1%} (95 % interval {low:.1%} to {high:.1%})"


def _active(active: Active | None) -> str:
    if active is None:
        return "none; run `curate train LABELED`"
    made = active.checkpoint
    return f"{made.checkpoint_id[:12]} {made.backbone} ({made.recipe}), {ago(active.since)}"


def _source(source: Any) -> str:
    name = safe(shown_path(source.root_uri, ""))
    if source.last_scan_at is None:
        return name
    return f"{name}, scanned {ago(source.last_scan_at)} ({source.watch_mode})"


def _run(run: RunRow | None) -> str:
    if run is None:
        return "none yet"
    return f"{run.outcome or 'running'} {ago(run.ended_at or run.started_at)}: {run.reason or ''}"


def ago(moment: datetime) -> str:
    """How long ago a moment was, in the largest fitting unit."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _histogram(found: Status, workspace: Workspace) -> None:
    if found.detector is None:
        return
    identity = found.detector.checkpoint.checkpoint_id
    scores = workspace.catalog.score_sample(identity)
    if scores:
        flagged = workspace.catalog.lowest_flagged(identity, found.rate)
        console.histogram(scores, flagged, "discrepancy of the inbox's images")


def models(workspace: Workspace, as_json: bool) -> None:
    """All checkpoints, then all fine-tunes with their reasons."""
    catalog = workspace.catalog
    rows, runs = catalog.models.list(), catalog.runs.list()
    active = {role: catalog.models.active(role) for role in ("classifier", "detector")}
    if as_json:
        console.json_document(
            {"checkpoints": plain(rows), "finetunes": plain(runs), "active": active}
        )
        return
    console.table(
        "networks",
        ("id", "made", "backbone", "recipe", "in service as"),
        [_model_row(row, active) for row in rows],
    )
    console.table(
        "fine-tunes",
        ("when", "recipe", "outcome", "reason"),
        [(ago(r.started_at), r.recipe, r.outcome or "running", r.reason or "") for r in runs],
    )


def _model_row(row: CheckpointRow, active: dict[str, str | None]) -> tuple[str, ...]:
    roles = [role for role, identity in active.items() if identity == row.checkpoint_id]
    made = ago(row.created_at)
    return row.checkpoint_id[:12], made, row.backbone, row.recipe, ", ".join(roles)


def model(workspace: Workspace, prefix: str) -> None:
    """One checkpoint's manifest, its row and where it lies."""
    row = workspace.catalog.models.get(prefix)
    path = workspace.checkpoints / row.checkpoint_id
    manifest = json.loads((path / "checkpoint.json").read_bytes()) if path.is_dir() else {}
    manifest.pop("pool", None)
    manifest.pop("calibration", None)
    console.json_document(plain(row) | {"path": safe(path), "manifest": manifest})


def demo(made: Demo) -> None:
    """Where the pictures are and what to do with them."""
    console.note(f"{made.labeled_files} labeled pictures of {', '.join(made.classes)}")
    console.note(f"{made.inbox_files} files in the inbox, some broken, some of no class")
    console.note(
        f"next: curate train {safe(made.labeled)} && curate watch {safe(made.inbox)} --once"
    )
