"""A watch, a reviewer, exports and a training on one catalog at once, in a process each.

No error reaches any of them, and each finds what it wrote. `pytest --long` makes 2,000
transactions of each.
"""

from __future__ import annotations

import os
import socket
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from itertools import islice

import pytest
from sqlalchemy import select

from curate.catalog.checking import database_faults, forgotten
from curate.catalog.query import Query, parse
from curate.catalog.reviews import Verdict
from curate.catalog.schema import open_catalog
from curate.catalog.store import Catalog
from curate.catalog.tables import Review

from .cases import ROOT, AddCheckpoint, Place, after, image, in_processes, score, stored

NETWORKS = 5
NUMBERS: dict[str, int] = {image(number).sha256: number for number in range(4_000)}


def at(place: Place, work: Callable[[Catalog], None]) -> None:
    """Do `work` on a catalog of this process's own."""
    catalog = open_catalog(place, create=False)
    work(catalog)
    catalog.close()


def score_pending(catalog: Catalog, checkpoint_id: str) -> None:
    while waiting := catalog.pending(checkpoint_id, 500):
        rows = [score(NUMBERS[name], p_value=0.01) for name in waiting]
        catalog.add_scores(checkpoint_id, rows, after())


def watching(count: int, catalog: Catalog) -> None:
    """An image at a time, scored by what serves then."""
    source_id = catalog.source(ROOT, after())
    for number in range(0, count, 2):
        arrived = after(seconds=number)
        assert catalog.add_images(source_id, [image(number), image(number + 1)], arrived) == 2
        score_pending(catalog, str(catalog.models.active("detector")))
        catalog.record_scan(source_id, arrived, number, "events")


def reviewing(count: int, catalog: Catalog) -> None:
    """What is flagged is judged, and every third judgement taken back."""
    for step in range(count):
        if step % 3 == 2:
            assert len(catalog.reviews.undo("anna", after(seconds=step))) > 0
        else:
            flagged = list(islice(catalog.iter_images(parse("tag:ood"), wanted=3), 3))
            said: list[Verdict] = [(row.sha256, "ood", None) for row in flagged]
            said = said or [known(catalog)]
            catalog.reviews.add(said, "anna", after(seconds=step))


def known(catalog: Catalog) -> Verdict:
    while not (rows := list(islice(catalog.iter_images(Query(), wanted=1), 1))):
        pass
    return rows[0].sha256, "id", "shirt"


def exporting(count: int, catalog: Catalog) -> None:
    """What was there once is there in each later page and count, once."""
    seen: set[str] = set()
    for _ in range(count):
        page = [row.sha256 for row in islice(catalog.iter_images(Query(), wanted=50), 50)]
        counts = catalog.counts()
        assert len(set(page)) == len(page)
        assert seen <= set(page)
        assert counts.id + counts.ood + counts.pending == counts.images
        assert counts.images >= len(page)
        seen = set(page)


def training(networks: list[str], count: int, catalog: Catalog) -> None:
    """Fine-tunes, one after the other, some of which end with another detector."""
    for number in range(count // 4):
        now = after(seconds=number)
        me = os.getpid(), socket.gethostname()
        fence = catalog.leases.acquire("finetune", "the fine-tune", *me, now, 600)
        run_id = catalog.runs.start("guarded", *me, now)
        new = networks.pop() if number % (count // 4 // NETWORKS) == 0 and networks else None
        if new is not None:
            catalog.models.begin_scoring(new)
            score_pending(catalog, new)
            while not catalog.models.activate({"detector": new}, "it", now, ("finetune", fence)):
                score_pending(catalog, new)
        catalog.runs.finish(run_id, "promoted" if new else "skipped", "so", {}, 1, new, now)
        catalog.leases.release("finetune", fence)


@pytest.mark.timeout(900)
def test_four_processes_of_different_minds(
    place: Place,
    catalog: Catalog,
    active: str,
    checkpoint: AddCheckpoint,
    pytestconfig: pytest.Config,
) -> None:
    count = 2_000 if pytestconfig.getoption("--long") else 200
    networks = [checkpoint(f"tuned-{number}", parent=active) for number in range(NETWORKS)]
    catalog.close()
    works = (watching, reviewing, exporting, partial(training, networks))
    codes = in_processes(*(partial(at, place, partial(work, count)) for work in works))
    assert codes == [0, 0, 0, 0]
    detector = str(catalog.models.active("detector"))
    assert detector == networks[0]
    assert forgotten(catalog.engine) == {}
    score_pending(catalog, detector)
    counts = catalog.counts()
    assert (counts.images, counts.pending, counts.sightings) == (count, 0, count)
    assert Counter(run.outcome for run in catalog.runs.list()) == {
        "promoted": NETWORKS,
        "skipped": count // 4 - NETWORKS,
    }
    assert database_faults(catalog.engine, deep=True) == []
    assert_whole_steps(place, count)


def assert_whole_steps(place: Place, count: int) -> None:
    """Every step is there, and the words on an image are numbered one after the other."""
    rows = stored(place, select(Review.sha256, Review.seq, Review.step))
    of_image: defaultdict[str, list[int]] = defaultdict(list)
    for sha256, seq, _ in rows:
        of_image[sha256].append(seq)
    assert {step for *_, step in rows} == set(range(1, count + 1))
    for numbers in of_image.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
