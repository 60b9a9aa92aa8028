"""The query language, what it finds, and pages that neither miss nor repeat an image."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest

from curate.catalog.candidates import Key, candidates
from curate.catalog.engine import read
from curate.catalog.query import Comparison, Query, parse
from curate.catalog.store import Catalog, ImageRow
from curate.errors import UsageError

from .cases import NOW, ROOT, after, image, name_of, score


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query()),
        ("tag:ood label:shirt", Query(tag="ood", label="shirt")),
        ("TAG:Pending reviewed:no", Query(tag="pending", reviewed=False)),
        ("score>1.2", Query(comparisons=(Comparison("score", ">", 1.2),))),
        (
            "score>=0.5 score<1 p<=0.05",
            Query(
                comparisons=(
                    Comparison("score", ">=", 0.5),
                    Comparison("score", "<", 1.0),
                    Comparison("p", "<=", 0.05),
                )
            ),
        ),
        ("since:2d", Query(since=NOW - timedelta(days=2))),
        ("since:90min", Query(since=NOW - timedelta(minutes=90))),
        ("since:2026-01-31", Query(since=datetime(2026, 1, 31, tzinfo=UTC))),
        (
            "since:2026-01-31T08:00+02:00",
            Query(since=datetime(2026, 1, 31, 8, tzinfo=timezone(timedelta(hours=2)))),
        ),
        ("format:jpg", Query(format="JPEG")),
        ('path:"my photos" source:/in', Query(path="my photos", source="/in")),
        ("label:a:b", Query(label="a:b")),
        ("unreadable:", Query(unreadable=True)),
    ],
)
def test_queries_as_people_write_them(text: str, query: Query) -> None:
    assert parse(text, NOW) == query


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tga:ood", "no field 'tga'; did you mean 'tag'?"),
        ("scores>1", "did you mean 'score'?"),
        ("colour:red", "use tag, label, score, p, source, since, format, reviewed, path"),
        ("tag:odd", "tag:odd does not exist; did you mean 'ood'?"),
        ("reviewed:maybe", "use yes, no"),
        ("tag", "'tag' needs a value after a colon"),
        ("beach", "did you mean path:beach?"),
        ("tag:", "tag: needs a value"),
        ("tag>ood", "tag takes a colon: tag:ood"),
        ("score:1", "score is compared: score>1"),
        ("score>high", "'high' is no number"),
        ("since:yesterday", "is no age"),
        ("p<1 " * 21, "more than 20 bounds"),
        ("path:" + "a" * 20_000, "a query of 20,005 characters; at most 20,000 are read"),
        ("label:a\0b", "NUL or half a character"),
        ("path:\ud800", "NUL or half a character"),
        ("since:999999w", "is no age"),
        ("tag:id tag:ood", "tag is asked for twice"),
        ("unreadable: tag:id", "must stand alone"),
        ("unreadable:yes", "takes no value"),
        ("label:\udcff", "is no text in UTF-8"),
        ("format:\udcff", "is no text in UTF-8"),
        ('path:"my', "a quote that is not closed"),
    ],
)
def test_what_cannot_be_meant_is_said_with_what_may_be(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, NOW)
    assert said in str(caught.value)


@pytest.fixture
def stocked(catalog: Catalog, source_id: str, active: str) -> Catalog:
    """Image n arrives n hours after NOW; 3 is unscored, 0 and 1 are alarms, 2 a person's bag."""
    names = ["my%20photos/0.jpg", "Beach/1.jpg", "beach/2.jpg", "3.jpg"]
    for number, path in enumerate(names):
        catalog.add_images(source_id, [image(number, path)], after(hours=number))
    other = catalog.source("file:///else/where", NOW)
    png = replace(image(4), format="PNG")
    catalog.add_images(other, [png, image(0, "copy.jpg")], after(hours=4))
    scored = [(0, 0.01, 1.5), (1, 0.05, 1.0), (2, 0.5, 0.5), (4, 1.0, 0.25)]
    catalog.add_scores(active, [score(n, p, score=d) for n, p, d in scored], NOW)
    catalog.reviews.add([(name_of(2), "id", "bag")], "ann", NOW)
    return catalog


FOUND = {
    "": [0, 1, 2, 3, 4],
    "tag:ood": [0, 1],
    "tag:id": [2, 4],
    "tag:pending": [3],
    "label:shirt": [0, 1, 4],
    "label:bag": [2],
    "score>1": [0],
    "score>=1 score<1.5": [1],
    "p<=0.05": [0, 1],
    "p<0.05": [0],
    "format:png": [4],
    "reviewed:yes": [2],
    "reviewed:no": [0, 1, 3, 4],
    "tag:id reviewed:yes": [2],
    "tag:id reviewed:no": [4],
    "tag:ood reviewed:yes": [],
    "tag:ood reviewed:no": [0, 1],
    "tag:pending reviewed:yes": [],
    "tag:pending reviewed:no": [3],
    "p<=0.5 reviewed:yes": [2],
    "since:2026-03-01T14:00": [2, 3, 4],
    "path:beach": [2],
    "path:Beach/": [1],
    "'path:my photos'": [0],
    "path:my%20photos": [0],
    "path:%": [0],
    "path:_": [],
    "source:else": [0, 4],
    "source:/in tag:ood": [0, 1],
    "source:else path:copy": [0],
}


@pytest.mark.parametrize("by", ["walking", "candidates"])
def test_what_a_query_finds(stocked: Catalog, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    monkeypatch.setattr("curate.catalog.candidates.WALKED", 0 if by == "candidates" else 10**9)
    numbers = {name_of(number): number for number in range(5)}
    found = {
        text: [numbers[row.sha256] for row in stocked.iter_images(parse(text, NOW))]
        for text in FOUND
    }
    pages = {
        text: [numbers[row.sha256] for row in paged(stocked, parse(text, NOW))] for text in FOUND
    }
    assert found == FOUND
    assert pages == FOUND


def page(catalog: Catalog, query: Query, limit: int, last: Key | None = None) -> list[ImageRow]:
    """The first images that a query finds after `last`."""
    return list(islice(catalog.iter_images(query, wanted=limit, after=last), limit))


def paged(catalog: Catalog, query: Query) -> Iterator[ImageRow]:
    """What a query finds, an image to a page."""
    last: Key | None = None
    while rows := page(catalog, query, 1, last):
        yield from rows
        last = (rows[-1].first_seen, rows[-1].sha256)


def test_rare_images_are_looked_up_and_frequent_ones_met_on_a_walk(
    catalog: Catalog, source_id: str, active: str
) -> None:
    catalog.add_images(source_id, [image(number) for number in range(100)], NOW)
    catalog.add_scores(active, [score(n, 0.01 if n < 3 else 0.5) for n in range(90)], NOW)
    catalog.reviews.add([(name_of(50), "ood", None), (name_of(0), "id", None)], "ann", NOW)
    few = {"p<=0.01": [0, 1, 2], "tag:ood": [0, 1, 2, 50], "reviewed:yes": [0, 50]}
    few["tag:pending"] = list(range(90, 100))
    few["tag:ood p<0.9 reviewed:yes"] = [50]
    with read(catalog.engine) as connection:
        keys = {
            text: sorted((NOW, name_of(number)) for number in numbers)
            for text, numbers in few.items()
        }
        for text, expected in keys.items():
            assert candidates(connection, parse(text), None) == expected, text
        for text in ("", "p<=0.5", "tag:id", "score>0.1", "label:shirt", "tag:ood since:1d"):
            assert candidates(connection, parse(text), None) is None, text
        assert candidates(connection, parse("tag:ood"), 1) == keys["tag:ood"]
        assert candidates(connection, parse("tag:pending reviewed:no"), 1) == keys["tag:pending"]
        assert candidates(connection, parse("tag:pending"), 1) is None


def test_the_path_shown_is_the_first_that_the_query_means(stocked: Catalog) -> None:
    def paths(text: str, all_paths: bool = False) -> list[str]:
        return [row.path for row in stocked.iter_images(parse(text), all_paths)]

    assert paths("p<0.05") == ["my%20photos/0.jpg"]
    assert paths("p<0.05", all_paths=True) == ["my%20photos/0.jpg", "copy.jpg"]
    assert paths("p<0.05 source:else", all_paths=True) == ["copy.jpg"]
    (row,) = stocked.iter_images(parse("p<0.05 source:else"))
    assert (row.path, row.source) == ("copy.jpg", "file:///else/where")


def test_paths_are_found_by_bytes_that_are_no_text(catalog: Catalog, source_id: str) -> None:
    other = catalog.source("file:///%FFroot", NOW)
    catalog.add_images(source_id, [image(1, "caf%E9.jpg"), image(2, "caf%C3%A9.jpg")], NOW)
    catalog.add_images(other, [image(3)], NOW)
    for text, number in (("path:caf\udce9", 1), ("path:café", 2), ("source:/\udcffroot", 3)):
        assert [row.sha256 for row in catalog.iter_images(parse(text))] == [name_of(number)]


def test_unreadable_files_are_no_images(stocked: Catalog) -> None:
    with pytest.raises(UsageError, match="files that are no images"):
        page(stocked, parse("unreadable:"), 1)


@pytest.mark.parametrize("all_paths", [False, True])
def test_pages_are_complete_when_many_images_came_at_once(
    catalog: Catalog, source_id: str, monkeypatch: pytest.MonkeyPatch, all_paths: bool
) -> None:
    numbers = list(range(40))
    random.Random(1).shuffle(numbers)
    for start in range(0, 40, 20):
        batch = [image(number) for number in numbers[start : start + 20]]
        twins = [replace(one, path=f"twin-{one.path}") for one in batch]
        catalog.add_images(source_id, [*batch, *twins], after(hours=start))
    monkeypatch.setattr("curate.catalog.store.PAGE", 7)
    rows = list(catalog.iter_images(Query(), all_paths))
    keys = [(row.first_seen, row.sha256) for row in rows]
    assert keys == sorted(keys)
    assert len(set(keys)) == 40
    assert len(rows) == (80 if all_paths else 40)
    assert {row.source for row in rows} == {ROOT}


def test_a_page_begins_after_the_last_one(stocked: Catalog) -> None:
    first = page(stocked, Query(), 2)
    second = page(stocked, Query(), 9, (first[1].first_seen, first[1].sha256))
    hashes = [row.sha256 for row in [*first, *second]]
    assert hashes == [name_of(number) for number in range(5)]
