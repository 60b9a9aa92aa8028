"""How the catalog bears 10,000, 100,000 and 1,000,000 images: time and peak memory per question.

    python tests/benchmarks/catalog_scale.py --work DIR --sizes 10000 100000 1000000

One catalog grows in DIR through the program's own store; at each size every question is asked in
a process of its own. One JSON line per size and question: the best of `--repeat` times in seconds,
and the peak memory in MB. The last lines are a table of them, with the growth from first to last.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from curate.catalog.models import CheckpointRow, LabeledRow
from curate.catalog.query import parse
from curate.catalog.store import Catalog, NewImage, NewScore, NewUnreadable
from curate.export import export
from curate.ingest import KnownFiles
from curate.status import status
from curate.workspace import Workspace, open_workspace

BATCH = 10_000
RECENT = 100_000
WAITING = 1_000
CALIBRATED = 199
POLICY = "benchmark"
START = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = ("cup", "fish", "house", "key", "leaf", "star")
CHECKPOINT = hashlib.sha256(b"checkpoint").hexdigest()
DETECTOR = hashlib.sha256(b"detector").hexdigest()
Question = Callable[[Workspace, int], object]


def name_of(number: int) -> str:
    """The content hash that a number stands for."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def image(number: int) -> NewImage:
    """The image of that number, in a folder of a thousand."""
    path = f"2026/{number // 1000}/upload-{number}.jpg"
    return NewImage(path, name_of(number), "JPEG", 640, 480, 1_000 + number, number, number, number)


def score(number: int) -> NewScore:
    """A score whose rank among CALIBRATED is drawn evenly, so that one in twenty is flagged."""
    rank, label = random.Random(number).uniform(0, CALIBRATED + 1), LABELS[number % len(LABELS)]
    s, p = 2 - 2 * rank / (CALIBRATED + 1), (int(rank) + 1) / (CALIBRATED + 1)
    return NewScore(name_of(number), s, s, 0.5, -1.0, 1.0, p, label, 0.9, p, "held_out")


def begin(catalog: Catalog) -> str:
    """A classifier, a detector of its own, and a source; returns the source's id."""
    row = LabeledRow(name_of(-1), LABELS[0], "train", "cup/1.jpg")
    snapshot = catalog.models.add_snapshot("/labeled", [row], START)
    facts = {"validation_accuracy": 0.9, "calibration_images": CALIBRATED}
    for kind, parent, made in (
        ("pretrained", None, CHECKPOINT),
        ("finetuned", CHECKPOINT, DETECTOR),
    ):
        catalog.models.add_checkpoint(
            CheckpointRow(made, kind, parent, snapshot, "small-resnet", kind, facts, START)
        )
    for role, made in (("classifier", CHECKPOINT), ("detector", DETECTOR)):
        catalog.models.begin_scoring(made)
        catalog.models.activate({role: made}, "benchmark", START)
    return catalog.source("file:///in/box", START)


def grow(workspace: Workspace, source: str, before: int, size: int, batch: int) -> None:
    """Catalogue the images `before` to `size`; all but the last 1,000 are scored twice."""
    catalog = workspace.catalog
    for start in range(before, size, batch):
        numbers = range(start, min(start + batch, size))
        now = START + timedelta(seconds=start)
        workspace.previews.add((name_of(number), b"preview") for number in numbers)
        catalog.add_images(source, list(map(image, numbers)), now)
    refused = [
        NewUnreadable(f"bad/{n}.jpg", "an empty file", POLICY, 1, n, n, n)
        for n in range(before, size, 200)
    ]
    catalog.add_unreadable(source, refused, START)
    for start in range(max(before - WAITING, 0), size - WAITING, batch):
        rows = list(map(score, range(start, min(start + batch, size - WAITING))))
        for made in (CHECKPOINT, DETECTOR):
            catalog.add_scores(made, rows, START)
    judged = [(name_of(n), "id", None) for n in range(before, size - WAITING, 100)]
    catalog.reviews.add(judged, "benchmark", START)


def first(workspace: Workspace, query: str, count: int = 1_000) -> int:
    """So many rows of a query."""
    return len(list(islice(workspace.catalog.iter_images(parse(query), wanted=count), count)))


def middle(workspace: Workspace, query: str, size: int) -> int:
    """The rows of a query after the image in the middle."""
    key = (START + timedelta(seconds=size // 2 // BATCH * BATCH), "8")
    return len(list(islice(workspace.catalog.iter_images(parse(query), False, 1_000, key), 1_000)))


def reservoir_of(workspace: Workspace) -> int:
    """What a fine-tune learns from."""
    from curate.model.sampling import reservoir

    return len(reservoir(workspace.catalog.unlabeled(), 20_000, 0))


QUESTIONS: dict[str, Question] = {
    "is this hash known": lambda w, n: w.catalog.has_image(name_of(n // 2)),
    "which image is this path": lambda w, n: w.catalog.content_at(
        [(w.catalog.sources()[0].source_id, image(n // 2).path)], None
    ),
    "pending, 500": lambda w, n: w.catalog.pending(DETECTOR, 500),
    "how many came since": lambda w, n: w.catalog.new_images_since(START + timedelta(seconds=n)),
    "how many came at all": lambda w, n: w.catalog.new_images_since(START - timedelta(1)),
    "counts": lambda w, n: w.catalog.counts(),
    "status": lambda w, n: status(w),
    "sample for the histogram": lambda w, n: w.catalog.score_sample(DETECTOR),
    "lowest flagged": lambda w, n: w.catalog.lowest_flagged(DETECTOR, 0.05),
    "list, first page": lambda w, n: first(w, ""),
    "list tag:ood, first page": lambda w, n: first(w, "tag:ood"),
    "list, middle page": lambda w, n: middle(w, "", n),
    "list tag:ood, middle page": lambda w, n: middle(w, "tag:ood", n),
    "list tag:pending": lambda w, n: first(w, "tag:pending"),
    "list reviewed:yes, first page": lambda w, n: first(w, "reviewed:yes"),
    "list score>1.2, first page": lambda w, n: first(w, "score>1.2"),
    "list p<=0.01, first page": lambda w, n: first(w, "p<=0.01"),
    "list path: of one": lambda w, n: first(w, f"path:upload-{n // 2}.jpg"),
    "list since:, first page": lambda w, n: first(
        w, f"since:{(START + timedelta(seconds=n - RECENT)).isoformat()}"
    ),
    "export p<=0.01 (1 %)": lambda w, n: export(
        w, parse("p<=0.01"), w.folder / "out.csv", "csv", on_rows=lambda _: None
    ),
    "files known, at start": lambda w, n: KnownFiles(w, w.catalog.sources()[0].source_id, POLICY),
    "reservoir of a fine-tune": lambda w, n: reservoir_of(w),
    "change the rate": lambda w, n: w.catalog.rates.set(0.05, START),
}


def ask(
    place: str, name: str, size: int, answer: multiprocessing.Queue[tuple[float, float]]
) -> None:
    """Ask one question, alone in a process; seconds and peak memory go into `answer`."""
    with open_workspace(place, create=False) as workspace:
        began = time.perf_counter()
        QUESTIONS[name](workspace, size)
        took = time.perf_counter() - began
    answer.put((took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def asked(place: str, name: str, size: int) -> tuple[float, float]:
    """Seconds and peak MB of one question."""
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[tuple[float, float]] = context.Queue()
    process = context.Process(target=ask, args=(place, name, size, answer))
    process.start()
    found = answer.get(timeout=900)
    process.join()
    return found


def commanded(place: str, *arguments: str) -> tuple[float, float]:
    """Seconds and peak MB of a whole command."""
    command = [sys.executable, "-m", "curate", *arguments, "--catalog", place]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def measured(place: str, size: int, repeat: int) -> Iterator[tuple[str, float, float]]:
    """Name, seconds and MB of everything, the best of `repeat`."""
    for name in QUESTIONS:
        yield name, *min(asked(place, name, size) for _ in range(repeat))
    for arguments in (("status",), ("list", "--limit", "20"), ("list", "tag:ood", "--limit", "20")):
        best = min(commanded(place, *arguments) for _ in range(repeat))
        yield f"$ curate {' '.join(arguments)}", *best


def say(line: str) -> None:
    """One line of result."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Grow the catalog, and ask at each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--batch", type=int, default=BATCH, help="images to a commit")
    options = parser.parse_args()
    place, before, rows = str(options.work / "catalog.db"), 0, dict[str, list[float]]()
    for size in options.sizes:
        with open_workspace(place, create=True) as workspace:
            began, counted = time.perf_counter(), workspace.catalog.counts().images
            source = (
                begin(workspace.catalog)
                if not counted
                else workspace.catalog.sources()[0].source_id
            )
            grow(workspace, source, max(before, counted), size, options.batch)
            rate = (size - max(before, counted)) / (time.perf_counter() - began)
        before = size
        say(json.dumps({"images": size, "catalogued and scored twice, per s": round(rate)}))
        for name, seconds, megabytes in measured(place, size, options.repeat):
            rows.setdefault(name, []).append(seconds)
            line = {"images": size, "question": name, "s": round(seconds, 4)}
            say(json.dumps(line | {"peak MB": round(megabytes)}))
    for name, times in rows.items():
        shown = " ".join(f"{seconds * 1000:10.1f}" for seconds in times)
        say(f"{name:32} {shown} ms  x{times[-1] / times[0]:.1f}")


if __name__ == "__main__":
    main()
