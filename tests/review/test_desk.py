"""What the page is told and what it says: nothing is made up, and nothing overwritten."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from curate.catalog.engine import write
from curate.catalog.query import Query
from curate.catalog.queues import ORDERS
from curate.catalog.tables import Score
from curate.errors import UsageError
from curate.export.rows import COLUMNS
from curate.review import desk as desk_module
from curate.review.desk import Desk

from ..catalog.cases import NOW, name_of
from .desks import HOSTILE, IMAGES, numbers, said, tags
from .made import CHECKPOINT, Visitor, project, served


@pytest.mark.parametrize("order", ORDERS)
def test_pages_lead_through_a_queue(desk: Desk, order: str) -> None:
    desk.workspace.catalog.audits.draw(Query(), "", IMAGES, "", NOW)
    first = desk.page(order, "", None, 5)
    assert (len(first["rows"]), first["step"]) == (5, 0)
    assert list(first["rows"][0]) == list(COLUMNS)
    found, cursor = numbers(first["rows"]), first["cursor"]
    while cursor is not None:
        after = desk.page(order, "", cursor, 5)
        found, cursor = found + numbers(after["rows"]), after["cursor"]
    assert sorted(found) == list(range(IMAGES))
    if order == "highest":
        assert found == list(range(IMAGES))
    if order == "newest":
        assert found == list(range(IMAGES))[::-1]


def test_a_page_holds_one_image_at_least_and_no_more_than_it_may(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "PAGE", 3)
    assert numbers(desk.page("highest", "", None, 0)["rows"]) == [0]
    assert numbers(desk.page("highest", "", None, 2**31 - 1)["rows"]) == [0, 1, 2]
    assert numbers(desk.page("highest", "tag:id", None, 9)["rows"]) == [5, 6, 7]


REFUSED = [
    ("best", "", None),
    ("", "", None),
    ("highest", "tga:ood", None),
    ("highest", "unreadable:", None),
    ("highest", "'", None),
    ("highest", "path:a\0b", None),
    ("highest", "label:\ud800", None),
    ("highest", "path:\ud800", None),
    ("highest", "score>1 " * 21, None),
    ("highest", "p<1 " * 9_000, None),
    ("highest", "", "null"),
    ("audit", "", f'[{2**63}, "{name_of(1)}"]'),
    ("audit", "", f'[-1, "{name_of(1)}"]'),
    ("highest", "", '[0.5, "\\u0000"]'),
    ("highest", "", '[0.5, "\\ud800"]'),
    ("highest", "", '[0.5, "%"]'),
    ("highest", "", "[" + "9" * 5_000 + ', "a"]'),
    ("random", "", '["\\u0000", ""]'),
    ("random", "", '["\\ud800", ""]'),
    ("newest", "", '["2026-01-01T00:00:00", "\\ud800"]'),
    ("newest", "", '["2026", ""]'),
    ("threshold", "", '[0.5, "", 0.5, "\\u0000"]'),
    ("threshold", "", '[0.5, ""]'),
]
LEADING = [
    ("highest", '[NaN, ""]'),
    ("highest", '[1e999, ""]'),
    ("threshold", '[NaN, "", -1e999, ""]'),
    ("newest", '["9999-12-31T23:59:59", ""]'),
    ("newest", '["0001-01-02T00:00:00+00:00", ""]'),
    ("random", '["", ""]'),
]


def test_what_no_page_asks_is_refused(either: Desk) -> None:
    for order, query, cursor in REFUSED:
        with pytest.raises(UsageError):
            either.page(order, query, cursor, 5)


def test_a_cursor_that_was_made_up_well_leads_somewhere(either: Desk) -> None:
    for order, cursor in LEADING:
        assert len(either.page(order, "", cursor, 5)["rows"]) in range(6)


def test_the_order_by_the_threshold_ends_with_it(either: Desk) -> None:
    cursor = either.page("threshold", "", None, 5)["cursor"]
    either.choose({"rate": 0.02})
    assert len(either.page("threshold", "", cursor, 5)["rows"]) == 5
    either.choose({"rate": 0.001})
    with pytest.raises(UsageError, match="begin with the first page"):
        either.page("threshold", "", cursor, 5)
    cursor = either.page("threshold", "", None, 5)["cursor"]
    either.choose({"rate": 0.05})
    with pytest.raises(UsageError, match="begin with the first page"):
        either.page("threshold", "", cursor, 5)


def test_names_are_shown_as_text_that_nothing_obeys(desk: Desk, drawn: Path) -> None:
    for number, (stored, shown) in enumerate(HOSTILE.items()):
        uri = stored == shown
        place = (drawn / "inbox").as_uri() if uri else str(drawn / "inbox")
        found = desk.image(name_of(number))
        assert found is not None
        assert found["row"]["path"] == f"{place}/{shown}"
        assert found["places"] == [f"{place}/{shown}"]
    other = replace(desk, reviewer="an\x1b[31m\u202ena")
    other.judge(said(0, verdict="id", class_name="<b>"))
    found = desk.image(name_of(0))
    assert found is not None
    assert found["row"]["reviewed_by"] == "an\\x1b[31m\\u202ena"
    assert [(word["reviewer"], word["class"]) for word in found["history"]] == [
        ("an\\x1b[31m\\u202ena", "<b>")
    ]


def test_all_that_is_known_of_an_image(desk: Desk, drawn: Path) -> None:
    desk.judge(said(7, verdict="id", class_name="fish"))
    replace(desk, reviewer="ben").judge(said(7, as_of=1))
    replace(desk, reviewer="ben").undo({"as_of": 2})
    found = desk.image(name_of(7))
    assert found is not None
    assert found["methods"] == {
        "discrepancy": 0.5, "msp": 0.25, "energy": -3.5, "knn": 0.75, "disagreement": 0.0
    }  # fmt: skip
    assert (found["row"]["tag"], found["row"]["label"]) == ("id", "fish")
    words = [
        (word["verdict"], word["class"], word["reviewer"], word["undoes"])
        for word in found["history"]
    ]
    assert words == [
        ("id", "fish", "anna", None), ("ood", None, "ben", None), ("id", "fish", "anna", 2)
    ]  # fmt: skip
    assert all(datetime.fromisoformat(word["at"]).tzinfo for word in found["history"])
    assert found["places"] == [str(drawn / "inbox" / "upload-7.png")]
    for unknown in (name_of("none"), "", "\0", "\ud800", name_of(7).upper(), f"{name_of(7)}\n"):
        assert desk.image(unknown) is None


def test_a_word_falls_on_nothing_that_others_said_meanwhile(either: Desk) -> None:
    step = either.page("highest", "", None, 5)["step"]
    ben = replace(either, reviewer="ben")
    assert ben.judge(said(0, verdict="id", class_name="cup"))["images"] == 1
    answer = either.judge(said(0, 1, 6, as_of=step))
    assert (answer["images"], answer["passed_over"], answer["left"]) == (2, 1, [name_of(0)])
    assert (answer["step"], answer["many"]) == (2, False)
    changed = {row["sha256"]: (row["tag"], row["reviewed_by"]) for row in answer["changes"]}
    assert changed == {
        name_of(0): ("id", "ben"), name_of(1): ("ood", "anna"), name_of(6): ("ood", "anna")
    }  # fmt: skip
    assert either.judge(said(0, as_of=answer["step"]))["passed_over"] == 0, "anna has seen it now"
    assert either.undo({"as_of": 3})["images"] == 1
    assert either.workspace.catalog.reviews.standing() == sorted(
        [(name_of(0), "id", "cup"), (name_of(1), "ood", None), (name_of(6), "ood", None)]
    )


def test_all_passed_over_is_no_step(desk: Desk) -> None:
    replace(desk, reviewer="ben").judge(said(0, 1))
    answer = desk.judge(said(0, 1, verdict="id"))
    assert (answer["images"], answer["passed_over"], answer["step"]) == (0, 2, 1)
    nothing = {"images": 0, "undone": [], "step": 1, "changes": [], "many": False}
    assert desk.undo({"as_of": 1}) == nothing
    assert desk.judge(said())["images"] == 0
    assert desk.workspace.catalog.reviews.last_step() == 1


def test_an_image_that_is_named_twice_is_one(desk: Desk) -> None:
    assert desk.judge(said(3, 3, 3))["images"] == 1


def test_an_undo_names_what_it_took_back(desk: Desk) -> None:
    desk.judge(said(0, 1))
    replace(desk, reviewer="ben").judge(said(2, as_of=1))
    answer = desk.undo({"as_of": 1})
    assert sorted(answer["undone"]) == [name_of(0), name_of(1)]
    assert {row["sha256"] for row in answer["changes"]} == {name_of(0), name_of(1), name_of(2)}


def test_what_a_query_means_by_other_tags_is_not_judged(desk: Desk) -> None:
    counted = desk.matching("tag:ood")
    word = {"query": "tag:ood", "verdict": "id", "as_of": 0, "tagged_by": counted["tagged_by"]}
    desk.workspace.catalog.rates.set(0.06, NOW)
    with pytest.raises(UsageError, match="nothing was recorded"):
        desk.judge(word)
    assert desk.judge(word | {"tagged_by": desk.matching("tag:ood")["tagged_by"]})["images"]


def test_the_model_s_confidence_is_not_said_of_a_person_s_class(desk: Desk) -> None:
    def confidence() -> object:
        rows = desk.page("random", "", None, IMAGES)["rows"]
        return next(row["confidence"] for row in rows if row["sha256"] == name_of(0))

    assert confidence() == 0.75
    desk.judge(said(0, verdict="id"))
    assert confidence() == 0.75, "id alone says nothing of the class"
    desk.judge(said(0, verdict="id", as_of=1) | {"class": "shirt"})
    assert confidence() is None


def test_a_query_is_judged_as_one_step_and_no_more_than_so_many(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = {"query": "tag:ood", "verdict": "id", "as_of": 0}
    assert desk.judge(word)["images"] == 5
    assert tags(desk) == ["id"] * IMAGES
    assert desk.matching("reviewed:yes") == {
        "images": 5,
        "reviewed": 5,
        "at_once": 100_000,
        "step": 1,
        "tagged_by": f"{CHECKPOINT} 0.05",
    }
    unjudged = desk.matching("reviewed:no")
    assert (unjudged["images"], unjudged["reviewed"]) == (7, 0)
    assert desk.matching("")["reviewed"] == 5
    assert desk.undo({"as_of": 1})["images"] == 5
    assert desk.matching("reviewed:yes")["images"] == 0
    monkeypatch.setattr(desk_module, "AT_ONCE", 2)
    assert desk.judge(word | {"as_of": 2})["images"] == 2
    with pytest.raises(UsageError, match="no images"):
        desk.judge(word | {"query": "unreadable:"})
    with pytest.raises(UsageError, match="no images"):
        desk.matching("unreadable:")


def test_a_class_that_the_network_has_not_is_taken_and_doubted(desk: Desk) -> None:
    known = desk.judge(said(0, verdict="id", class_name="fish"))
    assert known["doubt"] is None
    new = desk.judge(said(1, verdict="id", class_name="fisch"))
    assert new["doubt"] == "the network in service has no class 'fisch'; did you mean 'fish'?"
    assert desk.classes() == ["cup", "fish", "star"]


HASHES: list[object] = [
    *("", [1], [None], [[]], {}, 5, ["x"], ["\0"], ["\ud800"], [name_of("none")]),
    *([name_of(0), name_of("none")], [name_of(0).upper()], [f"{name_of(0)}\n"]),
]
WRONG: list[dict[str, Any]] = [
    {},
    {"as_of": 0, "verdict": "ood"},
    *({"as_of": as_of, "verdict": "ood", "query": ""} for as_of in (-1, 2**31, True, 0.0, "0")),
    *({"as_of": 0, "verdict": verdict, "query": ""} for verdict in ("OOD", "", None, 1, ["ood"])),
    *({"as_of": 0, "verdict": "ood", "images": images} for images in HASHES),
    *({"as_of": 0, "verdict": "ood", "query": query} for query in (None, 5, "\0", "label:\ud800")),
    *(
        {"as_of": 0, "verdict": "id", "query": "", "class": name}
        for name in ("", ".", "..", "a/b", "\0", "\ud800", "\u202e", "\n", "a" * 256, "é" * 128, 5)
    ),
    {"as_of": 0, "verdict": "ood", "query": "", "class": "cup"},
]


def test_a_word_that_cannot_be_meant_changes_nothing(either: Desk) -> None:
    for word in WRONG:
        with pytest.raises(UsageError):
            either.judge(word)
    assert either.workspace.catalog.reviews.last_step() == 0


def test_undo_goes_on_after_a_restart(tmp_path: Path) -> None:
    project(tmp_path, 3)
    with served(tmp_path, "--reviewer", "anna") as running:
        visitor = Visitor(running)
        visitor.post("/api/reviews", said(0, verdict="ood"))
        visitor.post("/api/reviews", said(0, verdict="id", as_of=1))
        running.stop()
    with served(tmp_path, "--reviewer", "anna") as running:
        visitor = Visitor(running)
        for tag, reviewer in (("ood", "anna"), ("ood", None)):
            status, answer = visitor.post("/api/undo", {"as_of": 2})
            [row] = answer["changes"]
            assert (status, answer["images"]) == (200, 1)
            assert (row["tag"], row["reviewed_by"]) == (tag, reviewer)


def test_the_nearest_labeled_images_are_named(desk: Desk) -> None:
    workspace = desk.workspace
    manifest = workspace.checkpoints / CHECKPOINT / "checkpoint.json"
    # Three of the bank are labeled, the fourth is an upload that a person called ours.
    bank = [name_of("cup"), name_of("fish"), name_of("star"), name_of(5)]
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"bank": bank}))
    engine = workspace.catalog.engine
    nearest = update(Score).where(Score.sha256 == name_of(1)).values(nearest="2 3 0 9")
    with write(engine) as connection:
        connection.execute(nearest)
    judged = {"as_of": 0, "verdict": "id", "class": "fish", "images": [name_of(5)]}
    desk.judge(judged)
    found = desk.image(name_of(1))
    assert found is not None
    assert found["neighbours"] == [
        {"sha256": name_of("star"), "class": "star"},
        {"sha256": name_of(5), "class": "fish"},
        {"sha256": name_of("cup"), "class": "cup"},
    ]
    alone = desk.image(name_of(2))
    assert alone is not None
    assert alone["neighbours"] == []
