"""What people judged elsewhere, as one step: Label Studio's JSON export, or our own manifests.

Of a manifest only what was edited is a person's word: a tag or label that the catalog has not.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from curate.catalog.query import Query
from curate.catalog.reviews import Verdict
from curate.errors import UsageError
from curate.export.manifests import plain
from curate.export.rows import records
from curate.export.tasks import CLASS, VERDICT
from curate.tagging import check_reviewer, names_a_class
from curate.workspace import Workspace

Word = tuple[str, str | None]
"""id or ood, and the class where one was given."""
Row = dict[str, str]
_READ = ("sha256", "tag", "label")
_NEVER = "0001-01-02T00:00:00+00:00"
_STATE = ("checkpoint", "reviewed_at")
_ORIGINAL = "give the manifest as it was exported by --original; nothing was recorded"


@dataclass(frozen=True)
class Imported:
    """How many images got a word, and how many that were judged did not."""

    images: int
    unknown: int
    """Not in this catalog."""
    older: int = 0
    """Judged here by a person since."""


def import_reviews(
    workspace: Workspace, file: Path, reviewer: str, original: Path | None = None
) -> Imported:
    """Record what `file` says as one step of `reviewer`; an image named twice keeps the last word.

    `original` is a manifest as it was exported: what was edited is told from it, else from the
    catalog. Raises UsageError, with nothing recorded, where the file is none of the three, a word
    makes no sense, or the catalog has changed since the export and `original` is missing.
    """
    check_reviewer(reviewer)
    text, older = _text(file), 0
    if text.lstrip().startswith("["):
        told = {sha256: (word, moment) for sha256, word, moment in _of_tasks(file, text)}
        said = _not_older(workspace, told)
        older = len(told) - len(said)
    else:
        new = _manifest(file, text)
        old = _manifest(original, _text(original)) if original else _catalogued(workspace, new)
        edits = list(_edits(new, old))
        if edits and original is None:
            _check_state(workspace, file, new, old)
        said = {row["sha256"]: _edited(file, row, *what) for row, *what in edits}
    words: list[Verdict] = [
        (sha256, *word) for sha256, word in said.items() if workspace.catalog.has_image(sha256)
    ]
    if words:
        workspace.catalog.reviews.add(words, reviewer, datetime.now(UTC))
    return Imported(len(words), len(said) - len(words), older)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{str(file)!r}: {error.strerror}; name another file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(file)!r} is no text in UTF-8; export it as JSON or csv") from error


def _of_tasks(file: Path, text: str) -> Iterator[tuple[str, Word, datetime | None]]:
    """The last word on each task of Label Studio's JSON export, where it was not cancelled.

    And when it was said, if the export tells.
    """
    try:
        for task in json.loads(text):
            standing = [one for one in task["annotations"] if not one.get("was_cancelled")]
            if standing:
                last = max(standing, key=lambda one: str(one.get("updated_at", "")))
                word = _chosen(file, last["result"])
                if word:
                    yield str(task["data"]["sha256"]), word, _moment(last.get("updated_at"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{str(file)!r} is no JSON export of Label Studio with our tasks; choose JSON there, "
            "not JSON-MIN; nothing was recorded"
        ) from error


def _moment(told: object) -> datetime | None:
    """A time of Label Studio's, in UTC where it names no zone; None where there is none."""
    if told is None:
        return None
    moment = datetime.fromisoformat(str(told))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _not_older(
    workspace: Workspace, told: Mapping[str, tuple[Word, datetime | None]]
) -> dict[str, Word]:
    """The words but for those said before the one that stands here.

    A project that grows is exported with all that was taken in before, and corrected here since.
    """
    standing = workspace.catalog.reviews.standing_since()
    return {
        sha256: word
        for sha256, (word, moment) in told.items()
        if moment is None or sha256 not in standing or moment > standing[sha256]
    }


def _chosen(file: Path, result: list[dict[str, Any]]) -> Word | None:
    """What was chosen; a class alone means ID, and of an OOD image it says nothing."""
    chosen = {
        part["from_name"]: part["value"]["choices"][0]
        for part in result
        if part.get("from_name") in (VERDICT, CLASS) and part["value"]["choices"]
    }
    of_class = chosen.get(CLASS)
    verdict = chosen.get(VERDICT) or ("id" if of_class else None)
    return _word(file, str(verdict), of_class if verdict == "id" else None) if verdict else None


def _manifest(file: Path, text: str) -> list[Row]:
    """The rows of one of our manifests, csv or jsonl, each cell as text."""
    try:
        if text.startswith("{"):
            found = [json.loads(line) for line in StringIO(text) if line.strip()]
            rows = [{k: "" if v is None else str(v) for k, v in row.items()} for row in found]
        else:
            lines = csv.DictReader(StringIO(text, newline=""), strict=True)
            rows = [{k: plain(v) for k, v in row.items()} for row in lines]
        if any(name not in row for row in rows for name in _READ):
            raise ValueError
    except (ValueError, csv.Error, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{str(file)!r} is no export of Label Studio in JSON, and no manifest in csv or jsonl "
            f"with the columns {', '.join(_READ)}; nothing was recorded"
        ) from error
    return rows


def _catalogued(workspace: Workspace, rows: list[Row]) -> list[Row]:
    """What a manifest of these images would say now."""
    meant = {row["sha256"] for row in rows}
    now = (row for row in records(workspace, Query()) if row["sha256"] in meant)
    return [{k: "" if v is None else str(v) for k, v in row.items()} for row in now]


def _edits(new: list[Row], old: list[Row]) -> Iterator[tuple[Row, bool, bool]]:
    """The rows whose tag or label is another than it was, and which of both is."""
    before = {row["sha256"]: (row["tag"], row["label"]) for row in old}
    for row in new:
        tag, label = before.get(row["sha256"], ("", ""))
        retagged, relabeled = row["tag"].lower() != tag, row["label"] not in (label, "")
        if retagged or relabeled:
            yield row, retagged, relabeled


def _edited(file: Path, row: Row, retagged: bool, relabeled: bool) -> Word:
    """The word of an edited row; a new class means ID where no other tag was written beside it."""
    untold = not retagged or row["tag"] in ("", "pending")
    verdict = "id" if relabeled and untold else row["tag"].lower()
    return _word(file, verdict, row["label"] if relabeled else None)


def _word(file: Path, verdict: str, of_class: str | None) -> Word:
    """Raises UsageError for what `curate tag` would not take either."""
    if verdict not in ("id", "ood"):
        raise UsageError(
            f"{str(file)!r} has the tag {verdict!r}; use id or ood; nothing was recorded"
        )
    if of_class is not None and verdict == "ood":
        return verdict, None
    if of_class is not None and not names_a_class(of_class):
        raise UsageError(f"{str(file)!r}: {of_class!r} is no name of a class; nothing was recorded")
    return verdict, of_class


def _check_state(workspace: Workspace, file: Path, new: list[Row], old: list[Row]) -> None:
    """Raise UsageError where rows may differ from the catalog for another reason than an edit."""
    now = {row["sha256"]: row for row in old}
    known = [
        row
        for row in new
        if (then := now.get(row["sha256"]))
        and any(row.get(name, then[name]) != then[name] for name in _STATE)
    ]
    if known:
        raise UsageError(
            f"{len(known)} of {len(new)} rows in {str(file)!r} were exported before another "
            f"network or review; {_ORIGINAL}"
        )
    moments = (row.get(name, "") for row in new for name in ("first_seen", "reviewed_at"))
    try:
        last = datetime.fromisoformat(max(filter(None, moments), default=_NEVER)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{str(file)!r} has a time that is none ({error}); leave the columns of times as they "
            "were exported; nothing was recorded"
        ) from error
    if workspace.catalog.rates.changed_since(last):
        raise UsageError(
            f"the alarm rate may have changed since {str(file)!r} was exported; {_ORIGINAL}"
        )
