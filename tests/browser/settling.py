"""A person who settles a queue by keyboard alone, now and then errs, and is timed in the page."""

from __future__ import annotations

import time
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from ..program import wait_until

# A stroke takes from the event until the first frame after the change that it made is drawn.
_WATCH = """() => {
  window.strokes = [];
  performance.setResourceTimingBufferSize(100_000);
  addEventListener("keydown", ({ timeStamp }) => {
    const changed = new MutationObserver(() => {
      changed.disconnect();
      const drawn = () => window.strokes.push(performance.now() - timeStamp);
      requestAnimationFrame(() => setTimeout(drawn));
    });
    const all = { subtree: true, childList: true, attributes: true, characterData: true };
    for (const id of ["grid", "classes"]) changed.observe(document.getElementById(id), all);
  }, true);
}"""
_ANSWERED = """performance.getEntriesByType("resource").filter(
  ({ name, responseEnd }) => name.endsWith("/api/reviews") && responseEnd).length"""


@dataclass(frozen=True)
class Settled:
    """Key strokes, seconds in all, and the ms from each key to the frame that shows it."""

    strokes: int
    seconds: float
    milliseconds: list[float]


def settle(page: Page, images: int, pause: float = 0.0) -> Settled:
    """Judge so many images from the first one on, until all of it is kept.

    Of a hundred images, one is judged wrongly and undone, and one gets a class. A person sees each
    in focus and looks at it for so many seconds of `pause`; without, strokes wait for the ones
    before them.
    """
    page.evaluate(_WATCH)
    strokes, words, began = 0, 0, time.perf_counter()
    for number in range(images):
        expect(page.locator(".cell").nth(number)).to_be_focused()
        for key in _strokes(number):
            page.keyboard.press(key)
            if pause:
                page.wait_for_timeout(1_000 * pause)
            strokes += 1
            words += key in ("o", "i", "Enter")
            if key == "z":
                expect(page.locator("footer .said")).to_contain_text("Undone", timeout=60_000)
    wait_until(lambda: page.evaluate(_ANSWERED) >= words)
    seconds = time.perf_counter() - began
    return Settled(strokes, seconds, page.evaluate("window.strokes"))


def _strokes(number: int) -> list[str]:
    if number % 100 == 50:
        return ["o", "z", "i"]
    if number % 100 == 99:
        return ["c", "f", "Enter"]
    return ["i" if number % 4 == 0 else "o"]
