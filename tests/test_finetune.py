"""What comes of a fine-tune and what must not: each outcome, its record, the detector after."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from curate.catalog.query import Query
from curate.config import DecodeConfig, FinetuneConfig, GuardedRecipe, PaperRecipe
from curate.errors import HeldByAnother, UsageError
from curate.finetune import finetune, gather
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.model.candidates import Candidates
from curate.model.checkpoint import read_manifest
from curate.model.share import excess_p_value
from curate.recipes.attempt import canary_count, dealt, look
from curate.recipes.runs import Update
from curate.recipes.standing_out import Describe, Learned, Pictures
from curate.score import LEASE, Scorer
from curate.workspace import Workspace, open_workspace

from .program import SHAPES, draw

QUICK = GuardedRecipe(min_updates=3, max_updates=3)
TRUSTING = replace(QUICK, significance=1.0)
"""So few canaries are no proof for a discriminant."""


@pytest.fixture
def workspace(trained: Path) -> Iterator[Workspace]:
    with open_workspace(str(trained / ".curate"), create=False) as opened:
        yield opened


def fill(workspace: Workspace, ours: int, strange: int = 0) -> None:
    inbox = workspace.folder.parent / "inbox"
    for shape in SHAPES:
        draw(inbox, shape, range(5000, 5000 + ours))
    draw(inbox, "noise", range(strange))
    with Decoder(DecodeConfig(workers=1)) as decoder:
        ingest(workspace, [str(inbox)], decoder)
    Scorer(workspace, "cpu").score_active()


def detector(workspace: Workspace) -> str | None:
    return workspace.catalog.models.active("detector")


def test_an_empty_inbox_is_skipped_and_recorded(workspace: Workspace) -> None:
    result = finetune(workspace, FinetuneConfig())
    assert (result.outcome, result.images) == ("skipped", 0)
    run = workspace.catalog.runs.latest()
    assert run is not None
    assert (run.outcome, run.reason) == ("skipped", result.reason)
    assert "nothing to learn from" in result.reason


def test_too_few_calibration_images_for_the_rate(workspace: Workspace) -> None:
    fill(workspace, 3)
    workspace.catalog.rates.set(0.01, datetime.now(UTC))
    result = finetune(workspace, FinetuneConfig())
    assert result.outcome == "skipped"
    assert "an alarm rate of 1.0% needs 99" in result.reason


def test_an_inbox_of_our_own_is_left_alone(workspace: Workspace) -> None:
    fill(workspace, 25)
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    before = detector(workspace)
    result = finetune(workspace, FinetuneConfig(recipe=QUICK))
    assert result.outcome == "skipped"
    assert "beyond chance" in result.reason
    assert detector(workspace) == before


def test_the_gate_asks_every_labeled_image_that_nothing_was_trained_on(
    workspace: Workspace,
) -> None:
    fill(workspace, 5, 5)
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    parent = str(workspace.catalog.models.active("classifier"))
    materials = gather(workspace, parent, FinetuneConfig()).materials
    result = finetune(workspace, FinetuneConfig(recipe=replace(QUICK, significance=0.0)))
    opinion = look(materials.network, materials.reference, materials, combine=True)
    materials, opinion = dealt(materials, opinion, seed=0)
    known = [materials.canaries, materials.held_out, materials.validation]
    assert len(opinion.known) == sum(map(len, known))
    assert result.figures["ood_share_p_value"] == excess_p_value(opinion.inbox, opinion.known)


def test_a_loss_that_is_no_number_changes_nothing(workspace: Workspace) -> None:
    fill(workspace, 5, 5)
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    before = detector(workspace)
    recipe = GuardedRecipe(learning_rate=1e30, min_updates=5, max_updates=5)
    result = finetune(workspace, FinetuneConfig(recipe=recipe, force=True))
    assert result.outcome == "rejected"
    assert "no number" in result.reason
    assert detector(workspace) == before


def test_the_paper_recipe_keeps_its_last_step_and_the_classifier_its_place(
    workspace: Workspace,
) -> None:
    fill(workspace, 5, 5)
    before = detector(workspace)
    recipe = PaperRecipe(epochs=1, margin=0.9)
    result = finetune(workspace, FinetuneConfig(recipe=recipe))
    assert result.outcome == "promoted"
    assert detector(workspace) == result.checkpoint_id != before
    assert read_manifest(workspace.checkpoints / str(result.checkpoint_id)).standard == {}
    assert workspace.catalog.models.active("classifier") == before
    assert workspace.catalog.counts().pending == 0


def test_a_margin_out_of_reach_is_a_usage_error_and_recorded(workspace: Workspace) -> None:
    fill(workspace, 5, 5)
    with pytest.raises(UsageError, match=r"1\.2 cannot be reached with 3 classes"):
        finetune(workspace, FinetuneConfig(recipe=PaperRecipe()))
    run = workspace.catalog.runs.latest()
    assert run is not None
    assert run.outcome == "failed"


def test_one_that_slept_through_a_takeover_cannot_switch(workspace: Workspace) -> None:
    fill(workspace, 5, 5)
    before = detector(workspace)

    def takeover(update: Update) -> None:
        if update.number == 1:
            later = datetime.now(UTC) + timedelta(hours=2)
            workspace.catalog.leases.acquire(LEASE, "the fine-tune", 1, "elsewhere", later, 600)

    recipe = PaperRecipe(epochs=1, margin=0.9)
    with pytest.raises(HeldByAnother, match="process 1 on elsewhere"):
        finetune(workspace, FinetuneConfig(recipe=recipe), on_update=takeover)
    assert detector(workspace) == before


def test_a_classifier_trained_meanwhile_is_not_given_an_old_detector(workspace: Workspace) -> None:
    fill(workspace, 5, 5)
    config = FinetuneConfig(recipe=PaperRecipe(epochs=1, margin=0.9))
    first = detector(workspace)
    other = finetune(workspace, config).checkpoint_id
    assert other is not None

    def switch(update: Update) -> None:
        models = workspace.catalog.models
        models.activate({"classifier": other}, "in the middle", datetime.now(UTC))

    workspace.catalog.models.activate({"detector": str(first)}, "back", datetime.now(UTC))
    result = finetune(workspace, config, on_update=switch)
    assert result.outcome == "rejected"
    assert "another classifier" in result.reason
    assert detector(workspace) == first


def test_one_trained_while_the_detector_scores_is_not_given_an_old_one_either(
    workspace: Workspace,
) -> None:
    fill(workspace, 5, 5)
    config = FinetuneConfig(recipe=PaperRecipe(epochs=1, margin=0.9))
    first, models = detector(workspace), workspace.catalog.models
    assert finetune(workspace, config).outcome == "promoted"
    other = str(detector(workspace))
    models.activate({"detector": str(first)}, "back", datetime.now(UTC))

    def switch(done: int, total: int) -> None:
        models.activate({"classifier": other}, "in the middle", datetime.now(UTC))

    result = finetune(workspace, replace(config, seed=1), on_images=switch)
    assert (result.outcome, result.checkpoint_id) == ("rejected", None)
    assert "another classifier" in result.reason
    assert detector(workspace) == first


def test_a_second_fine_tune_is_refused(workspace: Workspace) -> None:
    now = datetime.now(UTC)
    workspace.catalog.leases.acquire(LEASE, "the fine-tune", 1, "elsewhere", now, 600)
    with pytest.raises(HeldByAnother, match="the fine-tune is held by process 1 on elsewhere"):
        finetune(workspace, FinetuneConfig())


def test_reviewed_images_are_not_fine_tuned_on(workspace: Workspace) -> None:
    fill(workspace, 2)
    for sha256 in list(workspace.catalog.unlabeled()):
        workspace.catalog.reviews.add([(sha256, "ood", None)], "ann", datetime.now(UTC))
    assert finetune(workspace, FinetuneConfig()).images == 0


def test_the_guarded_recipe_reads_its_pool_against_canaries(workspace: Workspace) -> None:
    fill(workspace, 20, 40)
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    result = finetune(workspace, FinetuneConfig(recipe=TRUSTING))
    assert result.outcome == "promoted", result.reason
    made = read_manifest(workspace.checkpoints / str(result.checkpoint_id))
    parent = read_manifest(workspace.checkpoints / str(made.parent))
    held_out, canaries = len(made.calibration["held_out"]), len(made.calibration["canary"])
    assert held_out + canaries == len(parent.calibration["held_out"])
    assert canaries == held_out or canaries == held_out - 1
    assert made.pool == frozenset(workspace.catalog.unlabeled())
    assert set(parent.standard) == {"discrepancy", "energy", "knn"}
    assert set(made.standard) == {*parent.standard, "discriminant"}
    assert made.standard["energy"] != parent.standard["energy"]


def test_without_the_unlabeled_term_no_discriminant_is_learned(workspace: Workspace) -> None:
    fill(workspace, 20, 40)
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    result = finetune(workspace, FinetuneConfig(recipe=replace(TRUSTING, reach=None)))
    assert result.outcome == "promoted", result.reason
    made = read_manifest(workspace.checkpoints / str(result.checkpoint_id))
    assert set(made.standard) == {"discrepancy", "energy", "knn"}


def test_the_discriminant_is_learned_from_what_it_says(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(workspace, 20, 40)
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    seen: list[tuple[Pictures, Candidates]] = []
    described: list[Tensor] = []

    def learn(
        frozen: Describe, tuned: Describe, pictures: Pictures, chosen: Candidates, *_: object
    ) -> Learned:
        seen.append((pictures, chosen))
        described.extend(describe([pictures.inbox]) for describe in (frozen, tuned))
        return Learned(None, 0.25)

    monkeypatch.setattr("curate.recipes.attempt.learn_discriminant", learn)
    parent = str(workspace.catalog.models.active("classifier"))
    materials = gather(workspace, parent, FinetuneConfig(recipe=TRUSTING)).materials
    finetune(workspace, FinetuneConfig(recipe=TRUSTING))
    run = workspace.catalog.runs.latest()
    assert run is not None
    assert run.figures["discriminant_p_value"] == 0.25
    ((pictures, chosen),) = seen
    frozen, tuned = described
    assert torch.equal(frozen, materials.descriptions(materials.network, [materials.inbox]))
    assert not torch.equal(frozen, tuned)
    opinion = look(materials.network, materials.reference, materials, combine=True)
    materials, opinion = dealt(materials, opinion, seed=0)
    pool, cut = torch.cat([opinion.inbox, opinion.canaries]), opinion.calibration.quantile(0.8)
    assert chosen.unlabeled.tolist() == (pool > cut).nonzero()[:, 0].tolist()
    unusual = opinion.held_out > cut
    assert torch.equal(pictures.held_out, materials.held_out.pixels[unusual])
    assert torch.equal(pictures.labeled, materials.train.pixels)
    assert torch.equal(pictures.inbox, materials.inbox)
    assert torch.equal(pictures.canaries, materials.canaries.pixels)
    assert torch.equal(pictures.validation, materials.validation.pixels)


PAPER = FinetuneConfig(recipe=PaperRecipe(epochs=2, margin=0.9))


def killed_in(
    place: str, workspace: Workspace, config: FinetuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fine-tune, saving after each update, until the method at `place` is called."""

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("curate.model.progress.SAVE_EVERY", 1)
        patch.setattr(place, end)
        with pytest.raises(KeyboardInterrupt):
            finetune(workspace, config)


@pytest.mark.parametrize(
    "place", ["curate.finetune.keep_checkpoint", "curate.score.Scorer.put_in_service"]
)
def test_what_is_learned_is_not_forgotten_before_it_serves(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    fill(workspace, 5, 5)
    killed_in(place, workspace, PAPER, monkeypatch)
    updates: list[Update] = []
    assert finetune(workspace, PAPER, updates.append).outcome == "promoted"
    assert updates == []
    assert list(workspace.progress.iterdir()) == []


def test_what_a_run_on_other_images_left_is_deleted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(workspace, 2, 2)
    kept = "curate.finetune.keep_checkpoint"
    killed_in(kept, workspace, PAPER, monkeypatch)
    first = list(workspace.progress.iterdir())
    fill(workspace, 3, 2)
    killed_in(kept, workspace, PAPER, monkeypatch)
    second = list(workspace.progress.iterdir())
    assert (len(first), len(second)) == (1, 1)
    assert first != second


def test_the_lease_is_renewed_between_all_that_may_take_long(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(workspace, 20, 40)
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    seen: list[str] = []

    def note(place: str) -> None:
        module, _, name = place.rpartition(".")
        noted = getattr(import_module(module), name)

        def call(*arguments: object, **options: object) -> object:
            found = noted(*arguments, **options)
            seen.append(name)
            return found

        monkeypatch.setattr(place, call)

    monkeypatch.setattr("curate.workspace.Lease.renew", lambda _: seen.append("renew"))
    for name in ("load_split", "load_pixels"):
        note(f"curate.finetune.{name}")
    for name in ("predict", "descriptions", "feature_bank", "accuracy"):
        note(f"curate.recipes.attempt.{name}")
    assert finetune(workspace, FinetuneConfig(recipe=QUICK, force=True)).outcome == "promoted"
    assert Counter(seen) > Counter(
        load_split=3, load_pixels=1, predict=9, descriptions=3, feature_bank=1
    )
    assert [pair for pair in pairwise(seen) if "renew" not in pair] == []


@pytest.mark.parametrize(
    ("calibration", "inbox", "rate", "canaries"),
    [
        (287, 465, 0.05, 143),  # half, where there are few
        (5_714, 400, 0.05, 500),  # the fewest, where the inbox is small
        (5_714, 4_000, 0.05, 1_000),  # a quarter of the inbox
        (5_714, 400, 0.005, 796),  # four times what the rate needs
    ],
)
def test_canaries_are_enough_but_do_not_drown_the_inbox(
    calibration: int, inbox: int, rate: float, canaries: int
) -> None:
    assert canary_count(calibration, inbox, rate) == canaries


def test_canaries_are_dealt_as_unusual_as_those_that_stay_out(workspace: Workspace) -> None:
    fill(workspace, 5, 5)
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    parent = str(workspace.catalog.models.active("classifier"))
    gathered = gather(workspace, parent, FinetuneConfig()).materials
    frozen = look(gathered.network, gathered.reference, gathered, combine=True)
    materials, opinion = dealt(gathered, frozen, seed=0)
    before, after = (
        [*these.canaries.hashes, *these.held_out.hashes] for these in (gathered, materials)
    )
    assert sorted(before) == sorted(after)
    assert len(materials.canaries) == len(gathered.canaries)
    # Each image takes its score along.
    assert dict(zip(after, opinion.calibration.tolist(), strict=True)) == dict(
        zip(before, frozen.calibration.tolist(), strict=True)
    )
    ranks = opinion.calibration.argsort().argsort()[: len(opinion.canaries)].sort().values
    strata = torch.arange(len(ranks)) * len(before) / len(ranks)
    assert ((ranks >= strata.floor()) & (ranks <= strata + 2)).all()


def judged(workspace: Workspace, *words: tuple[str, str, str | None]) -> None:
    workspace.catalog.reviews.add(words, "anna", datetime.now(UTC))


def test_what_people_said_joins_the_materials(workspace: Workspace) -> None:
    fill(workspace, 2, 3)
    labeled = next(iter((workspace.folder.parent / "labeled" / "disc").iterdir()))
    shutil.copy(labeled, workspace.folder.parent / "inbox" / "again.png")
    fill(workspace, 2, 3)
    known = {row.path: row.sha256 for row in workspace.catalog.iter_images(Query())}
    words: dict[str, tuple[str, str | None]] = {
        "disc-5000.png": ("id", "disc"),
        "disc-5001.png": ("id", None),
        "cross-5000.png": ("id", "star"),
        "noise-0.png": ("ood", None),
        "noise-1.png": ("ood", None),
        "again.png": ("ood", None),
    }
    judged(workspace, *((known[path], *word) for path, word in words.items()))
    parent, plain = str(workspace.catalog.models.active("classifier")), PaperRecipe()
    found = gather(workspace, parent, FinetuneConfig())
    before = gather(workspace, parent, FinetuneConfig(recipe=plain))
    # Ours joins with its class, if the network has it; OOD unless it lies in the labeled folder.
    assert found.reviewed.ours.hashes == (known["disc-5000.png"],)
    assert found.reviewed.ours.labels.tolist() == [sorted(SHAPES).index("disc")]
    assert set(found.reviewed.ood) == {known["noise-0.png"], known["noise-1.png"]}
    assert len(found.materials.reviewed) == 2
    assert found.materials.train.hashes == (*before.materials.train.hashes, known["disc-5000.png"])
    assert torch.equal(found.materials.train.pixels[-1:], found.reviewed.ours.pixels)
    # Nobody's word is guessed at: they are no unlabeled images any more.
    assert set(found.hashes).isdisjoint(known[path] for path in words)
    # The paper knows no reviews.
    assert (len(before.reviewed.ours), len(before.materials.reviewed)) == (0, 0)


def test_ten_reviews_open_the_gate(workspace: Workspace) -> None:
    fill(workspace, 25, 10)
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    noise = [row.sha256 for row in workspace.catalog.iter_images(Query(path="noise"))]
    judged(workspace, *((sha256, "ood", None) for sha256 in noise[:9]))
    config = FinetuneConfig(recipe=replace(QUICK, significance=0.0))
    assert finetune(workspace, config).outcome == "skipped"
    judged(workspace, (noise[9], "ood", None))
    told = finetune(workspace, config)
    assert told.outcome in ("promoted", "rejected")
    assert told.figures["updates"] == 3
