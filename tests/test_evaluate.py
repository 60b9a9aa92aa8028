"""Folders held against the networks of a catalog, which stays as it was to the last byte."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from curate.config import (
    EvaluateConfig,
    FinetuneConfig,
    PaperRecipe,
)
from curate.errors import NoCheckpoint, PicturesError
from curate.evaluate import Evaluation, Kind, evaluate, evaluate_finetuning
from curate.images.decode import Decoder
from curate.model import checkpoint as checkpoints
from curate.model.calibration import threshold
from curate.model.checkpoint import Draft
from curate.model.metrics import auroc
from curate.model.scores import combined
from curate.workspace import Workspace, open_workspace

from .program import SHAPES, draw

CONFIG = EvaluateConfig(resamples=20, surprising=3, device="cpu")
QUICK = FinetuneConfig(recipe=PaperRecipe(epochs=1, margin=0.9), device="cpu")


@pytest.fixture
def workspace(trained: Path) -> Iterator[Workspace]:
    with open_workspace(str(trained / ".curate"), create=False) as opened:
        yield opened


@pytest.fixture
def folders(trained: Path) -> dict[Kind, Path]:
    """Thirty images of our classes, in their sub-folders, and twenty of noise."""
    for shape in SHAPES:
        draw(trained / "id" / shape, shape, range(5000, 5010))
    draw(trained / "ood", "noise", range(20))
    return {"id": trained / "id", "ood": trained / "ood"}


def hashes(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.png")}


def contents(workspace: Workspace) -> dict[str, bytes]:
    """Every file of a workspace; SQLite's own bookkeeping left out."""
    return {
        str(path): path.read_bytes()
        for path in workspace.folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_the_detector_in_service_is_measured(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    found = evaluate(workspace, folders, decoder, CONFIG)
    made = found.subject.checkpoint
    assert (len(found.networks), found.subject.role, found.finetune) == (1, "frozen", None)
    assert made.id == workspace.catalog.models.active("detector")
    figures = found.subject.figures["fresh"]
    assert (figures.id_images, figures.ood_images) == (30, 20)
    assert found.subject.combined
    for side in (found.subject.id, found.subject.ood):
        assert torch.equal(side.score, combined(side.scores, made.standard))
        assert not side.score.isnan().any()
    for method in ("score", "discrepancy", "knn"):
        sides = [side.by(method) for side in (found.subject.id, found.subject.ood)]
        assert figures.methods[method].value.auroc == pytest.approx(auroc(*sides))
    by_rate, by_paper = figures.decisions
    assert by_rate.threshold == threshold(made.calibration["held_out"], found.rate)
    for decision, flagged in (
        (by_rate, found.subject.id.score.double() >= by_rate.threshold),
        (by_paper, found.subject.id.scores.discrepancy >= 1),
    ):
        assert decision.alarm_rate is not None
        assert decision.alarm_rate.value == pytest.approx(float(flagged.double().mean()))
    assert figures.accuracy is not None
    assert figures.accuracy.images == 30


def test_the_catalog_and_its_previews_stay_as_they_were(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    before, counts = contents(workspace), workspace.catalog.counts()
    evaluate(workspace, folders, decoder, CONFIG)
    evaluate_finetuning(workspace, folders, decoder, CONFIG, folders["ood"], QUICK)
    assert contents(workspace) == before
    assert workspace.catalog.counts() == counts
    assert workspace.catalog.runs.latest() is None
    assert workspace.previews.get_many(sorted(hashes(folders["id"]))) == {}


def test_the_same_seed_gives_the_same_figures(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    first, again = (evaluate(workspace, folders, decoder, CONFIG) for _ in range(2))
    assert first.subject.figures == again.subject.figures


def test_surprises_are_the_ends_of_the_scores(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    found = evaluate(workspace, folders, decoder, CONFIG)
    ours = [surprise.score for surprise in found.surprises if surprise.kind == "id"]
    strange = [surprise.score for surprise in found.surprises if surprise.kind == "ood"]
    subject = found.subject
    assert ours == subject.id.score.sort(descending=True).values[:3].tolist()
    assert strange == subject.ood.score.sort().values[:3].tolist()
    for surprise in found.surprises:
        original = folders[surprise.kind] / surprise.path
        assert hashlib.sha256(original.read_bytes()).hexdigest() == surprise.sha256


def test_what_was_learned_from_or_lies_on_both_sides_is_left_out(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    labeled = workspace.folder.parent / "labeled"
    shutil.copy(labeled / "disc" / "disc-0.png", folders["id"] / "disc" / "known.png")
    shutil.copy(labeled / "disc" / "disc-1.png", folders["ood"] / "known.png")
    shutil.copy(folders["ood"] / "noise-0.png", folders["id"] / "disc" / "noise.png")
    (folders["ood"] / "broken.png").write_bytes(b"not a picture")
    found = evaluate(workspace, folders, decoder, CONFIG)
    assert (found.id.labeled, found.id.in_both) == (1, 1)
    assert (found.ood.labeled, found.ood.in_both) == (1, 1)
    assert [path for path, _ in found.ood.pictures.unreadable] == [Path("broken.png")]
    figures = found.subject.figures["fresh"]
    assert (figures.id_images, figures.ood_images) == (30, 19)


def test_a_folder_of_labeled_images_alone_is_refused(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    labeled = workspace.folder.parent / "labeled"
    with pytest.raises(PicturesError, match="all of its 120 images"):
        evaluate(workspace, {**folders, "id": labeled}, decoder, CONFIG)


def tuned(workspace: Workspace, folders: dict[Kind, Path]) -> str:
    """Put a detector in service that says it was fine-tuned on half of what is measured."""
    pool = {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders.values()
        for path in sorted(folder.rglob("*.png"))[::2]
    }
    models, now = workspace.catalog.models, datetime.now(UTC)
    parent = models.get("")
    made, network, reference = checkpoints.load(workspace.checkpoints / parent.checkpoint_id)
    with torch.no_grad():
        network.head_1.bias.add_(torch.tensor([1.0, 0.0, -1.0]))
    draft = Draft(
        kind="finetuned",
        backbone=made.backbone,
        image_size=made.image_size,
        classes=made.classes,
        parent=made.id,
        snapshot=made.snapshot,
        recipe="guarded",
        calibration={"held_out": (0.1, 0.2, 0.3, 0.4), "canary": (0.5, 0.6, 0.7, 0.8)},
        pool=frozenset(pool),
        figures={},
    )
    checkpoint_id = checkpoints.save(workspace.checkpoints, network, reference, draft, now).id
    row = replace(
        parent, checkpoint_id=checkpoint_id, kind="finetuned", parent_id=made.id, recipe="guarded"
    )
    models.add_checkpoint(row)
    models.activate({"detector": checkpoint_id}, "for the test", now)
    workspace.catalog.rates.set(0.2, now)
    return checkpoint_id


def test_inbox_and_fresh_images_are_told_apart(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    made_id = tuned(workspace, folders)
    found = evaluate(workspace, folders, decoder, CONFIG)
    assert [judged.role for judged in found.networks] == ["frozen", "fine-tuned"]
    made = found.subject.checkpoint
    assert made.id == made_id
    for judged in found.networks:
        sizes = {name: (f.id_images, f.ood_images) for name, f in judged.figures.items()}
        assert sizes == {"fresh": (15, 10), "inbox": (15, 10)}
    images = [*found.id.pictures.images, *found.ood.pictures.images]
    in_inbox = torch.cat([found.subject.id.in_inbox, found.subject.ood.in_inbox]).tolist()
    assert in_inbox == [sha256 in made.pool for sha256 in images]
    cuts = {name: f.decisions[0].threshold for name, f in found.subject.figures.items()}
    assert cuts == {"fresh": pytest.approx(0.4), "inbox": pytest.approx(0.8)}
    before = {name: f.decisions[0].threshold for name, f in found.networks[0].figures.items()}
    frozen = threshold(found.networks[0].checkpoint.calibration["held_out"], 0.2)
    assert before == {"fresh": frozen, "inbox": frozen}


def test_another_checkpoint_can_be_chosen(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    tuned(workspace, folders)
    first = workspace.catalog.models.active("classifier")
    assert first is not None
    found = evaluate(workspace, folders, decoder, CONFIG, first[:10])
    assert [judged.checkpoint.id for judged in found.networks] == [first]
    with pytest.raises(NoCheckpoint, match="curate models"):
        evaluate(workspace, folders, decoder, CONFIG, "zzz")


def test_an_inbox_that_was_not_recorded_is_said(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    assert evaluate(workspace, folders, decoder, CONFIG).inbox_known
    tuned(workspace, {})
    found = evaluate(workspace, folders, decoder, CONFIG)
    assert not found.inbox_known
    assert list(found.subject.figures) == ["fresh"]


def rehearsed(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder, config: FinetuneConfig
) -> Evaluation:
    """An evaluation after a fine-tune on all of the OOD images and a third of the ID images."""
    unlabeled = workspace.folder.parent / "unlabeled"
    shutil.copytree(folders["ood"], unlabeled)
    shutil.copytree(folders["id"] / "disc", unlabeled / "disc")
    return evaluate_finetuning(workspace, folders, decoder, CONFIG, unlabeled, config)


def test_a_fine_tune_is_tried_beside_the_catalog(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    found = rehearsed(workspace, folders, decoder, QUICK)
    assert found.finetune is not None
    assert (found.finetune.outcome, found.finetune.images) == ("promoted", 30)
    assert [judged.role for judged in found.networks] == ["frozen", "fine-tuned"]
    assert found.networks[0].checkpoint.id == workspace.catalog.models.active("detector")
    assert found.subject.checkpoint.id == found.finetune.checkpoint_id
    assert found.inbox_known
    assert [judged.combined for judged in found.networks] == [True, False]
    tuned = found.subject.id
    assert torch.equal(tuned.score, tuned.scores.discrepancy)
    sizes = {name: (f.id_images, f.ood_images) for name, f in found.subject.figures.items()}
    assert sizes == {"fresh": (20, 0), "inbox": (10, 20)}
    assert found.subject.figures["fresh"].methods == {}
    before, after = (judged.id.scores.discrepancy for judged in found.networks)
    assert not torch.equal(before, after)


def test_a_fine_tune_that_is_skipped_leaves_the_frozen_network(
    workspace: Workspace, folders: dict[Kind, Path], decoder: Decoder
) -> None:
    workspace.catalog.rates.set(0.01, datetime.now(UTC))
    found = rehearsed(workspace, folders, decoder, FinetuneConfig(device="cpu"))
    assert found.rate == 0.01
    assert found.finetune is not None
    assert found.finetune.outcome == "skipped"
    assert "an alarm rate of 1.0% needs 99" in found.finetune.reason
    assert [judged.role for judged in found.networks] == ["frozen"]
    assert set(found.subject.figures) == {"fresh", "inbox"}
