"""What a person gets wrong, or a disk: one clear line, the right exit code, nothing lost."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from curate.copies import original_of

from ..forked import environment
from ..program import SHAPES, draw, picture, run, status


def line_of(folder: Path, *arguments: object, code: int) -> str:
    """The one line of error that a command ends with."""
    errors = run(folder, *arguments, code=code).stderr.splitlines()
    lines = [line for line in errors if line.startswith("error: ")]
    assert len(lines) == 1, errors
    return lines[0]


@pytest.mark.parametrize("command", ["status", "finetune", "list", "export", "undo", "rate"])
def test_without_a_catalog(tmp_path: Path, command: str) -> None:
    assert "curate train LABELED" in line_of(tmp_path, command, code=4)
    assert list(tmp_path.iterdir()) == []


def test_without_a_checkpoint(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    draw(inbox, "disc", range(3))
    done = run(tmp_path, "watch", inbox, "--once", "--settle", 0)
    assert "no network yet" in done.stderr
    assert status(tmp_path)["counts"]["pending"] == 3
    assert "curate train" in line_of(tmp_path, "finetune", code=4)


def labeled(tmp_path: Path, kind: str) -> Path:
    folder = tmp_path / "labeled"
    folder.mkdir()
    if kind == "flat":
        draw(folder, "disc", range(3))
    elif kind == "one class":
        draw(folder / "disc", "disc", range(12))
    elif kind == "nested":
        for shape in SHAPES:
            draw(folder / "train" / shape, shape, range(3))
    elif kind == "empty class":
        draw(folder / "disc", "disc", range(12))
        (folder / "square").mkdir()
    elif kind == "no images at all":
        for shape in SHAPES:
            (folder / shape).mkdir()
            (folder / shape / "broken.png").write_bytes(b"not a picture")
    elif kind == "a file":
        folder.rmdir()
        folder.write_text("hello")
    elif kind == "missing":
        folder.rmdir()
    return folder


@pytest.mark.parametrize(
    "kind",
    [
        *("missing", "a file", "empty", "flat", "one class", "nested", "empty class"),
        "no images at all",
    ],
)
def test_a_labeled_folder_that_is_none(tmp_path: Path, kind: str) -> None:
    line = line_of(tmp_path, "train", labeled(tmp_path, kind), "--epochs", 1, code=2)
    assert "labeled folder" in line
    assert len(line) > 60


def test_one_picture_in_two_classes(trained_once: Path, tmp_path: Path) -> None:
    for shape in SHAPES:
        draw(tmp_path / "labeled" / shape, shape, range(12))
    shutil.copy(tmp_path / "labeled" / "disc" / "disc-0.png", tmp_path / "labeled" / "cross")
    options = ("train", "labeled", "--epochs", 1, "--image-size", 32)
    assert "2 files hold a picture that is in two classes" in run(tmp_path, *options).stderr
    assert "several classes" in line_of(tmp_path, *options, "--strict", code=2)


def test_an_unreadable_labeled_image(tmp_path: Path) -> None:
    for shape in SHAPES:
        draw(tmp_path / "labeled" / shape, shape, range(12))
    (tmp_path / "labeled" / "disc" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    options = ("train", "labeled", "--epochs", 1, "--image-size", 32)
    assert "cut.png" in run(tmp_path, *options).stderr
    assert "the first is 'disc/cut.png'" in line_of(tmp_path, *options, "--strict", code=3)


def test_an_upload_that_is_known_to_be_unreadable_is_no_less_so(tmp_path: Path) -> None:
    inbox, other = tmp_path / "inbox", tmp_path / "other"
    draw(inbox, "disc", range(2))
    for folder in (inbox, other):
        folder.mkdir(exist_ok=True)
        (folder / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    run(tmp_path, "ingest", other)
    assert "1 input could" in line_of(tmp_path, "ingest", "inbox", "--strict", code=3)
    assert "1 input could" in line_of(tmp_path, "ingest", "inbox", "--strict", code=3)
    again = run(tmp_path, "ingest", "inbox").stderr
    assert "3 files known already, 1 of them unreadable" in again
    (inbox / "cut.png").unlink()
    run(tmp_path, "ingest", "inbox", "--strict")


def test_an_inbox_that_is_none(trained: Path) -> None:
    (trained / "file").write_text("hello")
    assert "no such folder" in line_of(trained, "watch", "nowhere", code=2)
    assert "a file" in line_of(trained, "watch", "file", code=2)
    inside = trained / ".curate" / "inbox"
    inside.mkdir()
    assert "catalog" in line_of(trained, "watch", inside, code=2)


def test_a_catalog_from_a_newer_version(trained: Path) -> None:
    with sqlite3.connect(trained / ".curate" / "catalog.db") as catalog:
        catalog.execute("INSERT INTO schema_version VALUES (99, '2030-01-01 00:00:00', '9.0')")
    line = line_of(trained, "status", code=6)
    assert "99" in line
    assert "update curate" in line


def test_a_catalog_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"hello" * 1000)
    line_of(tmp_path, "status", "--catalog", "catalog.db", code=6)


def test_a_catalog_in_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    line = line_of(tmp_path, "ingest", ".", "--catalog", tmp_path / "file" / "c.db", code=6)
    assert "--catalog" in line


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.json"])
def test_a_checkpoint_that_was_tampered_with(trained: Path, name: str) -> None:
    draw(trained / "inbox", "disc", range(3))
    file = next((trained / ".curate" / "checkpoints").glob(f"*/{name}"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert "refused" in line_of(trained, "finetune", "--force", code=7)
    line_of(trained, "ingest", "inbox", code=7)
    assert status(trained)["counts"]["pending"] == 3


def test_a_checkpoint_without_its_manifest_is_shown_as_refused(trained: Path) -> None:
    manifest = next((trained / ".curate" / "checkpoints").glob("*/checkpoint.json"))
    show = ("models", "show", manifest.parent.name[:8])
    assert '"backbone": "small-resnet"' in run(trained, *show).stdout
    manifest.write_text("{bad")
    assert "cannot be read" in line_of(trained, *show, code=7)
    manifest.unlink()
    assert "No such file" in line_of(trained, *show, code=7)


def test_lost_previews_are_made_again_from_the_originals(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(12))
    run(trained, "ingest", "inbox")
    for file in (trained / ".curate").glob("previews.db*"):
        file.unlink()
    assert "ingest and train on the originals again" in line_of(trained, "finetune", code=6)
    assert "12 more names for known ones" in run(trained, "ingest", "inbox").stderr
    assert "12 files known already" in run(trained, "ingest", "inbox").stderr
    run(trained, "train", "labeled", "--epochs", 1, "--image-size", 32)
    run(trained, "finetune", "--updates", 1)


@pytest.mark.parametrize("content", [b"hello" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_previews_that_are_none(trained: Path, content: bytes) -> None:
    for file in (trained / ".curate").glob("previews.db*"):
        file.unlink()
    (trained / ".curate" / "previews.db").write_bytes(content)
    draw(trained / "inbox", "disc", range(2))
    assert "put a backup in its place" in line_of(trained, "ingest", "inbox", code=6)


FULL = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
sys.argv = ['curate', 'ingest', 'inbox']
runpy.run_module('curate', run_name='__main__')
"""


def test_a_full_disk(trained: Path) -> None:
    """The file-size limit of the process stands in for the disk's: writes fail the same way."""
    inbox = trained / "inbox"
    draw(inbox, "noise", range(400))
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=trained, env=environment(), capture_output=True
    )
    assert done.returncode == 6, done.stderr
    assert b"Traceback" not in done.stderr
    run(trained, "ingest", inbox)
    assert status(trained)["counts"]["images"] == 400


on_a_full_device = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")


@on_a_full_device
@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["--help"], ["export"]])
def test_output_that_cannot_be_written(trained_once: Path, command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "curate", *command],
            cwd=trained_once,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 6
    assert done.stderr.startswith("error: No space left on device; what was done is kept")
    assert done.stderr.count("\n") == 1


@on_a_full_device
def test_messages_that_cannot_be_written_stop_no_work(trained: Path) -> None:
    draw(trained / "inbox", "noise", range(3))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "curate", "ingest", "inbox"],
            cwd=trained,
            env=environment(),
            stderr=full,
            stdout=subprocess.DEVNULL,
        )
    assert done.returncode == 0
    assert status(trained)["counts"]["images"] == 3


def test_hostile_names_and_strange_files(trained: Path) -> None:
    inbox = trained / "inbox"
    inbox.mkdir()
    names = [
        b"[bold red].png",
        b"=1+1.png",
        b"--help.png",
        b"\x1b[2J.png",
        b"new\nline.png",
        b"\xff.png",
    ]
    for number, name in enumerate(names):
        with open(os.path.join(os.fsencode(inbox), name), "wb") as file:
            picture("noise", number).save(file, "PNG")
    os.mkfifo(inbox / "pipe.png")
    (inbox / "link.png").symlink_to("/etc/passwd")
    Image.new("RGB", (8, 8)).save(inbox / "small.jpg")
    (inbox / "\x1b[2Jcut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    told = [run(trained, "ingest", inbox)]
    assert status(trained)["counts"]["images"] == len(names) + 1
    told += [run(trained, command) for command in ("list", "export", "status")]
    for done in told:
        shown = "".join((done.stdout + done.stderr).split("\n"))
        assert not [sign for sign in shown if unicodedata.category(sign) == "Cc"]
    rows = list(csv.DictReader(run(trained, "export").stdout.splitlines()))
    exported = {os.fsencode(original_of(row["path"])) for row in rows}
    assert exported == {os.path.join(os.fsencode(inbox), name) for name in (*names, b"small.jpg")}


def test_a_name_that_is_not_utf_8_can_be_listed_exported_and_tagged(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    draw(inbox, "disc", range(1)).pop().rename(inbox / os.fsdecode(b"\xff\n.png"))
    run(tmp_path, "ingest", inbox)
    listed = run_bytes(tmp_path, "list", "-0")
    assert listed == os.fsencode(inbox) + b"/\xff\n.png\0"
    run_bytes(tmp_path, "tag", "-0", "ood", "-", stdin=listed)
    assert status(tmp_path)["counts"]["ood"] == 1
    (row,) = map(json.loads, run(tmp_path, "export", "--format", "jsonl").stdout.splitlines())
    assert row["path"].startswith("file:")
    run(tmp_path, "tag", "id", row["path"])
    assert status(tmp_path)["counts"]["id"] == 1


def run_bytes(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """What `curate` writes to standard output, byte for byte."""
    command = [sys.executable, "-m", "curate", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), input=stdin, capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("command", ["ingest", "watch"])
def test_a_wrong_device_is_told_before_anything_is_made(tmp_path: Path, command: str) -> None:
    (tmp_path / "inbox").mkdir()
    told = run(tmp_path, command, "inbox", "--device", "abacus", code=2).stderr
    assert "no device is called 'abacus'" in told
    assert not (tmp_path / ".curate").exists()
