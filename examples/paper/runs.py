"""One run: pre-train (once a seed), fine-tune as the program does, measure, write a JSON file."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from curate.config import FinetuneConfig
from curate.model.alarms import alarm_interval
from curate.model.backbones import build_network
from curate.model.calibration import p_values
from curate.model.device import memory_format
from curate.model.inference import predict
from curate.model.metrics import auroc
from curate.model.network import TwoHeadNetwork
from curate.model.scores import METHODS, Reference, tag_score
from curate.model.share import best_bin
from curate.model.split import accuracy, feature_bank
from curate.recipes.attempt import (
    Attempt,
    Materials,
    Tuned,
    attempt,
    canary_count,
    look,
    tune,
    weigh,
)
from curate.recipes.pretraining import pretrain
from curate.recipes.runs import Diverged
from examples.paper.inboxes import Inbox, Labeled, Sets, inbox_of, labeled_of
from examples.paper.keeping import key_of, once, write_whole
from examples.paper.plan import SIZE, Plan, Setting, finetuning, path_of, pretraining

Row = dict[str, Any]


@dataclass(frozen=True)
class Workbench:
    """What every run works with."""

    plan: Plan
    sets: Sets
    work: Path
    device: torch.device

    def make(self, setting: Setting) -> Row:
        """Run, measure, and write the row."""
        began = time.monotonic()
        labeled = labeled_of(self.sets, self.plan, setting.seed)
        inbox = inbox_of(self.sets, self.plan, setting)
        materials = self._materials(labeled, inbox, setting)
        path = path_of(self.plan, setting, self.work)
        config = finetuning(self.plan, setting, self.work)
        progress = path.with_name(f"{path.name}.progress")
        came = _run(materials, setting.recipe, config, progress)
        row = {
            "plan": asdict(self.plan),
            "ood": self.plan.ood_name,
            **asdict(setting),
            "outcome": _outcome(came, setting.recipe),
            "reason": came.objection or "",
            "figures": dict(came.figures),
            "torch": torch.__version__,
            "device": str(self.device),
        }
        if row["outcome"] != "diverged":
            row |= self._measured(came, materials, inbox, setting.recipe)
        row["seconds"] = round(time.monotonic() - began, 1)
        write_whole(path, (json.dumps(row, indent=1) + "\n").encode())
        progress.unlink(missing_ok=True)
        return row

    def _materials(self, labeled: Labeled, inbox: Inbox, setting: Setting) -> Materials:
        network = self._pretrained(labeled, setting.seed)
        pixels = torch.cat([inbox.id, inbox.ood])
        canaries = canary_count(len(labeled.calibration), len(pixels), self.plan.rate)
        return Materials(
            network=network,
            reference=Reference(feature_bank(network, labeled.train, self.device, setting.seed)),
            train=labeled.train,
            validation=labeled.validation,
            canaries=labeled.calibration.part(slice(canaries)),
            held_out=labeled.calibration.part(slice(canaries, None)),
            inbox=pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))],
            reviewed=pixels[:0],
            audited=False,
            device=self.device,
            rate=self.plan.rate,
        )

    def _pretrained(self, labeled: Labeled, seed: int) -> TwoHeadNetwork:
        plan, config = self.plan, pretraining(self.plan, seed)
        torch.manual_seed(seed)
        classes = int(labeled.train.labels.max()) + 1
        network = build_network(plan.backbone, None, classes, SIZE)
        network.to(self.device).to(memory_format=memory_format(self.device))

        def train(progress: Path) -> None:
            pretrain(network, labeled.train, labeled.validation, config, progress)

        key = key_of("pretrained", plan.id_spec, plan.train, config)
        return once(self.work, key, network, train)

    def _measured(self, came: Attempt, materials: Materials, inbox: Inbox, recipe: str) -> Row:
        """Accuracy, figures of the fresh images, and of the inbox's where it holds ID ones.

        As in the program: the guarded recipe's inbox is read against the canaries, its later
        arrivals against the images held out; a network that had no canaries against all.
        """
        kept = came.tuned or _frozen(materials)
        opinion = kept.opinion
        apart = came.tuned is not None and recipe in ("control", "guarded")
        held_out = opinion.held_out if apart else opinion.calibration
        canaries = opinion.canaries if apart else opinion.calibration
        row: Row = {
            "accuracy": accuracy(kept.network, materials.validation, self.device),
            "test_accuracy": accuracy(kept.network, self.sets.labeled_test(), self.device),
        }
        row["fresh"] = self._figures(kept, inbox.fresh_id, inbox.fresh_ood, held_out)
        if len(inbox.id):
            row["inbox_images"] = self._figures(kept, inbox.id, inbox.ood, canaries)
        return row

    def _figures(
        self, kept: Tuned, ours: torch.Tensor, strange: torch.Tensor, calibration: torch.Tensor
    ) -> Row:
        sides = [
            predict(kept.network, part, self.device, reference=kept.reference)
            for part in (ours, strange)
            if len(part)
        ]
        tags = [tag_score(side, kept.opinion.standard) for side in sides]
        flagged = [_flagged(tag, calibration, self.plan.rate) for tag in tags]
        low, high = alarm_interval(len(calibration), len(tags[0]), self.plan.rate)
        alarms: Row = {
            "alarms": flagged[0],
            "alarms_interval": (low, high),
            "alarms_inside": low <= flagged[0] <= high,
        }
        if len(sides) == 1:
            return alarms
        methods = {name: auroc(*(getattr(side, name) for side in sides)) for name in METHODS}
        return alarms | {"recall": flagged[1], "score": auroc(*tags)} | methods


def _outcome(came: Attempt, recipe: str) -> str:
    """What came of a run; only guarded, when it comes to nothing, leaves the frozen network on."""
    if came.skipped:
        return "skipped"
    if came.tuned:
        return "promoted"
    return "rejected" if recipe == "guarded" else "diverged"


def _frozen(materials: Materials) -> Tuned:
    opinion = look(materials.network, materials.reference, materials, combine=True)
    return Tuned(materials.network, materials.reference, opinion)


def _flagged(scores: torch.Tensor, calibration: torch.Tensor, rate: float) -> float:
    return int((p_values(scores, calibration) <= rate).sum()) / len(scores)


def _run(
    materials: Materials, recipe: str, config: FinetuneConfig | None, progress: Path
) -> Attempt:
    if config is None:
        return Attempt(None, "not fine-tuned", skipped=True)
    if recipe != "control":
        return attempt(materials, config, progress)
    return _control(materials, config, progress)


def _control(materials: Materials, config: FinetuneConfig, progress: Path) -> Attempt:
    """An attempt without gate and guard."""
    frozen = _frozen(materials).opinion
    share = best_bin(frozen.inbox, frozen.calibration)
    network = copy.deepcopy(materials.network)
    try:
        learned, made = tune(network, materials, frozen, share, config, progress)
    except Diverged as error:
        return Attempt(None, str(error))
    tuned, _, figures = weigh(network, learned, materials, frozen, config)
    return Attempt(tuned, None, False, figures | made)


def read_rows(plan: Plan, updates: int | None, work: Path) -> list[Row]:
    """The runs in the folder that a call with this plan and `updates` makes, of any setting.

    Runs of other options lie there too; they are known by their names.
    """
    found = {path: json.loads(path.read_text()) for path in sorted(work.glob("*-seed*.json"))}
    return [row for path, row in found.items() if path == _path_now(row, plan, updates, work)]


def _path_now(row: Row, plan: Plan, updates: int | None, work: Path) -> Path | None:
    """Where a run of the row's setting would lie; None for a row of another table."""
    if not row.keys() >= {"share", "recipe", "part"}:
        return None
    setting = Setting(row["seed"], row["share"], row["recipe"], updates, row["part"])
    return path_of(plan, setting, work)
