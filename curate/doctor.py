"""Is everything there, whole and as it was? Each check says what it found, and what to do.

`mend` does what is safe while other processes work: it makes lost and damaged previews again from
their originals, queues images that a network has forgotten, and counts anew what is counted wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curate.catalog.checking import (
    count_anew,
    database_faults,
    every_content,
    forgotten,
    labeled_places,
    wrong_counts,
)
from curate.catalog.engine import chunks
from curate.images.decode import DecodedImage, Decoder
from curate.images.paths import decode, root_path
from curate.images.previews import CHUNK
from curate.images.transforms import is_picture
from curate.model.checkpoint import is_whole
from curate.status import ROLES
from curate.workspace import Workspace

Keep = Callable[[str, bytes], None]
"""What becomes of the preview of a content that was made again."""
State = Literal["ok", "mended", "warning", "broken"]
LEAST_FREE = 1_000_000_000
"""Bytes; a fine-tune and its checkpoint want some hundred million."""
NAMED = 3
MOST_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
_AGAIN = "put a backup in its place (`curate restore`), or train and ingest again"


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    check: str
    state: State
    message: str
    advice: str = ""


def examine(
    workspace: Workspace, decoder: Decoder, *, deep: bool = False, mend: bool = False
) -> Iterator[Finding]:
    """Check one thing after the other; `deep` also reads every preview and every index."""
    yield _catalog(workspace, deep)
    yield _counts(workspace, mend)
    yield _previews_file(workspace, deep)
    yield from _previews(workspace, decoder, mend)
    if deep:
        yield from _damaged(workspace, decoder, mend)
    yield from _checkpoints(workspace)
    yield from _queues(workspace, mend)
    yield from _inboxes(workspace)
    yield from _watches()
    yield _space(workspace)
    yield from _limits(decoder)


def _catalog(workspace: Workspace, deep: bool) -> Finding:
    faults = database_faults(workspace.catalog.engine, deep)
    if faults:
        return Finding("catalog", "broken", _first(faults, "fault"), _AGAIN)
    return Finding("catalog", "ok", "whole")


def _previews_file(workspace: Workspace, deep: bool) -> Finding:
    faults = workspace.previews.faults(deep)
    if faults:
        return Finding("previews", "broken", _first(faults, "fault"), _AGAIN)
    return Finding("previews", "ok", "the file is whole")


def _previews(workspace: Workspace, decoder: Decoder, mend: bool) -> Iterator[Finding]:
    """Pictures without a preview, and previews that no picture needs."""
    lost, spare = _lost_and_spare(workspace)

    def keep(sha256: str, preview: bytes) -> None:
        workspace.previews.add([(sha256, preview)])

    made = _made_again(workspace, decoder, lost, keep) if mend else []
    if made:
        yield Finding("previews", "mended", f"{len(made)} made again from their originals")
    if left := len(lost) - len(made):
        yield Finding("previews", "broken", f"{left} missing", _advice(mend))
    if spare:
        yield Finding("previews", "ok", f"{spare} that no row needs (kept, in case one comes)")


def _lost_and_spare(workspace: Workspace) -> tuple[list[str], int]:
    """Contents without a preview, and how many previews there are of none; both in one walk."""
    held, lost, used, kept = workspace.previews.hashes(), list[str](), 0, 0
    have = next(held, None)
    for sha256 in every_content(workspace.catalog.engine):
        while have is not None and have < sha256:
            have, kept = next(held, None), kept + 1
        if have == sha256:
            used += 1
        else:
            lost.append(sha256)
    while have is not None:
        have, kept = next(held, None), kept + 1
    return lost, kept - used


def _advice(mend: bool) -> str:
    return "their originals are gone or changed; restore a backup" if mend else "try --fix"


def _made_again(workspace: Workspace, decoder: Decoder, lost: list[str], keep: Keep) -> list[str]:
    """Make previews from originals that still have the content; returns those that were made."""
    return [
        sha256
        for sha256 in lost
        if any(_made_from(decoder, sha256, *place, keep) for place in _originals(workspace, sha256))
    ]


def _made_from(
    decoder: Decoder, sha256: str, original: Path, root: Path | None, keep: Keep
) -> bool:
    ((_, found),) = decoder.map([original], root)
    if not isinstance(found, DecodedImage) or found.sha256 != sha256:
        return False
    keep(sha256, found.preview)
    return True


def _originals(workspace: Workspace, sha256: str) -> Iterator[tuple[Path, Path | None]]:
    """Where a content was seen, and the inbox below which no link is to be followed."""
    for root_uri, path in workspace.catalog.places(sha256):
        root = root_path(root_uri)
        yield root / decode(path), root
    for labeled, path in labeled_places(workspace.catalog.engine, sha256):
        yield Path(labeled) / decode(path), None


def _damaged(workspace: Workspace, decoder: Decoder, mend: bool) -> Iterator[Finding]:
    """Previews that are not what was kept, or no pictures."""
    bad = {
        name: is_picture(preview)
        for names in chunks(workspace.previews.hashes(), CHUNK)
        for name, preview, kept in workspace.previews.checked(names)
        if not (kept and is_picture(preview))
    }

    def keep(sha256: str, preview: bytes) -> None:
        if bad[sha256]:
            # Its scores may be of what lies there. They go first, so that a kill leaves none, and
            # again below, for what a watch may have scored meanwhile.
            workspace.catalog.models.score_again([sha256])
        workspace.previews.replace([(sha256, preview)])

    made = _made_again(workspace, decoder, list(bad), keep) if mend else []
    if made:
        workspace.catalog.models.score_again(made)
        found = f"{len(made)} damaged, made again from their originals"
        yield Finding("previews", "mended", found, "the next `curate ingest` or `watch` tags them")
    if left := sorted(set(bad) - set(made)):
        yield Finding("previews", "broken", _first(left, "damaged one"), _advice(mend))
    if not bad:
        yield Finding("previews", "ok", "each is what was kept")


def _checkpoints(workspace: Workspace) -> Iterator[Finding]:
    """Whether each network is there, and is what it was when it was made."""
    rows = workspace.catalog.models.list()
    names = [row.checkpoint_id for row in rows]
    bad = [name[:12] for name in names if not is_whole(workspace.checkpoints / name)]
    if bad:
        advice = "restore it from a backup, or switch to another with `curate models use ID`"
        yield Finding("networks", "broken", _first(bad, "damaged one"), advice)
    elif names:
        yield Finding("networks", "ok", f"{len(names)}, as they were made")
    if not any(workspace.catalog.models.active(role) for role in ROLES):
        yield Finding("networks", "warning", "none serves yet", "run `curate train LABELED`")


def _queues(workspace: Workspace, mend: bool) -> Iterator[Finding]:
    """Images that a network in service will never score, for nothing has queued them."""
    for name, images in forgotten(workspace.catalog.engine).items():
        if mend:
            workspace.catalog.models.queue_again(name)
            yield Finding("queue", "mended", f"{images} images wait for {name[:12]} again")
        else:
            yield Finding("queue", "broken", f"{images} not queued for {name[:12]}", "try --fix")


def _counts(workspace: Workspace, mend: bool) -> Finding:
    """Whether the counts that `status` reads are what they count."""
    wrong = wrong_counts(workspace.catalog.engine)
    if not wrong:
        return Finding("counts", "ok", "each is what it counts")
    if not mend:
        return Finding("counts", "broken", _first(wrong, "wrong one"), "try --fix")
    count_anew(workspace.catalog.engine)
    return Finding("counts", "mended", f"{len(wrong)} counted anew")


def _inboxes(workspace: Workspace) -> Iterator[Finding]:
    for source in workspace.catalog.sources():
        root = root_path(source.root_uri)
        if not root.is_dir():
            advice = "mount it again, or leave it: what was catalogued stays"
            yield Finding("inbox", "warning", f"{root} is not there", advice)
        elif source.watch_mode == "poll":
            advice = "more watches (fs.inotify.max_user_watches), or a local disk, make it faster"
            yield Finding("inbox", "warning", f"{root} is looked at without events", advice)
        else:
            yield Finding("inbox", "ok", str(root))


def _watches() -> Iterator[Finding]:
    """How many folders the system lets one user watch, where it has such a limit (Linux)."""
    if MOST_WATCHES.is_file():
        most = int(MOST_WATCHES.read_text())
        yield Finding("events", "ok", f"{most:,} folders can be watched, in all programs together")


def _space(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.folder).free
    needed = max(LEAST_FREE, workspace.previews.path.stat().st_size // 10)
    message = f"{free / 1e9:.1f} GB free"
    if free < needed:
        return Finding("disk", "warning", message, f"free some: {needed / 1e9:.1f} GB are wanted")
    return Finding("disk", "ok", message)


def _limits(decoder: Decoder) -> Iterator[Finding]:
    """What the operating system holds the decode workers to."""
    limits = decoder.limits()
    held, missing = ([name for name in limits if limits[name] is kept] for kept in (True, False))
    if held:
        yield Finding("decoder", "ok", f"limits hold: {', '.join(held)}")
    if missing:
        advice = "where uploads are hostile, run on Linux with Landlock, on x86_64 or aarch64"
        yield Finding("decoder", "warning", f"no limit here: {', '.join(missing)}", advice)


def _first(names: list[str], what: str) -> str:
    shown = ", ".join(names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{what}{'s' * (len(names) != 1)}: {shown}{more}"
