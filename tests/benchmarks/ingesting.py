"""`curate ingest` beside what the machine allows, and beside other tools on the same folder.

    python tests/benchmarks/ingesting.py --work DIR --pixels 1280x960 --images 400

Makes JPEGs of noise of all scales (or takes those of `--pictures`), and an environment with the
peers, once. Then all contenders run in turn, `--runs` times, each as a program on all cores with a
warm page cache. What a program takes for a single picture, its start, is taken off. One JSON line
for each: images a second (median, least, most), and the median of ingest's rate over its own, of
runs side by side.

Ingest is whole: SHA-256, check, decoding in the sandbox, preview, catalog, all on the disk. No
network scores. The limit is `drafted`, Pillow's scaled decoding alone.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from PIL import Image, ImageChops

PEERS = (
    "cleanvision==0.3.7",
    "imagededup==0.3.3.post2",
    "simplejpeg==1.9.0",
    "torchvision==0.29.2",
)
KINDS = 8
"""Different pictures; the others are these with another comment, so with another hash."""


def main() -> None:
    """Prepare, run in turn, tell."""
    options = _parser().parse_args()
    work: Path = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    many, one = _folders(options, work)
    python = _environment(work / "peers") if options.peers else Path(sys.executable)
    wanted = ["ingest", *options.contenders]
    commands = {name: _command(name, python) for name in wanted}
    rates: dict[str, list[float]] = {name: [] for name in wanted}
    count = len(list(many.rglob("*.jpg")))
    starts = {name: min(_seconds(commands[name], one, work) for _ in range(2)) for name in wanted}
    for _ in range(options.runs):
        for name in wanted:
            took = _seconds(commands[name], many, work) - starts[name]
            rates[name].append((count - 1) / took)
    for name in wanted:
        _tell(name, rates, starts[name])


def _tell(name: str, rates: dict[str, list[float]], start: float) -> None:
    own = rates[name]
    ratios = [ours / theirs for ours, theirs in zip(rates["ingest"], own, strict=True)]
    line = {
        "contender": name,
        "images a second": round(statistics.median(own), 1),
        "from": round(min(own), 1),
        "to": round(max(own), 1),
        "ingest over it": round(statistics.median(ratios), 3),
        "its start, s": round(start, 2),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _command(name: str, python: Path) -> list[str]:
    if name == "ingest":
        return [sys.executable, "-m", "curate", "ingest"]
    return [str(python), str(Path(__file__).with_name("peers.py")), name]


def _seconds(command: list[str], folder: Path, work: Path) -> float:
    """Of one run, with no catalog there before it."""
    shutil.rmtree(work / ".curate", ignore_errors=True)
    began = time.perf_counter()
    done = subprocess.run([*command, str(folder)], cwd=work, capture_output=True, text=True)
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return took


def _folders(options: argparse.Namespace, work: Path) -> tuple[Path, Path]:
    """The pictures, and a folder with the first of them alone; each in one sub-folder."""
    name = options.pixels if options.pictures is None else options.pictures.name
    many, one = work / f"{name}-{options.images}" / "all", work / f"{name}-one" / "all"
    if not many.exists():
        made = many.with_name("unfinished")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        contents = _given(options.pictures) if options.pictures else drawn(options.pixels)
        for number, content in enumerate(islice(contents, options.images)):
            (made / f"{number:06}.jpg").write_bytes(content)
        made.rename(many)
    one.mkdir(parents=True, exist_ok=True)
    shutil.copy(next(iter(sorted(many.iterdir()))), one / "one.jpg")
    return many.parent, one.parent


def _given(folder: Path) -> Iterator[bytes]:
    """JPEGs of a folder, again and again, each time with another comment."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for number, path in enumerate(cycle(files)):
        yield _commented(path.read_bytes(), number)


def drawn(pixels: str, first: int = 0) -> Iterator[bytes]:
    """JPEGs of noise of all scales, about as large as photographs are, numbered from `first`."""
    width, height = map(int, pixels.split("x"))
    kinds = [_noise(width, height) for _ in range(KINDS)]
    for number, content in enumerate(cycle(kinds), first):
        yield _commented(content, number)


def _noise(width: int, height: int) -> bytes:
    channels = [_octaves(width, height) for _ in range(3)]
    grey = _octaves(width, height)
    mixed = [ImageChops.blend(grey, channel, 0.25) for channel in channels]
    stream = io.BytesIO()
    Image.merge("RGB", mixed).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _octaves(width: int, height: int) -> Image.Image:
    total = Image.new("L", (width, height), 128)
    for scale, strength, part in ((64, 120, 1.0), (16, 100, 0.35), (4, 60, 0.35), (1, 40, 0.1)):
        coarse = Image.effect_noise((width // scale + 1, height // scale + 1), strength)
        smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
        total = ImageChops.blend(total, smooth, part)
    return total


def _commented(content: bytes, number: int) -> bytes:
    comment = f"picture {number}".encode()
    return content[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + content[2:]


def _environment(place: Path) -> Path:
    """The peers' Python."""
    python = place / "bin" / "python"
    if not (place / "whole").exists():
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
        (place / "whole").touch()
    return python


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--work", type=Path, required=True)
    add("--pixels", default="1280x960", metavar="WIDTHxHEIGHT")
    add("--pictures", type=Path, metavar="DIR", help="JPEGs to take instead of generated ones")
    add("--images", type=int, default=400)
    add("--runs", type=int, default=5)
    add(
        "--contenders",
        nargs="+",
        default=[
            "read",
            "hashed",
            "drafted",
            "simplejpeg",
            "torchvision",
            "image_folder",
            "imagededup",
            "cleanvision",
        ],
    )
    add("--no-peers", dest="peers", action="store_false", help="this environment has what runs")
    return parser


if __name__ == "__main__":
    main()
