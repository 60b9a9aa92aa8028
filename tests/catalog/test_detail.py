"""What there is to see of one image and of the threshold, counted by hand."""

from __future__ import annotations

import pytest

from curate.catalog.detail import levels, methods
from curate.catalog.store import Catalog

from .cases import NOW, AddCheckpoint, image, name_of, score

P_VALUES = (0.01, 0.02, 0.02, 0.05, 0.06, 0.5, 0.9)


@pytest.fixture
def scored(catalog: Catalog, source_id: str, active: str) -> Catalog:
    """Images whose scores fall as their p-values rise, and one without a score."""
    catalog.add_images(source_id, [image(number) for number in range(len(P_VALUES) + 1)], NOW)
    rows = [score(n, p, score=2 - n / 4) for n, p in enumerate(P_VALUES)]
    catalog.add_scores(active, rows, NOW)
    return catalog


def found(catalog: Catalog, at_most: float) -> list[tuple[float, int, float]]:
    """Levels as p-value, number and lowest score."""
    engine = catalog.engine
    return [(level.p_value, level.number, level.lowest) for level in levels(engine, at_most)]


def test_levels_rise_and_count_what_nobody_has_judged(scored: Catalog) -> None:
    all_of = [(0.01, 1, 2.0), (0.02, 2, 1.5), (0.05, 1, 1.25), (0.06, 1, 1.0), (0.5, 1, 0.75)]
    assert found(scored, 0.5) == all_of
    assert found(scored, 0.05) == all_of[:3]
    assert found(scored, 0.001) == []
    scored.reviews.add([(name_of(2), "id", None), (name_of(3), "ood", None)], "ann", NOW)
    assert found(scored, 0.05) == [(0.01, 1, 2.0), (0.02, 1, 1.5), (0.05, 0, 1.25)]
    scored.reviews.add([(name_of(3), "none", None)], "ann", NOW)
    assert found(scored, 0.05)[2] == (0.05, 1, 1.25)


def test_levels_are_of_the_detector_in_service(
    scored: Catalog, active: str, checkpoint: AddCheckpoint
) -> None:
    tuned = checkpoint("tuned", active)
    scored.models.begin_scoring(tuned)
    scored.add_scores(tuned, [score(n, 0.04, score=n / 4) for n in range(8)], NOW)
    assert found(scored, 0.05)[0] == (0.01, 1, 2.0)
    assert scored.models.activate({"detector": tuned}, "promoted", NOW)
    assert found(scored, 0.5) == [(0.04, 8, 0.0)]


def test_what_each_method_says_of_an_image(scored: Catalog) -> None:
    told = methods(scored.engine, name_of(0))
    assert (told.discrepancy, told.msp, told.energy, told.knn) == (0.5, 0.125, -3.5, 0.75)
    assert told.disagreement == 0.25
    unscored = methods(scored.engine, name_of(7))
    assert (unscored.discrepancy, unscored.msp, unscored.energy, unscored.knn) == (None,) * 4


def test_without_a_network_there_is_no_level(catalog: Catalog, source_id: str) -> None:
    catalog.add_images(source_id, [image(0)], NOW)
    assert found(catalog, 0.5) == []
    assert methods(catalog.engine, name_of(0)).discrepancy is None


def test_which_images_are_not_known(scored: Catalog) -> None:
    names = [name_of(0), name_of("none"), name_of(7), "x", name_of("none")]
    assert scored.reviews.unknown(names) == [name_of("none"), "x", name_of("none")]
    assert scored.reviews.unknown([]) == []
    many = [name_of(f"none {number}") for number in range(2_500)]
    assert scored.reviews.unknown([*many, name_of(1)]) == many
