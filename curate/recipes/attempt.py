"""One fine-tune from its materials to a tuned network, or to the reason why there is none.

The gate before, the run, and the guard after; no label of the inbox is used anywhere.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from curate.config import FinetuneConfig, GuardedRecipe
from curate.model.calibration import smallest_calibration
from curate.model.guard import Evidence, Verdict, judge
from curate.model.inference import predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Scores
from curate.model.share import OodShare, estimate_share
from curate.model.split import LabeledSplit, accuracy
from curate.recipes.runs import Diverged, Run, Update, run_guarded, run_paper


@dataclass(frozen=True)
class Materials:
    """Everything a fine-tune works with; nothing of it changes."""

    network: TwoHeadNetwork
    """The pre-trained one."""
    bank: torch.Tensor
    """Features (M, D) of training images."""
    train: LabeledSplit
    validation: LabeledSplit
    canaries: LabeledSplit
    held_out: LabeledSplit
    inbox: torch.Tensor
    """uint8 (N, 3, S, S)"""
    device: torch.device
    rate: float

    @property
    def calibration(self) -> torch.Tensor:
        """Pixels of all calibration images, canaries first."""
        return torch.cat([self.canaries.pixels, self.held_out.pixels])


@dataclass(frozen=True)
class Attempt:
    """What came of it: the tuned network, or None with the `objection`; and the figures."""

    network: TwoHeadNetwork | None
    skipped: bool
    objection: str | None
    figures: dict[str, float]


def attempt(
    materials: Materials,
    config: FinetuneConfig,
    progress: Path,
    on_update: Callable[[Update], None] = lambda _: None,
) -> Attempt:
    """Fine-tune a copy of the pre-trained network, unless the gate or the guard objects.

    Goes on where the run that wrote the file `progress` stopped; removes it when done.
    """
    if lack := _lacking(materials, config):
        return Attempt(None, True, lack, {})
    share = frozen_share(materials)
    figures = {"ood_share": share.share, "ood_share_p_value": share.p_value}
    if no_ood := _gate(share, len(materials.inbox), config):
        return Attempt(None, True, no_ood, figures)
    network = copy.deepcopy(materials.network)
    try:
        updates = tune(network, materials, share, config, progress, on_update)
    except Diverged as error:
        progress.unlink(missing_ok=True)
        return Attempt(None, False, str(error), figures)
    verdict = weigh(network, materials, config)
    progress.unlink(missing_ok=True)
    figures |= verdict.figures | {"updates": updates}
    return Attempt(None if verdict.objection else network, False, verdict.objection, figures)


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
    if not len(materials.inbox):
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
