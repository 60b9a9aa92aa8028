"""One Chromium for all tests; a project, a server and a page for each."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from .seen import chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A running Chromium; without one on the machine the tests are skipped, and fail in CI."""
    program = chromium()
    if program is None:
        reason = "no Chromium to see the page with: `apt install chromium`, or google-chrome"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=20_000)  # on a machine that is busy with other tests
    with sync_playwright() as playwright:
        # As root, as in a container, Chromium has no sandbox.
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()
