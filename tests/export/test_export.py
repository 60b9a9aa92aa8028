"""What is handed on: cells a spreadsheet would run, names, whole files or none."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from curate import copies
from curate.catalog.models import CheckpointRow, LabeledRow
from curate.catalog.query import Query, parse
from curate.catalog.store import NewScore
from curate.config import DecodeConfig
from curate.errors import StorageError, UsageError
from curate.export import export
from curate.export.manifests import write_csv, write_manifest
from curate.export.rows import COLUMNS, records, shown_path
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.workspace import Workspace, open_workspace

from ..program import abandoned, picture

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
    assert {f"{inbox.as_uri()}/%FF.png", f"{inbox.as_uri()}/a%2Cb%0A.png"} <= paths


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
    made_of = list((tmp_path / "out").rglob("*.png"))
    assert len(made_of) == len(NAMES) - 2
    assert all(path.parent.name == "_pending" for path in made_of)
    assert all(path.name.isascii() and path.name.isprintable() for path in made_of)


def test_a_destination_with_something_in_it_is_left_alone(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        export(workspace, Query(), tmp_path / "out", "imagefolder")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_only_a_manifest_is_written_over(workspace: Workspace, tmp_path: Path) -> None:
    upload = tmp_path / "inbox" / "plain.png"
    content = upload.read_bytes()
    for place in (upload, tmp_path / "store" / "catalog.db", tmp_path / "inbox", Path("/dev/null")):
        with pytest.raises(UsageError, match="is no manifest"):
            export(workspace, Query(), place, "csv")
    assert upload.read_bytes() == content
    for _ in range(2):
        assert export(workspace, Query(), tmp_path / "out.csv", "csv").rows == len(NAMES)
        assert export(workspace, Query(), tmp_path / "out.csv", "jsonl").rows == len(NAMES)
    (tmp_path / "link.csv").symlink_to(upload)
    with pytest.raises(UsageError, match="is no manifest"):
        export(workspace, Query(), tmp_path / "link.csv", "csv")


def test_nothing_is_written_into_a_watched_inbox(workspace: Workspace, tmp_path: Path) -> None:
    (source,) = workspace.catalog.sources()
    workspace.catalog.record_scan(source.source_id, source.added_at, 1, "events")
    (tmp_path / "alias").symlink_to(tmp_path / "inbox")
    for place in (tmp_path / "inbox" / "out", tmp_path / "alias" / "out"):
        with pytest.raises(UsageError, match="the watched inbox"):
            export(workspace, Query(), place, "imagefolder")


def test_nothing_is_written_into_the_labeled_folder(workspace: Workspace, tmp_path: Path) -> None:
    models, now = workspace.catalog.models, datetime.now(UTC)
    row = LabeledRow("a" * 64, "disc", "train", "disc/1.png")
    snapshot = models.add_snapshot(str(tmp_path / "labeled"), [row], now)
    made = CheckpointRow("b" * 64, "pretrained", None, snapshot, "x", "pretrained", {}, now)
    models.add_checkpoint(made)
    assert models.labeled_root() is None
    for sha256 in (image.sha256 for image in workspace.catalog.iter_images(Query())):
        workspace.catalog.add_scores("b" * 64, [score_of(sha256)], now)
    models.begin_scoring("b" * 64)
    assert models.activate({"classifier": "b" * 64}, "test", now)
    with pytest.raises(UsageError, match="the labeled folder"):
        export(workspace, Query(), tmp_path / "labeled" / "out", "imagefolder")


def score_of(sha256: str) -> NewScore:
    return NewScore(sha256, 0.5, 0.5, 0.5, 0.0, 1.0, 0.0, "disc", 0.5, 0.5, "held_out")


@pytest.mark.parametrize(
    "label",
    [
        *(
            "..",
            ".",
            "../../x",
            "/etc/x",
            "a/b",
            "_ood",
            "_pending",
            "CON",
            "com1.x",
            "a\nb",
            "[red]",
        ),
        *("x" * 255, "é" * 127, "\x1b[2J", "trailing. ", "a\\b", "manifest.csv"),
    ],
)
def test_a_class_never_leads_out_of_the_folder(
    workspace: Workspace, tmp_path: Path, label: str
) -> None:
    rows = [row.sha256 for row in workspace.catalog.iter_images(Query())]
    judged = [(rows[0], "id", label), (rows[1], "id", "plain"), (rows[2], "ood", None)]
    workspace.catalog.reviews.add(judged, "me", datetime.now(UTC))
    before = {path for path in tmp_path.rglob("*") if "store" not in path.parts}
    made = export(workspace, parse("reviewed:yes"), tmp_path / "out", "imagefolder")
    assert (made.rows, made.missing) == (3, ())
    new = {path for path in tmp_path.rglob("*") if "store" not in path.parts} - before
    made_of = [path.relative_to(tmp_path / "out") for path in new if path.suffix == ".png"]
    assert all(path.is_relative_to(tmp_path / "out") for path in new)
    assert len(made_of) == 3
    folders = {path.parent.name for path in made_of}
    assert len(folders) == 3
    assert folders > {"plain", "_ood"}


def test_a_catalog_that_a_stranger_made_leads_nowhere(tmp_path: Path) -> None:
    """Nothing but the schema, which a stranger may change, says that a hash is one."""
    for name in ("a.png", "y-a.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "out" / "_").mkdir(parents=True)
    before = set(tmp_path.iterdir())
    for tag, sha256 in (("/../../x", "0" * 64), ("id", "../../y"), ("ood", "../../y")):
        row: dict[str, object] = {
            "path": str(tmp_path / "a.png"),
            "tag": tag,
            "label": "disc",
            "sha256": sha256,
        }
        target = tmp_path / "out" / copies.class_folder(row) / copies.file_name(row, sha256[:12])
        assert not copies.place(row | {"bytes": 1}, target, copies.Manner())
    assert set(tmp_path.iterdir()) == before


def test_classes_that_clean_up_to_the_same_name_stay_apart() -> None:
    labels = ("a:b", "a?b", "a_b", "a_b.", "con", "CON", "manifest.csv", "unfinished.jsonl")
    names = {copies.folder_of(label) for label in labels}
    assert len(names) == len(labels)
    assert not names & {"manifest.csv", "unfinished.jsonl"}
    assert copies.folder_of("a_b") == "a_b"
    assert not {name.lower() for name in names} & {"con"}


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\U00020000"])
def test_a_copy_has_a_name_that_every_file_system_takes(letter: str) -> None:
    row: dict[str, object] = {"path": f"/in/{letter * 300}.JPEG", "format": "JPEG"}
    name = copies.file_name(row, "0" * 64)
    assert len(name.encode()) <= 255
    assert name.endswith(f"{letter}.JPEG")


def test_a_semicolon_begins_no_cell() -> None:
    """Where it parts cells, what follows one would be read as a formula."""
    rows = [dict.fromkeys(COLUMNS) | {"path": path} for path in ("/in/x;=1+1;.jpg", "/in/y.jpg")]
    out = io.StringIO()
    write_csv(rows, out)
    _, quoted, bare = out.getvalue().splitlines()
    assert quoted.startswith('"/in/x;=1+1;.jpg","",')
    assert bare.startswith("/in/y.jpg,,")
    out.seek(0)
    assert [row["path"] for row in csv.DictReader(out)] == [row["path"] for row in rows]


@pytest.mark.parametrize("mounted", [False, True])
def test_no_place_is_taken_that_no_folder_can_be_renamed_to(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool
) -> None:
    (tmp_path / "real").mkdir()
    place = tmp_path / "real"
    if mounted:
        monkeypatch.setattr(Path, "is_mount", lambda path: path == place)
    else:
        place = tmp_path / "link"
        place.symlink_to(tmp_path / "real")
    with pytest.raises(UsageError, match="a link or a mount point"):
        export(workspace, Query(), place, "imagefolder")


def test_tasks_in_a_folder_whose_name_is_no_text(workspace: Workspace, tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(b"out-\xff")
    assert export(workspace, Query(), place, "labelstudio").rows
    assert "?d=out-%FF/" in (place / "tasks-00001.json").read_text()


def test_an_original_that_became_something_else_is_not_read(
    workspace: Workspace, tmp_path: Path
) -> None:
    for name, other in (("plain.png", "/dev/zero"), ("=1+1.png", "pipe")):
        (tmp_path / "inbox" / name).unlink()
        if other == "pipe":
            os.mkfifo(tmp_path / "inbox" / name)
        else:
            (tmp_path / "inbox" / name).symlink_to(other)
    with (tmp_path / "inbox" / "[bold].png").open("r+b") as file:
        file.truncate(1 << 40)
    made = export(workspace, Query(), tmp_path / "out", "imagefolder")
    assert len(made.missing) == 3


def test_what_a_killed_export_left_is_swept_by_the_next(
    workspace: Workspace, tmp_path: Path
) -> None:
    left, other = abandoned(tmp_path / "out.csv"), abandoned(tmp_path / "mine.csv")
    left.write_text("x")
    other.write_text("x")
    export(workspace, Query(), tmp_path / "out.csv", "csv")
    assert (left.exists(), other.exists()) == (False, True)


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
    assert shown_path("file:///data/", "a%20%1B.png") == "file:///data/a%20%1B.png"
    assert shown_path("file:///data", "%C2%85.png") == "file:///data/%C2%85.png"
    assert shown_path("file:///data", "%E2%80%AF.png") == "/data/\u202f.png"
