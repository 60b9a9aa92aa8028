"""A queue is settled by keyboard alone, with hardly more strokes than images."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from ..catalog.cases import name_of
from .seen import catalogued, crowd, reviewing
from .settling import settle


def test_two_hundred_images_are_settled(browser: Browser, tmp_path: Path) -> None:
    crowd(tmp_path, 400, flagged=200)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        done = settle(seen.page, 200)
        assert done.strokes == 200 + 2 * 2 + 2 * 2, "two wrong words, two classes"
        assert done.strokes <= 1.1 * 200
        assert len(done.milliseconds) == done.strokes, "each stroke shows"
    held = catalogued(tmp_path, "reviewed:yes")
    assert len(held) == 200
    assert {held[name_of(number)] for number in (99, 199)} == {("id", "fish", "anna")}
    expected = ["id" if n % 4 == 0 or n % 100 in (50, 99) else "ood" for n in range(200)]
    assert [held[name_of(number)][0] for number in range(200)] == expected
