"""What an image costs to take in when few and when many are catalogued already.

    python -m tests.benchmarks.growing --work DIR --sizes 10000 1000000 --pixels 1280x960

A catalog of each size, grown once through the program's own store as `catalog_scale` does. Then, in
turn `--runs` times, each takes in the same new pictures; with small ones, of 160x120, it is the
catalog that counts. One JSON line for each size: milliseconds an image (median, least, most), and
the median of its time over the first size's, of runs side by side.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from itertools import islice
from pathlib import Path

from curate.config import DecodeConfig
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.workspace import open_workspace

from .catalog_scale import begin, grow
from .ingesting import drawn

BATCH = 100_000


def grown(work: Path, size: int) -> str:
    """The place of a catalog of `size` images."""
    whole, place = work / str(size), work / f"{size}-unfinished"
    if not whole.exists():
        shutil.rmtree(place, ignore_errors=True)
        with open_workspace(str(place / "catalog.db"), create=True) as workspace:
            grow(workspace, begin(workspace.catalog), 0, size, BATCH)
        place.rename(whole)
    return str(whole / "catalog.db")


def milliseconds(place: str, inbox: Path, count: int) -> float:
    """Of an image, when so many new ones are taken in."""
    with (
        open_workspace(place, create=False) as workspace,
        Decoder(DecodeConfig()) as decoder,
    ):
        decoder.limits()  # starts a worker; the others start meanwhile
        began = time.perf_counter()
        if ingest(workspace, [str(inbox)], decoder).images != count:
            raise SystemExit(f"{inbox} is not new to {place}")
        return 1e3 * (time.perf_counter() - began) / count


def main() -> None:
    """Grow, take in in turn, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--pixels", default="1280x960", metavar="WIDTHxHEIGHT")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    work: Path = options.work.absolute()
    places = {size: grown(work, size) for size in options.sizes}
    taken: dict[int, list[float]] = {size: [] for size in options.sizes}
    for _ in range(options.runs):
        inbox = work / f"inbox-{time.time_ns()}"  # a source of its own: nothing of it is known
        inbox.mkdir()
        contents = islice(drawn(options.pixels, time.time_ns()), options.images)
        for number, content in enumerate(contents):
            (inbox / f"{number:06}.jpg").write_bytes(content)
        for size, place in places.items():
            taken[size].append(milliseconds(place, inbox, options.images))
        shutil.rmtree(inbox)
    for size, own in taken.items():
        ratios = [mine / least for mine, least in zip(own, taken[options.sizes[0]], strict=True)]
        line = {"images": size, "ms an image": round(statistics.median(own), 2)}
        line |= {"from": round(min(own), 2), "to": round(max(own), 2)}
        line["over the first"] = round(statistics.median(ratios), 2)
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
