"""Fine-tuning on the unlabeled inbox, from data to a promoted, rejected or skipped detector.

Every fine-tune starts again from the pre-trained checkpoint; what comes of it is recorded
whatever it is, with the reason and the figures.
"""

from __future__ import annotations

import copy
import hashlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch

from curate.config import FinetuneConfig, GuardedRecipe
from curate.errors import CurateError, NoCheckpoint
from curate.images.transforms import load_pixels
from curate.labeled import LabeledSplit, accuracy, feature_bank, keep_checkpoint, load_split
from curate.model import checkpoint as checkpoints
from curate.model.calibration import smallest_calibration
from curate.model.checkpoint import Checkpoint, Draft
from curate.model.device import choose_device, memory_format
from curate.model.guard import Evidence, Verdict, judge
from curate.model.inference import predict
from curate.model.network import TwoHeadNetwork
from curate.model.sampling import reservoir
from curate.model.scores import Scores
from curate.model.share import OodShare, estimate_share
from curate.recipes import Diverged, Run, Update, run_guarded, run_paper
from curate.score import Scorer
from curate.workspace import Lease, Workspace, hold

Outcome = Literal["promoted", "rejected", "skipped", "failed"]
LEASE = "finetune"


@dataclass(frozen=True)
class FinetuneResult:
    """What came of a fine-tune, why, and the figures that it was decided on."""

    outcome: Outcome
    reason: str
    figures: dict[str, float]
    images: int
    checkpoint_id: str | None = None


@dataclass(frozen=True)
class Materials:
    """Everything a fine-tune works with; nothing of it changes."""

    parent: Checkpoint
    network: TwoHeadNetwork
    bank: torch.Tensor
    train: LabeledSplit
    validation: LabeledSplit
    canaries: LabeledSplit
    held_out: LabeledSplit
    hashes: tuple[str, ...]
    inbox: torch.Tensor
    device: torch.device
    rate: float

    @property
    def calibration(self) -> torch.Tensor:
        """Pixels of all calibration images, canaries first."""
        return torch.cat([self.canaries.pixels, self.held_out.pixels])


def finetune(
    workspace: Workspace,
    config: FinetuneConfig,
    on_update: Callable[[Update], None] = lambda _: None,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> FinetuneResult:
    """Fine-tune a detector on what the catalog holds and put it in service where it may.

    Goes on where an interrupted run on the same images stopped. Raises NoCheckpoint before
    `train`, HeldByAnother while another fine-tune runs.
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
            result = _attempt(workspace, parent, config, lease, on_update, on_images)
        except CurateError as error:
            _record(workspace, run_id, FinetuneResult("failed", str(error), {}, 0))
            raise
        _record(workspace, run_id, result)
    return result


def recipe_name(config: FinetuneConfig) -> str:
    """The recipe's name, as people write it."""
    return "guarded" if isinstance(config.recipe, GuardedRecipe) else "paper"


def _record(workspace: Workspace, run_id: str, came: FinetuneResult) -> None:
    finish, now = workspace.catalog.runs.finish, datetime.now(UTC)
    facts = (came.outcome, came.reason, dict(came.figures), came.images, came.checkpoint_id)
    finish(run_id, *facts, now)


def _attempt(
    workspace: Workspace,
    parent: str,
    config: FinetuneConfig,
    lease: Lease,
    on_update: Callable[[Update], None],
    on_images: Callable[[int, int], None],
) -> FinetuneResult:
    materials = gather(workspace, parent, config)
    images = len(materials.hashes)
    if lack := _lacking(materials, config):
        return FinetuneResult("skipped", lack, {}, images)
    share = frozen_share(materials)
    figures = {"ood_share": share.share, "ood_share_p_value": share.p_value}
    if no_ood := _gate(share, images, config):
        return FinetuneResult("skipped", no_ood, figures, images)

    def tell(update: Update) -> None:
        lease.renew()
        on_update(update)

    def scored(done: int, total: int) -> None:
        lease.renew()
        on_images(done, total)

    network = copy.deepcopy(materials.network)
    progress = _progress_file(workspace, materials, config)
    try:
        updates = tune(network, materials, share, config, progress, tell)
    except Diverged as error:
        progress.unlink(missing_ok=True)
        return FinetuneResult("rejected", str(error), figures, images)
    verdict = weigh(network, materials, config)
    figures |= verdict.figures | {"updates": updates}
    progress.unlink(missing_ok=True)
    if workspace.catalog.models.active("classifier") != parent:
        verdict = replace(verdict, objection="another classifier came into service meanwhile")
    if verdict.objection:
        return FinetuneResult("rejected", verdict.objection, figures, images)
    made = _keep(workspace, network, materials, config, figures)
    reason = f"fine-tuned on {images} inbox images with the {recipe_name(config)} recipe"
    Scorer(workspace, materials.device).put_in_service(
        made.id, ["detector"], reason, (LEASE, lease.fence), scored
    )
    return FinetuneResult("promoted", reason, figures, images, made.id)


def gather(workspace: Workspace, parent: str, config: FinetuneConfig) -> Materials:
    """Load the pre-trained network, the labeled splits and a reservoir of the unlabeled inbox.

    The calibration images, in the order of their hashes, are dealt in turn to the canaries and
    to those that stay out.
    """
    made, network, bank = checkpoints.load(workspace.checkpoints / parent)
    device = choose_device(config.device)
    splits = {
        name: load_split(workspace, made.snapshot, name, made.classes, made.image_size)
        for name in ("train", "validation", "calibration")
    }
    hashes = reservoir(workspace.catalog.unlabeled(), config.inbox_limit, config.seed)
    return Materials(
        parent=made,
        network=network.to(device).to(memory_format=memory_format(device)),
        bank=bank,
        train=splits["train"],
        validation=splits["validation"],
        canaries=splits["calibration"].part(slice(0, None, 2)),
        held_out=splits["calibration"].part(slice(1, None, 2)),
        hashes=hashes,
        inbox=load_pixels(workspace.previews, hashes, made.image_size),
        device=device,
        rate=workspace.catalog.rates.current(),
    )


def tune(
    network: TwoHeadNetwork,
    materials: Materials,
    share: OodShare,
    config: FinetuneConfig,
    progress: Path,
    on_update: Callable[[Update], None],
) -> int:
    """Run the recipe on `network` in place; returns the number of updates."""
    torch.manual_seed(config.seed)
    if isinstance(config.recipe, GuardedRecipe):
        pool = torch.cat([materials.inbox, materials.canaries.pixels])
        run = Run(materials.train, pool, config.seed, progress, on_update)
        in_pool = share.share * len(materials.inbox) / len(pool)
        return run_guarded(network, config.recipe, in_pool, run)
    run = Run(materials.train, materials.inbox, config.seed, progress, on_update)
    return run_paper(network, config.recipe, run)


def weigh(network: TwoHeadNetwork, materials: Materials, config: FinetuneConfig) -> Verdict:
    """Judge a tuned network against the frozen one; the paper's recipe is never objected to."""

    def scores(which: TwoHeadNetwork, pixels: torch.Tensor) -> torch.Tensor:
        return predict(which, pixels, materials.device).discrepancy

    before = materials.network
    evidence = Evidence(
        inbox_before=scores(before, materials.inbox),
        inbox_after=scores(network, materials.inbox),
        calibration_before=scores(before, materials.calibration),
        canaries_after=scores(network, materials.canaries.pixels),
        held_out_after=scores(network, materials.held_out.pixels),
        accuracy_before=accuracy(before, materials.validation, materials.device),
        accuracy_after=accuracy(network, materials.validation, materials.device),
    )
    if isinstance(config.recipe, GuardedRecipe):
        return judge(evidence, materials.rate, config.recipe.accuracy_drop)
    return replace(judge(evidence, materials.rate, accuracy_drop=1.0), objection=None)


def _lacking(materials: Materials, config: FinetuneConfig) -> str | None:
    """What is missing before a fine-tune makes sense, None when nothing is."""
    if not materials.hashes:
        return "the inbox holds no image without a review; nothing to learn from"
    needed, guarded = smallest_calibration(materials.rate), isinstance(config.recipe, GuardedRecipe)
    if guarded and len(materials.held_out) < needed:
        return (
            f"{len(materials.held_out)} calibration images stay out of the pool, an alarm rate of "
            f"{materials.rate:.1%} needs {needed}; label more images or choose a higher rate"
        )
    return None


def _gate(share: OodShare, images: int, config: FinetuneConfig) -> str | None:
    """Why the guarded recipe does not fine-tune on such an inbox, None when it does."""
    recipe = config.recipe
    if not isinstance(recipe, GuardedRecipe) or config.force:
        return None
    if share.p_value <= recipe.significance:
        return None
    return (
        f"no OOD share in the inbox beyond chance (p = {share.p_value:.2f} over {images} images); "
        "the frozen network goes on"
    )


def frozen_share(materials: Materials) -> OodShare:
    """The OOD share that the frozen network's scores tell of."""

    def scores(pixels: torch.Tensor) -> Scores:
        return predict(materials.network, pixels, materials.device, bank=materials.bank)

    return estimate_share(scores(materials.inbox), scores(materials.calibration))


def _progress_file(workspace: Workspace, materials: Materials, config: FinetuneConfig) -> Path:
    """Named by all that a run depends on, so that only the same run is resumed."""
    parts = (materials.parent.id, materials.hashes, replace(config, device=""), materials.rate)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    return workspace.progress / f"finetune-{key[:32]}.safetensors"


def _keep(
    workspace: Workspace,
    network: TwoHeadNetwork,
    materials: Materials,
    config: FinetuneConfig,
    figures: dict[str, float],
) -> Checkpoint:
    guarded = isinstance(config.recipe, GuardedRecipe)
    held_out, canaries = (
        tuple(predict(network, part.pixels, materials.device).discrepancy.tolist())
        for part in (materials.held_out, materials.canaries)
    )
    calibration = (
        {"held_out": held_out, "canary": canaries} if guarded else {"held_out": held_out + canaries}
    )
    draft = Draft(
        kind="finetuned",
        backbone=materials.parent.backbone,
        image_size=materials.parent.image_size,
        classes=materials.parent.classes,
        parent=materials.parent.id,
        snapshot=materials.parent.snapshot,
        recipe=recipe_name(config),
        calibration=calibration,
        pool=frozenset(materials.hashes) if guarded else frozenset(),
        figures={**figures, "seed": config.seed},
    )
    bank = feature_bank(network, materials.train, materials.device, config.seed)
    return keep_checkpoint(workspace, network, bank, draft)
