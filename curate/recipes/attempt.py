"""One fine-tune from its materials to a tuned network, or to the reason why there is none.

The gate before, the run, and the guard after; no label of the inbox is used anywhere.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from curate.config import FinetuneConfig, GuardedRecipe
from curate.model.calibration import smallest_calibration
from curate.model.candidates import find_candidates
from curate.model.guard import Evidence, judge
from curate.model.inference import BATCH, descriptions, predict
from curate.model.network import TwoHeadNetwork
from curate.model.sampling import stratified
from curate.model.scores import Reference, Scores, Standard, in_chunks, standard_of, tag_score
from curate.model.share import best_bin, excess_p_value
from curate.model.split import LabeledSplit, accuracy, feature_bank
from curate.recipes.memory import in_memory
from curate.recipes.runs import Diverged, Run, Update, run_guarded, run_paper
from curate.recipes.standing_out import FEWEST_REVIEWED, Pictures, learn_discriminant

FEWEST_CANARIES = 500


@dataclass(frozen=True)
class Materials:
    """Everything a fine-tune works with; nothing of it changes."""

    network: TwoHeadNetwork
    """The pre-trained one."""
    reference: Reference
    train: LabeledSplit
    validation: LabeledSplit
    canaries: LabeledSplit
    held_out: LabeledSplit
    inbox: torch.Tensor
    """uint8 (N, 3, S, S)"""
    reviewed: torch.Tensor
    """uint8 (R, 3, S, S) that people called OOD; those they called ours are in `train`."""
    audited: bool
    """Whether canaries and held-out images came with the inbox, which may have drifted away from
    the labeled folder that the others are from."""
    device: torch.device
    rate: float
    on_batch: Callable[[], None] = lambda: None
    """Called before whatever may take long, and while it does; here a lease is renewed."""

    def scores(self, network: TwoHeadNetwork, reference: Reference, pixels: torch.Tensor) -> Scores:
        """Scores of images (N, 3, S, S)."""
        batches = self._told(in_chunks(pixels, BATCH))
        return predict(network, batches, self.device, reference=reference)

    def descriptions(
        self, network: TwoHeadNetwork, batches: Iterable[torch.Tensor]
    ) -> torch.Tensor:
        """Descriptions (N, P) of images that come in batches (B, 3, S, S)."""
        return descriptions(network, self._told(batches), self.device)

    def _told(self, batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        for batch in batches:
            self.on_batch()
            yield batch


def canary_count(calibration: int, inbox: int, rate: float) -> int:
    """How many of the calibration images go into the pool.

    Enough to read the inbox's images against, but not so many that the OOD among them drowns.
    """
    return min(calibration // 2, max(FEWEST_CANARIES, inbox // 4, 4 * smallest_calibration(rate)))


@dataclass(frozen=True)
class Opinion:
    """What a network says of the materials: its standard, and the scores (N,) that it tags by."""

    standard: Standard
    validation: torch.Tensor
    inbox: torch.Tensor
    canaries: torch.Tensor
    held_out: torch.Tensor
    reviewed: torch.Tensor

    @property
    def known(self) -> torch.Tensor:
        """Scores of all labeled images that nothing was trained on."""
        return torch.cat([self.calibration, self.validation])

    @property
    def calibration(self) -> torch.Tensor:
        """Scores of all calibration images, canaries first."""
        return torch.cat([self.canaries, self.held_out])


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned network, its reference and its opinion."""

    network: TwoHeadNetwork
    reference: Reference
    opinion: Opinion


@dataclass(frozen=True)
class Attempt:
    """What came of it: the tuned network, or None with the `objection`; and the figures."""

    tuned: Tuned | None
    objection: str | None
    skipped: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)


def attempt(
    materials: Materials,
    config: FinetuneConfig,
    progress: Path,
    on_update: Callable[[Update], None] = lambda _: None,
) -> Attempt:
    """Fine-tune a copy of the pre-trained network, unless the gate or the guard objects.

    Goes on where the run that wrote the file `progress` stopped. The file stays, for what comes of
    it is not kept yet: the caller removes it.
    """
    if lack := _lacking(materials, config):
        return Attempt(None, lack, skipped=True)
    frozen = look(materials.network, materials.reference, materials, combine=True)
    materials, frozen = dealt(materials, frozen, config.seed)
    share = best_bin(frozen.inbox, frozen.calibration)
    known = frozen.calibration if materials.audited else frozen.known
    p_value = excess_p_value(frozen.inbox, known)
    figures = {"ood_share": share, "ood_share_p_value": p_value}
    if no_ood := _gate(p_value, materials, config):
        return Attempt(None, no_ood, True, figures)

    def tuned_by(size: int) -> tuple[TwoHeadNetwork, torch.Tensor | None, dict[str, float]]:
        network, recipe = copy.deepcopy(materials.network), replace(config.recipe, batch_size=size)
        given = replace(config, recipe=recipe)
        return network, *tune(network, materials, frozen, share, given, progress, on_update)

    try:
        (network, learned, made), room = in_memory(tuned_by, config.recipe.batch_size)
    except Diverged as error:
        return Attempt(None, str(error), False, figures)
    tuned, objection, found = weigh(network, learned, materials, frozen, config)
    figures |= made | room | found
    return Attempt(None if objection else tuned, objection, False, figures)


def dealt(materials: Materials, frozen: Opinion, seed: int) -> tuple[Materials, Opinion]:
    """Deal the calibration images anew, so that the frozen network finds both sides as unusual.

    One image of each stratum of frozen scores becomes a canary, the others stay out. Dealt by
    chance alone, canaries may be the more unusual ones, which then looks as if training had raised
    them.
    """
    images = materials.canaries.joined(materials.held_out)
    scores = frozen.calibration
    canaries = stratified(scores, len(frozen.canaries), seed)
    sides = (images.part(canaries), images.part(~canaries))
    return (
        replace(materials, canaries=sides[0], held_out=sides[1]),
        replace(frozen, canaries=scores[canaries], held_out=scores[~canaries]),
    )


def look(
    network: TwoHeadNetwork, reference: Reference, materials: Materials, combine: bool
) -> Opinion:
    """Score the materials; the paper's recipe does not `combine` the discrepancy with others."""

    def scores(pixels: torch.Tensor) -> Scores:
        return materials.scores(network, reference, pixels)

    validation = scores(materials.validation.pixels)
    standard = standard_of(validation) if combine else {}
    ours = (materials.canaries.pixels, materials.held_out.pixels)
    parts = (materials.inbox, *ours, materials.reviewed)
    found = (tag_score(scores(part), standard) for part in parts)
    return Opinion(standard, tag_score(validation, standard), *found)


def tune(
    network: TwoHeadNetwork,
    materials: Materials,
    frozen: Opinion,
    share: float,
    config: FinetuneConfig,
    progress: Path,
    on_update: Callable[[Update], None] = lambda _: None,
) -> tuple[torch.Tensor | None, dict[str, float]]:
    """Run the recipe on `network` in place; returns the discriminant (P,) and the figures of it.

    The paper's recipe has none, nor a run without the unlabeled term, nor where it may be chance.
    """
    torch.manual_seed(config.seed)
    recipe, train = config.recipe, materials.train
    if not isinstance(recipe, GuardedRecipe):
        run = Run(train, materials.inbox, config.seed, progress, on_update)
        return None, {"updates": run_paper(network, recipe, run)}
    labeled = materials.scores(materials.network, materials.reference, train.pixels)
    find = partial(
        find_candidates,
        tag_score(labeled, frozen.standard),
        torch.cat([frozen.inbox, frozen.canaries]),
        frozen.calibration,
        share * len(frozen.inbox) / (len(frozen.inbox) + len(frozen.canaries)),
    )
    pool = torch.cat([materials.inbox, materials.canaries.pixels])
    told = materials.reviewed if len(materials.reviewed) else None
    run = Run(train, pool, config.seed, progress, on_update, told)
    updates = run_guarded(network, recipe, find(recipe.quantile), run)
    if recipe.reach is None:
        return None, {"updates": updates}
    candidates = find(recipe.discriminant_quantile)
    pictures = Pictures(
        labeled=train.pixels,
        inbox=materials.inbox,
        canaries=materials.canaries.pixels,
        held_out=materials.held_out.pixels[frozen.held_out > candidates.cut],
        validation=materials.validation.pixels,
        reviewed=materials.reviewed,
    )
    before, after = (partial(materials.descriptions, net) for net in (materials.network, network))
    learned = learn_discriminant(before, after, pictures, candidates, recipe, config.seed)
    return learned.weights, {"updates": updates, "discriminant_p_value": learned.p_value}


def weigh(
    network: TwoHeadNetwork,
    learned: torch.Tensor | None,
    materials: Materials,
    frozen: Opinion,
    config: FinetuneConfig,
) -> tuple[Tuned, str | None, dict[str, float]]:
    """The tuned network, what speaks against it, and the figures of that.

    The paper's recipe is never objected to.
    """

    def accuracy_of(judged: TwoHeadNetwork) -> float:
        materials.on_batch()
        return accuracy(judged, materials.validation, materials.device)

    guarded = isinstance(config.recipe, GuardedRecipe)
    materials.on_batch()
    bank = feature_bank(network, materials.train, materials.device, config.seed)
    reference = Reference(bank, learned)
    tuned = look(network, reference, materials, combine=guarded)
    evidence = Evidence(
        inbox_before=frozen.inbox,
        inbox_after=tuned.inbox,
        canaries_before=frozen.canaries,
        canaries_after=tuned.canaries,
        held_out_before=frozen.held_out,
        held_out_after=tuned.held_out,
        accuracy_before=accuracy_of(materials.network),
        accuracy_after=accuracy_of(network),
        reviewed_before=frozen.reviewed,
        reviewed_after=tuned.reviewed,
    )
    drop = config.recipe.accuracy_drop if isinstance(config.recipe, GuardedRecipe) else 1.0
    verdict = judge(evidence, materials.rate, drop)
    objection = verdict.objection if guarded else None
    return Tuned(network, reference, tuned), objection, verdict.figures


def _lacking(materials: Materials, config: FinetuneConfig) -> str | None:
    """What is missing before a fine-tune makes sense, None when nothing is."""
    if not len(materials.inbox):
        return "the inbox holds no image without a review; nothing to learn from"
    needed, guarded = smallest_calibration(materials.rate), isinstance(config.recipe, GuardedRecipe)
    fewest = min(len(materials.canaries), len(materials.held_out))
    if guarded and fewest < needed:
        return (
            f"{fewest} calibration images are left on either side of the pool, an alarm rate of "
            f"{materials.rate:.1%} needs {needed}; label more images or choose a higher rate"
        )
    return None


def _gate(p_value: float, materials: Materials, config: FinetuneConfig) -> str | None:
    """Why the guarded recipe does not fine-tune on such an inbox, None when it does."""
    recipe, told = config.recipe, len(materials.reviewed) >= FEWEST_REVIEWED
    if not isinstance(recipe, GuardedRecipe) or config.force or told:
        return None
    if p_value <= recipe.significance:
        return None
    return (
        f"no OOD share in the inbox beyond chance (p = {p_value:.2f} over "
        f"{len(materials.inbox)} images); the frozen network goes on"
    )
