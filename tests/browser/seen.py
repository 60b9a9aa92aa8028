"""A page as a reviewer sees it, and what the catalog holds of what was done there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Request, expect

from curate import console
from curate.catalog.query import parse
from curate.review import review
from curate.workspace import open_workspace

from ..catalog.cases import name_of
from ..forked import fork_server
from ..review.made import CHECKPOINT, NOW, image, preview, project, score

Word = tuple[str, str | None, str | None]
"""Tag, class and reviewer, as the catalog shows an image."""


class Running(Protocol):
    """A server of the page: its port, and the address that opens the page."""

    address: str
    port: int

    def next_address(self) -> str:
        """The address that it tells next."""


class Forked:
    """What `curate review` does, in a process that needs not import it first."""

    def __init__(self, folder: Path, reviewer: str, port: int = 0) -> None:
        processes = fork_server()
        self._told, telling = processes.Pipe(duplex=False)
        self.process = processes.Process(target=_serve, args=(folder, reviewer, port, telling))
        self.process.start()
        telling.close()
        self.address = self.next_address()
        self.port = int(self.address.split(":")[2].partition("/")[0])

    def next_address(self) -> str:
        """The address that it tells next."""
        self.address = self._told.recv()
        return self.address

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.join()
        self._told.close()


def _serve(folder: Path, reviewer: str, port: int, telling: Connection) -> None:
    with open_workspace(str(folder / ".curate"), create=False) as workspace:
        review(workspace, reviewer, port, console.safe, telling.send)


@contextmanager
def serving(folder: Path, reviewer: str = "anna", port: int = 0) -> Iterator[Forked]:
    """A server of a project, ended at the end."""
    running = Forked(folder, reviewer, port)
    try:
        yield running
    finally:
        running.kill()


def crowd(folder: Path, images: int, flagged: int = 0) -> None:
    """A project of many images, all catalogued at one moment; one of twenty previews each.

    The first `flagged` ones are flagged at any rate from 1 % on, the others at none.
    """
    drawn = [preview(number) for number in range(20)]
    project(folder, 0)
    with open_workspace(str(folder / ".curate"), create=False) as workspace:
        source = workspace.catalog.source((folder / "inbox").absolute().as_uri(), NOW)
        workspace.previews.add((name_of(n), drawn[n % 20]) for n in range(images))
        workspace.catalog.add_images(source, [image(n) for n in range(images)], NOW)
        scores = [replace(score(n), p_value=0.01 if n < flagged else 1.0) for n in range(images)]
        workspace.catalog.add_scores(CHECKPOINT, scores, NOW)


def chromium() -> str | None:
    """Where Chromium is, or Chrome; None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def catalogued(folder: Path, query: str = "") -> dict[str, Word]:
    """What the catalog holds, read anew: by hash."""
    with open_workspace(str(folder / ".curate"), create=False) as workspace:
        rows = list(workspace.catalog.iter_images(parse(query)))
    return {row.sha256: (row.tag, row.label, row.reviewed_by) for row in rows}


def word(folder: Path, number: int) -> Word:
    """What the catalog holds of the image of that number."""
    return catalogued(folder)[name_of(number)]


class Seen:
    """An open page; whatever goes wrong in it is a fault that the test fails with."""

    def __init__(self, page: Page, running: Running) -> None:
        self.page, self.running = page, running
        self.faults: list[str] = []
        self.previews: list[str] = []
        self.excused: list[str] = []
        """Parts of messages that a test brings about on purpose."""
        page.on("console", self._logged)
        page.on("pageerror", lambda error: self._fault(str(error)))
        page.on("dialog", self._asked)
        page.on("request", self._requested)

    def _fault(self, message: str) -> None:
        self.faults.append(message)

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._fault(message.text)

    def _asked(self, dialog: Dialog) -> None:
        self._fault(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, request: Request) -> None:
        if not request.url.startswith(f"http://127.0.0.1:{self.running.port}/"):
            self._fault(f"a request elsewhere: {request.url}")
        if "/preview/" in request.url:
            self.previews.append(request.url.rpartition("/")[2])

    def check(self) -> None:
        """Fail with what went wrong, but for what was excused."""
        faults = [text for text in self.faults if not any(part in text for part in self.excused)]
        if faults:
            pytest.fail("\n".join(faults))

    def open(self, query: str = "") -> None:
        """Open the page by the address that was printed last, at a place in it."""
        self.page.goto(f"{self.running.address}{query}")
        self.running.next_address()
        self.loaded()

    def loaded(self) -> None:
        """Wait until the queue has been read."""
        expect(self.end).not_to_have_text("")

    @property
    def end(self) -> Locator:
        """What stands below the images."""
        return self.page.locator("#end")

    @property
    def said(self) -> Locator:
        """The line that tells what was done."""
        return self.page.locator("footer .said")

    def cell(self, number: int) -> Locator:
        """The cell of the image of that number."""
        return self.page.locator(f'.cell[data-image="{name_of(number)}"]')

    @property
    def cells(self) -> Locator:
        """All cells."""
        return self.page.locator(".cell")

    def in_focus(self, number: int) -> None:
        """The browser's focus is on the cell of that image."""
        expect(self.cell(number)).to_be_focused()

    def selected(self) -> int:
        """How many cells are selected."""
        return self.page.locator(".cell[aria-selected=true]").count()

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def saying(self, text: str) -> None:
        """Wait until the page says that it did something."""
        expect(self.said).to_have_text(text)

    def ask(self, query: str) -> None:
        """Show another query."""
        self.page.locator("#query").fill(query)
        with self.page.expect_response("**/api/queue*"):
            self.press("Enter")


@contextmanager
def seeing(browser: Browser, running: Running, query: str = "", **context: Any) -> Iterator[Seen]:
    """The page of a running server in a browser's session of its own."""
    session = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | context)
    session.set_default_timeout(30_000)
    try:
        seen = Seen(session.new_page(), running)
        seen.open(query)
        yield seen
        seen.check()
    finally:
        session.close()


@contextmanager
def reviewing(browser: Browser, folder: Path, query: str = "", **context: Any) -> Iterator[Seen]:
    """The page of a project's own server, as anna sees it."""
    with serving(folder) as running, seeing(browser, running, query, **context) as seen:
        yield seen
