"""A person's word: reviews, their undo, and the false-alarm rate that stands behind every tag."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path

from curate.catalog.places import Place, Stat
from curate.catalog.query import is_text
from curate.catalog.reviews import Judged
from curate.catalog.store import Catalog
from curate.errors import UsageError
from curate.images.decode import FileStat
from curate.images.paths import encode, real, root_uri
from curate.workspace import Workspace

LONGEST_NAME = 255
VERDICTS = ("id", "ood", "none")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def tag(
    workspace: Workspace,
    names: Sequence[str],
    verdict: str,
    class_name: str | None,
    reviewer: str,
) -> int:
    """Record `verdict` for the images that `names` (paths or SHA-256) mean, as one step.

    Returns how many images it was. Raises UsageError, and records nothing, when a name is not in
    the catalog, its file has changed since, a class is given to an OOD image, or the class or the
    reviewer is no text.
    """
    check_reviewer(reviewer)
    check_class(class_name, verdict)
    sources = {source.root_uri: source.source_id for source in workspace.catalog.sources()}
    images = {name: _image_of(workspace.catalog, sources, name) for name in names}
    unknown = [name for name, sha256 in images.items() if sha256 is None]
    if unknown:
        raise UsageError(
            f"{len(unknown)} of {len(names)} names are not in the catalog, the first is "
            f"{unknown[0]!r}; nothing was tagged. `curate list` shows what is there"
        )
    hashes = dict.fromkeys(sha256 for sha256 in images.values() if sha256)
    rows = [(sha256, verdict, class_name) for sha256 in hashes]
    workspace.catalog.reviews.add(rows, reviewer, datetime.now(UTC))
    return len(hashes)


def judge(
    workspace: Workspace,
    hashes: Sequence[str],
    verdict: str,
    class_name: str | None,
    reviewer: str,
    as_of: int,
) -> Judged:
    """Record `verdict` ("none" takes a word back) for images as one step.

    Images on which others spoke after step `as_of` are passed over. Raises UsageError, and records
    nothing, for a verdict or a class that does not exist, and for an image that is not catalogued.
    """
    if verdict not in VERDICTS:
        raise UsageError(f"{verdict!r} is no verdict; use {', '.join(VERDICTS)}")
    check_class(class_name, verdict)
    unknown = [name for name in hashes if not is_sha256(name)]
    if unknown := unknown or workspace.catalog.reviews.unknown(hashes):
        raise UsageError(f"{unknown[0][:64]!r} is not in the catalog; nothing was recorded")
    rows = [(sha256, verdict, class_name) for sha256 in hashes]
    return workspace.catalog.reviews.add(rows, reviewer, datetime.now(UTC), as_of)


def is_sha256(name: str) -> bool:
    """Whether a name can be the hash of a content."""
    return _SHA256.fullmatch(name) is not None


def check_class(name: str | None, verdict: str) -> None:
    """Raise UsageError for a class of what is no ID image, or one that is no name."""
    if name is not None and verdict != "id":
        raise UsageError("a class says which of ours an image is; leave it out unless it is id")
    if name is not None and not names_a_class(name):
        raise UsageError(f"{name!r} is no name of a class; give one that a folder can have")


def names_a_class(name: str) -> bool:
    """Whether a folder could have the name, as every class of a labeled folder does."""
    return (
        name.isprintable()
        and "/" not in name
        and name.strip() not in ("", ".", "..")
        and len(name.encode()) <= LONGEST_NAME
    )


def check_reviewer(name: str) -> None:
    """Raise UsageError for a reviewer that is no text."""
    if not is_text(name):
        raise UsageError(f"the reviewer {name!r} is no text in UTF-8; give another by --reviewer")


def new_class(workspace: Workspace, name: str) -> str | None:
    """What to say of a class that the network in service has not; None where it has, or is none."""
    known = workspace.catalog.models.classes()
    if not known or name in known:
        return None
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return f"the network in service has no class {name!r}{meant}"


def undo(workspace: Workspace, reviewer: str) -> Sequence[str]:
    """Take back the reviewer's last step that still stands; returns the images that it held.

    Raises UsageError for a reviewer that is no text.
    """
    check_reviewer(reviewer)
    return workspace.catalog.reviews.undo(reviewer, datetime.now(UTC))


def _image_of(catalog: Catalog, sources: dict[str, str], name: str) -> str | None:
    """The content that a path or a SHA-256 stands for, None when the catalog has none.

    Raises UsageError for a file that the catalog does not hold as it is now.
    """
    if is_sha256(name):
        return name if catalog.has_image(name) else None
    if "\0" in name:  # no file has such a name
        return None
    path = real(Path(name).parent) / Path(name).name
    stat = _stat_of(path)
    places = list(_places(sources, path))
    sha256 = catalog.content_at(places, stat)
    if stat is not None and sha256 is None:
        if any((sources.get(bad.source), bad.path) in places for bad in catalog.iter_unreadable()):
            raise UsageError(
                f"{name!r} was unreadable when it was read, and is no image to tag; nothing was "
                "tagged. `curate list unreadable:` says why"
            )
        raise UsageError(
            f"{name!r} is not in the catalog as it is now, and what was said of it could fall on "
            "other bytes; nothing was tagged. Run `curate ingest` on it first"
        )
    return sha256


def _stat_of(path: Path) -> Stat | None:
    """The stat of what is at a path; None where nothing is any more, or ever could be."""
    try:
        return astuple(FileStat.of(path.lstat()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"{str(path)!r}: {error.strerror}; nothing was tagged. Name the image by its SHA-256"
        ) from error


def _places(sources: dict[str, str], path: Path) -> Iterator[Place]:
    """Where each source that the path lies in would have it."""
    for root in path.parents:
        if source_id := sources.get(root_uri(root)):
            yield source_id, encode(path.relative_to(root))


def choose_rate(workspace: Workspace, text: str) -> float:
    """Set the false-alarm rate from "5%" or "0.05"; every tag follows at once."""
    try:
        rate = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 0.5:
        raise UsageError(f"{text!r} is no rate; give a share above 0 and up to 50%, such as 5%")
    workspace.catalog.rates.set(rate, datetime.now(UTC))
    return rate
