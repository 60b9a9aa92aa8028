"""A judged random sample: honest rates, and a detector that is calibrated with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from curate import audit
from curate.catalog.models import LabeledRow
from curate.catalog.query import Query
from curate.config import FinetuneConfig, GuardedRecipe
from curate.errors import HeldByAnother, NoCheckpoint, UsageError
from curate.finetune import finetune, gather
from curate.model.checkpoint import read_manifest
from curate.model.proportion import Share, clopper_pearson
from curate.model.share import excess_p_value
from curate.recipes.attempt import dealt, look
from curate.score import LEASE
from curate.workspace import Workspace, hold, open_workspace

from .program import SHAPES, draw, run
from .review.made import project


@pytest.fixture
def sampled(tmp_path: Path) -> Iterator[Workspace]:
    """Images 0 to 59, whose p-values are 0.01 to 0.6: at 5 % the first five are flagged."""
    project(tmp_path, 60)
    with open_workspace(str(tmp_path / ".curate"), create=False) as opened:
        yield opened


def judge(workspace: Workspace, hashes: list[str], verdict: str) -> None:
    words = [(sha256, verdict, None) for sha256 in hashes]
    workspace.catalog.reviews.add(words, "anna", datetime.now(UTC))


def sample_of(workspace: Workspace) -> list[str]:
    latest = workspace.catalog.audits.latest()
    assert latest is not None
    return [image.sha256 for image in workspace.catalog.audits.images(latest.seq)]


def test_rates_are_those_of_the_judged_images(sampled: Workspace) -> None:
    assert audit.draw(sampled, "", 100) == 60
    nothing = audit.audited(sampled)
    assert (nothing.judged, nothing.alarms, nothing.recall) == (0, None, None)
    by_score = {row.sha256: row.p_value or 1 for row in sampled.catalog.iter_images(Query())}
    ranked = sorted(by_score, key=lambda sha256: by_score[sha256])
    # OOD are the first two, which are flagged, and the last one, which is not.
    judge(sampled, ranked[2:-1], "id")
    judge(sampled, [*ranked[:2], ranked[-1]], "ood")
    found = audit.audited(sampled)
    assert found.alarms == Share(3 / 57, *clopper_pearson(3, 57), 57)
    assert found.recall == Share(2 / 3, *clopper_pearson(2, 3), 3)
    assert found.ood_share == Share(3 / 60, *clopper_pearson(3, 60), 60)
    assert (found.finished, found.drifted) == (True, False)
    sampled.catalog.rates.set(0.01, datetime.now(UTC))
    assert audit.audited(sampled).alarms == Share(0.0, *clopper_pearson(0, 57), 57)


def test_only_what_comes_before_the_first_unjudged_counts(sampled: Workspace) -> None:
    audit.draw(sampled, "", 20)
    order = sample_of(sampled)
    judge(sampled, [*order[:7], *order[8:]], "id")
    found = audit.audited(sampled)
    assert (found.judged, found.images, found.finished) == (7, 20, False)
    assert found.alarms is not None
    assert found.alarms.images == 7
    judge(sampled, order[7:8], "ood")
    assert audit.audited(sampled).judged == 20


def test_drift_is_what_chance_does_not_explain(sampled: Workspace) -> None:
    audit.draw(sampled, "", 60)
    judge(sampled, sample_of(sampled), "id")
    # 5 of 60 where 5 % is asked may be chance; 30 of 60 where 30 % is asked are not.
    assert not audit.audited(sampled).drifted
    sampled.catalog.rates.set(0.3, datetime.now(UTC))
    found = audit.audited(sampled)
    assert found.alarms is not None
    assert (found.alarms.value, found.drifted) == (0.5, True)


def test_errors_say_what_to_do(sampled: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sample is drawn yet"):
        audit.audited(sampled)
    with pytest.raises(UsageError, match="nothing was drawn"):
        audit.draw(sampled, "label:nothing", 5)
    for query in ("tag:ood", "score>1", "p<=0.01", "reviewed:no"):
        with pytest.raises(UsageError, match="no rate can be told"):
            audit.draw(sampled, query, 5)
    with (
        open_workspace(str(tmp_path / "empty"), create=True) as empty,
        pytest.raises(NoCheckpoint),
    ):
        audit.draw(empty, "", 5)


@pytest.fixture
def inbox(trained: Path) -> Path:
    """A trained project that has ingested 20 pictures of each of its classes, and five others."""
    for shape in SHAPES:
        draw(trained / "inbox", shape, range(9_000, 9_020))
    draw(trained / "inbox", "noise", range(5))
    run(trained, "ingest", "inbox")
    return trained


def test_a_sample_replaces_the_calibration_images(inbox: Path) -> None:
    run(inbox, "rate", "10%")
    assert "65 images drawn at random" in run(inbox, "audit", "--images", 100).stderr
    left = run(inbox, "audit", "--recalibrate", code=2).stderr
    assert "65 of the sample's 65 images are not judged yet" in left
    run(inbox, "tag", "id", *(inbox / "inbox").glob("[!n]*"))
    run(inbox, "tag", "ood", *(inbox / "inbox").glob("noise*"))
    before = json.loads(run(inbox, "status", "--json").stdout)["detector"]["checkpoint"]
    told = run(inbox, "audit", "--recalibrate", "--json")
    with open_workspace(str(inbox / ".curate"), create=False) as workspace:
        models = workspace.catalog.models
        active = str(models.active("detector"))
        made = read_manifest(workspace.checkpoints / active)
        assert (made.recipe, made.parent) == ("recalibrated", before["checkpoint_id"])
        assert models.active("classifier") == before["checkpoint_id"]
        rows = list(workspace.catalog.iter_images(Query(tag="id")))
        assert sorted(made.calibration["held_out"]) == sorted(row.score or 0 for row in rows)
        # 60 images of our classes: the r-th highest has the p-value (1 + r) / 61.
        ranks = sorted(row.p_value or 0 for row in rows)
        assert ranks == pytest.approx([(1 + rank) / 61 for rank in range(1, 61)])
        assert workspace.catalog.counts().pending == 0
        # The sample is in force before the detector is, so that nothing comes to train on it.
        _, since = models.active_since("detector") or (None, datetime.min.replace(tzinfo=UTC))
        recalibrated = audit.audited(workspace).recalibrated_at
        assert json.loads(told.stdout)["recalibrated_at"] == str(recalibrated).replace(" ", "T")
        assert (recalibrated or datetime.max.replace(tzinfo=UTC)) <= since <= datetime.now(UTC)


def test_a_sample_in_force_is_what_fine_tunes_are_held_against(inbox: Path) -> None:
    run(inbox, "audit", "--images", 65)
    run(inbox, "tag", "id", "--class", "disc", *(inbox / "inbox").glob("disc*"))
    run(inbox, "tag", "id", *(inbox / "inbox").glob("square*"))
    run(inbox, "tag", "ood", *(inbox / "inbox").glob("[nc]*"))
    run(inbox, "audit", "--recalibrate")
    with open_workspace(str(inbox / ".curate"), create=False) as workspace:
        parent = str(workspace.catalog.models.active("classifier"))
        found = gather(workspace, parent, FinetuneConfig())
        ours = workspace.catalog.audits.calibrating()
        assert len(ours) == 40
        materials = found.materials
        assert {*materials.canaries.hashes, *materials.held_out.hashes} == set(ours)
        assert materials.audited
        assert len(found.reviewed.ours) == 0, "what calibrates is not trained on"
        assert len(found.reviewed.ood) == 0, "nor what tells the recall"


def test_a_sample_in_force_calibrates_the_next_training_where_it_is_enough(inbox: Path) -> None:
    training = ("train", "labeled", "--epochs", 1, "--image-size", 32, "--seed")
    run(inbox, "audit", "--images", 65)
    run(inbox, "tag", "id", *(inbox / "inbox").glob("[!n]*"))
    run(inbox, "tag", "ood", *(inbox / "inbox").glob("noise*"))
    run(inbox, "audit", "--recalibrate")
    assert "with 60 of the audit's images" in run(inbox, *training, 5).stderr
    with open_workspace(str(inbox / ".curate"), create=False) as workspace:
        active = str(workspace.catalog.models.active("detector"))
        assert workspace.catalog.models.active("classifier") == active
        calibration = read_manifest(workspace.checkpoints / active).calibration["held_out"]
        rows = list(workspace.catalog.iter_images(Query(tag="id")))
        assert sorted(calibration) == sorted(row.score or 0 for row in rows)
        folder = [row for row in _labeled_rows(workspace, active) if row.split == "calibration"]
    run(inbox, "rate", "1%")  # for which 99 are needed
    assert f"with {len(folder)} calibration images" in run(inbox, *training, 6).stderr


def _labeled_rows(workspace: Workspace, checkpoint_id: str) -> list[LabeledRow]:
    models = workspace.catalog.models
    return list(models.snapshot_images(models.get(checkpoint_id).snapshot_id))


def test_a_sample_is_not_trained_on_before_it_is_in_force_either(inbox: Path) -> None:
    run(inbox, "audit", "--images", 30)
    run(inbox, "tag", "id", "--class", "disc", *(inbox / "inbox").glob("disc*"))
    run(inbox, "tag", "ood", *(inbox / "inbox").glob("noise*"))
    with open_workspace(str(inbox / ".curate"), create=False) as workspace:
        paths = {row.sha256: row.path for row in workspace.catalog.iter_images(Query())}
        sample = set(sample_of(workspace))
        parent = str(workspace.catalog.models.active("classifier"))
        found = gather(workspace, parent, FinetuneConfig()).reviewed
        for hashes, kind in ((found.ours.hashes, "disc"), (found.ood, "noise")):
            judged = {sha256 for sha256, path in paths.items() if kind in path}
            assert set(hashes) == judged - sample
        # A later sample sets this one's images free, unless a detector was calibrated with it.
        workspace.catalog.audits.draw(Query(path="square"), "", 5, "", datetime.now(UTC))
        assert len(gather(workspace, parent, FinetuneConfig()).reviewed.ours) == 20
        workspace.catalog.audits.recalibrated(1, datetime.now(UTC))
        kept = gather(workspace, parent, FinetuneConfig()).reviewed
        assert set(kept.ours.hashes).isdisjoint(sample)


def test_too_few_of_our_classes_and_a_fine_tune_under_way(inbox: Path) -> None:
    run(inbox, "audit", "--images", 65)
    run(inbox, "tag", "ood", *(inbox / "inbox").glob("[!d]*"))
    run(inbox, "tag", "id", *list((inbox / "inbox").glob("disc*"))[:18])
    run(inbox, "tag", "ood", *list((inbox / "inbox").glob("disc*"))[18:])
    told = run(inbox, "audit", "--recalibrate", code=2).stderr
    assert "18 images of your classes in the sample are too few" in told
    with open_workspace(str(inbox / ".curate"), create=False) as workspace:
        with hold(workspace, LEASE, "the fine-tune"), pytest.raises(HeldByAnother):
            audit.recalibrate(workspace, "cpu")
        assert audit.audited(workspace).recalibrated_at is None


def test_the_gate_asks_no_labeled_image_where_the_inbox_has_drifted(inbox: Path) -> None:
    run(inbox, "rate", "10%")
    run(inbox, "audit", "--images", 40)
    with open_workspace(str(inbox / ".curate"), create=False) as workspace:
        paths = {row.sha256: row.path for row in workspace.catalog.iter_images(Query())}
        for sha256 in sample_of(workspace):
            judge(workspace, [sha256], "ood" if "noise" in paths[sha256] else "id")
        audit.recalibrate(workspace, "cpu")
        parent = str(workspace.catalog.models.active("classifier"))
        materials = gather(workspace, parent, FinetuneConfig()).materials
        opinion = look(materials.network, materials.reference, materials, combine=True)
        never = replace(GuardedRecipe(), significance=0.0)
        found = finetune(workspace, FinetuneConfig(recipe=never, device="cpu"))
        assert found.outcome == "skipped"
        _, opinion = dealt(materials, opinion, seed=0)
        expected = excess_p_value(opinion.inbox, opinion.calibration)
        assert found.figures["ood_share_p_value"] == expected
        assert expected != excess_p_value(opinion.inbox, opinion.known)
