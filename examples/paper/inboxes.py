"""Inboxes of a chosen OOD share, and fresh images that no fine-tune sees, from two data sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import torch
from PIL import Image

from curate.errors import UsageError
from curate.model.sampling import Stream
from curate.model.split import LabeledSplit
from examples.paper.datasets import Images, Spec, load
from examples.paper.plan import SIZE, Plan, Setting

ORDERS = {"train": 1_000, "id": 2_000, "ood": 3_000}
"""Added to a run's seed, so that each set is shuffled its own way."""


@dataclass(frozen=True)
class Sets:
    """All images: labeled ones, ID ones of the test part, OOD ones."""

    train: Images
    test: Images
    ood: Images

    def labeled_test(self) -> LabeledSplit:
        """All ID test images with their labels; the networks' accuracy is reported on them."""
        return _split(self.test, torch.arange(len(self.test)))


@dataclass(frozen=True)
class Labeled:
    """The labeled images of a seed, divided."""

    train: LabeledSplit
    validation: LabeledSplit
    calibration: LabeledSplit


@dataclass(frozen=True)
class Inbox:
    """Pixels uint8 (N, 3, S, S) of an inbox, ID images first, and of fresh images."""

    id: torch.Tensor
    ood: torch.Tensor
    fresh_id: torch.Tensor
    fresh_ood: torch.Tensor


def read_sets(ours: Spec, strange: Spec) -> Sets:
    """Read everything. Raises UsageError when the ID set has no labels."""
    train, test = (load(ours, part, SIZE) for part in ("train", "test"))
    if train.labels is None or test.labels is None:
        raise UsageError(f"{str(ours.path)!r} has no labels to train and to test on")
    return Sets(train, test, load(strange, "test", SIZE))


def jpeg_control(ours: Spec, quality: int) -> Sets:
    """Half of the ID test images, and the other half encoded as JPEG and decoded again.

    Nothing but compression tells them apart, so a detector that does reads compression.
    """
    sets = read_sets(ours, ours)
    count = len(sets.test) // 2
    again = torch.stack([_as_jpeg(image, quality) for image in sets.test.pixels[count:]])
    test = replace(sets.test, pixels=sets.test.pixels[:count])
    return Sets(sets.train, test, Images(again, None, ()))


def _as_jpeg(pixels: torch.Tensor, quality: int) -> torch.Tensor:
    """An image (3, S, S) of uint8 as a JPEG of this quality gives it back."""
    stream = BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(
        stream, "JPEG", quality=quality
    )
    with Image.open(stream, formats=("JPEG",)) as decoded:
        return torch.from_numpy(np.array(decoded)).permute(2, 0, 1)


def labeled_of(sets: Sets, plan: Plan, seed: int) -> Labeled:
    """Draw the seed's training, validation and calibration images without overlap."""
    sizes = [plan.train, plan.validation, plan.calibration]
    rows = _drawn(len(sets.train), sum(sizes), seed + ORDERS["train"])
    parts = torch.split(rows, sizes)
    train, validation, calibration = (_split(sets.train, part) for part in parts)
    return Labeled(train, validation, calibration)


def inbox_of(sets: Sets, plan: Plan, setting: Setting) -> Inbox:
    """Draw the run's inbox and its fresh images without overlap.

    The fresh images are the same at every share, and a larger share keeps a smaller one's OOD.
    """
    strange = round(setting.share * plan.inbox)
    ours = _drawn(len(sets.test), plan.fresh + plan.inbox - strange, setting.seed + ORDERS["id"])
    others = _drawn(len(sets.ood), plan.fresh + strange, setting.seed + ORDERS["ood"])
    return Inbox(
        id=sets.test.pixels[_arrived(ours[plan.fresh :], setting.part)],
        ood=sets.ood.pixels[_arrived(others[plan.fresh :], setting.part)],
        fresh_id=sets.test.pixels[ours[: plan.fresh]],
        fresh_ood=sets.ood.pixels[others[: plan.fresh]],
    )


def _arrived(rows: torch.Tensor, part: float) -> torch.Tensor:
    return rows[: round(part * len(rows))]


def _drawn(available: int, wanted: int, seed: int) -> torch.Tensor:
    if wanted > available:
        raise UsageError(f"{wanted} images are needed of a set that has {available}")
    return Stream(available, seed).take(0, wanted)


def _split(images: Images, rows: torch.Tensor) -> LabeledSplit:
    labels = images.labels if images.labels is not None else torch.empty(0)
    return LabeledSplit(images.pixels[rows], labels[rows], tuple(map(str, rows.tolist())))
