"""Two pictures of the review page, on the project that the generated demo pictures make.

    python -m tests.browser.screenshots DEST [--project DIR]

Draws, trains and watches as the README does (a minute), unless DIR holds such a project already.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from ..program import run
from .seen import chromium, seeing, serving

SIZE = {"width": 1280, "height": 800}
COLOURS = 160


def make(folder: Path) -> None:
    """The project of the README's session."""
    run(folder, "demo", "pictures")
    run(folder, "train", "pictures/labeled", "--image-size", 32, "--epochs", 30)
    run(folder, "watch", "pictures/inbox", "--once")


def draw(page: Page, path: Path) -> None:
    """A picture of the page as it is, small enough for a README."""
    page.wait_for_load_state("networkidle")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Draw both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("destination", type=Path)
    parser.add_argument("--project", type=Path, help="a folder with .curate in it")
    options = parser.parse_args()
    program = chromium() or parser.error("there is no Chromium; `apt install chromium`")
    options.destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        if options.project is None:
            make(Path(made))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with (
            serving(options.project or Path(made)) as running,
            seeing(browser, running, "&query=tag:ood", viewport=SIZE) as seen,
        ):
            seen.press("o", "o", "i", "o")
            seen.saying("1 image: OOD.")
            draw(seen.page, options.destination / "review.png")
            seen.press("t")
            seen.page.locator("#slider:focus").press("ArrowLeft")
            seen.page.locator("#strip img").last.wait_for()
            draw(seen.page, options.destination / "threshold.png")
        browser.close()


if __name__ == "__main__":
    main()
