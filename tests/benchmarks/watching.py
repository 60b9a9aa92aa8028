"""A watch under bursts of files, started again, at rest with all of them, and held up by a stop.

    python tests/benchmarks/watching.py --work DIR --files 100000

Without a network, so that it is the watching alone: hash, decode, preview, catalog. One JSON line
for each part, made when every file of it is catalogued. `memory_mb` is the peak of the watch's own
process since its start, `core` the share of one core that it and its decode workers take.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from PIL import Image

SCANS_AT_REST = 3
"""With the pauses before them: the more files, the longer these are."""
IN_A_FOLDER = 1_000
PATIENCE_SECONDS = 3_600.0


def picture() -> bytes:
    """A JPEG of 160x120 pixels, 4 kB."""
    stream = io.BytesIO()
    Image.effect_noise((160, 120), 40).convert("RGB").save(stream, "JPEG", quality=50)
    return stream.getvalue()


def write_files(inbox: Path, name: str, count: int) -> None:
    """So many pictures of different content, a thousand to a folder."""
    whole = picture()
    for number in range(count):
        folder = inbox / f"{name}-{number // IN_A_FOLDER}"
        folder.mkdir(exist_ok=True)
        comment = f"{name} {number}".encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / f"{number}.jpg").write_bytes(whole[:2] + segment + whole[2:])


class Watched:
    """A running `curate watch` and its catalog."""

    def __init__(self, folder: Path) -> None:
        self._catalog = folder / ".curate" / "catalog.db"
        command = [sys.executable, "-m", "curate", "watch", "inbox", "--settle", "1"]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def one(self, query: str, *values: object) -> object:
        """What a query says; None where there is no catalog yet."""
        if not self._catalog.exists():
            return None
        with closing(sqlite3.connect(f"file:{self._catalog}?mode=ro", uri=True)) as database:
            try:
                row = database.execute(query, values).fetchone()
            except sqlite3.OperationalError:  # not made yet
                return None
        return row[0] if row else None

    def wait_for(self, images: int) -> float:
        """Seconds until the catalog holds so many."""
        return self.until("SELECT count(*) >= ? FROM image", images)

    def until(self, query: str, *values: object) -> float:
        """Seconds until a query says something true."""
        began = time.monotonic()
        while not self.one(query, *values):
            took = time.monotonic() - began
            if self.process.poll() is not None or took > PATIENCE_SECONDS:
                raise SystemExit(f"it never came true: {query}")
            time.sleep(0.05)
        return time.monotonic() - began

    def next_scan(self) -> None:
        """Wait for the end of the next whole scan."""
        last = self.one("SELECT last_scan_at FROM source")
        self.until("SELECT last_scan_at <> ? FROM source", last)

    def memory_mb(self) -> int:
        """Peak of the process itself."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (peak,) = (line for line in lines if line.startswith("VmHWM:"))
        return int(peak.split()[1]) // 1_000

    def cpu_seconds(self) -> float:
        """Of the process and its children, those that run as well."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sum(map(_cpu_seconds, [str(self.process.pid), *children.split()]))


def _cpu_seconds(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def watching(folder: Path) -> Iterator[Watched]:
    """A watch, until it is ended."""
    watch = Watched(folder)
    try:
        yield watch
    finally:
        watch.process.send_signal(signal.SIGCONT)
        watch.process.terminate()
        watch.process.wait()


def measure(folder: Path, files: int) -> Iterator[dict[str, object]]:
    """One row for each part."""
    inbox, tenth, fifth = folder / "inbox", files // 10, files // 5
    inbox.mkdir(parents=True)
    with watching(folder) as watch:
        watch.until("SELECT last_scan_at FROM source")
        yield {"part": "started", "memory_mb": watch.memory_mb()}
        for name, count, images in (("first", tenth, tenth), ("burst", files - tenth, files)):
            began = time.monotonic()
            write_files(inbox, name, count)
            wrote = time.monotonic() - began
            took = wrote + watch.wait_for(images)
            yield {
                "part": f"burst of {count}",
                "written_s": round(wrote, 1),
                "catalogued_s": round(took, 1),
                "files_per_s": round(count / took),
                "memory_mb": watch.memory_mb(),
            }
    scanned = watch.one("SELECT last_scan_at FROM source")
    with watching(folder) as watch:
        took = watch.until("SELECT last_scan_at > ? FROM source", scanned)
        part = f"started again with {files}"
        yield {"part": part, "seconds": round(took, 1), "memory_mb": watch.memory_mb()}
        began, before = time.monotonic(), watch.cpu_seconds()
        for _ in range(SCANS_AT_REST):
            watch.next_scan()
        took = time.monotonic() - began
        core = (watch.cpu_seconds() - before) / took
        part = f"{SCANS_AT_REST} scans at rest with {files}"
        yield {"part": part, "seconds": round(took), "core": round(core, 4)}
        watch.process.send_signal(signal.SIGSTOP)
        write_files(inbox, "stopped", fifth)
        watch.process.send_signal(signal.SIGCONT)
        took = watch.wait_for(files + fifth)
        part = f"{fifth} while it was stopped"
        yield {"part": part, "catalogued_s": round(took, 1)}


def main() -> None:
    """Measure, in a new folder below --work that is deleted at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--files", type=int, default=100_000)
    options = parser.parse_args()
    folder = options.work / f"watching-{os.getpid()}"
    try:
        for row in measure(folder, options.files):
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
