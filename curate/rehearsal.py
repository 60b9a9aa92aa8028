"""A fine-tune tried out beside the user's catalog: what it would come to, with nothing changed.

A workspace of its own, in a temporary folder, gets the classifier in service, the labeled images
that it learned from, and a folder as its inbox.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curate.config import FinetuneConfig
from curate.errors import NoCheckpoint, StorageError
from curate.finetune import FinetuneResult, finetune
from curate.images.decode import Decoder
from curate.ingest import check_paths, ingest
from curate.model.sampling import reservoir
from curate.recipes.runs import Update
from curate.score import ROLES
from curate.workspace import Workspace, open_workspace

CHUNK = 500


@dataclass(frozen=True)
class Rehearsed:
    """What came of the fine-tune, where its checkpoints lie, and the images it learned from."""

    result: FinetuneResult
    classifier_id: str
    checkpoints: Path
    inbox: frozenset[str]


def rehearse(
    workspace: Workspace,
    unlabeled: Path,
    folder: Path,
    decoder: Decoder,
    config: FinetuneConfig,
    tell: Callable[[str, int, int], None],
) -> Rehearsed:
    """Fine-tune on all images below `unlabeled`, in a new workspace in `folder`.

    Starts from the classifier in service. `tell` hears (stage, done, total). Raises as `finetune`
    and `ingest` do; the workspace that is given is only read.
    """

    def on_update(update: Update) -> None:
        tell("fine-tuning", update.number, update.total)

    check_paths([str(unlabeled)])
    classifier = workspace.catalog.models.active("classifier")
    if classifier is None:
        raise NoCheckpoint()
    with _copy_of(workspace, classifier, folder) as copy:
        ingest(copy, [str(unlabeled)], decoder, lambda *at: tell("reading the inbox", *at))
        chosen = reservoir(copy.catalog.unlabeled(), config.inbox_limit, config.seed)
        result = finetune(copy, config, on_update)
        return Rehearsed(result, classifier, copy.checkpoints, frozenset(chosen))


@contextmanager
def _copy_of(workspace: Workspace, checkpoint_id: str, folder: Path) -> Iterator[Workspace]:
    models, now = workspace.catalog.models, datetime.now(UTC)
    row = models.get(checkpoint_id)
    images = models.snapshot_images(row.snapshot_id)
    with open_workspace(str(folder), create=True) as copy:
        _copy_checkpoint(workspace.checkpoints / checkpoint_id, copy.checkpoints / checkpoint_id)
        _copy_previews(workspace, copy, [image.sha256 for image in images])
        copy.catalog.models.add_snapshot(str(workspace.folder), images, now)
        copy.catalog.models.add_checkpoint(row)
        copy.catalog.models.activate(dict.fromkeys(ROLES, checkpoint_id), "copied", now)
        copy.catalog.rates.set(workspace.catalog.rates.current(), now)
        yield copy


def _copy_checkpoint(source: Path, target: Path) -> None:
    try:
        shutil.copytree(source, target)
    except OSError as error:
        raise StorageError(target, f"the checkpoint cannot be copied: {error}") from error


def _copy_previews(workspace: Workspace, copy: Workspace, hashes: Sequence[str]) -> None:
    for start in range(0, len(hashes), CHUNK):
        found = workspace.previews.get_many(hashes[start : start + CHUNK])
        copy.previews.add(found.items())
