"""What the hot paths ask of disk and database, counted: a slower way of doing them shows here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from platform import libc_ver

import pytest
from PIL import Image
from sqlalchemy import event

from curate.catalog.query import Query, parse
from curate.config import DecodeConfig
from curate.images.decode import Decoder
from curate.ingest import BATCH, ingest
from curate.review.desk import Desk
from curate.score import Scorer
from curate.status import status
from curate.workspace import Workspace, open_workspace

from .crash.tampering import traced_with_children
from .forked import environment
from .program import draw, run

FEW, MANY = 8, 40
"""Both within one batch."""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")


@pytest.fixture
def project(trained: Path) -> Iterator[Workspace]:
    with open_workspace(str(trained / ".curate"), create=False) as workspace:
        yield workspace


@contextmanager
def statements(workspace: Workspace) -> Iterator[list[str]]:
    """What the database is asked meanwhile; many rows at once count as one, as do many names."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(re.sub(r"\?(, \?)+", "?", statement))

    event.listen(workspace.catalog.engine, "before_cursor_execute", note)
    yield asked
    event.remove(workspace.catalog.engine, "before_cursor_execute", note)


def arrived(workspace: Workspace, decoder: Decoder, numbers: range) -> None:
    """Catalogue new pictures."""
    inbox = workspace.folder.parent / "inbox"
    draw(inbox, "disc", numbers)
    assert ingest(workspace, [os.fspath(inbox)], decoder).images == len(numbers)


def traced(folder: Path, *arguments: object) -> Counter[tuple[str, str]]:
    """How often a run and its children ask the system for what, of which file below `folder`."""
    trace = traced_with_children(folder, arguments, "open,openat,fsync,fdatasync")
    file = re.compile(rf"{re.escape(str(folder))}/([^\">]+)")
    calls = Counter[tuple[str, str]]()
    for name, rest in re.findall(r"^(\w+)\((.*)\) += \d", trace, re.MULTILINE):
        if named := file.search(rest):
            calls[name, named[1]] += 1
    return calls


def opened(calls: Counter[tuple[str, str]], below: str) -> list[int]:
    """How often each file whose path begins so is opened, where it is opened at all."""
    names = Counter[str]()
    for (call, file), number in calls.items():
        if call.startswith("open") and file.startswith(below):
            names[file] += number
    return list(names.values())


def syncs(calls: Counter[tuple[str, str]]) -> int:
    """How often something waits for the disk."""
    return sum(number for (call, _), number in calls.items() if call.endswith("sync"))


def page_faults(pid: int) -> int:
    """How often a process was given a page of memory that it did not have (minflt of proc(5))."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


@on_linux
def test_an_original_is_opened_once_and_never_again(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1))
    run(trained, "ingest", "inbox")
    draw(trained / "inbox", "disc", range(1000, 1000 + FEW))
    first = traced(trained, "ingest", "inbox")
    assert opened(first, "inbox/") == [1] * FEW
    draw(trained / "inbox", "disc", range(2000, 2000 + MANY))
    more = traced(trained, "ingest", "inbox")
    assert opened(more, "inbox/") == [1] * MANY
    assert syncs(more) == syncs(first) > 0, "a batch waits for the disk, not an image"
    again = traced(trained, "ingest", "inbox")
    assert opened(again, "inbox/") == []


@pytest.mark.skipif(libc_ver()[0] != "glibc", reason="another malloc has other settings")
def test_a_decode_worker_keeps_its_memory_between_photographs(tmp_path: Path) -> None:
    path = tmp_path / "photograph.jpg"
    Image.effect_noise((1280, 960), 40).convert("RGB").save(path, quality=90)
    with Decoder(DecodeConfig(workers=1)) as decoder:
        list(decoder.map([path] * FEW))
        before = page_faults(decoder.pids[0])
        list(decoder.map([path] * FEW))
        taken = page_faults(decoder.pids[0]) - before
    assert taken < 50 * FEW, "600 pages a photograph are what its pixels need"


@on_linux
def test_another_network_scores_from_previews_alone(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1000, 1000 + FEW))
    run(trained, "ingest", "inbox")
    scored = traced(trained, "train", "labeled", "--epochs", 1, "--image-size", 32, "--seed", 5)
    assert opened(scored, "inbox/") == []
    assert opened(scored, ".curate/previews.db")


def test_a_batch_takes_as_many_statements_whatever_it_holds(
    project: Workspace, decoder: Decoder
) -> None:
    arrived(project, decoder, range(4))  # the first of all finds no preview to look for
    Scorer(project, "cpu").score_active()
    asked: list[list[str]] = []
    for numbers in (range(1000, 1000 + FEW), range(2000, 2000 + MANY)):
        with statements(project) as ingesting:
            arrived(project, decoder, numbers)
        with statements(project) as scoring:
            assert Scorer(project, "cpu").score_active() == len(numbers)
        asked += [ingesting, sorted(scoring)]  # the next batch is asked for meanwhile
    assert MANY < BATCH
    assert (asked[0], asked[1]) == (asked[2], asked[3])


QUESTIONS: dict[str, Callable[[Workspace], object]] = {
    "status": status,
    "counts": lambda workspace: workspace.catalog.counts(),
    "a list": lambda workspace: list(workspace.catalog.iter_images(Query())),
    "a list of some": lambda workspace: list(workspace.catalog.iter_images(parse("tag:id"))),
    "a page": lambda workspace: workspace.catalog.queues.page("highest", Query(), None, 100),
    "the page's scores": lambda workspace: desk(workspace).scores(),
    "the page's news": lambda workspace: desk(workspace).news(0),
}


def desk(workspace: Workspace) -> Desk:
    return Desk(workspace, "ann", str)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_takes_as_many_statements_whatever_the_catalog_holds(
    project: Workspace, decoder: Decoder, question: str
) -> None:
    asked = []
    for numbers in (range(1000, 1000 + FEW), range(2000, 2000 + MANY)):
        arrived(project, decoder, numbers)
        Scorer(project, "cpu").score_active()
        with statements(project) as found:
            QUESTIONS[question](project)
        asked.append(found)
    assert asked[0] == asked[1] != []


def test_a_word_on_many_images_takes_as_many_statements_as_on_few(
    project: Workspace, decoder: Decoder
) -> None:
    arrived(project, decoder, range(1000, 1000 + MANY))
    Scorer(project, "cpu").score_active()
    hashes = list(project.catalog.contents())
    asked = []
    for images in (hashes[:FEW], hashes[FEW:]):
        with statements(project) as found:
            words = [(sha256, "ood", None) for sha256 in images]
            project.catalog.reviews.add(words, "ann", datetime.now(UTC))
        asked.append(found)
    assert asked[0] == asked[1] != []


@pytest.mark.parametrize(
    ("command", "said", "modules"), [("--help", "Usage", 450), ("status", "alarm rate", 700)]
)
def test_a_start_imports_little(trained: Path, command: str, said: str, modules: int) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['curate', {command!r}]\n"
        "try: runpy.run_module('curate', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(len(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=trained, env=environment(), capture_output=True, text=True
    )
    assert said in done.stdout, done.stderr
    assert int(done.stdout.split()[-1]) <= modules
