"""Counts of what a query means, by running counts and by looking, on both databases."""

from __future__ import annotations

import pytest

from curate.catalog.figures import Figures, figures
from curate.catalog.query import Query, parse
from curate.catalog.rows import NewUnreadable
from curate.catalog.store import Catalog

from .cases import NOW, AddCheckpoint, after, image, name_of, score


@pytest.fixture
def filled(catalog: Catalog, source_id: str, checkpoint: AddCheckpoint) -> Catalog:
    """Six images, of which 0 and 1 are flagged, a person called 2 OOD and 5 waits; two bad files.

    3, 4, 5 and the second bad file came a day later; 4 and 5 lie in a folder of their own.
    """
    made = checkpoint("net")
    catalog.models.begin_scoring(made)
    catalog.models.activate({"detector": made, "classifier": made}, "first", NOW)
    paths = {4: "new/4.jpg", 5: "new/5.jpg"}
    for numbers, when in ((range(3), NOW), (range(3, 6), after(days=1))):
        rows = [image(number, paths.get(number)) for number in numbers]
        catalog.add_images(source_id, rows, when)
    scores = [score(number, 0.01 if number < 2 else 0.5) for number in range(5)]
    catalog.add_scores(made, scores, after(days=1))
    catalog.reviews.add([(name_of(2), "ood", None)], "ann", after(days=1))
    for path, when in (("bad.jpg", NOW), ("new/bad.jpg", after(days=1))):
        bad = NewUnreadable(path, "cut short", "v1", 9, 1, 2, 3)
        catalog.add_unreadable(source_id, [bad], when)
    return catalog


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", Figures(2, 3, 1, 2)),
        ("source:/in/box", Figures(2, 3, 1, 2)),
        ("source:/elsewhere", Figures(0, 0, 0, 0)),
        ("since:2026-03-02", Figures(2, 0, 1, 1)),
        ("path:new/", Figures(1, 0, 1, 1)),
        ("path:new/ since:2026-03-01", Figures(1, 0, 1, 1)),
        ("tag:ood", Figures(0, 3, 0, None)),
        ("reviewed:no", Figures(2, 2, 1, None)),
        ("label:shirt p<=0.1", Figures(0, 2, 0, None)),
    ],
)
def test_what_a_query_means_is_counted(filled: Catalog, query: str, found: Figures) -> None:
    assert figures(filled.engine, parse(query, NOW)) == found


def test_without_terms_nothing_is_walked_over(filled: Catalog) -> None:
    counts = filled.counts()
    found = figures(filled.engine, Query())
    assert (found.images, found.ood, found.unreadable) == (6, counts.ood, counts.unreadable)
