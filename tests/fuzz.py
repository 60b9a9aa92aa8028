"""Spoiled pictures without end, through the real decoder: does anything but an answer come of it?

    python -m tests.fuzz --minutes 10 [--seed N] [--corpus DIR] [--opt-in] [--keep DIR]

First every file of the corpus as it is, then mutations of it and of generated pictures; number N of
a seed is always the same. Ends with exit code 1, and the inputs in `--keep`, where there is a
defect. That a worker dies of its memory limit is none: it is counted.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path

from PIL import Image

from curate.config import DecodeConfig
from curate.errors import CurateError
from curate.images.decode import DecodedImage, Decoder, UnreadableImage
from curate.images.pixels import preview_size

from .mutations import is_seed, mutated, seeds

PLENTY = 16_000_000_000
"""Bytes of memory, with which a death is not one of the limit."""


@dataclass
class Tally:
    """What came of the inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds."""
    largest: int = 0
    """Peak resident memory of a worker in bytes, where the system tells it."""


class Door:
    """The decoder, asked for one file at a time and watched."""

    def __init__(self, config: DecodeConfig, folder: Path) -> None:
        self._config, self._path = config, folder / "upload"
        self._decoder = Decoder(config)
        self.tally = Tally()

    def close(self) -> None:
        """End the worker."""
        self._decoder.close()

    def send(self, data: bytes) -> str | None:
        """The defect that this input shows, if it does."""
        self._path.write_bytes(data)
        try:
            self._decoder.limits()  # starts the worker, unless it runs
            before, began = self._decoder.pids, time.monotonic()
            [(_, result)] = self._decoder.map([self._path])
        except CurateError as error:
            return f"no answer: {error}"
        self.tally.slowest = max(self.tally.slowest, time.monotonic() - began)
        self.tally.largest = max(self.tally.largest, self._peak())
        outcome, defect = self._judged(result)
        if self._decoder.pids != before and defect is None:
            outcome, defect = self._death()
        self.tally.outcomes[outcome] += 1
        return defect

    def _judged(self, result: object) -> tuple[str, str | None]:
        """In a word what came of it, and the defect."""
        match result:
            case DecodedImage():
                return f"decoded {result.format}", fault_of(result)
            case UnreadableImage(reason, stat):
                if "took longer" in reason:
                    return "too slow", reason
                if stat is None or not 0 < len(reason) <= 220 or not reason.isprintable():
                    return "no reason", f"a strange reason: {reason!r}"
                return f"unreadable: {re.sub(r'[0-9][0-9,]*', 'N', reason.split(':')[0])}", None
        return "no answer", f"a strange answer: {result!r}"

    def _death(self) -> tuple[str, str | None]:
        """Whether the worker died of its limit alone: with plenty of memory it does not."""
        with Decoder(replace(self._config, memory_bytes=PLENTY)) as decoder:
            decoder.limits()  # starts the worker
            before = decoder.pids
            list(decoder.map([self._path]))
            if decoder.pids == before:
                return "a death by the memory limit", None
        return "a death", "the worker dies of it, whatever memory it has"

    def _peak(self) -> int:
        """Peak resident memory of the worker in bytes."""
        try:
            status = Path(f"/proc/{self._decoder.pids[0]}/status").read_text()
        except (OSError, IndexError):
            return 0
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def fault_of(image: DecodedImage) -> str | None:
    """What is wrong with a preview."""
    try:
        with Image.open(io.BytesIO(image.preview), formats=("PNG", "JPEG")) as preview:
            preview.load()
            found = preview.mode, preview.size
    except Exception as error:  # whatever a preview can do to a decoder
        return f"a preview that does not open: {error!r}"
    if found != ("RGB", preview_size(image.width, image.height)):
        return f"a preview of {found} for {image.width} x {image.height} pixels"
    return None


def inputs(corpus: Path | None, seed: int, formats: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Each input and what to call it: the corpus, then mutations without end."""
    pictures = seeds(formats)
    if corpus is not None:
        for path in sorted(path for path in corpus.rglob("*") if path.is_file()):
            data = path.read_bytes()
            yield str(path.relative_to(corpus)), data
            if is_seed(data, formats):
                pictures.append(data)
    for number in count():
        yield f"{seed}-{number}", mutated(pictures, random.Random(f"{seed} {number}"))


def fuzz(sent: Iterator[tuple[str, bytes]], config: DecodeConfig, keep: Path) -> Tally:
    """Send inputs until they end; those that show a defect are written to `keep`."""
    with tempfile.TemporaryDirectory() as folder:
        door = Door(config, Path(folder))
        try:
            for name, data in sent:
                if defect := door.send(data):
                    door.tally.defects.append(f"{name}: {defect}")
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / name.replace("/", "_")).write_bytes(data)
        finally:
            door.close()
    limit = config.memory_bytes
    if door.tally.largest > limit:
        door.tally.defects.append(
            f"a worker of {door.tally.largest:,} bytes; the limit is {limit:,}"
        )
    return door.tally


def _until(sent: Iterator[tuple[str, bytes]], end: float) -> Iterator[tuple[str, bytes]]:
    for item in sent:
        if time.monotonic() >= end:
            return
        yield item


def main() -> None:
    """Fuzz, print the tally."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--count", type=int, help="inputs at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, help="a folder whose files come first, unchanged")
    parser.add_argument("--opt-in", action="store_true", help="also AVIF, TIFF and BMP")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    given = parser.parse_args()
    formats = DecodeConfig.formats + (("AVIF", "TIFF", "BMP") if given.opt_in else ())
    sent = islice(inputs(given.corpus, given.seed, formats), given.count)
    ending = _until(sent, time.monotonic() + 60 * given.minutes)
    tally = fuzz(ending, DecodeConfig(workers=1, formats=formats), given.keep)
    for outcome, times in sorted(tally.outcomes.items()):
        sys.stdout.write(f"{times:8,}  {outcome}\n")
    sys.stdout.write(
        f"{tally.outcomes.total():8,}  inputs; the slowest took {tally.slowest:.2f} s, the largest "
        f"worker {tally.largest / 1e6:.0f} MB\n"
    )
    sys.stdout.writelines(f"DEFECT {defect}\n" for defect in tally.defects)
    sys.exit(bool(tally.defects))


if __name__ == "__main__":
    main()
