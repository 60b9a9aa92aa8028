"""What stands in the catalog, shown: rate, lists, status, networks and fine-tunes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from curate import console
from curate.catalog.hooks import HookRow
from curate.catalog.leases import LeaseRow
from curate.catalog.models import CheckpointRow
from curate.catalog.query import Query
from curate.catalog.runs import RunRow
from curate.cli.histogram import histogram_lines
from curate.cli.shown import plain
from curate.cli.words import counted, near, percent
from curate.console import safe
from curate.copies import original_of
from curate.drift import Jump
from curate.errors import CheckpointRefused, UsageError
from curate.export import Format, Options, export, plan, stream
from curate.export.rows import records, shown_path
from curate.status import Active, Status, too_few_calibrated
from curate.workspace import Workspace


def rate(workspace: Workspace, as_json: bool) -> None:
    """The false-alarm rate in force, and what it flags."""
    catalog = workspace.catalog
    counts, current = catalog.counts(), catalog.rates.current()
    if as_json:
        console.json_document({"rate": current, "id": counts.id, "ood": counts.ood})
        return
    console.show(f"{current:.4g}")
    console.note(f"{percent(current)} of your own classes may be flagged: {counts.ood} ood now")
    few = too_few_calibrated(workspace, current)
    if few is not None:
        console.warn(
            f"{few} calibration images are too few for {percent(current)}: what is read against "
            "them cannot be flagged; label more images and train again, or choose a higher rate"
        )


def listing(
    workspace: Workspace, query: Query, limit: int | None, null: bool, as_json: bool
) -> None:
    """Rows of the catalog: a table, NDJSON, or names ended by zero bytes for `xargs -0`."""
    rows = islice(_listed(workspace, query, limit), limit)
    if null:
        for row in rows:
            sys.stdout.buffer.write(os.fsencode(original_of(str(row["path"]))) + b"\0")
    elif as_json:
        console.ndjson(rows)
    elif not _listed_table(query, rows):
        console.note("nothing matches" if query != Query() else "nothing is catalogued yet")


def _listed_table(query: Query, rows: Iterator[dict[str, Any]]) -> int:
    if query.unreadable:
        bad = ((near(row["path"]), row["reason"]) for row in rows)
        return console.table("", ("file", "reason"), bad)
    columns = ("tag", "score", "p", "label", "file")
    return console.table("", columns, (_list_row(row) for row in rows))


def _listed(workspace: Workspace, query: Query, limit: int | None) -> Iterator[dict[str, Any]]:
    if query.unreadable:
        for bad in workspace.catalog.iter_unreadable():
            source = shown_path(bad.source, "").rstrip("/")
            yield plain(bad) | {"path": shown_path(bad.source, bad.path), "source": source}
    else:
        yield from records(workspace, query, wanted=limit)


def _list_row(row: dict[str, Any]) -> tuple[str, ...]:
    score, p = ("" if row[name] is None else f"{row[name]:.3f}" for name in ("score", "p_value"))
    return str(row["tag"]), score, p, safe(str(row["label"] or "")), near(row["path"])


def manifest(workspace: Workspace, query: Query, format: Format, all_paths: bool) -> None:
    """A manifest on standard output."""
    if format != "csv" and format != "jsonl":
        what = "file" if format == "parquet" else "folder"
        raise UsageError(f"{format} needs a {what} to write to: `curate export DEST`")
    count = stream(workspace, query, format, all_paths, sys.stdout)
    console.note(counted(count, "row{s}"))


def planned(
    workspace: Workspace, query: Query, destination: Path, format: Format, options: Options
) -> None:
    """How much an export would be."""
    found = plan(workspace, query, destination, format, options)
    copies = f" and {counted(found.copies, 'file{s}')}" if found.copies else ""
    console.note(
        f"would write {counted(found.rows, 'row{s}')}{copies}, {found.bytes:,} bytes, to "
        f"{safe(destination)}; nothing was written"
    )


def exported(
    workspace: Workspace, query: Query, destination: Path, format: Format, options: Options
) -> None:
    """Export, and tell how much was handed on and what could not be."""
    with console.progress("exporting") as advance:
        result = export(
            workspace, query, destination, format, options, lambda done: advance(done, done)
        )
    console.note(f"{counted(result.rows, 'row{s}')} in {safe(destination)}")
    if result.missing:
        missing = counted(len(result.missing), "original{s}")
        rows = "the manifest has no row of them" if format == "hf" else "the manifest names them"
        console.warn(
            f"{missing} gone, changed or unreadable and not copied; the first is "
            f"{safe(result.missing[0])}; {rows}"
        )
    if result.unstripped:
        kept = counted(len(result.unstripped), "original{s}")
        console.warn(
            f"{kept} not copied, for their metadata cannot be taken out without encoding them "
            f"anew; the first is {safe(result.unstripped[0])}; --keep-metadata copies them"
        )


def status(found: Status, workspace: Workspace, as_json: bool) -> None:
    """Everything in one look."""
    if as_json:
        console.json_document(plain(found))
        return
    unreadable = counted(found.counts.unreadable, "file{s} unreadable")
    rows = [
        ("catalog", near(workspace.folder)),
        ("images", f"{found.counts.images} ({unreadable})"),
        ("tags", f"{found.counts.id} id, {found.counts.ood} ood, {found.counts.pending} pending"),
        ("reviewed", str(found.counts.reviewed)),
        ("alarm rate", f"{percent(found.rate)} of your own classes may be flagged"),
        ("OOD share", _share(found)),
        ("classifier", _active(found.classifier)),
        ("detector", _active(found.detector)),
        *(("inbox", _source(source)) for source in found.sources),
        *(("running", f"{row.name.split(':')[0]}, process {row.pid}") for row in found.held),
        ("fine-tune", _run(found.last_finetune, found.held)),
        *(("on tag", _hook(hook, found.hook_waiting)) for hook in [found.hook] if hook),
    ]
    console.table("", ("", ""), rows)
    _histogram(found, workspace)
    if found.jump is not None:
        console.warn(_jump(found.jump))


def _jump(jump: Jump) -> str:
    """What may be behind a jump, and what tells."""
    return (
        f"{jump.newest:.0%} of the newest images are flagged even in the classes that are flagged "
        f"least, {jump.before:.0%} before. A new camera or crop does that, or OOD images of many "
        "kinds: `curate audit --images 200` and a look at these tell which, and --recalibrate "
        "corrects the former"
    )


def _share(found: Status) -> str:
    if found.ood_share is None:
        return "unknown: nothing is tagged yet"
    share = f"at least about {found.ood_share:.1%}"
    if found.ood_share_interval is None:
        return share
    low, high = found.ood_share_interval
    return f"{share} (95 % interval {low:.1%} to {high:.1%})"


def _active(active: Active | None) -> str:
    if active is None:
        return "none; run `curate train LABELED`"
    made = active.checkpoint
    return f"{made.checkpoint_id[:12]} {made.backbone} ({made.recipe}), {ago(active.since)}"


def _source(source: Any) -> str:
    name = near(shown_path(source.root_uri, ""))
    if source.last_scan_at is None:
        return name
    return f"{name}, scanned {ago(source.last_scan_at)} ({source.watch_mode})"


def _hook(hook: HookRow, waiting: int) -> str:
    said = f"{hook.delivered} told, {waiting} waiting"
    if hook.last_failed_at is None:
        return said
    failed = counted(hook.failures, "failure{s}")
    return f"{said}, {failed}, the last {ago(hook.last_failed_at)}: {hook.last_error}"


def _run(run: RunRow | None, held: Sequence[LeaseRow]) -> str:
    if run is None:
        return "none yet"
    said = f"{_outcome(run, held)} {ago(run.ended_at or run.started_at)}"
    return f"{said}: {run.reason}" if run.reason else said


def _outcome(run: RunRow, held: Sequence[LeaseRow]) -> str:
    """What came of a fine-tune; one whose process has gone was stopped, and goes on next time."""
    if run.outcome:
        return run.outcome
    return "running" if any(row.pid == run.pid for row in held) else "stopped"


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
        console.show_lines(histogram_lines(scores, flagged, "scores of the inbox's images"))


def models(workspace: Workspace, as_json: bool) -> None:
    """All checkpoints, then all fine-tunes with their reasons."""
    catalog = workspace.catalog
    rows, runs = catalog.models.list(), catalog.runs.list()
    held = catalog.leases.list()
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
        [(ago(r.started_at), r.recipe, _outcome(r, held), r.reason or "") for r in runs],
    )


def _model_row(row: CheckpointRow, active: dict[str, str | None]) -> tuple[str, ...]:
    roles = [role for role, identity in active.items() if identity == row.checkpoint_id]
    made = ago(row.created_at)
    return row.checkpoint_id[:12], made, row.backbone, row.recipe, ", ".join(roles)


def model(workspace: Workspace, prefix: str) -> None:
    """One checkpoint's manifest, its row and where it lies."""
    row = workspace.catalog.models.get(prefix)
    path = workspace.checkpoints / row.checkpoint_id
    manifest = _manifest(path)
    manifest.pop("pool", None)
    manifest.pop("calibration", None)
    console.json_document(plain(row) | {"path": safe(path), "manifest": manifest})


def _manifest(path: Path) -> dict[str, Any]:
    """What was written beside the weights; whether it still fits them, only loading tells."""
    try:
        found = json.loads((path / "checkpoint.json").read_bytes())
    except OSError as error:
        raise CheckpointRefused(path, f"checkpoint.json: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointRefused(path, "checkpoint.json cannot be read") from error
    return dict(found)
