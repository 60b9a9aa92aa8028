"""What the mouse does: clicks, selections and the buttons beside every key."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from ..catalog.cases import name_of
from ..program import wait_until
from ..review.made import project
from .seen import catalogued, reviewing, word


def judged(folder: Path) -> set[str]:
    """Images with a word."""
    return set(catalogued(folder, "reviewed:yes"))


def test_clicks_choose_what_is_judged(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 12)
    with reviewing(browser, tmp_path, "&query=") as seen:
        seen.cell(2).click()
        seen.in_focus(2)
        assert seen.selected() == 0
        seen.cell(5).click(modifiers=["Shift"])
        assert seen.selected() == 4
        seen.cell(3).click(modifiers=["Control"])
        seen.cell(9).click(modifiers=["Control"])
        expect(seen.page.locator("#selected")).to_have_text("4 images selected")
        seen.press("i")
        seen.saying("4 images: ID.")
        assert judged(tmp_path) == {name_of(number) for number in (2, 4, 5, 9)}
        seen.press("z")
        seen.saying("Undone: 4 images as before.")
        seen.cell(1).click()
        seen.cell(7).click(modifiers=["Control"])
        assert seen.selected() == 2, "a click and another with Ctrl"
        seen.press("Escape")
        assert seen.selected() == 0
        assert judged(tmp_path) == set()


def test_a_first_click_with_ctrl_selects_one(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        seen.cell(3).click(modifiers=["Control"])
        seen.in_focus(3)
        assert seen.selected() == 1
        seen.press("o")
        seen.saying("1 image: OOD.")
        assert judged(tmp_path) == {name_of(3)}


def test_buttons_do_what_their_keys_do(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with reviewing(browser, tmp_path) as seen:

        def button(name: str) -> None:
            seen.page.locator("main .tools").get_by_role("button", name=name).click()

        seen.in_focus(0)
        button("Out")
        seen.in_focus(1)
        button("Ours")
        seen.in_focus(2)
        button("Class")
        seen.page.locator("#class-list").get_by_text("cup").click()
        seen.saying("1 image: cup.")
        seen.in_focus(3)
        assert [word(tmp_path, number) for number in range(3)] == [
            ("ood", "cup", "anna"),
            ("id", "fish", "anna"),
            ("id", "cup", "anna"),
        ]
        button("Undo")
        seen.in_focus(2)
        seen.press("ArrowLeft")
        button("Take back")
        seen.saying("1 image: taken back.")
        assert judged(tmp_path) == {name_of(0)}
        seen.page.get_by_role("button", name="Keys").click()
        seen.page.locator("#help").get_by_role("button", name="Close").click()
        seen.in_focus(2)
        button("Large")
        large = seen.page.locator("#large")
        large.get_by_role("button", name="Out").click()
        expect(large.locator("h2")).to_have_text("upload-3.png")
        large.get_by_role("button", name="Close").click()
        seen.in_focus(3)
        wait_until(lambda: judged(tmp_path) == {name_of(0), name_of(2)})


def test_a_button_that_has_the_focus_is_pressed_by_keyboard(
    browser: Browser, tmp_path: Path
) -> None:
    project(tmp_path, 5)
    with reviewing(browser, tmp_path) as seen:
        for number, (key, name) in enumerate([(" ", "Out"), ("Enter", "Ours")]):
            seen.in_focus(number)
            seen.page.locator("main .tools").get_by_role("button", name=name).focus()
            seen.press(key)
        seen.in_focus(2)
        expect(seen.page.locator("#large")).to_be_hidden()
        wait_until(lambda: len(judged(tmp_path)) == 2)
        assert [word(tmp_path, n)[0] for n in range(2)] == ["ood", "id"]


def test_previews_are_blurred_until_they_are_hovered(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 3)
    with reviewing(browser, tmp_path) as seen:
        blur = seen.page.get_by_label("Blur")
        picture = seen.cell(1).locator("img")
        expect(picture).to_have_css("filter", "none")
        blur.check()
        expect(picture).to_have_css("filter", "blur(14px)")
        seen.cell(1).locator(".picture").hover()
        expect(picture).to_have_css("filter", "none")
        seen.page.reload()
        expect(blur).to_be_checked()
        expect(picture).to_have_css("filter", "blur(14px)")
