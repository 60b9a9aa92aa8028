"""A person's word stands over the model's, and undo goes back step by step."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from curate.catalog.query import Query
from curate.catalog.reviews import Word
from curate.catalog.store import Catalog
from curate.catalog.tables import Review

from .cases import NOW, Place, after, image, name_of, score, stored


@pytest.fixture
def scored(catalog: Catalog, source_id: str, active: str) -> Catalog:
    """Five images with p-values 0.01, 0.02, 0.05, 0.06 and 1, and a sixth without a score."""
    catalog.add_images(source_id, [image(number) for number in range(6)], NOW)
    rows = [score(number, p) for number, p in enumerate((0.01, 0.02, 0.05, 0.06, 1.0))]
    catalog.add_scores(active, rows, NOW)
    return catalog


def tags(catalog: Catalog) -> list[str]:
    """The tags of images 0 to 5; the counts must agree with them."""
    rows = {row.sha256: row for row in catalog.iter_images(Query())}
    found = [rows[name_of(number)].tag for number in range(6)]
    counts = catalog.counts()
    assert (counts.id, counts.ood, counts.pending) == tuple(
        found.count(tag) for tag in ("id", "ood", "pending")
    )
    assert counts.reviewed == sum(row.reviewed_at is not None for row in rows.values())
    return found


def test_a_tag_is_the_p_value_against_the_rate(scored: Catalog) -> None:
    assert scored.rates.current() == 0.05
    assert tags(scored) == ["ood", "ood", "ood", "id", "id", "pending"]


def test_choosing_a_rate_tags_again_at_once(scored: Catalog) -> None:
    scored.rates.set(0.015, NOW)
    assert tags(scored) == ["ood", "id", "id", "id", "id", "pending"]
    scored.rates.set(0.5, NOW)
    assert tags(scored) == ["ood", "ood", "ood", "ood", "id", "pending"]
    assert scored.rates.current() == 0.5


def test_a_review_stands_over_the_score_and_over_none(scored: Catalog) -> None:
    judged = [(name_of(0), "id", "bag"), (name_of(3), "ood", None), (name_of(5), "ood", None)]
    assert scored.reviews.add(judged, "ann", after(hours=1)).step == 1
    assert tags(scored) == ["id", "ood", "ood", "ood", "id", "ood"]
    rows = {row.sha256: row for row in scored.iter_images(Query())}
    labels = [rows[name_of(number)].label for number in (0, 3, 5)]
    assert labels == ["bag", "shirt", None]
    first = rows[name_of(0)]
    assert (first.reviewed_by, first.reviewed_at) == ("ann", after(hours=1))
    assert scored.reviews.standing() == sorted(judged)
    assert set(scored.unlabeled()) == {name_of(number) for number in (1, 2, 4)}
    scored.reviews.add([(name_of(0), "none", None)], "ann", after(hours=2))
    assert tags(scored) == ["ood", "ood", "ood", "ood", "id", "ood"]
    assert name_of(0) in set(scored.unlabeled())


def test_the_newest_of_two_words_in_one_step_stands(scored: Catalog) -> None:
    scored.reviews.add([(name_of(4), "ood", None), (name_of(4), "id", None)], "ann", NOW)
    assert scored.reviews.standing() == [(name_of(4), "id", None)]


def test_undo_goes_back_step_by_step(scored: Catalog, place: Place) -> None:
    one, two = name_of(3), name_of(4)
    scored.reviews.add([(one, "ood", None), (two, "ood", None)], "ann", NOW)
    scored.reviews.add([(one, "id", "bag")], "ann", NOW)
    scored.reviews.add([(one, "id", "hat")], "ann", NOW)
    assert len(scored.reviews.undo("ann", NOW)) == 1
    assert scored.reviews.standing() == sorted([(one, "id", "bag"), (two, "ood", None)])
    assert len(scored.reviews.undo("ann", NOW)) == 1
    assert scored.reviews.standing() == sorted([(one, "ood", None), (two, "ood", None)])
    assert scored.reviews.last_reviewer() == "ann"
    assert len(scored.reviews.undo("ann", NOW)) == 2
    assert scored.reviews.last_reviewer() is None
    assert scored.reviews.standing() == []
    assert len(scored.reviews.undo("ann", NOW)) == 0
    assert tags(scored) == ["ood", "ood", "ood", "id", "id", "pending"]
    rows = select(Review.seq, Review.verdict, Review.step, Review.undoes)
    assert stored(place, rows.where(Review.sha256 == one).order_by(Review.seq)) == [
        (1, "ood", 1, None),
        (2, "id", 2, None),
        (3, "id", 3, None),
        (4, "id", 4, 3),
        (5, "ood", 5, 2),
        (6, "none", 6, 1),
    ]


def test_judging_after_an_undo_is_taken_back_first(scored: Catalog) -> None:
    scored.reviews.add([(name_of(3), "ood", None)], "ann", NOW)
    scored.reviews.add([(name_of(3), "id", "bag")], "ann", NOW)
    scored.reviews.undo("ann", NOW)
    scored.reviews.add([(name_of(3), "id", "hat")], "ann", NOW)
    scored.reviews.undo("ann", NOW)
    assert scored.reviews.standing() == [(name_of(3), "ood", None)]
    scored.reviews.undo("ann", NOW)
    assert scored.reviews.standing() == []


def test_what_people_said_against_the_model_is_counted(scored: Catalog) -> None:
    # Images 0 to 2 are flagged, 3 and 4 are not, 5 has no score.
    judged = [(0, "id"), (1, "ood"), (3, "id"), (4, "ood"), (5, "id")]
    scored.reviews.add([(name_of(n), said, None) for n, said in judged], "ann", NOW)
    counts = scored.counts()
    assert (counts.reviewed, counts.reviewed_ood, counts.false_alarms) == (5, 2, 1)
    scored.rates.set(0.01, NOW)
    assert scored.counts().false_alarms == 1
    scored.rates.set(0.005, NOW)
    assert scored.counts().false_alarms == 0


def test_undo_leaves_what_others_said(scored: Catalog) -> None:
    scored.reviews.add([(name_of(3), "ood", None)], "ann", NOW)
    scored.reviews.add([(name_of(3), "id", "bag")], "bob", NOW)
    assert len(scored.reviews.undo("ann", NOW)) == 1
    assert scored.reviews.standing() == [(name_of(3), "id", "bag")]
    (row,) = (row for row in scored.iter_images(Query()) if row.sha256 == name_of(3))
    assert row.reviewed_by == "bob"
    assert len(scored.reviews.undo("ann", NOW)) == 0
    assert len(scored.reviews.undo("bob", NOW)) == 1
    assert scored.reviews.standing() == []


def test_a_step_larger_than_a_statement(catalog: Catalog, source_id: str) -> None:
    catalog.add_images(source_id, [image(number) for number in range(1_500)], NOW)
    catalog.reviews.add([(name_of(n), "ood", None) for n in range(1_500)], "ann", NOW)
    assert catalog.counts().ood == 1_500
    assert len(catalog.reviews.undo("ann", NOW)) == 1_500
    assert catalog.counts().pending == 1_500


def test_a_step_with_an_unknown_image_is_not_kept_at_all(scored: Catalog) -> None:
    with pytest.raises(IntegrityError):
        scored.reviews.add([(name_of(1), "id", None), (name_of(99), "id", None)], "ann", NOW)
    assert scored.reviews.standing() == []


def test_what_others_said_since_is_passed_over(scored: Catalog) -> None:
    seen = scored.reviews.add([(name_of(0), "id", None)], "ann", NOW).step
    other = scored.reviews.add([(name_of(1), "id", "bag"), (name_of(2), "id", None)], "bob", NOW)
    both = [(name_of(number), "ood", None) for number in (0, 1)]
    judged = scored.reviews.add(both, "ann", NOW, as_of=seen)
    assert judged.passed_over == {name_of(1)}
    assert tags(scored)[:3] == ["ood", "id", "id"]
    assert scored.reviews.add(both[1:], "ann", NOW, as_of=seen).step == judged.step
    assert scored.reviews.last_step() == judged.step
    assert scored.reviews.add(both, "ann", NOW, as_of=judged.step).passed_over == set()
    assert tags(scored)[:3] == ["ood", "ood", "id"]
    assert scored.reviews.since(seen, 10) == sorted(map(name_of, range(3)))
    assert scored.reviews.since(other.step, 10) == sorted(map(name_of, range(2)))
    assert scored.reviews.last_step() == judged.step + 1


def test_the_history_of_an_image_is_every_word_on_it(scored: Catalog) -> None:
    assert scored.reviews.history(name_of(3)) == []
    scored.reviews.add([(name_of(3), "id", "bag")], "ann", NOW)
    scored.reviews.add([(name_of(3), "ood", None)], "bob", after(hours=1))
    scored.reviews.undo("bob", after(hours=2))
    assert scored.reviews.history(name_of(3)) == [
        Word(1, "id", "bag", "ann", NOW, None),
        Word(2, "ood", None, "bob", after(hours=1), None),
        Word(3, "id", "bag", "ann", after(hours=2), 2),
    ]
