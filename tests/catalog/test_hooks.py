"""Notices of newly tagged images: written with the tag, once, and kept until they are taken."""

from __future__ import annotations

import pytest

from curate.catalog.store import Catalog

from .cases import NOW, AddCheckpoint, after, image, name_of, score


@pytest.fixture
def net(catalog: Catalog, source_id: str, checkpoint: AddCheckpoint) -> str:
    """The network in service, and images 0 to 2 that wait for it."""
    made = checkpoint("net")
    catalog.models.begin_scoring(made)
    catalog.models.activate({"classifier": made, "detector": made}, "first", NOW)
    catalog.add_images(source_id, [image(number) for number in range(3)], NOW)
    return made


def waiting(catalog: Catalog) -> set[str]:
    return {row.sha256 for row in catalog.hooks.due(100)}


def test_without_a_hook_nothing_is_queued(catalog: Catalog, net: str) -> None:
    catalog.add_scores(net, [score(0)], NOW)
    assert catalog.hooks.state() is None
    catalog.hooks.set()
    assert waiting(catalog) == set()


def test_a_first_tag_is_told_of_once(catalog: Catalog, net: str) -> None:
    catalog.hooks.set()
    catalog.add_scores(net, [score(0, 0.01), score(1)], NOW)
    rows = {row.sha256: row for row in catalog.hooks.due(100)}
    assert {name: row.tag for name, row in rows.items()} == {name_of(0): "ood", name_of(1): "id"}
    assert rows[name_of(0)].path == "0.jpg"
    catalog.hooks.accepted([name_of(0)], after(hours=1))
    catalog.add_scores(net, [score(0), score(1)], after(hours=2))
    assert waiting(catalog) == {name_of(1)}


def test_those_that_wait_longest_come_first(catalog: Catalog, net: str) -> None:
    catalog.hooks.set()
    for number in (2, 0, 1):
        catalog.add_scores(net, [score(number)], after(seconds=3 - number))
    assert [row.sha256 for row in catalog.hooks.due(1)] == [name_of(2)]


def test_a_new_detector_tells_of_nothing_that_was_told_and_forgets_nothing(
    catalog: Catalog, net: str, source_id: str, checkpoint: AddCheckpoint
) -> None:
    catalog.hooks.set()
    catalog.add_scores(net, [score(0), score(1)], NOW)
    catalog.hooks.accepted([name_of(0), name_of(1)], NOW)
    better = checkpoint("better", net)
    catalog.models.begin_scoring(better)
    catalog.add_scores(better, [score(number) for number in range(3)], NOW)
    assert waiting(catalog) == set()
    assert catalog.models.activate({"detector": better}, "promoted", NOW)
    assert waiting(catalog) == {name_of(2)}, "the old detector had yet to tag it"


def test_what_came_of_it_is_counted_and_a_removed_hook_leaves_nothing(
    catalog: Catalog, net: str
) -> None:
    catalog.hooks.set()
    catalog.add_scores(net, [score(0), score(1)], NOW)
    catalog.hooks.failed("no answer", after(minutes=1))
    catalog.hooks.accepted([name_of(0)], after(minutes=2))
    catalog.hooks.set()
    found = catalog.hooks.state()
    assert found is not None
    row, left = found
    assert (row.delivered, row.failures, row.last_error, left) == (1, 1, "no answer", 1)
    assert (row.last_failed_at, row.last_delivered_at) == (after(minutes=1), after(minutes=2))
    assert catalog.hooks.remove() == 1
    assert catalog.hooks.state() is None
