"""Images enter once, whatever their names; the queue is written and emptied with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from curate.catalog.query import Query, parse
from curate.catalog.store import Catalog, Counts, NewUnreadable

from .cases import NOW, ROOT, AddCheckpoint, after, image, name_of, score


def unreadable(path: str, policy: str = "v1", **changed: str) -> NewUnreadable:
    return replace(NewUnreadable(path, "cut off", policy, 7, 1, 2, 3), **changed)  # type: ignore[arg-type]


def test_the_same_images_again_change_nothing(catalog: Catalog, source_id: str) -> None:
    images = [image(number) for number in range(5)]
    assert catalog.add_images(source_id, images, NOW) == 5
    before = list(catalog.iter_images(Query(), all_paths=True))
    assert catalog.add_images(source_id, images, after(days=1)) == 0
    assert list(catalog.iter_images(Query(), all_paths=True)) == before
    assert catalog.counts() == Counts(
        images=5,
        id=0,
        ood=0,
        pending=5,
        reviewed=0,
        reviewed_ood=0,
        false_alarms=0,
        sightings=5,
        unreadable=0,
        sources=1,
    )


def test_one_content_under_two_names_is_one_image(catalog: Catalog, source_id: str) -> None:
    twins = [image(1, "b.jpg"), image(1, "a.jpg")]
    assert catalog.add_images(source_id, twins, NOW) == 1
    assert catalog.add_images(source_id, [image(1, "0.jpg")], after(hours=1)) == 0
    assert [row.path for row in catalog.iter_images(Query())] == ["a.jpg"]
    every = [row.path for row in catalog.iter_images(Query(), all_paths=True)]
    assert every == ["a.jpg", "b.jpg", "0.jpg"]
    assert catalog.counts().images == 1


def test_a_batch_larger_than_a_statement(catalog: Catalog, source_id: str, active: str) -> None:
    images = [image(number) for number in range(2_300)]
    assert catalog.add_images(source_id, images, NOW) == 2_300
    assert catalog.pending_count(active) == 2_300
    catalog.add_scores(active, [score(number) for number in range(2_300)], NOW)
    assert catalog.pending_count(active) == 0
    assert sum(1 for _ in catalog.iter_images(Query())) == 2_300
    assert sum(1 for _ in catalog.unlabeled()) == 2_300


def test_where_a_content_was_seen_newest_first(catalog: Catalog, source_id: str) -> None:
    other = catalog.source("file:///other", NOW)
    catalog.add_images(source_id, [image(1, "a.jpg"), image(2, "b.jpg")], NOW)
    catalog.add_images(other, [image(1, "c.jpg")], after(hours=1))
    assert catalog.places(name_of(1)) == [("file:///other", "c.jpg"), (ROOT, "a.jpg")]
    assert catalog.places(name_of(3)) == []


def test_a_name_used_again_means_the_new_content(catalog: Catalog, source_id: str) -> None:
    catalog.add_images(source_id, [image(1, "x.jpg")], NOW)
    catalog.add_images(source_id, [image(2, "x.jpg")], after(hours=1))
    assert catalog.content_at([(source_id, "x.jpg")], None) == name_of(2)
    catalog.add_images(source_id, [image(1, "x.jpg")], after(hours=2))
    assert catalog.content_at([(source_id, "x.jpg")], None) == name_of(1)
    assert catalog.content_at([(source_id, "y.jpg")], None) is None
    assert catalog.content_at([("elsewhere", "x.jpg")], None) is None
    assert catalog.content_at([], None) is None
    assert (catalog.has_image(name_of(2)), catalog.has_image(name_of(3))) == (True, False)


def test_the_stat_of_a_file_tells_its_content_whatever_the_clock_said(
    catalog: Catalog, source_id: str
) -> None:
    other = catalog.source("file:///in", NOW)
    catalog.add_images(source_id, [image(1, "x.jpg")], NOW)
    catalog.add_images(other, [image(2, "box/x.jpg", inode=2**64 - 1)], after(hours=-1))
    places = [(source_id, "x.jpg"), (other, "box/x.jpg")]
    assert catalog.content_at(places, (1_001, 1, 2, 3)) == name_of(1)
    assert catalog.content_at(places, (1_002, 1, 2, 2**64 - 1)) == name_of(2)
    assert catalog.content_at(places, None) == name_of(1)
    for other_stat in ((1_002, 1, 2, 3), (1_001, 2, 2, 3), (1_001, 1, 3, 3), (1_001, 1, 2, 4)):
        assert catalog.content_at(places, other_stat) is None


def test_a_name_that_became_unreadable_means_no_content(catalog: Catalog, source_id: str) -> None:
    other = catalog.source("file:///in", NOW)
    places = [(source_id, "x.jpg"), (other, "box/x.jpg")]
    catalog.add_images(other, [image(1, "box/x.jpg")], NOW)
    assert catalog.content_at(places, None) == name_of(1)
    catalog.add_unreadable(source_id, [unreadable("x.jpg")], after(hours=1))
    assert catalog.content_at(places, None) is None
    catalog.add_images(other, [image(2, "box/x.jpg")], after(hours=2))
    assert catalog.content_at(places, None) == name_of(2)
    catalog.add_unreadable(other, [unreadable("box/x.jpg")], after(hours=-1))
    assert catalog.content_at(places, None) is None


def test_known_files_by_their_stat(catalog: Catalog, source_id: str) -> None:
    far = image(1, mtime_ns=-5, ctime_ns=2**63 + 9, inode=2**64 - 1)
    other = catalog.source("file:///other", NOW)
    catalog.add_images(source_id, [far], NOW)
    catalog.add_images(other, [image(2)], NOW)
    catalog.add_unreadable(source_id, [unreadable("a.png"), unreadable("b.png", "v2")], NOW)
    assert sorted(catalog.identities(source_id, "v1")) == [
        ("1.jpg", 1_001, -5, 2**63 + 9, 2**64 - 1),
        ("a.png", 7, 1, 2, 3),
    ]
    assert {type(row) for row in catalog.identities(source_id, "v1")} == {tuple}
    catalog.add_images(source_id, [image(1, mtime_ns=6)], after(hours=1))
    known = set(catalog.identities(source_id, "v1"))
    assert known == {("1.jpg", 1_001, 6, 2, 3), ("a.png", 7, 1, 2, 3)}


def test_an_unreadable_file_keeps_one_row_until_it_is_readable(
    catalog: Catalog, source_id: str
) -> None:
    catalog.add_unreadable(source_id, [unreadable("z.png"), unreadable("a.png")], NOW)
    catalog.add_unreadable(source_id, [unreadable("a.png", reason="a bomb")], after(hours=1))
    rows = [
        (row.path, row.source, row.reason, row.first_seen, row.last_seen)
        for row in catalog.iter_unreadable()
    ]
    assert rows == [
        ("a.png", ROOT, "a bomb", NOW, after(hours=1)),
        ("z.png", ROOT, "cut off", NOW, NOW),
    ]
    catalog.add_images(source_id, [image(1, "a.png")], after(hours=2))
    assert [row.path for row in catalog.iter_unreadable()] == ["z.png"]
    assert catalog.counts().unreadable == 1


def test_a_file_that_is_readable_again_is_so_in_every_source_that_holds_it(
    catalog: Catalog, source_id: str
) -> None:
    below, beside = catalog.source(f"{ROOT}/b%20c", NOW), catalog.source(f"{ROOT}/b", NOW)
    above = catalog.source("file:///", NOW)
    catalog.add_unreadable(source_id, [unreadable("b%20c/1.png"), unreadable("b/1.png")], NOW)
    catalog.add_unreadable(below, [unreadable("1.png"), unreadable("2.png")], NOW)
    catalog.add_unreadable(above, [unreadable("in/box/b%20c/1.png")], NOW)
    catalog.add_unreadable(beside, [unreadable("1.png")], NOW)
    catalog.add_images(source_id, [image(1, "b%20c/1.png")], NOW)
    left = sorted((row.source, row.path) for row in catalog.iter_unreadable())
    assert left == [(ROOT, "b/1.png"), (f"{ROOT}/b", "1.png"), (f"{ROOT}/b%20c", "2.png")]
    catalog.add_images(below, [image(2, "2.png")], NOW)
    catalog.add_images(beside, [image(3, "1.png")], NOW)
    assert list(catalog.iter_unreadable()) == []


def test_unreadable_files_are_all_listed_page_after_page(
    catalog: Catalog, source_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.catalog.store.PAGE", 2)
    other = catalog.source("file:///other", NOW)
    for source in (source_id, other):
        catalog.add_unreadable(source, [unreadable(f"{n}.png") for n in range(5)], NOW)
    rows = [(row.source, row.path) for row in catalog.iter_unreadable()]
    assert sorted(rows) == sorted(
        (root, f"{n}.png") for root in (ROOT, "file:///other") for n in range(5)
    )


def test_the_queue_is_written_with_the_image_and_emptied_with_its_score(
    catalog: Catalog, source_id: str, active: str
) -> None:
    catalog.add_images(source_id, [image(1), image(2)], NOW)
    assert catalog.pending(active, 9) == sorted([name_of(1), name_of(2)])
    assert len(catalog.pending(active, 1)) == 1
    catalog.add_scores(active, [score(1)], NOW)
    catalog.add_images(source_id, [image(1, "again.jpg")], NOW)
    assert catalog.pending(active, 9) == [name_of(2)]
    catalog.add_scores(active, [score(1, score=1.5), score(2)], NOW)
    assert catalog.pending_count(active) == 0
    assert catalog.score_sample(active) == [0.25, 0.25]
    assert len(catalog.score_sample(active, limit=1)) == 1


def test_every_scoring_checkpoint_has_a_queue(
    catalog: Catalog, source_id: str, active: str, checkpoint: AddCheckpoint
) -> None:
    catalog.add_images(source_id, [image(1)], NOW)
    candidate = checkpoint("candidate", parent=active)
    assert catalog.models.begin_scoring(candidate) == 1
    catalog.add_images(source_id, [image(2)], NOW)
    assert catalog.models.begin_scoring(candidate) == 2
    assert (catalog.pending_count(active), catalog.pending_count(candidate)) == (2, 2)


def test_sources_and_their_scans(catalog: Catalog, source_id: str) -> None:
    assert catalog.source(ROOT, after(days=1)) == source_id
    catalog.record_scan(source_id, after(hours=1), 12, "poll")
    (row,) = catalog.sources()
    assert (row.root_uri, row.added_at) == (ROOT, NOW)
    assert (row.last_scan_at, row.last_scan_files, row.watch_mode) == (after(hours=1), 12, "poll")


def test_images_that_came_after_a_moment(catalog: Catalog, source_id: str) -> None:
    for number in range(4):
        catalog.add_images(source_id, [image(number)], after(hours=number))
    assert catalog.new_images_since(after(hours=1)) == 2
    assert catalog.new_images_since(NOW.min.replace(tzinfo=NOW.tzinfo)) == 4
    assert catalog.new_images_since(NOW.min.replace(tzinfo=NOW.tzinfo), at_most=3) == 3


def test_the_lowest_score_that_is_flagged(catalog: Catalog, source_id: str, active: str) -> None:
    catalog.add_images(source_id, [image(number) for number in range(3)], NOW)
    rows = [score(0, 0.01, score=1.5), score(1, 0.05, score=1.25), score(2, 0.06)]
    catalog.add_scores(active, rows, NOW)
    assert catalog.lowest_flagged(active, 0.05) == 1.25
    assert catalog.lowest_flagged(active, 0.001) is None


def test_a_moment_without_a_zone_is_refused(catalog: Catalog) -> None:
    with pytest.raises(Exception, match="has no time zone"):
        catalog.source(ROOT, NOW.replace(tzinfo=None))


def test_rows_have_the_columns_of_an_export(catalog: Catalog, source_id: str, active: str) -> None:
    catalog.add_images(source_id, [image(1)], NOW)
    catalog.add_scores(active, [score(1, 0.04)], NOW)
    (row,) = catalog.iter_images(parse(""))
    assert (row.path, row.source, row.sha256) == ("1.jpg", ROOT, name_of(1))
    assert (row.tag, row.score, row.p_value, row.label) == ("ood", 0.25, 0.04, "shirt")
    assert (row.confidence, row.checkpoint, row.format) == (0.875, active, "JPEG")
    assert (row.width, row.height, row.bytes, row.first_seen) == (640, 480, 1_001, NOW)
    assert (row.reviewed_by, row.reviewed_at) == (None, None)
