"""Every order begins with what it is for, ends with the last image, and is walked in pages."""

from __future__ import annotations

import json

import pytest

from curate.catalog import queues
from curate.catalog.query import Query, parse
from curate.catalog.queues import ORDERS
from curate.catalog.store import Catalog
from curate.errors import UsageError

from .cases import NOW, after, image, name_of, score

SCORED = 12
EVERYTHING = Query()


@pytest.fixture
def looked_at(catalog: Catalog, source_id: str, active: str) -> Catalog:
    """Images 0 to 11 with scores 0.0, 0.1, ... and p-values 0.12, 0.11, ...; a 13th without.

    At 5 % the images from the seventh on are flagged, whose score is 0.7.
    """
    for number in range(SCORED + 1):
        catalog.add_images(source_id, [image(number)], after(minutes=number))
    rows = [score(n, (SCORED - n) / 100, "shirt", n / 10, apart(n)) for n in range(SCORED)]
    catalog.add_scores(active, rows, NOW)
    catalog.audits.draw(EVERYTHING, "", SCORED, "", NOW)
    return catalog


def apart(number: int) -> float:
    """How far the methods differ on an image: an order of its own, with two that are equal."""
    return float(number * 5 % SCORED // 2)


def walked(catalog: Catalog, order: str, query: Query = EVERYTHING, limit: int = 5) -> list[int]:
    """The numbers of all images of a queue, page by page."""
    numbers = {name_of(number): number for number in range(SCORED + 1)}
    found, cursor = list[int](), None
    while True:
        page = catalog.queues.page(order, query, cursor, limit)
        assert len(page.rows) <= limit
        found += [numbers[row.sha256] for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_the_highest_score_comes_first(looked_at: Catalog, limit: int) -> None:
    assert walked(looked_at, "highest", limit=limit) == list(range(SCORED))[::-1]


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_the_newest_comes_first_scored_or_not(looked_at: Catalog, limit: int) -> None:
    assert walked(looked_at, "newest", limit=limit) == list(range(SCORED + 1))[::-1]


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_the_nearest_to_the_threshold_come_first(looked_at: Catalog, limit: int) -> None:
    found = walked(looked_at, "threshold", limit=limit)
    assert sorted(found) == list(range(SCORED))
    assert found[0] == 7
    distances = [round(abs(number - 7) / 10, 9) for number in found]
    assert distances == sorted(distances)


def test_where_nothing_is_flagged_the_highest_is_nearest(looked_at: Catalog) -> None:
    looked_at.rates.set(0.005, NOW)
    assert walked(looked_at, "threshold", limit=2) == list(range(SCORED))[::-1]


def test_methods_that_differ_most_come_first(looked_at: Catalog) -> None:
    found = walked(looked_at, "disagreement", limit=3)
    assert sorted(found) == list(range(SCORED))
    assert [apart(number) for number in found] == sorted(map(apart, range(SCORED)), reverse=True)


def test_the_order_of_hashes_is_a_random_one(looked_at: Catalog) -> None:
    assert walked(looked_at, "random", limit=4) == sorted(range(SCORED), key=name_of)


@pytest.mark.parametrize("order", ORDERS)
def test_a_query_leaves_out_what_it_does_not_mean(looked_at: Catalog, order: str) -> None:
    looked_at.reviews.add([(name_of(8), "id", None), (name_of(3), "ood", None)], "ann", NOW)
    assert sorted(walked(looked_at, order, parse("tag:ood"), 2)) == [3, 7, 9, 10, 11]
    assert sorted(walked(looked_at, order, parse("tag:ood reviewed:no"), 2)) == [7, 9, 10, 11]


@pytest.mark.parametrize("order", ORDERS)
def test_a_page_comes_short_rather_than_look_at_everything(
    looked_at: Catalog, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "LOOKED_AT", 4)
    monkeypatch.setattr(queues, "_PIECE", 2)
    looked_at.reviews.add([(name_of(5), "ood", None)], "ann", NOW)
    page = looked_at.queues.page(order, parse("reviewed:no"), None, 100)
    assert len(page.rows) in (3, 4)
    unreviewed = walked(looked_at, order, parse("reviewed:no"), 100)
    assert len(unreviewed) == SCORED - 1 + (order == "newest")
    assert len(walked(looked_at, order, parse("reviewed:yes"), 100)) == 1


@pytest.mark.parametrize("order", ORDERS)
def test_without_a_network_only_arrivals_have_an_order(
    catalog: Catalog, source_id: str, order: str
) -> None:
    catalog.add_images(source_id, [image(0)], NOW)
    assert len(catalog.queues.page(order, Query(), None, 9).rows) == (order == "newest")


def test_what_would_change_sides_is_nearest_the_new_threshold_first(looked_at: Catalog) -> None:
    looked_at.reviews.add([(name_of(4), "id", None)], "ann", NOW)

    def changing(rate: float) -> list[float | None]:
        return [row.p_value for row in looked_at.queues.changing_sides(rate, 3)]

    assert changing(0.1) == [0.1, 0.09, 0.07]
    assert changing(0.02) == [0.03, 0.04, 0.05]
    assert changing(0.05) == []


@pytest.mark.parametrize(
    ("order", "cursor"),
    [
        ("highest", "no JSON"),
        ("highest", "{}"),
        ("highest", json.dumps(["text", "hash"])),
        ("highest", json.dumps([0.5, 7])),
        ("highest", json.dumps([0.5, "a", 0.5, "a"])),
        ("threshold", json.dumps([0.5, "a", 0.5])),
        ("newest", json.dumps(["no date", "hash"])),
        ("newest", json.dumps(["0001-01-01T00:00:00+23:00", "hash"])),
        ("random", json.dumps([None, "hash"])),
        ("highest", "[" * 100_000),
    ],
)
def test_a_cursor_that_was_made_up_is_refused(looked_at: Catalog, order: str, cursor: str) -> None:
    with pytest.raises(UsageError, match="no cursor of this order"):
        looked_at.queues.page(order, Query(), cursor, 5)


def test_an_order_that_does_not_exist_is_refused(looked_at: Catalog) -> None:
    with pytest.raises(UsageError, match="no order 'best'; use threshold, highest"):
        looked_at.queues.page("best", Query(), None, 5)
