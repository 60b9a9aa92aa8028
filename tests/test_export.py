"""What is handed on: cells a spreadsheet would run, names, whole files or none."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.catalog.query import Query
from curate.config import DecodeConfig
from curate.errors import StorageError, UsageError
from curate.export import COLUMNS, export, records, shown_path, write_manifest
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.status import share, share_interval
from curate.workspace import Workspace, open_workspace

from .program import picture

NAMES = ("plain.png", "=1+1.png", "a,b\n.png", "\udcff.png", "[bold].png")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "inbox").mkdir()
    for number, name in enumerate(NAMES):
        picture("disc", number).save(tmp_path / "inbox" / "temporary.png")
        (tmp_path / "inbox" / "temporary.png").rename(tmp_path / "inbox" / name)
    with open_workspace(str(tmp_path / "store"), create=True) as opened:
        with Decoder(DecodeConfig(workers=1)) as decoder:
            ingest(opened, [str(tmp_path / "inbox")], decoder)
        yield opened


def test_csv_and_jsonl_hold_the_same_columns_in_order(workspace: Workspace) -> None:
    out = io.StringIO()
    assert write_manifest(records(workspace, Query()), "csv", out) == len(NAMES)
    out.seek(0)
    assert next(csv.reader(out)) == list(COLUMNS)
    lines = io.StringIO()
    write_manifest(records(workspace, Query()), "jsonl", lines)
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [list(row) for row in found] == [list(COLUMNS)] * len(NAMES)
    assert {row["tag"] for row in found} == {"pending"}


def test_every_path_leads_back_to_its_file(workspace: Workspace, tmp_path: Path) -> None:
    paths = {str(row["path"]) for row in records(workspace, Query())}
    inbox = tmp_path / "inbox"
    assert {str(inbox / name) for name in NAMES if name.isprintable()} <= paths
    assert f"{inbox.as_uri()}/%FF.png" in paths


def test_cells_that_a_spreadsheet_would_run_are_quoted() -> None:
    row: dict[str, object] = dict.fromkeys(COLUMNS, None) | {"path": "=cmd()", "label": "@x"}
    out = io.StringIO()
    write_manifest([row], "csv", out)
    out.seek(0)
    found = next(csv.DictReader(out))
    assert (found["path"], found["label"]) == ("'=cmd()", "'@x")


def test_a_copy_is_made_of_the_catalogued_content_or_not_at_all(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "inbox" / "plain.png").write_bytes(b"something else by now")
    (tmp_path / "inbox" / "[bold].png").unlink()
    made = export(workspace, Query(), tmp_path / "out", "imagefolder")
    assert made.rows == len(NAMES)
    assert sorted(Path(path).name for path in made.missing) == ["[bold].png", "plain.png"]
    copies = list((tmp_path / "out").rglob("*.png"))
    assert len(copies) == len(NAMES) - 2
    assert all(path.parent.name == "_pending" for path in copies)
    assert all(path.name.isascii() and path.name.isprintable() for path in copies)


def test_a_destination_with_something_in_it_is_left_alone(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        export(workspace, Query(), tmp_path / "out", "imagefolder")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_failed_export_leaves_nothing(workspace: Workspace, tmp_path: Path) -> None:
    def full(done: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        export(workspace, Query(), tmp_path / "out.csv", "csv", on_rows=full)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]
    with pytest.raises(StorageError):
        export(workspace, Query(), tmp_path / "nowhere" / "out.csv", "csv")
    shutil.rmtree(tmp_path / "inbox")


def test_shown_path() -> None:
    assert shown_path("file:///data/my%20inbox", "a%20b/c.png") == "/data/my inbox/a b/c.png"
    assert shown_path("file:///data", "%FF.png") == "file:///data/%FF.png"


def test_share_by_hand() -> None:
    # 14.5 % flagged at 5 %: (0.145 - 0.05) / 0.95 = 0.1; fewer flagged than asked is no OOD.
    assert share(0.145, 0.05) == pytest.approx(0.1)
    assert share(0.04, 0.05) == 0.0
    # Wilson at 10 of 100: 0.0552 to 0.1744, so (0.0552 - 0.05) / 0.95 to (0.1744 - 0.05) / 0.95.
    low, high = share_interval(10, 100, 0.05)
    assert low == pytest.approx(0.0055, abs=2e-4)
    assert high == pytest.approx(0.1309, abs=2e-4)
