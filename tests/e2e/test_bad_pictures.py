"""Every picture made to break decoders, all in one folder, through each door of the program."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from curate.config import SplitConfig
from curate.images.decode import Decoder
from curate.images.folder import read_labeled
from curate.images.pictures import read_pictures
from curate.workspace import Workspace

from ..images.bad_inputs import DECODED, REFUSED
from ..program import draw, run


@dataclass(frozen=True)
class Inputs:
    """What was written to a folder, by the names of files."""

    good: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    """With what the reason must hold."""

    def check_reasons(self, found: Iterable[tuple[str, str]]) -> None:
        """Each refused one is there, once, with its reason in one line."""
        reasons = [(Path(path).name, reason) for path, reason in found]
        assert sorted(name for name, _ in reasons) == sorted(self.refused)
        for name, reason in reasons:
            assert self.refused[name] in reason
            assert 0 < len(reason) <= 220
            assert reason.isprintable()


def write_inputs(folder: Path) -> Inputs:
    """All bad inputs, and drawings among them; each is named as a JPEG whatever it is."""
    inputs = Inputs({path.name for path in draw(folder, "disc", range(20))})
    for number, (what, (data, _)) in enumerate((REFUSED | DECODED).items()):
        name = f"{number}.jpg"
        (folder / name).write_bytes(data)
        if what in REFUSED:
            inputs.refused[name] = REFUSED[what][1]
        else:
            inputs.good.add(name)
    return inputs


def contents(folder: Path, names: Iterable[str]) -> set[str]:
    return {hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inputs]:
    """A project whose inbox holds all of them, ingested."""
    folder = tmp_path_factory.mktemp("bad")
    inputs = write_inputs(folder / "inbox")
    run(folder, "ingest", "inbox", "--strict", code=3)
    return folder, inputs


def test_ingest_catalogs_or_records_each(project: tuple[Path, Inputs]) -> None:
    folder, inputs = project
    rows = run(folder, "export", "--format", "jsonl", "--all-paths").stdout.splitlines()
    assert {Path(json.loads(row)["path"]).name for row in rows} == inputs.good
    lines = run(folder, "list", "unreadable:", "--json").stdout.splitlines()
    bad = map(json.loads, lines)
    inputs.check_reasons((row["path"], row["reason"]) for row in bad)


def test_a_second_ingest_opens_none_of_them(project: tuple[Path, Inputs]) -> None:
    folder, inputs = project
    told = run(folder, "ingest", "inbox").stderr
    known = len(inputs.good) + len(inputs.refused)
    assert f"{known} files known already, {len(inputs.refused)} of them unreadable" in told


def test_export_hands_on_the_good_ones_byte_for_byte(project: tuple[Path, Inputs]) -> None:
    folder, inputs = project
    run(folder, "export", "copies", "--format", "imagefolder", "--keep-metadata")
    copies = [path for path in (folder / "copies").rglob("*") if path.is_file()]
    found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in copies}
    with (folder / "copies" / "manifest.csv").open(newline="") as manifest:
        rows = {row["sha256"] for row in csv.DictReader(manifest)}
    assert rows == contents(folder / "inbox", inputs.good)
    assert found - rows == {
        hashlib.sha256((folder / "copies" / "manifest.csv").read_bytes()).hexdigest()
    }
    assert len(copies) == len(rows) + 1


def test_a_labeled_folder_takes_the_good_ones(
    workspace: Workspace, decoder: Decoder, tmp_path: Path
) -> None:
    inputs = write_inputs(tmp_path / "labeled" / "disc")
    draw(tmp_path / "labeled" / "cross", "cross", range(5))
    found = read_labeled(tmp_path / "labeled", decoder, workspace.previews, SplitConfig())
    taken = {image.sha256 for image in found.images if image.class_name == "disc"}
    assert taken == contents(tmp_path / "labeled" / "disc", inputs.good)
    inputs.check_reasons(found.unreadable)


def test_an_evaluation_takes_the_good_ones(
    workspace: Workspace, decoder: Decoder, tmp_path: Path
) -> None:
    inputs = write_inputs(tmp_path / "pictures")
    found = read_pictures(tmp_path / "pictures", decoder, workspace.previews)
    assert set(found.images) == contents(tmp_path / "pictures", inputs.good)
    inputs.check_reasons((path.name, reason) for path, reason in found.unreadable)
