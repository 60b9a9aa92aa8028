"""A small labeled folder and an inbox of generated pictures, to try everything on.

The same seed gives the same bytes; `inbox-truth.csv` says what each inbox file really is, for
measuring only. A demo may be written again over itself; nothing else is ever written over.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from random import Random

from PIL import Image

from curate import __version__
from curate.demo.broken import broken_files
from curate.demo.pictures import picture
from curate.demo.scenes import SCENES
from curate.demo.subjects import CLASSES, STRANGERS
from curate.errors import StorageError, UsageError

LABELED_EACH = 140
INBOX_OURS, INBOX_NEAR, INBOX_FAR = 400, 60, 40
_COPIES = 4
_MARKER = "curate-demo.json"
# Markup, a shell's substitution, a colour sequence and right-to-left text; "[" is a folder's name.
_HOSTILE = "-[bold]$(id)[/]\x1b[31m\u202egnp.png" if os.name == "posix" else "-[bold]$(id).png"


@dataclass(frozen=True)
class Demo:
    """Where the demo lies and how many files each part of it holds."""

    labeled: Path
    inbox: Path
    truth: Path
    classes: tuple[str, ...]
    labeled_files: int
    inbox_files: int


@dataclass(frozen=True)
class _Upload:
    """One file of the inbox: its truth is `id`, `ood` or `unreadable`, its kind what it shows."""

    name: str
    truth: str
    kind: str
    content: bytes


def write_demo(
    destination: Path, seed: int = 0, on_image: Callable[[int, int], None] | None = None
) -> Demo:
    """Writes `labeled/<class>/`, `inbox/` and `inbox-truth.csv` into `destination`.

    `on_image` is told (files written so far, files in all). Raises UsageError where `destination`
    holds anything but this very demo, StorageError where it cannot be written.
    """
    total = LABELED_EACH * len(CLASSES) + INBOX_OURS + INBOX_NEAR + INBOX_FAR + _COPIES
    total += len(broken_files(b"", b""))
    rows: list[tuple[str, str, str]] = []
    try:
        _claim(destination, seed)
        files = chain(_labeled(seed), _inbox(seed, rows))
        for done, (name, content) in enumerate(files, 1):
            _put(destination / name, content)
            if on_image:
                on_image(done, total)
        _put(destination / "inbox-truth.csv", _csv(rows))
    except OSError as error:
        raise StorageError(destination, error.strerror or str(error)) from error
    return Demo(
        destination / "labeled",
        destination / "inbox",
        destination / "inbox-truth.csv",
        tuple(CLASSES),
        LABELED_EACH * len(CLASSES),
        len(rows),
    )


def _claim(destination: Path, seed: int) -> None:
    """Marks `destination` as this demo's, or raises UsageError."""
    marker = {"made_by": "curate demo", "version": __version__, "seed": seed}
    place = destination / _MARKER
    if destination.exists() and not destination.is_dir():
        raise UsageError(f"{str(destination)!r} is a file; name a new folder for the demo")
    destination.mkdir(parents=True, exist_ok=True)
    if any(destination.iterdir()):
        found = _read_marker(place)
        if found is None:
            raise UsageError(
                f"{str(destination)!r} is not empty and no demo; name a new or an empty folder"
            )
        if found != marker:
            raise UsageError(
                f"{str(destination)!r} holds the demo of seed {found.get('seed')} by curate "
                f"{found.get('version')}; name another folder, or remove this one first"
            )
    _put(place, (json.dumps(marker) + "\n").encode())


def _read_marker(place: Path) -> dict[str, object] | None:
    try:
        found = json.loads(place.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    ours = isinstance(found, dict) and found.get("made_by") == "curate demo"
    return found if ours else None


def _put(place: Path, content: bytes) -> None:
    """Writes a whole file or none; one that is right already keeps its times."""
    if place.is_file() and place.read_bytes() == content:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".curate-demo-{os.getpid()}.tmp")
    try:
        draft.write_bytes(content)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)


def _random(seed: int, purpose: str) -> Random:
    return Random(f"curate demo {seed} {purpose}")  # noqa: S311 - pictures, not secrets


def _encoded(image: Image.Image, suffix: str, rng: Random) -> bytes:
    stream = io.BytesIO()
    if suffix == ".png":
        image.save(stream, "PNG")
    else:
        image.save(stream, "JPEG", quality=rng.randint(80, 95))
    return stream.getvalue()


def _labeled(seed: int) -> Iterator[tuple[str, bytes]]:
    for name, subject in CLASSES.items():
        for number in range(1, LABELED_EACH + 1):
            rng = _random(seed, f"labeled {name} {number}")
            suffix = rng.choice((".jpg", ".png"))
            content = _encoded(picture(rng, subject), suffix, rng)
            yield f"labeled/{name}/{name}-{number:03}{suffix}", content


def _inbox(seed: int, rows: list[tuple[str, str, str]]) -> Iterator[tuple[str, bytes]]:
    """The inbox's files; `rows` receives the truth of each."""
    drawn = _uploads(seed)
    for upload in chain(drawn, _copies(seed, drawn), _broken(drawn)):
        rows.append((upload.name, upload.truth, upload.kind))
        yield f"inbox/{upload.name}", upload.content


def _uploads(seed: int) -> list[_Upload]:
    """The pictures, in an order that says nothing about what they show."""
    kinds = [("id", kind) for kind in _in_turn(CLASSES, INBOX_OURS)]
    kinds += [("ood", kind) for kind in _in_turn(STRANGERS, INBOX_NEAR)]
    kinds += [("ood", kind) for kind in _in_turn(SCENES, INBOX_FAR)]
    _random(seed, "order").shuffle(kinds)
    return [_upload(seed, number, *kind) for number, kind in enumerate(kinds, 1)]


def _in_turn(kinds: Iterable[str], count: int) -> list[str]:
    names = list(kinds)
    return [names[index % len(names)] for index in range(count)]


def _upload(seed: int, number: int, truth: str, kind: str) -> _Upload:
    rng = _random(seed, f"inbox {number}")
    suffix = rng.choice((".jpg", ".png"))
    subject = CLASSES.get(kind) or STRANGERS.get(kind)
    image = picture(rng, subject) if subject else SCENES[kind](rng)
    folder = "phone/" if rng.random() < 0.2 else ""
    return _Upload(f"{folder}upload-{number:04}{suffix}", truth, kind, _encoded(image, suffix, rng))


def _copies(seed: int, drawn: list[_Upload]) -> Iterator[_Upload]:
    """The same bytes again, under other names and in other folders; one name is hostile."""
    for index, upload in enumerate(_random(seed, "copies").sample(drawn, _COPIES)):
        suffix = PurePosixPath(upload.name).suffix
        name = f"forwarded/again/copy-{index}{suffix}" if index else _HOSTILE
        yield _Upload(name, upload.truth, upload.kind, upload.content)


def _broken(drawn: list[_Upload]) -> Iterator[_Upload]:
    whole = {suffix: _first(drawn, suffix) for suffix in (".jpg", ".png")}
    for name, content in broken_files(whole[".jpg"], whole[".png"]).items():
        yield _Upload(name, "unreadable", "", content)


def _first(drawn: list[_Upload], suffix: str) -> bytes:
    return next(upload.content for upload in drawn if upload.name.endswith(suffix))


def _csv(rows: list[tuple[str, str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "truth", "class"))
    writer.writerows(rows)
    return text.getvalue().encode()
