"""Every key of the help dialog does what it says, and the catalog holds what came of it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Route, expect

from ..catalog.cases import name_of
from ..program import wait_until
from ..review.made import project
from .seen import Seen, catalogued, crowd, reviewing, word

FLAGGED = 5
"""Images that the model flags at 5 %: those of p-values 0.01 to 0.05."""


def test_moving_keys_move_and_judge_nothing(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 40)
    with reviewing(browser, tmp_path, "&query=") as seen:
        seen.in_focus(0)
        columns = seen.page.locator("#grid").evaluate(
            "grid => getComputedStyle(grid).gridTemplateColumns.split(' ').length"
        )
        assert columns == 6, "at 1280 pixels"
        for key, number in (
            ("ArrowRight", 1),
            ("ArrowDown", 7),
            ("ArrowLeft", 6),
            ("ArrowUp", 0),
            ("ArrowUp", 0),
            ("PageDown", 18),
            ("PageUp", 0),
            ("End", 39),
            ("ArrowRight", 39),
            ("Home", 0),
        ):
            seen.press(key)
            seen.in_focus(number)
            expect(seen.cell(number)).to_be_in_viewport(ratio=0.9)
        assert set(catalogued(tmp_path).values()) == {
            (tag, label, None) for tag in ("id", "ood") for label in ("cup", "fish", "star")
        }


def judged_at_the_end(seen: Seen) -> list[Route]:
    """The last image that came is judged, and the page with the next one is held back."""
    held: list[Route] = []
    seen.page.route("**/api/queue*cursor*", lambda route: held.append(route))
    seen.press("End", "o")
    wait_until(lambda: bool(held))
    return held


def test_a_class_waits_for_the_image_that_is_still_to_come(
    browser: Browser, tmp_path: Path
) -> None:
    crowd(tmp_path, 50, flagged=50)
    with reviewing(browser, tmp_path) as seen:
        held = judged_at_the_end(seen)
        seen.press("c")
        seen.saying("The next image is on its way.")
        expect(seen.page.locator("#classes")).not_to_be_visible()
        held.pop().continue_()
        seen.in_focus(48)


def test_the_large_view_ends_with_the_queue(browser: Browser, tmp_path: Path) -> None:
    crowd(tmp_path, 1, flagged=1)
    with reviewing(browser, tmp_path) as seen:
        seen.press("o")
        seen.saying("1 image: OOD.")
        seen.press(" ")
        expect(seen.page.locator("#large")).to_be_visible()
        seen.press("r")
        expect(seen.page.locator("#large")).not_to_be_visible()
        seen.press("o")
        assert word(tmp_path, 0)[0] == "ood"


def test_a_word_waits_for_the_image_that_is_still_to_come(browser: Browser, tmp_path: Path) -> None:
    crowd(tmp_path, 50, flagged=50)
    with reviewing(browser, tmp_path) as seen:
        held = judged_at_the_end(seen)
        seen.saying("1 image: OOD.")
        seen.excused.append("ERR_FAILED")
        held.pop().abort()
        expect(seen.said).to_contain_text("does not answer")
        seen.press("i")
        seen.saying("The next image is on its way.")
        wait_until(lambda: bool(held))
        held.pop().continue_()
        seen.in_focus(48)
        seen.press("i", "i")
        seen.saying("1 image: ID.")
        wait_until(lambda: word(tmp_path, 49)[0] == "id")
        seen.in_focus(49)
    assert [word(tmp_path, number)[0] for number in (47, 48, 49)] == ["ood", "id", "id"]


def test_words_are_kept_and_the_next_image_follows(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, FLAGGED)
    with reviewing(browser, tmp_path) as seen:
        seen.press("o", "i", "O")
        seen.in_focus(3)
        expect(seen.cell(0).locator(".mark")).to_have_text("◆ OOD ✓")
        expect(seen.cell(1).locator(".mark")).to_have_text("● ID ✓")
        expected = [("ood", "cup", "anna"), ("id", "fish", "anna"), ("ood", "star", "anna")]
        wait_until(lambda: [word(tmp_path, number) for number in range(3)] == expected)
        seen.press("ArrowLeft", "ArrowLeft", "u")
        seen.saying("1 image: taken back.")
        expect(seen.cell(1).locator(".mark")).to_have_text("◆ OOD")
        assert word(tmp_path, 1) == ("ood", "fish", None)


def test_a_key_that_is_held_down_judges_once(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, FLAGGED)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        for _ in range(3):
            seen.page.keyboard.down("o")  # the second and the third are repeats
        seen.page.keyboard.up("o")
        seen.in_focus(1)
        seen.saying("1 image: OOD.")
        assert len(catalogued(tmp_path, "reviewed:yes")) == 1


def test_a_class_is_typed_and_may_be_new(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, FLAGGED)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        seen.press("c")
        seen.page.keyboard.type("i")  # within "fish", and no judging key here
        options = seen.page.locator("#class-list [role=option]")
        expect(options).to_have_text(["fish", "i (new)"])
        seen.press("Enter")
        seen.saying("1 image: fish.")
        seen.in_focus(1)
        seen.press("c")
        seen.page.keyboard.type("s")
        expect(options).to_have_text(["star", "fish", "s (new)"])
        seen.press("ArrowDown", "ArrowDown", "Enter")
        seen.saying("1 image: s. Note that the network in service has no class 's'.")
        seen.press("c", "Escape")
        seen.in_focus(2)
        assert [word(tmp_path, number) for number in range(3)] == [
            ("id", "fish", "anna"),
            ("id", "s", "anna"),
            ("ood", "star", None),
        ]


def test_the_large_view_is_moved_and_judged_in(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, FLAGGED)
    with reviewing(browser, tmp_path) as seen:
        large = seen.page.locator("#large")
        seen.in_focus(0)
        seen.press("Space", "ArrowRight")
        expect(large.locator("h2")).to_have_text("upload-1.png")
        expect(large.locator(".place")).to_have_text("2 of 5")
        expect(large.locator(".rest")).to_contain_text("discrepancy of the heads0.5")
        seen.press("o")
        expect(large.locator("h2")).to_have_text("upload-2.png")
        expect(large.locator(".said")).to_have_text("1 image: OOD.")
        seen.press("c")
        seen.page.keyboard.type("cup")
        seen.press("Enter")
        expect(large.locator(".said")).to_have_text("1 image: cup.")
        expect(large).to_be_focused()
        seen.press("z")
        expect(large.locator("h2")).to_have_text("upload-2.png")
        seen.press("Space")
        expect(large).to_be_hidden()
        seen.in_focus(2)
        assert word(tmp_path, 1) == ("ood", "fish", "anna")
        assert word(tmp_path, 2) == ("ood", "star", None)


def test_in_the_large_view_a_word_falls_on_what_is_seen(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, FLAGGED)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        seen.press("Shift+ArrowRight", "Shift+ArrowRight", "Space", "i")
        expect(seen.page.locator("#large .said")).to_have_text("1 image: ID.")
        assert list(catalogued(tmp_path, "reviewed:yes")) == [name_of(2)]


def test_a_range_is_judged_as_one_step(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, FLAGGED)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        seen.press("ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight")
        seen.press("Shift+ArrowLeft")
        expect(seen.page.locator("#selected")).to_have_text("3 images selected")
        assert seen.selected() == 3
        seen.press("i")
        seen.saying("3 images: ID.")
        assert seen.selected() == 0
        judged = catalogued(tmp_path, "reviewed:yes")
        assert set(judged) == {name_of(number) for number in (1, 2, 3)}
        seen.press("z")
        seen.saying("Undone: 3 images as before.")
        assert catalogued(tmp_path, "reviewed:yes") == {}


def test_all_that_match_are_judged_loaded_or_not(browser: Browser, tmp_path: Path) -> None:
    crowd(tmp_path, 1_260)
    with reviewing(browser, tmp_path, "&query=label:cup+reviewed:no") as seen:
        seen.in_focus(0)
        seen.press("Control+a")
        expect(seen.page.locator("#selected")).to_have_text("all 420 images that match")
        assert seen.selected() == 48, "a page of them is loaded"
        seen.press("Escape")
        expect(seen.page.locator("#selected")).to_have_text("")
        seen.press("o")
        seen.saying("1 image: OOD.")
        seen.press("Control+a")
        expect(seen.page.locator("#selected")).to_have_text("all 419 images that match")
        seen.press("o")
        seen.saying("419 images: OOD.")
        expect(seen.end).to_have_text("No image matches.")
        judged = catalogued(tmp_path, "reviewed:yes")
        assert len(judged) == 420
        assert set(judged.values()) == {("ood", "cup", "anna")}
        seen.press("z")
        seen.saying("Undone: 419 images as before.")
        assert list(catalogued(tmp_path, "reviewed:yes")) == [name_of(0)]


def test_the_threshold_opens_and_the_help_lists_every_key(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, FLAGGED)
    with reviewing(browser, tmp_path) as seen:
        panel, help_ = seen.page.locator("#threshold"), seen.page.locator("#help")
        seen.in_focus(0)
        seen.press("t")
        expect(seen.page.locator("#slider")).to_be_focused()
        seen.press("o", "i", "u", "Control+a", "t")
        expect(panel).to_be_hidden()
        seen.in_focus(0)
        seen.press("t")
        expect(seen.page.locator("#slider")).to_be_focused()
        seen.press("Escape")
        expect(panel).to_be_hidden()
        seen.press("?")
        expect(help_).to_be_visible()
        told = " ".join(help_.locator("kbd").all_inner_texts())
        assert told == "← ↑ ↓ → Home End Page O I C U Z Shift Ctrl A Space T R Esc"
        seen.press("o", "Escape")
        expect(help_).to_be_hidden()
        seen.in_focus(0)
        assert catalogued(tmp_path, "reviewed:yes") == {}


def test_in_a_field_letters_are_text(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, FLAGGED)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        field = seen.page.locator("#query")
        field.fill("")
        field.press_sequentially("oiuzcrt? ")
        expect(field).to_have_value("oiuzcrt? ")
        seen.press("Control+a", "Home", "ArrowRight")
        assert seen.selected() == 0
        seen.page.locator("#order").focus()
        seen.press("o", "u")
        seen.page.locator("main [data-key=z]").focus()
        seen.press("ArrowRight")
        seen.in_focus(1)
        seen.page.locator("main [data-key=z]").focus()
        seen.press("i")
        seen.saying("1 image: ID.")
        assert list(catalogued(tmp_path, "reviewed:yes")) == [name_of(1)]
