"""The images that arrived last, with what the detector says."""

from __future__ import annotations

from curate.catalog.arrivals import Arrival, latest
from curate.catalog.store import Catalog

from .cases import NOW, AddCheckpoint, after, image, score


def test_the_newest_come_first_and_those_without_a_score_are_left_out(
    catalog: Catalog, source_id: str, active: str
) -> None:
    for number in range(6):
        catalog.add_images(source_id, [image(number)], after(minutes=number))
    catalog.add_scores(active, [score(n, (n + 1) / 10, f"class {n}") for n in range(5)], NOW)
    expected = [Arrival(f"class {n}", (n + 1) / 10) for n in (4, 3, 2, 1, 0)]
    assert latest(catalog.engine, 6) == expected
    assert latest(catalog.engine, 3) == expected[:2]


def test_the_detector_in_service_says_it(
    catalog: Catalog, source_id: str, active: str, checkpoint: AddCheckpoint
) -> None:
    detector = checkpoint("detector", active)
    catalog.models.begin_scoring(detector)
    catalog.add_images(source_id, [image(0)], NOW)
    catalog.add_scores(active, [score(0, 0.9, "shirt")], NOW)
    catalog.add_scores(detector, [score(0, 0.1, "coat")], NOW)
    assert latest(catalog.engine, 1) == [Arrival("shirt", 0.9)]
    catalog.models.activate({"detector": detector}, "finetuned", NOW)
    assert latest(catalog.engine, 1) == [Arrival("coat", 0.1)]


def test_without_a_network_there_is_nothing(catalog: Catalog, source_id: str) -> None:
    catalog.add_images(source_id, [image(0)], NOW)
    assert latest(catalog.engine, 1) == []
