"""Every option of the program, once, with its default. Frozen: a run cannot change its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")


@dataclass(frozen=True)
class DecodeConfig:
    """Limits of the one door for untrusted bytes."""

    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF")
    max_pixels: int = 50_000_000
    max_side: int = 20_000
    max_bytes: int = 50_000_000
    seconds: float = 20.0
    memory_bytes: int = 1_500_000_000
    workers: int | None = None
    """Worker processes; None means one per core."""


@dataclass(frozen=True)
class SplitConfig:
    """How the labeled folder is divided; the rest is for training."""

    validation: float = 0.1
    calibration: float = 0.2
    seed: int = 0
    strict: bool = False
    """Unreadable images, or one picture in two classes, end the run."""


@dataclass(frozen=True)
class TrainConfig:
    """Pre-training (Eq. 2)."""

    backbone: str = "small-resnet"
    weights: str | None = None
    """None (random start), "DEFAULT" (torchvision's) or the path of a safetensors file."""
    image_size: int | None = None
    """Side of the square the network sees, in pixels; None: 224 with weights, else 64."""
    epochs: int | None = None
    """None: the backbone's own; the paper's 300 and 200 for its two networks."""
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["one-cycle", "paper"] = "one-cycle"
    compressed: float = 0.5
    """Share of each batch that is encoded as JPEG anew, so that compression tells nothing."""
    split: SplitConfig = field(default_factory=SplitConfig)
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class PaperRecipe:
    """The paper's fine-tuning: Step A and Step B on every mini-batch (Eqs. 3 to 5)."""

    epochs: int = 10
    margin: float = 1.2
    learning_rate: float = 0.1
    """The author's released code uses 0.01."""
    momentum: float = 0.9
    weight_decay: float = 1e-4
    batch_size: int = 128
    """Labeled images a step, and as many unlabeled ones."""
    detach: bool = False
    """Keep the second head's Step A from reaching the extractor, as the author's code does."""


@dataclass(frozen=True)
class GuardedRecipe:
    """Our fine-tuning: only the excess discrepancy of candidates is pushed, under guards."""

    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 64
    """Labeled images, labeled candidates and unlabeled candidates an update: so many of each."""
    quantile: float = 0.5
    """Candidates are the images above this quantile of our own classes' frozen scores."""
    discriminant_quantile: float = 0.8
    """The same for the discriminant, which learns in one step, from the most unusual alone."""
    compressed: float = 0.5
    """As in pre-training."""
    reach: float | None = 0.8
    """Part of the largest possible excess, pi ln K, that is aimed at. None leaves the unlabeled
    term out: the control that a gain is measured against."""
    passes: int = 40
    """Over the unlabeled candidates at most, within the two bounds that follow."""
    min_updates: int = 200
    max_updates: int = 2000
    accuracy_drop: float = 0.05
    """A detector that lost more validation accuracy than this is rejected."""
    significance: float = 0.05
    """Level of two one-sided tests: for OOD in the inbox, without which the fine-tune is skipped,
    and of the discriminant against the canaries, without which it does not count."""


@dataclass(frozen=True)
class FinetuneConfig:
    """Fine-tuning on the unlabeled inbox."""

    recipe: PaperRecipe | GuardedRecipe = field(default_factory=GuardedRecipe)
    device: str = "auto"
    seed: int = 0
    inbox_limit: int = 20_000
    """At most this many inbox images are fine-tuned on (a random reservoir)."""
    force: bool = False
    """Fine-tune even where no OOD share is found (guarded only)."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Measuring a network on images whose truth is known."""

    resamples: int = 1_000
    """Of the bootstrap."""
    surprising: int = 12
    """How many of the images that speak most against the network are named, of each side."""
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class WatchConfig:
    """The inbox service."""

    once: bool = False
    settle_seconds: float = 2.0
    scan_seconds: float = 60.0
    poll_seconds: float = 5.0
    """Between two scans where events cannot be had; never less than 100 times the last scan."""
    batch: int = 500
    finetune_images: int | None = 500
    finetune_minutes: float | None = None
    poll: bool = False
