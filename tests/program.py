"""The program as a person runs it: a process of its own, and pictures to give it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from PIL import Image, ImageDraw

from .forked import Fork, Streams, environment

SHAPES = ("disc", "square", "cross")
RUN_SECONDS = 900.0
"""As long as the longest test that runs one; others are ended before by their own limit."""


def picture(kind: str, number: int) -> Image.Image:
    """A 32-pixel drawing of a shape, or of coloured noise for any other kind."""
    rng = random.Random(f"{kind} {number}")
    image = Image.new("RGB", (32, 32), tuple(rng.randrange(90) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    colour = tuple(rng.randrange(150, 256) for _ in range(3))
    x, y, size = rng.randrange(3, 10), rng.randrange(3, 10), rng.randrange(14, 19)
    if kind == "disc":
        draw.ellipse((x, y, x + size, y + size), fill=colour)
    elif kind == "square":
        draw.rectangle((x, y, x + size, y + size), fill=colour)
    elif kind == "cross":
        draw.line((x, y, x + size, y + size), fill=colour, width=4)
        draw.line((x + size, y, x, y + size), fill=colour, width=4)
    else:
        image.frombytes(bytes(rng.randrange(256) for _ in range(32 * 32 * 3)))
    return image


def draw(folder: Path, kind: str, numbers: range) -> list[Path]:
    """Write pictures of one kind; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{kind}-{number}.png" for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        picture(kind, number).save(path)
    return paths


def shut(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make a folder that this process may not list, even as root."""
    folder.mkdir()
    real = os.scandir

    def refusing(path: str) -> object:
        if path == os.fspath(folder):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)


def abandoned(path: Path) -> Path:
    """The temporary name beside `path` of a process that has ended."""
    program = (
        "import sys; from pathlib import Path; from curate.durable import temporary_beside; "
        "print(temporary_beside(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, os.fspath(path)]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start `curate` in `folder` and leave it running."""
    return subprocess.Popen(
        [sys.executable, "-m", "curate", *map(str, arguments)],
        cwd=folder,
        env=environment(),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(folder: Path, *arguments: object, code: int = 0, stdin: str = "") -> CompletedProcess[str]:
    """Run `curate` in `folder`; its exit code must be `code`, and it never shows a traceback.

    It is forked from a process that has imported it already.
    """
    with TemporaryDirectory() as place:
        streams = Streams(*(Path(place) / name for name in ("stdin", "stdout", "stderr")))
        Path(streams.stdin).write_text(stdin)
        ended = Fork(folder, arguments, streams=streams).go().end(RUN_SECONDS)
        stdout = Path(streams.stdout).read_text()
    return _checked(CompletedProcess("curate", ended.code, stdout, ended.said), code)


def run_anew(folder: Path, *arguments: object) -> CompletedProcess[str]:
    """The same in a process that begins as a person's does; its exit code must be 0."""
    process = start(folder, *arguments)
    stdout, stderr = process.communicate()
    return _checked(CompletedProcess("curate", process.returncode, stdout, stderr), 0)


def _checked(done: CompletedProcess[str], code: int) -> CompletedProcess[str]:
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def status(folder: Path) -> dict[str, Any]:
    """`curate status --json`."""
    found: dict[str, Any] = json.loads(run(folder, "status", "--json").stdout)
    return found


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Ask again and again, until it holds or the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.1)
