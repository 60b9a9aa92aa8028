"""Fine-tuning on the unlabeled inbox, from the catalog to a promoted, rejected or skipped detector.

Every fine-tune starts again from the pre-trained checkpoint; what comes of it is recorded
whatever it is, with the reason and the figures.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from curate.config import FinetuneConfig, GuardedRecipe
from curate.errors import CurateError, NoCheckpoint, Superseded
from curate.images.transforms import load_pixels
from curate.labeled import Reviewed, keep_checkpoint, load_audited, load_reviewed, load_split
from curate.model import checkpoint as checkpoints
from curate.model.checkpoint import Checkpoint, Draft
from curate.model.device import choose_device, memory_format
from curate.model.sampling import reservoir
from curate.model.split import LabeledSplit, bank_hashes
from curate.recipes.attempt import Materials, Tuned, attempt, canary_count
from curate.recipes.runs import Update
from curate.score import LEASE, Scorer
from curate.workspace import Lease, Workspace, hold

Outcome = Literal["promoted", "rejected", "skipped", "failed"]


@dataclass(frozen=True)
class FinetuneResult:
    """What came of a fine-tune, why, and the figures that it was decided on."""

    outcome: Outcome
    reason: str
    figures: Mapping[str, float]
    images: int
    checkpoint_id: str | None = None


def finetune(
    workspace: Workspace,
    config: FinetuneConfig,
    on_update: Callable[[Update], None] = lambda _: None,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> FinetuneResult:
    """Fine-tune a detector on what the catalog holds and put it in service where it may.

    Goes on where an interrupted run on the same images stopped; what one on others left to resume
    from is deleted. Raises NoCheckpoint before `train`, HeldByAnother while another fine-tune runs.
    """
    parent = workspace.catalog.models.active("classifier")
    if parent is None:
        raise NoCheckpoint()
    runs, recipe = workspace.catalog.runs, recipe_name(config)
    with hold(workspace, LEASE, "the fine-tune") as lease:
        runs.abandon(datetime.now(UTC))
        workspace.catalog.models.drop_candidates()
        run_id = runs.start(recipe, os.getpid(), socket.gethostname(), datetime.now(UTC))
        try:
            result = _finetune(workspace, parent, config, lease, on_update, on_images)
        except CurateError as error:
            _record(workspace, run_id, FinetuneResult("failed", str(error), {}, 0))
            raise
        _record(workspace, run_id, result)
        _forget_progress(workspace)
    return result


def recipe_name(config: FinetuneConfig) -> str:
    """The recipe's name, as people write it."""
    return "guarded" if isinstance(config.recipe, GuardedRecipe) else "paper"


def _record(workspace: Workspace, run_id: str, came: FinetuneResult) -> None:
    finish, now = workspace.catalog.runs.finish, datetime.now(UTC)
    facts = (came.outcome, came.reason, dict(came.figures), came.images, came.checkpoint_id)
    finish(run_id, *facts, now)


def _finetune(
    workspace: Workspace,
    parent: str,
    config: FinetuneConfig,
    lease: Lease,
    on_update: Callable[[Update], None],
    on_images: Callable[[int, int], None],
) -> FinetuneResult:
    gathered = gather(workspace, parent, config, lease.renew)
    images, progress = len(gathered.hashes), _progress_file(workspace, gathered, config)
    _forget_progress(workspace, but=progress)

    def tell(update: Update) -> None:
        lease.renew()
        on_update(update)

    def scored(done: int, total: int) -> None:
        lease.renew()
        on_images(done, total)

    came = attempt(gathered.materials, config, progress, tell)
    objection = came.objection
    if not objection and workspace.catalog.models.active("classifier") != parent:
        objection = str(Superseded())
    if objection or came.tuned is None:
        outcome: Outcome = "skipped" if came.skipped else "rejected"
        return FinetuneResult(outcome, objection or "", came.figures, images)
    made = _keep(workspace, came.tuned, gathered, config, came.figures)
    reason = f"fine-tuned on {_learned_from(gathered)} with the {recipe_name(config)} recipe"
    try:
        Scorer(workspace, str(gathered.materials.device)).put_in_service(
            {"detector": made.id}, reason, (LEASE, lease.fence), scored
        )
    except Superseded as error:
        workspace.catalog.models.drop_candidates()
        return FinetuneResult("rejected", str(error), came.figures, images)
    return FinetuneResult("promoted", reason, came.figures, images, made.id)


@dataclass(frozen=True)
class Gathered:
    """The materials, with what the catalog knows of them."""

    parent: Checkpoint
    hashes: tuple[str, ...]
    """SHA-256 of the inbox's images, in the order of their pixels."""
    reviewed: Reviewed
    materials: Materials


def gather(
    workspace: Workspace,
    parent: str,
    config: FinetuneConfig,
    on_batch: Callable[[], None] = lambda: None,
) -> Gathered:
    """Load the pre-trained network, the labeled splits and a reservoir of the unlabeled inbox.

    What people said of inbox images joins them, for the guarded recipe: the paper has none.
    Calibration images are those of an audit where one is in force. `on_batch` goes into the
    materials, and is called before each of them is read.
    """
    made, network, reference = checkpoints.load(workspace.checkpoints / parent)
    device = choose_device(config.device)

    def split(name: str) -> LabeledSplit:
        on_batch()
        return load_split(workspace, made.snapshot, name, made.classes, made.image_size)

    on_batch()
    audited = load_audited(workspace, made.snapshot, made.image_size)
    calibration = split("calibration") if audited is None else audited
    hashes = reservoir(workspace.catalog.unlabeled(), config.inbox_limit, config.seed)
    on_batch()
    inbox = load_pixels(workspace.previews, hashes, made.image_size)
    on_batch()
    guarded = isinstance(config.recipe, GuardedRecipe)
    said = load_reviewed(workspace, made, config.inbox_limit if guarded else 0, config.seed)
    rate = workspace.catalog.rates.current()
    canaries = canary_count(len(calibration), len(hashes), rate)
    materials = Materials(
        network=network.to(device).to(memory_format=memory_format(device)),
        reference=reference,
        train=split("train").joined(said.ours),
        validation=split("validation"),
        canaries=calibration.part(slice(canaries)),
        held_out=calibration.part(slice(canaries, None)),
        inbox=inbox,
        reviewed=said.ood_pixels,
        audited=audited is not None,
        device=device,
        rate=rate,
        on_batch=on_batch,
    )
    return Gathered(made, hashes, said, materials)


def _learned_from(gathered: Gathered) -> str:
    judged = len(gathered.reviewed.ours) + len(gathered.reviewed.ood)
    told = f" and {judged} that people judged" if judged else ""
    return f"{len(gathered.hashes)} inbox images{told}"


def _progress_file(workspace: Workspace, gathered: Gathered, config: FinetuneConfig) -> Path:
    """Named by all that a run depends on, so that only the same run is resumed."""
    rate, said = gathered.materials.rate, gathered.reviewed
    calibration = gathered.materials.canaries.hashes + gathered.materials.held_out.hashes
    words = (said.ours.hashes, said.ours.labels.tolist(), said.ood, calibration)
    parts = (gathered.parent.id, gathered.hashes, words, replace(config, device=""), rate)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    return workspace.progress / f"finetune-{key[:32]}.safetensors"


def _forget_progress(workspace: Workspace, but: Path | None = None) -> None:
    """Delete the files that fine-tunes resume from; under the lease, so that none is running.

    One is three times the size of the network, and no run comes back to it once images have come.
    """
    for path in set(workspace.progress.glob("finetune-*.safetensors")) - {but}:
        path.unlink(missing_ok=True)


def _keep(
    workspace: Workspace,
    tuned: Tuned,
    gathered: Gathered,
    config: FinetuneConfig,
    figures: Mapping[str, float],
) -> Checkpoint:
    guarded = isinstance(config.recipe, GuardedRecipe)
    parent, opinion = gathered.parent, tuned.opinion
    held_out, canaries, all_of_them = (
        tuple(part.tolist()) for part in (opinion.held_out, opinion.canaries, opinion.calibration)
    )
    draft = Draft(
        kind="finetuned",
        backbone=parent.backbone,
        image_size=parent.image_size,
        classes=parent.classes,
        parent=parent.id,
        snapshot=parent.snapshot,
        recipe=recipe_name(config),
        calibration=(
            {"held_out": held_out, "canary": canaries} if guarded else {"held_out": all_of_them}
        ),
        standard=opinion.standard,
        pool=frozenset(gathered.hashes) if guarded else frozenset(),
        bank=bank_hashes(gathered.materials.train, config.seed),
        figures={**figures, "seed": config.seed},
    )
    return keep_checkpoint(workspace, tuned.network, tuned.reference, draft)
