"""The page for everybody: screen readers, zoom, dark and forced colours, less motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from ..review.made import project
from .seen import Seen, reviewing

State = Callable[[Seen], None]


def shown_threshold(seen: Seen) -> None:
    """The panel is open, and some images would change sides."""
    seen.press("t")
    expect(seen.page.locator("#slider")).to_be_focused()
    seen.press("ArrowLeft")
    expect(seen.page.locator("#strip img")).to_have_count(1)


def shown_class(seen: Seen) -> None:
    """The dialog asks for a class, and something is typed."""
    seen.press("c")
    seen.page.keyboard.type("s")


def shown_refused(seen: Seen) -> None:
    """A query is wrong."""
    seen.excused.append("400")
    seen.ask("wrong")
    expect(seen.page.locator("#query")).to_have_attribute("aria-invalid", "true")


def shown_empty(seen: Seen) -> None:
    """Nothing matches."""
    seen.ask("label:nothing")
    expect(seen.end).to_have_text("No image matches.")


def shown_judged(seen: Seen) -> None:
    """Words of both kinds, one that was not kept, and a selection."""
    seen.press("o", "i")
    seen.saying("1 image: ID.")
    seen.page.route("**/api/reviews", lambda route: route.abort())
    seen.excused.append("ERR_FAILED")
    seen.press("o")
    expect(seen.cell(2).locator(".looks")).to_have_text("not kept")
    seen.page.unroute_all()
    seen.press("Shift+ArrowRight")


def shown_lost(seen: Seen) -> None:
    """The server does not answer."""
    seen.page.route("**/api/news*", lambda route: route.abort())
    seen.excused.append("ERR_FAILED")
    expect(seen.page.locator("#lost")).to_be_visible()


STATES: dict[str, State] = {
    "grid": lambda seen: None,
    "judged": shown_judged,
    "large": lambda seen: seen.press("Space"),
    "class": shown_class,
    "help": lambda seen: seen.press("?"),
    "threshold": shown_threshold,
    "empty": shown_empty,
    "refused": shown_refused,
    "lost": shown_lost,
}


def each_state(seen: Seen, check: Callable[[str], None]) -> None:
    """Bring the page into each state and check it there."""
    for name, bring in STATES.items():
        # What is judged in one state must not leave the queue of the next.
        seen.page.goto(f"{seen.running.address.partition('?')[0]}?query=p<=0.05")
        seen.in_focus(0)
        bring(seen)
        check(name)


CONTRAST = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}


def test_axe_finds_nothing(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 12)
    axe, found = Axe(), dict[str, str]()
    with reviewing(browser, tmp_path) as seen:

        def check(name: str) -> None:
            light = axe.run(seen.page)
            seen.page.emulate_media(color_scheme="dark")
            dark = axe.run(seen.page, options=CONTRAST)
            seen.page.emulate_media(color_scheme="light")
            for scheme, results in (("light", light), ("dark", dark)):
                if results.violations_count:
                    found[f"{name}, {scheme}"] = results.generate_report()

        each_state(seen, check)
    assert found == {}


UNREACHED = """() => {
  const within = document.querySelector("dialog[open]") ?? document;
  const controls = within.querySelectorAll("button, input, select, .cell, [role=option]");
  return [...controls].flatMap((one) => {
    if (!one.checkVisibility() || one.disabled) return [];
    one.scrollIntoView({ block: "nearest" });
    const box = one.getBoundingClientRect();
    const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    if (one.contains(hit) || one.labels?.[0]?.contains(hit)) return [];
    const before = hit?.outerHTML.slice(0, 120) ?? `nothing at ${box.x}, ${box.y}`;
    return [`out of reach: ${one.outerHTML.slice(0, 120)} behind ${before}`];
  });
}"""
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Only then the page has measured its footer, and a person has seen the new size."""
CUT = """() => [...document.querySelectorAll("body *")].filter((one) => {
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  if (!box.width || !one.checkVisibility() || one.closest(".heard, .skip")) return false;
  if (style.textOverflow === "ellipsis" || one.matches("input, select, svg *")) return false;
  return box.left < -1 || box.right > innerWidth + 1 || (one.scrollWidth > one.clientWidth + 1
    && style.display !== "inline" && style.overflowX !== "visible");
}).map((one) => `cut off: ${one.outerHTML.slice(0, 120)}`)"""
SIZES = {"80 %": (1600, 1000), "400 %": (320, 256)}
"""What a window of 1280 pixels is to the page, zoomed."""


def test_zoomed_nothing_is_cut_off_or_out_of_reach(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 12, ["n" * 251 + ".png"])
    found = dict[str, list[str]]()
    with reviewing(browser, tmp_path) as seen:

        def check(name: str) -> None:
            for zoom, (width, height) in SIZES.items():
                seen.page.set_viewport_size({"width": width, "height": height})
                seen.page.evaluate(DRAWN)
                if wrong := seen.page.evaluate(CUT) + seen.page.evaluate(UNREACHED):
                    found[f"{name} at {zoom}"] = wrong

        each_state(seen, check)
    assert found == {}


def test_a_screen_reader_hears_what_is_seen(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        cell = seen.cell(0)
        expect(cell).to_have_role("option")
        expect(cell).to_have_accessible_name(
            "upload-0.png: out-of-distribution, by the model, looks like cup"
        )
        expect(seen.page.locator("#grid")).to_have_accessible_name("Images of the queue")
        seen.press("o")
        expect(seen.said).to_have_role("status")
        seen.saying("1 image: OOD.")
        expect(cell).to_have_accessible_name(
            "upload-0.png: out-of-distribution, said anna, looks like cup"
        )
        seen.press("Shift+ArrowRight")
        expect(seen.cell(1)).to_have_attribute("aria-selected", "true")
        seen.press("Escape", "Space")
        spoken = seen.page.locator("#large .spoken")
        expect(spoken).to_have_role("status")
        expect(spoken).to_have_text(
            "upload-2.png: out-of-distribution, by the model, looks like star"
        )
        seen.press("c")
        field = seen.page.locator("#class-name")
        expect(field).to_have_accessible_name("Which class is it?")
        seen.press("ArrowDown")
        chosen = seen.page.locator(f"#{field.get_attribute('aria-activedescendant')}")
        expect(chosen).to_have_text("fish")
        expect(chosen).to_have_attribute("aria-selected", "true")


def test_the_page_is_walked_with_tab_alone(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        seen.press("ArrowRight", "Shift+Tab")
        for _ in range(12):
            seen.press("Shift+Tab")
        expect(seen.page.locator(".skip")).to_be_focused()
        expect(seen.page.locator(".skip")).to_be_in_viewport()
        seen.press("Enter")
        seen.in_focus(1)


def test_less_motion_and_forced_colours_are_respected(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with reviewing(browser, tmp_path, reduced_motion="reduce", forced_colors="active") as seen:
        seen.in_focus(0)
        assert seen.page.evaluate("document.getAnimations().length") == 0
        expect(seen.cell(0)).to_have_css("outline-style", "solid")
        seen.press("Shift+ArrowRight")
        expect(seen.cell(1)).to_have_css("border-top-style", "double")
        expect(seen.cell(2)).to_have_css("border-top-style", "solid")
        expect(seen.cell(2).locator(".mark")).to_have_text("◆ OOD")
