"""What each input made to break decoders costs: outcome, time, memory. Linux.

    python -m tests.benchmarks.bad_inputs

One worker takes them one after another, each twice, and the slower time counts. Memory is the peak
of what is resident (VmHWM): the worker's while it had the file, and how far the program's own rose
over what it held before the first. Some are no bad input but the largest pictures that are taken.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from curate.config import DecodeConfig
from curate.images.decode import DecodedImage, Decoder

from ..images.bad_inputs import DECODED, REFUSED, RGB_ROW, chunk, encoded, of_scans, png

MEGABYTE = 1_000_000


class Cost(NamedTuple):
    """Of one input: file size in bytes, seconds, and peak memory in MB."""

    name: str
    size: int
    outcome: str
    seconds: float
    worker: float
    growth: float


def bomb(size: int) -> bytes:
    """A zlib stream of `size` zeros."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(MEGABYTE)) for _ in range(size // MEGABYTE)) + (
        packer.flush()
    )


def heavier() -> dict[str, bytes]:
    """Bombs of a million bytes, and large pictures, which would slow the tests down."""
    packed = bomb(1_000 * MEGABYTE)
    one = png(1, 1, rows=RGB_ROW)
    header, data, end = one[:33], one[33:-12], one[-12:]
    return {
        "1 GB of text before IDAT": header + chunk(b"zTXt", b"k\0\0" + packed) + data + end,
        "1 GB of text after IDAT": header + data + chunk(b"zTXt", b"k\0\0" + packed) + end,
        "1 GB of profile": header + chunk(b"iCCP", b"k\0\0" + packed) + data + end,
        "1 GB of IDAT for one pixel": header + chunk(b"IDAT", packed) + end,
        "JPEG of 12,000 scans": of_scans(12_000),
        "1,000,000 bytes after a good PNG": one + bytes(MEGABYTE),
        "PNG of 49 megapixels, RGBA": encoded(Image.new("RGBA", (7_000, 7_000)), "PNG"),
        "PNG of 49 megapixels, 16 bits": encoded(Image.new("I;16", (7_000, 7_000)), "PNG"),
        "GIF of 49 megapixels": encoded(Image.new("P", (7_000, 7_000)), "GIF"),
        "JPEG of 49 megapixels": encoded(Image.new("RGB", (7_000, 7_000)), "JPEG"),
        "WebP of 49 megapixels": encoded(Image.new("RGB", (7_000, 7_000)), "WEBP", method=0),
    }


def peak(process: int | str) -> float:
    """Peak resident memory of a process in MB since it was last reset."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MEGABYTE


def reset(process: int | str) -> None:
    """Let the peak begin anew (proc_pid_clear_refs(5))."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def measured(inputs: dict[str, bytes], folder: Path) -> Iterator[Cost]:
    """Send each through one worker."""
    path = folder / "upload.jpg"
    with Decoder(DecodeConfig(workers=1)) as decoder:
        path.write_bytes(DECODED["whole PNG"][0])
        list(decoder.map([path]))
        reset("self")
        before = peak("self")
        for name, data in inputs.items():
            path.write_bytes(data)
            [worker] = decoder.pids
            reset(worker)
            seconds, outcome = max(once(decoder, path) for _ in range(2))
            if decoder.pids != [worker]:
                outcome = f"A WORKER DIED: {outcome}"
                [worker] = decoder.pids
            growth = peak("self") - before
            yield Cost(name, len(data), outcome, seconds, peak(worker), growth)


def once(decoder: Decoder, path: Path) -> tuple[float, str]:
    """Seconds it took, and what came of it."""
    began = time.monotonic()
    [(_, result)] = decoder.map([path])
    seconds = time.monotonic() - began
    return seconds, "decoded" if isinstance(result, DecodedImage) else result.reason


def main() -> None:
    """Print the table, and its extremes."""
    inputs = {name: data for name, (data, _) in (REFUSED | DECODED).items()} | heavier()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in measured(inputs, Path(folder)):
            rows.append(row)
            sys.stdout.write(
                f"{row.seconds:7.3f} s {row.worker:7.1f} MB {row.growth:6.1f} MB "
                f"{row.size:>9,}  {row.name}: {row.outcome}\n"
            )
    slowest, largest = max(rows, key=lambda row: row.seconds), max(rows, key=lambda row: row.worker)
    sys.stdout.write(
        f"{len(rows)} inputs; slowest {slowest.seconds:.3f} s ({slowest.name}); worker at most "
        f"{largest.worker:.1f} MB ({largest.name}); the program grew by at most "
        f"{max(row.growth for row in rows):.1f} MB\n"
    )


if __name__ == "__main__":
    main()
