"""What the page shows: queues, queries, pages as they are scrolled to, news, and nothing at all."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from playwright.sync_api import Browser, expect

from curate.catalog.query import Query
from curate.review.app import QUEUES
from curate.workspace import open_workspace

from ..catalog.cases import name_of
from ..review.made import (
    NOW,
    add_images,
    add_network,
    image,
    preview,
    project,
    served,
)
from .seen import Seen, catalogued, crowd, reviewing, seeing

HOSTILE = [
    b"<img src=x onerror=alert(1)>.png",
    b"\"'&lt;script&gt;alert(2)<!--.png",
    b"\x1b[31mred\x1b]8;;http://example.org\x07.png",
    "\u202egnp.txt".encode(),
    b"two\nlines.png",
    b"\xff\xfe.png",
    b"n" * 251 + b".png",
]
SHOWN = [
    "<img src=x onerror=alert(1)>.png",
    "\"'&lt;script&gt;alert(2)<!--.png",
    "%1B%5B31mred%1B%5D8%3B%3Bhttp%3A//example.org%07.png",
    "\\u202egnp.txt",
    "two%0Alines.png",
    "%FF%FE.png",
    "n" * 251 + ".png",
]
"""The file's name; as in a URI where it holds what no line of text does."""


def names_shown(seen: Seen) -> list[str]:
    """The files of the cells, in their order."""
    labels = seen.cells.evaluate_all("cells => cells.map(cell => cell.ariaLabel)")
    return [label.partition(": ")[0] for label in labels]


def test_names_of_strangers_are_text(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 7, [quote_from_bytes(name) for name in HOSTILE])
    with reviewing(browser, tmp_path, "&query=") as seen:
        detail = seen.page.locator("#detail")
        for number, name in enumerate(SHOWN):
            seen.in_focus(number)
            last = name.rpartition("/")[2]
            expect(detail.locator("h2")).to_have_text(last)
            expect(detail.locator(".places")).to_contain_text(name)
            seen.press("Space")
            expect(seen.page.locator("#large h2")).to_have_text(last)
            seen.press("Escape", "ArrowRight")
        assert seen.page.evaluate("document.querySelectorAll('h2 *, .places li *').length") == 0
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_class_of_markup_is_text(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        seen.press("c")
        seen.page.keyboard.insert_text("<b onclick=alert(1)>x<")
        expect(seen.page.locator("#class-list")).to_have_text("<b onclick=alert(1)>x< (new)")
        seen.press("Enter")
        expect(seen.cell(0).locator(".looks")).to_have_text("<b onclick=alert(1)>x<")
        expect(seen.said).to_contain_text("1 image: <b onclick=alert(1)>x<. Note that")
        seen.press("c")
        seen.page.keyboard.insert_text("a/b")
        seen.press("Enter")
        seen.excused.append("400")
        seen.saying("Not kept: 'a/b' is no name of a class; give one that a folder can have")
        assert list(catalogued(tmp_path, "reviewed:yes")) == [name_of(0)]


def test_each_queue_is_shown_in_its_order(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 10)
    rising = [f"upload-{number}.png" for number in range(10)]
    begins = {
        "highest": rising,
        "threshold": ["upload-4.png"],
        "disagreement": ["upload-6.png"],  # of which 6 is the disagreement, the largest one
        "newest": rising[::-1],
    }
    with reviewing(browser, tmp_path, "&query=") as seen:
        assert set(begins) | {"random", "audit"} == set(QUEUES)
        for order, names in begins.items():
            seen.page.locator("#order").select_option(order)
            for place, name in enumerate(names):
                label = re.compile(f"^{re.escape(name)}: ")
                expect(seen.cells.nth(place)).to_have_attribute("aria-label", label)
        with seen.page.expect_response("**/api/queue*"):
            seen.page.locator("#order").select_option("random")
        expect(seen.page.locator("#grid")).not_to_have_attribute("aria-busy", "true")
        assert sorted(names_shown(seen)) == rising


def test_a_sample_to_audit_is_shown_whole(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 10)
    with open_workspace(str(tmp_path / ".curate"), create=False) as workspace:
        workspace.catalog.audits.draw(Query(), "", 6, name_of(3), NOW)
        sample = [image.sha256 for image in workspace.catalog.audits.images(1)]
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        with seen.page.expect_response("**/api/queue*"):
            seen.page.locator("#order").select_option("audit")
        expect(seen.page.locator("#query")).to_have_value("")
        for place, sha256 in enumerate(sample):
            expect(seen.cells.nth(place)).to_have_attribute("data-image", sha256)
        expect(seen.cells).to_have_count(6)


def test_a_wrong_query_says_what_was_meant(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 10)
    with reviewing(browser, tmp_path) as seen:
        seen.excused.append("400")
        seen.in_focus(0)
        field = seen.page.locator("#query")
        seen.ask("tga:ood")
        expect(seen.end).to_contain_text("no field 'tga'")
        expect(seen.said).to_contain_text("no field 'tga'")
        expect(field).to_have_attribute("aria-invalid", "true")
        assert seen.cells.count() == 0
        seen.ask("tag:ood label:cup")
        expect(seen.end).to_have_text("That is all: 2 images.")
        expect(field).not_to_have_attribute("aria-invalid", "true")
        assert seen.page.url.endswith("/?order=highest&query=tag%3Aood+label%3Acup")
        seen.page.reload()
        expect(field).to_have_value("tag:ood label:cup")
        expect(seen.end).to_have_text("That is all: 2 images.")


def test_pages_and_previews_come_as_they_are_scrolled_to(browser: Browser, tmp_path: Path) -> None:
    crowd(tmp_path, 1_500)
    with reviewing(browser, tmp_path, "&query=") as seen:
        seen.in_focus(0)
        expect(seen.cells).to_have_count(48)
        seen.page.wait_for_load_state("networkidle")
        assert len(set(seen.previews)) < 80, "only those near the visible part"
        assert len(seen.previews) == len(set(seen.previews)), "and each of them once"
        seen.page.mouse.move(400, 400)
        seen.page.mouse.wheel(0, 3_000)
        expect(seen.cells).to_have_count(96)
        for count in (144, 192):
            seen.press("End")
            expect(seen.cells).to_have_count(count)


def test_what_matches_far_down_is_looked_for(browser: Browser, tmp_path: Path) -> None:
    crowd(tmp_path, 4_500)
    with reviewing(browser, tmp_path, "&query=path:upload-4400.png") as seen:
        expect(seen.end).to_have_text("That is all: 1 image.")
        assert names_shown(seen) == ["upload-4400.png"]


def test_arrivals_are_announced_and_shown_on_demand(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 3)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        reload = seen.page.locator("#reload")
        expect(reload).to_be_hidden()
        with open_workspace(str(tmp_path / ".curate"), create=False) as workspace:
            add_images(workspace, tmp_path, [3, 4])
        expect(reload).to_have_text("2 new Show R")
        expect(seen.page.locator("#arrived")).to_contain_text("New images have arrived")
        expect(seen.cells).to_have_count(3)
        seen.press("r")
        expect(seen.cells).to_have_count(5)
        expect(reload).to_be_hidden()
        seen.page.wait_for_timeout(2_500)  # and hidden it stays when news comes
        expect(reload).to_be_hidden()


def test_an_empty_catalog_says_how_to_fill_it(browser: Browser, tmp_path: Path) -> None:
    with open_workspace(str(tmp_path / ".curate"), create=True):
        pass
    with reviewing(browser, tmp_path) as seen:
        expect(seen.end).to_contain_text("The catalog is empty.")
        seen.press("o", "c", "Space", "ArrowDown", "Control+a", "t")
        expect(seen.page.locator("#flagged")).to_have_text("No image has a score yet.")
        expect(seen.page.locator("#slider")).to_be_disabled()
        expect(seen.page.locator("#apply")).to_be_disabled()


def unscored(folder: Path, network: bool) -> None:
    """A project of three images that wait for their scores."""
    with open_workspace(str(folder / ".curate"), create=True) as workspace:
        if network:
            add_network(workspace)
        source = workspace.catalog.source((folder / "inbox").as_uri(), NOW)
        workspace.previews.add((name_of(number), preview(number)) for number in range(3))
        workspace.catalog.add_images(source, [image(number) for number in range(3)], NOW)


@pytest.mark.parametrize(
    ("network", "told"),
    [(False, "There is no network yet"), (True, "Every image waits for its score (3 images).")],
)
def test_images_without_scores_can_be_judged(
    browser: Browser, tmp_path: Path, network: bool, told: str
) -> None:
    unscored(tmp_path, network)
    with reviewing(browser, tmp_path) as seen:
        expect(seen.end).to_contain_text(told)
        seen.page.locator("#order").select_option("newest")
        seen.ask("")
        expect(seen.end).to_have_text("That is all: 3 images.")
        mark = seen.cells.first.locator(".mark")
        expect(mark).to_have_text("○ pending")
        mark.click()
        seen.press("o")
        seen.saying("1 image: OOD.")
        assert [tag for tag, *_ in catalogued(tmp_path, "reviewed:yes").values()] == ["ood"]
        seen.press("ArrowLeft", "u")
        seen.saying("1 image: taken back.")
        expect(mark).to_have_text("○ pending")


def test_a_lost_preview_is_said(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 3)
    with open_workspace(str(tmp_path / ".curate"), create=False) as workspace:
        workspace.previews.replace([(name_of(0), b"no picture")])
    with reviewing(browser, tmp_path) as seen:
        seen.excused.append("404")
        for place in ("#grid .picture", "#detail .picture"):
            expect(seen.page.locator(place).first).to_have_text("no preview")
        seen.press("Space")
        expect(seen.page.locator("#large .stage")).to_have_text("no preview")
        seen.press("o")
        expect(seen.page.locator("#large .stage img")).to_be_visible()


def test_the_real_command_opens_the_page(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 3)
    with served(tmp_path, "--reviewer", "anna") as running:
        used = running.address
        with seeing(browser, running) as seen:
            seen.in_focus(0)
            assert "token" not in seen.page.url
            other = browser.new_page()
            answer = other.goto(used)
            assert answer
            assert answer.status == 401
            assert "each one opens the page once" in other.inner_text("body")
            other.close()
