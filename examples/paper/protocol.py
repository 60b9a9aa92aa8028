"""Which images are trained on, fine-tuned on and tested, as in Sections 4.1 and 4.2.

The paper holds out 1,000 ID and 1,000 OOD images to tune and to stop on. Nothing is tuned on OOD
here, so that half of the held-out images are fresh ones for a second set of figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from curate.errors import UsageError
from curate.model.split import LabeledSplit
from examples.paper import published
from examples.paper.datasets import Images, Spec, has_part, load

HELD_OUT = 1_000
FRESH_LEAST = 200
"""Fewer fresh images of a kind than this are not worth a figure."""


@dataclass(frozen=True)
class Settings:
    """Everything that a row's figures depend on, next to its own line of the table."""

    id_name: str
    id_spec: str
    ood_specs: Mapping[str, str]
    backbone: str
    schedule: str
    epochs: int | None
    finetune_epochs: int
    learning_rate: float
    detach: bool
    batch_size: int
    size: int
    held_out: int
    limit: int | None
    seed: int


@dataclass(frozen=True)
class Case:
    """One row: the method, the OOD sets among the unlabeled images, and those tested."""

    table: int
    method: str
    pool: tuple[str, ...]
    tested: tuple[str, ...]
    id_of_9000: int = 9_000
    ood_of_9000: int = 9_000
    """Table 3: how many of the paper's 9,000 test images are unlabeled ones; scaled to ours."""


def settings_of(case: Case, settings: Settings) -> Settings:
    """The settings that the row of `case` depends on: of the OOD sets, only its own."""
    own = {name: settings.ood_specs[name] for name in dict.fromkeys(case.pool + case.tested)}
    return replace(settings, ood_specs=own)


@dataclass(frozen=True)
class Bench:
    """The images of all rows. Pixels are uint8 (N, 3, S, S)."""

    train: LabeledSplit
    classes: int
    choice: LabeledSplit
    """Held-out ID images that ODIN's step is chosen on."""
    test: LabeledSplit
    """All ID test images: accuracy is measured on them."""
    id_inbox: torch.Tensor
    id_fresh: torch.Tensor
    ood_inbox: Mapping[str, torch.Tensor]
    ood_fresh: Mapping[str, torch.Tensor]

    def pool(self, case: Case) -> torch.Tensor:
        """The unlabeled images that `case` fine-tunes on."""
        ours = _share(self.id_inbox, case.id_of_9000)
        strange = [_share(self.ood_inbox[name], case.ood_of_9000) for name in case.pool]
        return torch.cat([ours, *strange])

    def tested(self, case: Case) -> tuple[torch.Tensor, torch.Tensor]:
        """ID and OOD images as the paper tests on: all but the held-out ones."""
        return self.id_inbox, torch.cat([self.ood_inbox[name] for name in case.tested])

    def fresh(self, case: Case) -> tuple[torch.Tensor, torch.Tensor] | None:
        """As many ID and OOD images that nothing was fine-tuned or chosen on, or None."""
        strange = torch.cat([self.ood_fresh[name] for name in case.tested])
        count = min(len(self.id_fresh), len(strange))
        if count < FRESH_LEAST:
            return None
        return self.id_fresh[:count], strange[
            torch.randperm(len(strange), generator=_any())[:count]
        ]


def cases(table: int, oods: list[str], methods: list[str]) -> list[Case]:
    """The rows of a table. Tables 3 and 4 are about the paper's method alone.

    Table 3 takes the first OOD set, Table 4 the first two; raises UsageError with only one.
    """
    if table in (2, 5):
        return [Case(table, method, (ood,), (ood,)) for ood in oods for method in methods]
    if table == 3:
        first = (oods[0],)
        return [Case(3, "ours", first, first, *amounts) for amounts in published.amounts()]
    if len(oods) < 2:
        raise UsageError("Table 4 needs two OOD sets after --ood")
    one, other = oods[:2]
    pairs = [((one, other), (one, other)), ((one,), (other,)), ((other,), (one,))]
    return [Case(4, "ours", pool, tested) for pool, tested in pairs]


def read_bench(id_spec: Spec, oods: Mapping[str, Spec], settings: Settings) -> Bench:
    """Read every image, and set apart those that are held out.

    Raises UsageError when the ID set has no labels, or other classes for testing.
    """

    def read(spec: Spec, part: str) -> Images:
        return load(spec, part, settings.size, settings.limit, settings.seed)

    train, test = read(id_spec, "train"), read(id_spec, "test")
    if train.labels is None or train.classes != test.classes:
        raise UsageError(f"{settings.id_spec!r} needs labels of the same classes in train and test")
    held = read(id_spec, "val") if has_part(id_spec, "val") else test
    count = min(settings.held_out, len(held) // 2)
    strange = {name: read(spec, "test").pixels for name, spec in oods.items()}
    cut = {name: min(settings.held_out, len(pixels) // 2) for name, pixels in strange.items()}
    return Bench(
        train=_labeled(train, slice(None)),
        classes=len(train.classes),
        choice=_labeled(held, slice(count // 2)),
        test=_labeled(test, slice(None)),
        id_inbox=test.pixels[count:] if held is test else test.pixels,
        id_fresh=held.pixels[count // 2 : count],
        ood_inbox={name: pixels[cut[name] :] for name, pixels in strange.items()},
        ood_fresh={name: pixels[: cut[name]] for name, pixels in strange.items()},
    )


def _labeled(images: Images, rows: slice) -> LabeledSplit:
    labels = images.labels
    if labels is None:
        raise UsageError("the ID set has no labels")
    pixels = images.pixels[rows]
    return LabeledSplit(pixels, labels[rows], tuple(map(str, range(len(pixels)))))


def _share(pixels: torch.Tensor, of_9000: int) -> torch.Tensor:
    return pixels[: max(1, round(len(pixels) * of_9000 / 9_000))]


def _any() -> torch.Generator:
    """Always the same numbers: fresh images of several OOD sets are mixed alike in every row."""
    return torch.Generator().manual_seed(0)
