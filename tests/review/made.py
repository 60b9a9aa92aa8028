"""Projects for the review page, written without a network: images, previews, scores."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from curate.catalog.models import CheckpointRow, LabeledRow
from curate.catalog.store import NewImage, NewScore
from curate.workspace import Workspace, open_workspace

from ..catalog.cases import name_of
from ..program import start

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CHECKPOINT = name_of("checkpoint")
CLASSES = ("cup", "fish", "star")
CALIBRATED = 99
"""P-values are hundredths."""


def project(folder: Path, images: int, names: Sequence[str] = ()) -> list[str]:
    """Make `folder/.curate` with so many images, the first ones the most unusual; their hashes.

    Image i has the p-value (i + 1) / 100, or 1 where that is more. `names` are percent-encoded
    paths for the first ones.
    """
    hashes = [name_of(number) for number in range(images)]
    with open_workspace(str(folder / ".curate"), create=True) as workspace:
        add_network(workspace)
        add_images(workspace, folder, range(images), names)
    return hashes


def add_network(workspace: Workspace) -> None:
    """A network in service that knows CLASSES."""
    models = workspace.catalog.models
    rows = [LabeledRow(name_of(name), name, "train", f"{name}/1.png") for name in CLASSES]
    snapshot = models.add_snapshot("/labeled", rows, NOW)
    row = CheckpointRow(
        CHECKPOINT, "pretrained", None, snapshot, "small-resnet", "guarded", {}, NOW
    )
    models.add_checkpoint(row)
    models.begin_scoring(CHECKPOINT)
    models.activate({"classifier": CHECKPOINT, "detector": CHECKPOINT}, "trained", NOW)
    manifest = {"calibration": {"held_out": [0.0] * CALIBRATED}}
    place = workspace.checkpoints / CHECKPOINT
    place.mkdir(parents=True)
    (place / "checkpoint.json").write_text(json.dumps(manifest))


def add_images(
    workspace: Workspace, folder: Path, numbers: Sequence[int], names: Sequence[str] = ()
) -> None:
    """Catalogue images by number, with previews and scores."""
    catalog = workspace.catalog
    source = catalog.source((folder / "inbox").absolute().as_uri(), NOW)
    workspace.previews.add((name_of(number), preview(number)) for number in numbers)
    for number in numbers:
        catalog.add_images(source, [image(number, names)], NOW + timedelta(seconds=number))
    catalog.add_scores(CHECKPOINT, [score(number) for number in numbers], NOW)


def image(number: int, names: Sequence[str] = ()) -> NewImage:
    """The image of that number; `names` are those of the first ones."""
    name = names[number] if number < len(names) else f"upload-{number}.png"
    return NewImage(name, name_of(number), "PNG", 64, 64, 1_000 + number, 1, 2, number + 1)


def score(number: int) -> NewScore:
    """The score of the image of that number."""
    p_value = min((number + 1) / (CALIBRATED + 1), 1.0)
    return NewScore(
        sha256=name_of(number),
        score=3 - 0.01 * number,
        discrepancy=0.5,
        msp=0.25,
        energy=-3.5,
        knn=0.75,
        disagreement=float(number % 7),
        label=CLASSES[number % len(CLASSES)],
        confidence=0.75,
        p_value=p_value,
        calibration="held_out",
    )


def preview(number: int) -> bytes:
    """A small drawing that tells its number."""
    drawn = Image.new("RGB", (64, 64), (number * 37 % 200, number * 91 % 200, number * 53 % 200))
    ImageDraw.Draw(drawn).text((8, 24), str(number), fill="white")
    stream = BytesIO()
    drawn.save(stream, "PNG")
    return stream.getvalue()


class Served:
    """A running `curate review`: its port, the address that opens the page, and what it says."""

    def __init__(self, folder: Path, *options: object) -> None:
        self.process = start(folder, "review", *options)
        assert self.process.stdout is not None
        self._out = self.process.stdout
        self.address = self.next_address()
        self.port = int(self.address.split(":")[2].partition("/")[0])
        self.prefix = self.address.partition("/?")[0].partition(str(self.port))[2]

    def next_address(self) -> str:
        """The address that it prints next."""
        self.address = self._out.readline().strip()
        return self.address

    @property
    def token(self) -> str:
        """The token of the address that was printed last."""
        return self.address.partition("token=")[2]

    def stop(self) -> str:
        """End it as Ctrl-C does; returns what it said on standard error."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=30)
        assert self.process.returncode == 130
        return said


class Visitor:
    """A browser's session without the browser: it has opened the page, and keeps its cookie."""

    def __init__(self, running: Served) -> None:
        self._port, self._prefix = running.port, running.prefix
        status, headers, _ = self.get(f"/?token={running.token}", cookie=None)
        assert status == 200
        self.cookie = headers["set-cookie"].partition(";")[0]
        running.next_address()

    def get(self, path: str, cookie: str | None = "ours") -> tuple[int, Message, bytes]:
        """Status, headers and body of an address."""
        return self._asked("GET", path, None, {"Cookie": self.cookie} if cookie else {})

    def json(self, path: str) -> Any:
        """What an address answers, which must be well."""
        status, _, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path: str, said: object) -> tuple[int, Any]:
        """Status and answer of a request as the page makes it."""
        headers = {
            "Cookie": self.cookie,
            "Origin": f"http://127.0.0.1:{self._port}",
            "Content-Type": "application/json",
        }
        status, _, body = self._asked("POST", path, json.dumps(said).encode(), headers)
        return status, json.loads(body)

    def _asked(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Message, bytes]:
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request(method, self._prefix + path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()


@contextmanager
def served(folder: Path, *options: object) -> Iterator[Served]:
    """`curate review` in `folder`, ended at the end."""
    made = Served(folder, *options)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()
