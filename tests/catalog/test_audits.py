"""Random samples to judge: what is drawn, in which order, and what is told of it."""

from __future__ import annotations

from curate.catalog.audits import BEYOND, AuditedImage
from curate.catalog.query import Query, parse
from curate.catalog.store import Catalog

from .cases import NOW, after, image, name_of, score

SCORED = 40
EVERYTHING = Query()


def fill(catalog: Catalog, source_id: str, detector: str) -> list[str]:
    """Images 0 to 39 with p-values of hundredths, and one without a score; hashes in order."""
    catalog.add_images(source_id, [image(number) for number in range(SCORED + 1)], NOW)
    rows = [score(n, (n + 1) / 100, "ab"[n % 2], n / 10) for n in range(SCORED)]
    catalog.add_scores(detector, rows, NOW)
    return sorted(name_of(number) for number in range(SCORED))


def drawn(catalog: Catalog) -> list[str]:
    sample = catalog.audits.latest()
    assert sample is not None
    return [image.sha256 for image in catalog.audits.images(sample.seq)]


def test_a_sample_is_what_follows_a_random_hash(
    catalog: Catalog, source_id: str, active: str
) -> None:
    hashes = fill(catalog, source_id, active)
    assert catalog.audits.draw(EVERYTHING, "", 10, hashes[4], NOW) == 10
    assert drawn(catalog) == hashes[5:15]
    # Beyond the last hash it goes on with the first.
    assert catalog.audits.draw(EVERYTHING, "", 10, hashes[34], NOW) == 10
    assert drawn(catalog) == hashes[:5] + hashes[35:]
    assert catalog.audits.draw(EVERYTHING, "", 100, hashes[20], NOW) == SCORED
    assert drawn(catalog) == hashes


def test_it_is_drawn_from_what_a_query_means(catalog: Catalog, source_id: str, active: str) -> None:
    fill(catalog, source_id, active)
    meant = sorted(name_of(number) for number in range(1, SCORED, 2))
    assert catalog.audits.draw(parse("label:b"), "label:b", 100, "", NOW) == SCORED // 2
    assert drawn(catalog) == meant
    sample = catalog.audits.latest()
    assert sample is not None
    assert (sample.seq, sample.query, sample.recalibrated_at) == (1, "label:b", None)
    assert catalog.audits.draw(parse("label:c"), "label:c", 5, BEYOND, NOW) == 0
    assert catalog.audits.latest() == sample


def test_it_tells_what_people_and_the_detector_say(
    catalog: Catalog, source_id: str, active: str
) -> None:
    fill(catalog, source_id, active)
    assert catalog.audits.latest() is None
    assert catalog.audits.calibrating() == []
    catalog.audits.draw(EVERYTHING, "", 100, "", NOW)
    words = [(name_of(3), "id", "a"), (name_of(4), "ood", None), (name_of(5), "none", None)]
    catalog.reviews.add(words, "anna", after(minutes=1))
    found = {image.sha256: image for image in catalog.audits.images(1)}
    assert found[name_of(3)] == AuditedImage(name_of(3), "id", 0.3, 0.04)
    assert found[name_of(4)] == AuditedImage(name_of(4), "ood", 0.4, 0.05)
    assert found[name_of(5)].verdict is None
    # Only one that was calibrated with counts, however many were drawn since.
    assert catalog.audits.calibrating() == []
    catalog.audits.recalibrated(1, after(minutes=2))
    catalog.audits.draw(EVERYTHING, "", 1, "", after(minutes=3))
    assert catalog.audits.calibrating() == [name_of(3)]


def test_the_queue_of_the_last_sample(catalog: Catalog, source_id: str, active: str) -> None:
    hashes = fill(catalog, source_id, active)
    assert catalog.queues.page("audit", EVERYTHING, None, 5).rows == []
    catalog.audits.draw(EVERYTHING, "", 3, "", NOW)
    catalog.audits.draw(EVERYTHING, "", 10, hashes[4], NOW)
    first = catalog.queues.page("audit", EVERYTHING, None, 6)
    rest = catalog.queues.page("audit", EVERYTHING, first.cursor, 6)
    assert [row.sha256 for row in [*first.rows, *rest.rows]] == hashes[5:15]
    assert rest.cursor is None
