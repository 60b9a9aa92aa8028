"""The threshold's panel: what it counts is what the catalog says once a rate is applied."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from curate.workspace import open_workspace

from ..review.made import project
from .seen import Seen, catalogued, reviewing


def flagged(folder: Path) -> int:
    """Images that are tagged OOD."""
    return len(catalogued(folder, "tag:ood"))


def rate(folder: Path) -> float:
    """The rate in force."""
    with open_workspace(str(folder / ".curate"), create=False) as workspace:
        return workspace.catalog.rates.current()


def opened(seen: Seen) -> Page:
    """The panel, opened by its key."""
    seen.in_focus(0)
    seen.press("t")
    expect(seen.page.locator("#slider")).to_be_focused()
    return seen.page


def test_by_keyboard_it_counts_what_the_catalog_will_say(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 40)
    with reviewing(browser, tmp_path) as seen:
        page = opened(seen)
        told, strip = page.locator("#flagged"), page.locator("#strip img")
        expect(told).to_have_text("5 images flagged")
        expect(page.locator("#apply")).to_be_disabled()
        seen.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
        expect(told).to_have_text("8 images flagged, 3 more than now")
        expect(page.locator("#alarms")).to_contain_text("about 8 % are flagged by mistake")
        expect(page.locator("#changing")).to_contain_text("◆ These would become OOD")
        expect(strip).to_have_count(3)
        assert [image.get_attribute("alt") for image in strip.all()] == [
            "upload-7.png, looks like fish",
            "upload-6.png, looks like cup",
            "upload-5.png, looks like star",
        ]
        slider = page.locator("#slider")
        expect(slider).to_have_attribute(
            "aria-valuetext", "8 images flagged, 3 more than now, alarm rate 8 %"
        )
        assert (flagged(tmp_path), rate(tmp_path)) == (5, 0.05), "nothing before it is applied"
        page.get_by_role("button", name="Apply 8 %").click()
        seen.saying("Tags are made at 8 % now; it was 5 %.")
        expect(told).to_have_text("8 images flagged")
        expect(page.locator("#standing")).to_contain_text("8 OOD, 32 ID")
        expect(seen.cells).to_have_count(8)
        assert (flagged(tmp_path), rate(tmp_path)) == (8, 0.08)
        seen.press("PageUp")
        expect(told).to_have_text("1 image flagged, 7 fewer than now")
        expect(page.locator("#changing")).to_contain_text("● These would become ID")
        expect(strip).to_have_count(7)
        page.get_by_role("button", name="Back to 8 %").click()
        expect(told).to_have_text("8 images flagged")
        expect(strip).to_have_count(0)
        expect(page.locator("#slider")).to_be_focused()
        assert flagged(tmp_path) == 8


def test_by_mouse_it_follows_the_pointer(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 40)
    with reviewing(browser, tmp_path) as seen:
        page = opened(seen)
        box = page.locator("#slider").bounding_box()
        assert box
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        told = page.locator("#flagged")
        expect(told).to_contain_text("more than now")
        number = int(told.inner_text().partition(" ")[0])
        assert 18 <= number <= 22, "scores are even, so half way are half of the images"
        right = page.locator("#histogram rect.ood")
        assert 34 <= right.count() <= 38, "of 72 bars"
        page.locator("#apply").click()
        expect(told).to_have_text(f"{number} images flagged")
        assert flagged(tmp_path) == number


def test_what_people_judged_is_not_counted(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 40)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        seen.press("i", "o")
        seen.saying("1 image: OOD.")
        seen.press("t")
        told = seen.page.locator("#flagged")
        expect(told).to_have_text("3 images flagged")
        seen.press("ArrowLeft")
        expect(told).to_have_text("4 images flagged, 1 more than now")
        seen.page.locator("#apply").click()
        expect(told).to_have_text("4 images flagged")
        assert len(catalogued(tmp_path, "tag:ood reviewed:no")) == 4
        assert len(catalogued(tmp_path, "tag:ood")) == 5
