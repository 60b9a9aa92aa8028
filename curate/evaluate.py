"""Folders of images whose truth is known -> the figures of the field, for the networks in service.

The images are kept in temporary files alone: neither the catalog nor the previews see them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from curate.config import EvaluateConfig, FinetuneConfig
from curate.errors import NoCheckpoint, PicturesError, StorageError
from curate.finetune import FinetuneResult
from curate.images.decode import Decoder
from curate.images.pictures import Pictures, class_indices, read_pictures
from curate.images.previews import Previews
from curate.images.transforms import load_pixels
from curate.model import checkpoint as checkpoints
from curate.model.checkpoint import Checkpoint
from curate.model.device import choose_device
from curate.model.evaluation import UNKNOWN, Figures, Group, Truth, evaluate_groups
from curate.model.inference import predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference, Scores, joined
from curate.rehearsal import Rehearsed, rehearse
from curate.workspace import Workspace

CHUNK = 1_000
PREVIEWS = "evaluated.db"
Tell = Callable[[str, int, int], None]
Kind = Literal["id", "ood"]
Role = Literal["frozen", "fine-tuned"]
_Loaded = tuple[Checkpoint, TwoHeadNetwork, Reference]
KINDS: tuple[Kind, Kind] = ("id", "ood")


@dataclass(frozen=True)
class Side:
    """One of the two folders, and what of it was not measured."""

    pictures: Pictures
    """Only those that were measured."""
    in_both: int
    """Images left out because the other folder holds them too."""
    labeled: int
    """Images left out because the network learned from them, or was calibrated with them."""


@dataclass(frozen=True)
class Judged:
    """One network's scores of both sides, and its figures by group."""

    role: Role
    checkpoint: Checkpoint
    id: Truth
    ood: Truth
    figures: Mapping[Group, Figures]

    @property
    def combined(self) -> bool:
        """Whether it tags by the combined score, and not by the discrepancy alone."""
        return bool(self.checkpoint.standard)


@dataclass(frozen=True)
class Surprise:
    """An image that speaks against the network: ID with a high score, or OOD with a low one."""

    kind: Kind
    path: Path
    sha256: str
    score: float
    """The one that it would be tagged by."""
    label: str
    preview: bytes


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured; the last of `networks` is the one the question was about."""

    rate: float
    id: Side
    ood: Side
    networks: tuple[Judged, ...]
    surprises: tuple[Surprise, ...]
    finetune: FinetuneResult | None
    """What came of fine-tuning on the unlabeled folder, where there was one."""

    @property
    def subject(self) -> Judged:
        """The network that the question was about."""
        return self.networks[-1]

    @property
    def inbox_known(self) -> bool:
        """Whether it is known which images a fine-tune was given."""
        made = self.subject.checkpoint
        return self.finetune is not None or made.parent is None or bool(made.pool)


@dataclass(frozen=True)
class _Contenders:
    """The directories of the checkpoints to compare, and the images that the last knows."""

    paths: tuple[Path, ...]
    inbox: frozenset[str] | None = None
    finetune: FinetuneResult | None = None


def evaluate(
    workspace: Workspace,
    folders: Mapping[Kind, Path],
    decoder: Decoder,
    config: EvaluateConfig,
    checkpoint: str | None = None,
    tell: Tell = lambda stage, done, total: None,
) -> Evaluation:
    """Measure the detector in service, or the checkpoint whose id begins with `checkpoint`.

    A fine-tuned one is compared with the frozen one that it came from. `tell` hears (stage, done,
    total). Raises NoCheckpoint, PicturesError for a folder without images, and UsageError where
    an ID image lies in the folder of a class that the network does not know.
    """
    contenders = _in_service(workspace, checkpoint)
    with _temporary() as folder, Previews.open(folder / PREVIEWS) as previews:
        return _measured(_Bench(workspace, decoder, previews, config, tell), folders, contenders)


def evaluate_finetuning(
    workspace: Workspace,
    folders: Mapping[Kind, Path],
    decoder: Decoder,
    config: EvaluateConfig,
    unlabeled: Path,
    finetuning: FinetuneConfig,
    tell: Tell = lambda stage, done, total: None,
) -> Evaluation:
    """Measure what fine-tuning on the images below `unlabeled` would bring, and change nothing.

    The classifier in service is measured before, and after too where the fine-tune is promoted.
    Images that lie below `unlabeled` count as the inbox's. Raises as `evaluate` does.
    """
    with _temporary() as folder, Previews.open(folder / PREVIEWS) as previews:
        rehearsed = rehearse(workspace, unlabeled, folder / "rehearsal", decoder, finetuning, tell)
        bench = _Bench(workspace, decoder, previews, config, tell)
        return _measured(bench, folders, _rehearsed(rehearsed))


def _in_service(workspace: Workspace, prefix: str | None) -> _Contenders:
    models = workspace.catalog.models
    name = models.get(prefix).checkpoint_id if prefix else models.active("detector")
    if name is None:
        raise NoCheckpoint()
    row = models.get(name)
    ids = filter(None, (row.parent_id, name))
    return _Contenders(tuple(workspace.checkpoints / found for found in ids))


def _rehearsed(done: Rehearsed) -> _Contenders:
    ids = filter(None, (done.classifier_id, done.result.checkpoint_id))
    paths = tuple(done.checkpoints / found for found in ids)
    return _Contenders(paths, done.inbox, done.result)


@contextmanager
def _temporary() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="curate-evaluate-")
    except OSError as error:
        raise StorageError(tempfile.gettempdir(), f"{error.strerror}; set TMPDIR") from error
    with folder as name:
        yield Path(name)


@dataclass(frozen=True)
class _Bench:
    """What every step of a measurement needs."""

    workspace: Workspace
    decoder: Decoder
    previews: Previews
    config: EvaluateConfig
    tell: Tell


def _measured(bench: _Bench, folders: Mapping[Kind, Path], contenders: _Contenders) -> Evaluation:
    subject = checkpoints.read_manifest(contenders.paths[-1])
    known = bench.workspace.catalog.models.snapshot_images(subject.snapshot)
    sides = _sides(bench, folders, {row.sha256 for row in known})
    found = class_indices(sides["id"].pictures, subject.classes)
    labels = torch.tensor([UNKNOWN if index is None else index for index in found])
    inbox = subject.pool if contenders.inbox is None else contenders.inbox
    rate = bench.workspace.catalog.rates.current()
    judge = partial(_judge, bench, sides, labels, inbox, rate)
    networks = tuple(judge(path) for path in contenders.paths)
    last = networks[-1]
    surprises = _surprises(bench, "id", last.id, sides["id"], subject.classes)
    surprises += _surprises(bench, "ood", last.ood, sides["ood"], subject.classes)
    return Evaluation(
        rate, sides["id"], sides["ood"], networks, tuple(surprises), contenders.finetune
    )


def _judge(
    bench: _Bench,
    sides: Mapping[Kind, Side],
    labels: torch.Tensor,
    inbox: Collection[str],
    rate: float,
    path: Path,
) -> Judged:
    """Measure the checkpoint in the directory `path` on both sides."""
    loaded = checkpoints.load(path)
    made, config = loaded[0], bench.config

    def truth(kind: Kind) -> Truth:
        hashes = list(sides[kind].pictures.images)
        scores = _scores(bench, loaded, kind, hashes)
        members = torch.tensor([sha256 in inbox for sha256 in hashes])
        known = labels if kind == "id" else torch.full((len(hashes),), UNKNOWN)
        return Truth(scores, made.score(scores), members, known)

    ours, strange = truth("id"), truth("ood")
    figures = evaluate_groups(ours, strange, made.calibration, rate, config.resamples, config.seed)
    return Judged("fine-tuned" if made.parent else "frozen", made, ours, strange, figures)


def _sides(
    bench: _Bench, folders: Mapping[Kind, Path], labeled: Collection[str]
) -> dict[Kind, Side]:
    """Both folders, without the images that are in both or that the network learned from."""
    read: dict[Kind, Pictures] = {
        kind: read_pictures(
            folders[kind], bench.decoder, bench.previews, partial(bench.tell, f"reading {kind}")
        )
        for kind in KINDS
    }
    in_both = set(read["id"].images) & set(read["ood"].images)
    return {kind: _side(read[kind], in_both, labeled) for kind in KINDS}


def _side(read: Pictures, in_both: Collection[str], labeled: Collection[str]) -> Side:
    left = {
        sha256: path
        for sha256, path in read.images.items()
        if sha256 not in in_both and sha256 not in labeled
    }
    if not left:
        raise PicturesError(
            read.root,
            f"all of its {len(read.images)} images lie in the other folder too, or are labeled "
            "images that the network learned from; give images that it has not seen",
        )
    seen = sum(sha256 in labeled for sha256 in read.images if sha256 not in in_both)
    return Side(replace(read, images=left), len(in_both), seen)


def _scores(bench: _Bench, loaded: _Loaded, kind: Kind, hashes: Sequence[str]) -> Scores:
    made, network, reference = loaded
    device = choose_device(bench.config.device)
    parts = []
    for start in range(0, len(hashes), CHUNK):
        pixels = load_pixels(bench.previews, hashes[start : start + CHUNK], made.image_size)
        parts.append(predict(network, pixels, device, reference=reference))
        bench.tell(f"scoring {kind}", min(start + CHUNK, len(hashes)), len(hashes))
    return joined(parts)


def _surprises(
    bench: _Bench, kind: Kind, truth: Truth, side: Side, classes: Sequence[str]
) -> list[Surprise]:
    """The ID images with the highest score, or the OOD images with the lowest."""
    images, scores = list(side.pictures.images.items()), truth.score
    rows = scores.argsort(descending=kind == "id", stable=True)[: bench.config.surprising].tolist()
    previews = bench.previews.get_many([images[row][0] for row in rows])
    return [
        Surprise(
            kind=kind,
            path=images[row][1],
            sha256=images[row][0],
            score=float(scores[row]),
            label=classes[int(truth.scores.label[row])],
            preview=previews[images[row][0]],
        )
        for row in rows
    ]
