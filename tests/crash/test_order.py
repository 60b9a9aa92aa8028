"""What was reported done is on the disk: the order of writes, waits and renames, as traced."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from .kills import make_ready
from .scenarios import catalog
from .tampering import traced

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")
CALLS = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2"
_HELPER = re.compile("-(wal|shm|journal)$")
_WAITS, _WRITES, _RENAMES = ("fsync", "fdatasync"), ("write", "pwrite64"), ("rename",)


@dataclass(frozen=True)
class Call:
    """One system call: its name, the files it names, and what it wrote."""

    name: str
    files: tuple[str, ...]
    data: str


class Trace:
    """The calls of a run, in order."""

    def __init__(self, text: str) -> None:
        lines = re.findall(r"^(\w+)\((.*)\) += \d+$", text, re.MULTILINE)
        self.calls = [_call(re.sub("^renameat2?$", "rename", name), rest) for name, rest in lines]

    def first(self, names: tuple[str, ...], file: str, data: str = "", after: int = -1) -> int:
        """Where the first such call `after` another is, of a file with that path."""
        return self._found(names, file, data, after)[0]

    def last(self, names: tuple[str, ...], file: str) -> int:
        """Where the last such call is."""
        return self._found(names, file, "", -1)[-1]

    def named(self, target: Path) -> int:
        """Where something takes the name `target`."""
        renames = [n for n, call in enumerate(self.calls) if call.name in _RENAMES]
        return next(n for n in renames if self.calls[n].files[1] == str(target))

    def written(self, below: str) -> set[str]:
        """Every file whose path begins so and that was written, but for a database's helpers."""
        files = {file for call in self.calls if call.name in _WRITES for file in call.files}
        return {file for file in files if file.startswith(below) and not _HELPER.search(file)}

    def changed(self, folder: str, before: int) -> int:
        """Where a file of this very folder took its name last, -1 where none did."""
        renames = [n for n, call in enumerate(self.calls[:before]) if call.name in _RENAMES]
        return max(
            (n for n in renames if str(Path(self.calls[n].files[1]).parent) == folder), default=-1
        )

    def _found(self, names: tuple[str, ...], file: str, data: str, after: int) -> list[int]:
        found = [
            number
            for number, call in enumerate(self.calls)
            if number > after
            and call.name in names
            and any(name.endswith(file) for name in call.files)
            and data in call.data
        ]
        assert found, f"no {'/'.join(names)} of {file} with {data!r} after {after}"
        return found


def _call(name: str, rest: str) -> Call:
    if name in _RENAMES:
        return Call(name, tuple(re.findall(r'"([^"]*)"', rest)), "")
    return Call(name, tuple(re.findall(r"^\d+<([^>]*)>", rest)), rest)


@pytest.fixture
def trace_of(trained_once: Path, tmp_path: Path) -> Callable[[str], tuple[Trace, Path]]:
    """Trace a scenario's command; also the folder in which it ran."""

    def made(name: str) -> tuple[Trace, Path]:
        ready, place = make_ready(name, trained_once, tmp_path), tmp_path / "traced"
        shutil.copytree(ready.project, place)
        scenario = ready.scenario
        return Trace(traced(place, scenario.arguments, CALLS, scenario.before)), place

    return made


def test_a_preview_is_on_the_disk_before_the_row_that_names_it(
    trace_of: Callable[[str], tuple[Trace, Path]],
) -> None:
    trace, place = trace_of("ingest")
    with catalog(place) as database:
        hashes = [sha256 for (sha256,) in database.execute("SELECT sha256 FROM image")]
    assert len(hashes) == 9
    for sha256 in hashes:
        kept = trace.first(_WRITES, "previews.db-wal", sha256)
        waited = trace.first(_WAITS, "previews.db-wal", after=kept)
        row = trace.first(_WRITES, "catalog.db-wal", sha256)
        assert kept < waited < row


@pytest.mark.parametrize("name", ["ingest", "watch", "finetune"])
def test_what_is_told_is_on_the_disk(
    trace_of: Callable[[str], tuple[Trace, Path]], name: str
) -> None:
    trace, _ = trace_of(name)
    told = trace.last(_WRITES, "said.txt")
    written = trace.last(_WRITES, "catalog.db-wal")
    assert written < trace.first(_WAITS, "catalog.db-wal", after=written) < told


def test_a_network_is_on_the_disk_before_the_row_that_names_it(
    trace_of: Callable[[str], tuple[Trace, Path]],
) -> None:
    trace, place = trace_of("finetune")
    with catalog(place) as database:
        (made,) = database.execute(
            "SELECT checkpoint_id FROM activation WHERE role = 'detector' ORDER BY seq DESC"
        ).fetchone()
    renamed = trace.named(place / ".curate" / "checkpoints" / made)
    for file in ("model.safetensors", "checkpoint.json"):
        written = trace.last(_WRITES, file)
        assert written < trace.first(_WAITS, file, after=written) < renamed
    waited = trace.first(_WAITS, ".curate/checkpoints", after=renamed)
    assert renamed < waited < trace.first(_WRITES, "catalog.db-wal", made)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("csv", "out.csv"),
        ("imagefolder", "out"),
        ("backup", "kept"),
        ("restore", ".curate"),
        ("migration", ".curate/catalog.db.before-v2"),
    ],
)
def test_it_is_on_the_disk_before_it_has_its_name(
    trace_of: Callable[[str], tuple[Trace, Path]], name: str, place: str
) -> None:
    trace, folder = trace_of(name)
    target = folder / place
    renamed = trace.named(target)
    temporary = trace.calls[renamed].files[0]
    assert ".tmp-" in temporary
    files = trace.written(temporary)
    assert files
    for file in files:
        written = trace.last(_WRITES, file)
        assert written < trace.first(_WAITS, file, after=written) < renamed
    for inner, _, _ in os.walk(target):
        was = inner.replace(str(target), temporary)
        assert trace.first(_WAITS, was, after=trace.changed(was, renamed)) < renamed
    assert trace.first(_WAITS, str(target.parent), after=renamed)
