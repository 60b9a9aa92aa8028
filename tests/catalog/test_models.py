"""A checkpoint serves once it has scored everything, under a lease that still holds."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from sqlalchemy import select

from curate.catalog.models import LabeledRow
from curate.catalog.query import Query
from curate.catalog.store import Catalog
from curate.catalog.tables import Activation, Score, Tally
from curate.errors import HeldByAnother, NoCheckpoint, Superseded, UsageError

from .cases import NOW, AddCheckpoint, Place, after, image, name_of, score, stored


def detectors(catalog: Catalog) -> set[str | None]:
    return {row.checkpoint for row in catalog.iter_images(Query())}


def test_a_snapshot_is_the_hash_of_its_rows(catalog: Catalog) -> None:
    rows = [
        LabeledRow(name_of("b"), "bag", "train", "bag/b.png"),
        LabeledRow(name_of("a"), "hat", "calibration", "hat/a.png"),
    ]
    text = json.dumps(
        sorted([row.sha256, row.class_name, row.split, row.path] for row in rows),
        separators=(",", ":"),
    )
    found = catalog.models.add_snapshot("/labeled", rows, NOW)
    assert found == hashlib.sha256(text.encode()).hexdigest()
    assert catalog.models.add_snapshot("/elsewhere", rows[::-1], after(days=1)) == found
    expected = sorted(rows, key=lambda row: row.sha256)
    assert list(catalog.models.snapshot_images(found)) == expected
    assert catalog.models.add_snapshot("/labeled", rows[:1], NOW) != found


def test_the_classes_are_those_of_the_classifier_in_service(
    catalog: Catalog, checkpoint: AddCheckpoint
) -> None:
    first = checkpoint("first")
    assert (catalog.models.classes(), catalog.models.labeled_root()) == ([], None)
    rows = [LabeledRow(name_of(name), name[0], "train", name) for name in ("b1", "a1", "b2")]
    snapshot = catalog.models.add_snapshot("/other", rows, NOW)
    row = catalog.models.get(first)
    other = dataclasses.replace(row, checkpoint_id=name_of("other"), snapshot_id=snapshot)
    catalog.models.add_checkpoint(other)
    for name, classes, root in (
        (first, ["shirt"], "/labeled"),
        (other.checkpoint_id, ["a", "b"], "/other"),
    ):
        catalog.models.begin_scoring(name)
        catalog.models.activate(dict.fromkeys(("classifier", "detector"), name), "trained", NOW)
        assert (catalog.models.classes(), catalog.models.labeled_root()) == (classes, root)


def test_a_checkpoint_is_kept_once_with_its_figures(
    catalog: Catalog, checkpoint: AddCheckpoint
) -> None:
    first, second = checkpoint("first"), checkpoint("second", parent=name_of("first"))
    checkpoint("first")
    assert {row.checkpoint_id for row in catalog.models.list()} == {first, second}
    row = catalog.models.get(second[:12])
    assert (row.kind, row.parent_id, row.figures) == ("finetuned", first, {"accuracy": 0.5})


def test_a_checkpoint_is_found_by_the_beginning_of_its_id(
    catalog: Catalog, checkpoint: AddCheckpoint
) -> None:
    checkpoint("first"), checkpoint("second")
    with pytest.raises(UsageError, match="several"):
        catalog.models.get("")
    for prefix in ("zz", "%", "_", "\udcff"):
        with pytest.raises(NoCheckpoint, match="no checkpoint begins with"):
            catalog.models.get(prefix)


def test_nothing_serves_before_it_has_scored_everything(
    catalog: Catalog, source_id: str, active: str, checkpoint: AddCheckpoint
) -> None:
    catalog.add_images(source_id, [image(1), image(2)], NOW)
    catalog.add_scores(active, [score(1), score(2)], NOW)
    candidate = checkpoint("candidate", parent=active)
    assert catalog.models.begin_scoring(candidate) == 2
    assert not catalog.models.activate({"detector": candidate}, "better", NOW)
    catalog.add_scores(candidate, [score(1), score(2)], NOW)
    catalog.add_images(source_id, [image(3)], NOW)
    assert not catalog.models.activate({"detector": candidate}, "better", NOW)
    assert catalog.models.active("detector") == active
    catalog.add_scores(candidate, [score(3)], NOW)
    assert catalog.models.activate({"detector": candidate}, "better", after(hours=1))
    assert detectors(catalog) == {candidate}
    assert catalog.models.active("classifier") == active
    found = catalog.models.active_since("detector")
    assert found == (catalog.models.get(candidate), after(hours=1))


def test_a_checkpoint_that_never_began_to_score_cannot_serve(
    catalog: Catalog, source_id: str, active: str, checkpoint: AddCheckpoint
) -> None:
    catalog.add_images(source_id, [image(1)], NOW)
    candidate = checkpoint("candidate", parent=active)
    assert not catalog.models.activate({"detector": candidate}, "at once", NOW)
    assert catalog.pending(candidate, 9) == [name_of(1)]


def test_a_switch_drops_the_queues_of_what_serves_no_more(
    catalog: Catalog, source_id: str, active: str, checkpoint: AddCheckpoint
) -> None:
    second, rival = checkpoint("second"), checkpoint("rival")
    catalog.models.begin_scoring(second), catalog.models.begin_scoring(rival)
    catalog.add_images(source_id, [image(1)], NOW)
    catalog.add_scores(second, [score(1)], NOW)
    assert catalog.models.activate(
        dict.fromkeys(("classifier", "detector"), second), "retrained", NOW
    )
    catalog.add_images(source_id, [image(2)], NOW)
    waiting = [catalog.pending_count(name) for name in (active, second, rival)]
    assert waiting == [0, 1, 0]
    assert not catalog.models.activate({"detector": rival}, "late", NOW)
    assert catalog.pending_count(rival) == 2


def test_both_roles_switch_at_once_or_neither(
    catalog: Catalog, source_id: str, active: str, checkpoint: AddCheckpoint
) -> None:
    second = checkpoint("second")
    tuned = checkpoint("tuned", parent=second)
    catalog.add_images(source_id, [image(1)], NOW)
    catalog.add_scores(second, [score(1)], NOW)
    serving = {"classifier": second, "detector": tuned}
    assert not catalog.models.activate(serving, "chosen", NOW)
    assert {catalog.models.active(role) for role in serving} == {active}
    catalog.models.begin_scoring(tuned)
    catalog.add_scores(tuned, [score(1)], NOW)
    assert catalog.models.activate(serving, "chosen", NOW)
    assert {role: catalog.models.active(role) for role in serving} == serving


def test_a_detector_comes_beside_the_classifier_that_it_was_made_from(
    catalog: Catalog, active: str, checkpoint: AddCheckpoint
) -> None:
    tuned, other = checkpoint("tuned", parent=active), checkpoint("other")
    assert catalog.models.activate(dict.fromkeys(("classifier", "detector"), other), "new", NOW)
    with pytest.raises(Superseded, match="another classifier"):
        catalog.models.activate({"detector": tuned}, "late", NOW)
    assert catalog.models.active("detector") == other
    assert catalog.models.activate({"classifier": active, "detector": tuned}, "chosen", NOW)


def test_what_serves_already_is_not_put_in_service_again(
    catalog: Catalog, active: str, place: Place
) -> None:
    assert catalog.models.activate({"classifier": active, "detector": active}, "again", NOW)
    assert stored(place, select(Activation.seq)) == [(1,), (1,)]


def test_the_classifier_keeps_its_queue_when_only_the_detector_changes(
    catalog: Catalog, source_id: str, active: str, checkpoint: AddCheckpoint
) -> None:
    tuned = checkpoint("tuned", parent=active)
    catalog.models.begin_scoring(tuned)
    assert catalog.models.activate({"detector": tuned}, "tuned", NOW)
    catalog.add_images(source_id, [image(1)], NOW)
    assert (catalog.pending_count(active), catalog.pending_count(tuned)) == (1, 1)
    catalog.add_scores(tuned, [score(1, 0.01, label="wrong")], NOW)
    (row,) = catalog.iter_images(Query())
    assert (row.tag, row.label) == ("ood", None)
    catalog.add_scores(active, [score(1, 1.0, label="shirt")], NOW)
    (row,) = catalog.iter_images(Query())
    assert (row.tag, row.label, row.p_value) == ("ood", "shirt", 0.01)


def test_switching_back_is_another_row(
    catalog: Catalog, active: str, checkpoint: AddCheckpoint, place: Place
) -> None:
    tuned = checkpoint("tuned", parent=active)
    assert catalog.models.activate({"detector": tuned}, "tuned", NOW)
    assert catalog.models.activate({"detector": active}, "rolled back", after(hours=1))
    rows = select(Activation.role, Activation.seq, Activation.checkpoint_id)
    assert stored(place, rows.order_by(Activation.role, Activation.seq)) == [
        ("classifier", 1, active),
        ("detector", 1, active),
        ("detector", 2, tuned),
        ("detector", 3, active),
    ]


def test_scores_of_what_served_long_ago_are_forgotten(
    catalog: Catalog, source_id: str, active: str, checkpoint: AddCheckpoint, place: Place
) -> None:
    catalog.add_images(source_id, [image(number) for number in range(5)], NOW)
    catalog.add_scores(active, [score(number) for number in range(5)], NOW)
    catalog.reviews.add([(name_of(0), "ood", None)], "ann", NOW)

    def serves(name: str) -> str:
        made = checkpoint(name, parent=active)
        catalog.models.begin_scoring(made)
        catalog.add_scores(made, [score(number) for number in range(5)], NOW)
        assert catalog.models.activate({"detector": made}, name, NOW)
        return made

    def scored_by() -> set[str]:
        return {made for (made,) in stored(place, select(Score.checkpoint_id))}

    first, second = serves("first tuned"), serves("second tuned")
    assert catalog.models.forget_scores(2) == 0, "the classifier, what serves, and what did before"
    third = serves("third tuned")
    dead = checkpoint("of a fine-tune that died", parent=active)
    catalog.models.begin_scoring(dead)
    catalog.add_scores(dead, [score(0)], NOW)
    assert sorted(catalog.models.forget_scores(2) for _ in range(5)) == [0, 0, 1, 2, 2]
    assert scored_by() == {active, second, third, dead}, "the dead one has a queue yet"
    catalog.models.drop_candidates()
    assert [catalog.models.forget_scores(2) for _ in range(2)] == [1, 0]
    assert scored_by() == {active, second, third}
    assert {made for (made,) in stored(place, select(Tally.checkpoint_id))} == scored_by()
    assert catalog.models.begin_scoring(first) == 5, "to serve again it scores anew"


def test_candidates_of_the_dead_lose_their_queues(
    catalog: Catalog, source_id: str, active: str, checkpoint: AddCheckpoint
) -> None:
    candidate = checkpoint("candidate", parent=active)
    catalog.add_images(source_id, [image(1)], NOW)
    catalog.models.begin_scoring(candidate)
    catalog.models.drop_candidates()
    catalog.add_images(source_id, [image(2)], NOW)
    assert (catalog.pending_count(candidate), catalog.pending_count(active)) == (0, 2)


def test_one_whose_lease_passed_on_cannot_switch(
    catalog: Catalog, active: str, checkpoint: AddCheckpoint
) -> None:
    tuned = checkpoint("tuned", parent=active)
    stale = catalog.leases.acquire("finetune", "the fine-tune", 10, "there", NOW, 60)
    fence = catalog.leases.acquire("finetune", "the fine-tune", 20, "there", after(hours=1), 60)
    with pytest.raises(HeldByAnother, match="the fine-tune is held by process 20 on there"):
        catalog.models.activate({"detector": tuned}, "asleep", NOW, ("finetune", stale))
    assert catalog.models.active("detector") == active
    assert catalog.models.activate({"detector": tuned}, "awake", NOW, ("finetune", fence))
    assert catalog.models.active("detector") == tuned
