"""The review page as a person feels it, measured in a real Chromium, in the page itself.

    python tests/benchmarks/reviewing.py --images 10000

JSON lines. First a session that settles `--settle` flagged images by keyboard, with a `--pause`
after each stroke: key strokes, and the time from the key to the frame that shows what it did. Then
a catalog of `--images`, made as in catalog_scale.py, with real previews for `--previews` of them:
the median of `--repeat`, in ms.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from curate.catalog.query import Query
from curate.review.app import QUEUES
from curate.workspace import open_workspace
from tests.benchmarks import catalog_scale
from tests.browser.seen import chromium, crowd, serving
from tests.browser.settling import settle
from tests.review.made import preview

SHORT_MS = 50
PAUSE_MS = 700


def say(**row: object) -> None:
    """One line of result."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


@contextmanager
def opened(browser: Browser, folder: Path, place: str) -> Iterator[tuple[Page, float]]:
    """The page at a place, and the ms until its first images were drawn."""
    with serving(folder) as running:
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        began = time.perf_counter()
        page.goto(f"{running.address}&{place}")
        page.wait_for_selector(".cell:focus")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        yield page, (time.perf_counter() - began) * 1_000
        page.close()


def session(browser: Browser, folder: Path, images: int, pause: float) -> None:
    """Settle so many flagged images, with a pause in seconds after each stroke."""
    crowd(folder, images * 2, flagged=images)
    with opened(browser, folder, "query=tag:ood reviewed:no") as (page, _):
        done = settle(page, images, pause)
    with open_workspace(str(folder / ".curate"), create=False) as workspace:
        judged = workspace.catalog.counts().reviewed
    took = sorted(done.milliseconds)
    say(
        part=f"settle {images} flagged images",
        judged=judged,
        strokes=done.strokes,
        seconds=round(done.seconds, 1),
        timed=len(took),
        median_ms=round(statistics.median(took), 1),
        p95_ms=round(took[int(0.95 * len(took))], 1),
        share_under_50_ms=round(sum(one < SHORT_MS for one in took) / len(took), 4),
    )


def grow(folder: Path, images: int, previews: int) -> None:
    """The catalog of catalog_scale.py, and real previews for the images that are looked at."""
    with open_workspace(str(folder / ".curate"), create=True) as workspace:
        catalog = workspace.catalog
        counted = catalog.counts().images
        source = catalog.sources()[0].source_id if counted else catalog_scale.begin(catalog)
        catalog_scale.grow(workspace, source, counted, images, catalog_scale.BATCH)
        catalog.audits.draw(Query(), "", 500, "", catalog_scale.START)
        drawn = [preview(number) for number in range(50)]
        for order in QUEUES:
            found, cursor = 0, None
            while found < previews // len(QUEUES):
                page = catalog.queues.page(order, Query(), cursor, 200)
                rows = enumerate(page.rows)
                workspace.previews.replace((row.sha256, drawn[n % 50]) for n, row in rows)
                found, cursor = found + len(page.rows), page.cursor
                if cursor is None:
                    break


# From an action in the page until what is awaited is true, and the frame after it is drawn.
AWAIT = """async () => {{
  const began = performance.now();
  {act}
  while (!({ready})) await new Promise((next) => setTimeout(next));
  await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
  return performance.now() - began;
}}"""
QUERY = "const q = document.querySelector('#query'); q.value = {!r}; q.form.requestSubmit();"
ORDER = "const o = document.querySelector('#order'); o.value = {!r}; o.form.requestSubmit();"
FRESH = "window.old !== document.querySelector('.cell') && document.querySelector('.cell:focus')"
KEEP = "window.old = document.querySelector('.cell'); document.activeElement.blur();"
PRESSED = "new KeyboardEvent('keydown', {{ key: {!r}, bubbles: true }})"
KEY = f"document.activeElement.dispatchEvent({PRESSED});"
CELLS = "document.querySelectorAll('.cell').length"


def actions() -> Iterator[tuple[str, str, str]]:
    """Name, what is done, and what shows that it is."""
    yield "next page", f"window.count = {CELLS};" + KEY.format("End"), f"{CELLS} > window.count"
    for order in QUEUES:
        yield f"queue {order}", KEEP + ORDER.format(order), FRESH
    for query in ("tag:ood reviewed:no", "label:cup", "score>1.2", "reviewed:yes"):
        yield f"query {query}", KEEP + QUERY.format(query), FRESH
    yield (
        "detail",
        "document.querySelector('#detail .rest').replaceChildren();" + KEY.format("ArrowRight"),
        "document.querySelector('#detail .places')",
    )
    yield (
        "threshold opened",
        "document.querySelector('#strip').replaceChildren();" + KEY.format("t"),
        "document.querySelector('#slider:focus')",
    )


def measure(browser: Browser, folder: Path, images: int, repeat: int) -> None:
    """Ask for everything so often, each once all previews of the one before are there."""
    times = dict[str, list[float]]()
    for _ in range(repeat):
        with opened(browser, folder, "query=") as (page, took):
            times.setdefault("first grid", []).append(took)
            for name, act, ready in actions():
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(PAUSE_MS)
                took = page.evaluate(AWAIT.format(act=act, ready=ready))
                times.setdefault(name, []).append(took)
    for name, found in times.items():
        say(images=images, part=name, ms=round(statistics.median(found), 1))


def main() -> None:
    """Measure both, in a new folder that is deleted at the end, or in --work, which stays."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, help="where the catalog of --images lies or will lie")
    parser.add_argument("--settle", type=int, default=1_000)
    parser.add_argument("--pause", type=float, default=0.25, help="after each stroke, in seconds")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--previews", type=int, default=5_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with ExitStack() as stack:
        made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        playwright = stack.enter_context(sync_playwright())
        program = chromium() or parser.error("there is no Chromium; `apt install chromium`")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        if options.settle:
            (made / "session").mkdir()
            session(browser, made / "session", options.settle, options.pause)
        if options.images:
            folder = options.work or made / "many"
            folder.mkdir(parents=True, exist_ok=True)
            grow(folder, options.images, options.previews)
            measure(browser, folder, options.images, options.repeat)
        browser.close()


if __name__ == "__main__":
    main()
