"""Every method as a function from images to scores, larger for OOD, with its networks kept on disk.

A network that was trained is never trained again, and one whose training was cut short goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from curate.config import PaperRecipe, TrainConfig
from curate.model.backbones import build_network, default_epochs
from curate.model.device import memory_format
from curate.model.inference import predict
from curate.model.loss import discrepancy
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference, in_chunks
from curate.model.split import accuracy, feature_bank
from curate.recipes.pretraining import pretrain
from curate.recipes.runs import Run, Update, run_paper
from examples.paper import eloc
from examples.paper.keeping import key_of, once
from examples.paper.odin import choose_epsilon, odin_scores
from examples.paper.protocol import Bench, Case, Settings

METHODS = ("msp", "energy", "knn", "frozen", "odin", "eloc", "ours")
FAST_EPOCHS = 30
Say = Callable[[str], None]
Facts = dict[str, float]


@dataclass(frozen=True)
class Detector:
    """A method ready to score: uint8 images (N, 3, S, S) -> (N,), and what is known of it."""

    score: Callable[[Tensor], Tensor]
    facts: Facts
    network: TwoHeadNetwork | None = None
    """Of the paper's method, whose discrepancies Tables 3 and 4 report."""


@dataclass(frozen=True)
class Laboratory:
    """What every method works with."""

    bench: Bench
    settings: Settings
    device: torch.device
    work: Path
    say: Say

    def detector(self, case: Case) -> Detector:
        """The method of `case`, trained as far as it needs to be."""
        if case.method == "eloc":
            return self._eloc()
        network = self._pretrained()
        if case.method == "ours":
            return self._ours(network, case)
        if case.method == "odin":
            return self._odin(network)
        return self._frozen(network, case.method)

    def _frozen(self, network: TwoHeadNetwork, method: str) -> Detector:
        """Scores of the network before fine-tuning: "frozen" is its discrepancy (Fig. 4)."""
        train, seed = self.bench.train, self.settings.seed
        reference = (
            Reference(feature_bank(network, train, self.device, seed)) if method == "knn" else None
        )
        column = "discrepancy" if method == "frozen" else method

        def score(pixels: Tensor) -> Tensor:
            found: Tensor = getattr(
                predict(network, pixels, self.device, reference=reference), column
            )
            return found

        return Detector(score, self._accuracy(network))

    def _odin(self, network: TwoHeadNetwork) -> Detector:
        step = choose_epsilon(network, self.bench.choice.pixels, self.device)
        return Detector(
            lambda pixels: odin_scores(network, pixels, self.device, step),
            {"epsilon": step} | self._accuracy(network),
        )

    def _ours(self, network: TwoHeadNetwork, case: Case) -> Detector:
        """The paper's recipe on the unlabeled images of `case`."""
        before, pool = self._accuracy(network), self.bench.pool(case)
        seed = self.settings.seed

        def train(progress: Path) -> None:
            run = Run(self.bench.train, pool, seed, progress, self._on_update)
            run_paper(network, recipe_of(self.settings), run)

        once(self.work, self._finetuned(case), network, train)
        facts = {"accuracy_before": before["accuracy"], "unlabeled_images": len(pool)}
        return Detector(
            lambda pixels: predict(network, pixels, self.device).discrepancy,
            facts | self._accuracy(network),
            network,
        )

    def _finetuned(self, case: Case) -> str:
        """The key of a fine-tuned network: rows that differ in what they test on share it."""
        unlabeled = (case.pool, case.id_of_9000, case.ood_of_9000)
        specs = [self.settings.ood_specs[name] for name in case.pool]
        config = pretraining(self.settings)
        before = _without_oods(self.settings)
        return key_of("finetuned", before, config, recipe_of(self.settings), specs, unlabeled)

    def _eloc(self) -> Detector:
        """Five leave-out classifiers; they have no accuracy, for none knows all classes."""
        bench, seed = self.bench, self.settings.seed
        networks = [
            self._leave_out(number, eloc.fold(bench.train, left_out, bench.classes))
            for number, left_out in enumerate(eloc.partition(bench.classes, seed))
        ]
        return Detector(
            lambda pixels: eloc.eloc_scores(networks, pixels, self.device),
            {"epsilon": eloc.EPSILON, "epochs": self._eloc_config().epochs or 0},
        )

    def _leave_out(self, number: int, data: eloc.Fold) -> TwoHeadNetwork:
        config = self._eloc_config()
        network = self._fresh_network(data.classes, self.settings.seed + number)

        def train(progress: Path) -> None:
            self.say(f"leave-out classifier {number + 1} of {eloc.CLASSIFIERS}")
            eloc.train_fold(network, data, config, progress)

        key = key_of("eloc", _without_oods(self.settings), config, number)
        return once(self.work, key, network, train)

    def _eloc_config(self) -> TrainConfig:
        return _train_config(self.settings, eloc.EPOCHS)

    def _pretrained(self) -> TwoHeadNetwork:
        """The two-head network trained on labeled images alone (Eq. 2)."""
        settings, bench = self.settings, self.bench
        config = pretraining(settings)
        network = self._fresh_network(bench.classes, settings.seed)

        def train(progress: Path) -> None:
            pretrain(
                network,
                bench.train,
                bench.choice,
                config,
                progress,
                lambda e: self.say(f"epoch {e.number}/{e.total}: accuracy {e.accuracy:.1%}"),
            )

        return once(
            self.work, key_of("pretrained", _without_oods(settings), config), network, train
        )

    def _fresh_network(self, classes: int, seed: int) -> TwoHeadNetwork:
        torch.manual_seed(seed)
        network = build_network(self.settings.backbone, None, classes, self.settings.size)
        return network.to(self.device).to(memory_format=memory_format(self.device))

    def _accuracy(self, network: TwoHeadNetwork) -> Facts:
        """Share of the ID test images whose class the network names."""
        return {"accuracy": accuracy(network, self.bench.test, self.device)}

    def _on_update(self, update: Update) -> None:
        if update.number % 100 == 0 or update.number == update.total:
            loss = f"{update.supervised:.3f} + {update.unsupervised:.3f}"
            self.say(f"update {update.number}/{update.total}: loss {loss}")


def recipe_of(settings: Settings) -> PaperRecipe:
    """The paper's fine-tuning with the two things that the author's code does otherwise."""
    return PaperRecipe(
        epochs=settings.finetune_epochs,
        learning_rate=settings.learning_rate,
        detach=settings.detach,
    )


def pretraining(settings: Settings) -> TrainConfig:
    """Pre-training as the paper schedules it (Section 4.1.2), or in one short cycle."""
    return _train_config(settings, default_epochs(settings.backbone))


def _train_config(settings: Settings, paper_epochs: int) -> TrainConfig:
    paper = settings.schedule == "paper"
    return TrainConfig(
        backbone=settings.backbone,
        image_size=settings.size,
        epochs=settings.epochs or (paper_epochs if paper else FAST_EPOCHS),
        batch_size=settings.batch_size,
        schedule="paper" if paper else "one-cycle",
        compressed=0.0,
        seed=settings.seed,
    )


def mean_discrepancy(network: TwoHeadNetwork, pixels: Tensor, device: torch.device) -> float:
    """Mean of H(p1) - H(p2) in nats (Eq. 1) over images (N, 3, S, S)."""
    network.eval()
    with torch.inference_mode():
        parts = [discrepancy(*network(batch.to(device))).cpu() for batch in in_chunks(pixels, 256)]
    return float(torch.cat(parts).mean())


def _without_oods(settings: Settings) -> dict[str, object]:
    """The settings that pre-training depends on."""
    later = ("ood_specs", "finetune_epochs", "learning_rate", "detach")
    return {name: value for name, value in asdict(settings).items() if name not in later}
