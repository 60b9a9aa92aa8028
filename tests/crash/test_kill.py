"""SIGKILL in the middle of train, ingest, watch and fine-tune; then the same command again.

Afterwards the catalog is that of an undisturbed run: nothing lost, nothing double, nothing left.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from ..program import SHAPES, draw, run, start, status

INGEST = ("ingest", "inbox")
WATCH = ("watch", "inbox", "--once")
TRAIN = ("train", "labeled", "--epochs", 12, "--image-size", 32)
COMMITTED = (
    ("previews.db", "SELECT count(*) FROM previews"),
    ("catalog.db", "SELECT count(*) FROM image"),
    ("catalog.db", "SELECT count(*) FROM score"),
)
FINETUNE = ("finetune", "--updates", 60, "--force", "--json")


def committed(folder: Path) -> tuple[int, ...]:
    """How many previews, images and scores are stored for good."""
    counts = []
    for file, query in COMMITTED:
        with closing(sqlite3.connect(folder / ".curate" / file, timeout=30)) as database:
            counts += database.execute(query).fetchone()
    return tuple(counts)


def killed(folder: Path, command: tuple[object, ...], after: float) -> bool:
    """Run a command and kill it `after` seconds from its first commit; False if it had ended."""
    before = committed(folder)
    process = start(folder, *command)
    while process.poll() is None and committed(folder) == before:
        time.sleep(0.01)
    time.sleep(after)
    process.kill()
    _, stderr = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), stderr
    return process.returncode != 0


def contents(folder: Path) -> dict[str, Any]:
    """All that must not depend on interruptions."""
    with sqlite3.connect(folder / ".curate" / "catalog.db") as catalog:
        assert catalog.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert catalog.execute("PRAGMA foreign_key_check").fetchall() == []
        return {
            "images": sorted(catalog.execute("SELECT sha256, format, width, height FROM image")),
            "sightings": sorted(catalog.execute("SELECT path, sha256 FROM sighting")),
            "unreadable": sorted(catalog.execute("SELECT path, reason FROM unreadable")),
            "pending": catalog.execute("SELECT count(*) FROM pending").fetchone()[0],
        }


def scores(folder: Path) -> dict[str, float]:
    """The score of each image."""
    with closing(sqlite3.connect(folder / ".curate" / "catalog.db")) as catalog:
        return dict(catalog.execute("SELECT sha256, score FROM score"))


def running(folder: Path) -> int:
    """How many fine-tunes have begun and not ended."""
    with closing(sqlite3.connect(folder / ".curate" / "catalog.db", timeout=30)) as catalog:
        found = catalog.execute("SELECT count(*) FROM finetune_run WHERE ended_at IS NULL")
        return int(found.fetchone()[0])


def leftovers(folder: Path) -> list[str]:
    """Temporary files that the next start should have swept."""
    return [path.name for path in (folder / ".curate").rglob("*.tmp-*")]


def weights(folder: Path) -> dict[str, Any]:
    """Every tensor of the only checkpoint."""
    (file,) = (folder / ".curate" / "checkpoints").glob("*/model.safetensors")
    found: dict[str, Any] = load_file(file)
    return found


@pytest.mark.parametrize("command", [INGEST, WATCH], ids=lambda command: command[0])
def test_arriving_files(trained_once: Path, tmp_path: Path, command: tuple[object, ...]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    shutil.copytree(trained_once, whole)
    for shape in SHAPES:
        draw(whole / "inbox" / shape, shape, range(1000, 1400))
    (whole / "inbox" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    shutil.copytree(whole, parts)
    run(whole, *command)
    rng, kills = random.Random(5), 0
    while killed(parts, command, rng.uniform(0, 0.3)):
        kills += 1
    assert kills >= 3, "the kills came too late to mean anything"
    assert contents(parts) == contents(whole)
    assert contents(parts)["pending"] == 0
    assert committed(parts) == committed(whole)
    assert scores(parts) == pytest.approx(scores(whole), abs=1e-4)
    assert leftovers(parts) == []


def test_train(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        for shape in SHAPES:
            draw(tmp_path / name / "labeled" / shape, shape, range(30))
    run(tmp_path / "whole", *TRAIN)
    progress = tmp_path / "parts" / ".curate" / "progress"
    process = start(tmp_path / "parts", *TRAIN)
    while not list(progress.glob("train-*.safetensors")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    again = run(tmp_path / "parts", *TRAIN)
    assert "12 of 12" in again.stderr
    expected, got = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert expected.keys() == got.keys()
    for name, tensor in expected.items():
        assert (tensor == got[name]).all(), name
    assert leftovers(tmp_path / "parts") == []
    assert not list(progress.glob("train-*"))


@pytest.mark.parametrize("moment", ["before the first state", "after it"])
def test_finetune(trained: Path, moment: str) -> None:
    for shape in SHAPES:
        draw(trained / "inbox" / shape, shape, range(1000, 1020))
    draw(trained / "inbox", "noise", range(20))
    run(trained, *INGEST)
    run(trained, "rate", "10%")
    before = contents(trained)
    process = start(trained, *FINETUNE)
    progress = trained / ".curate" / "progress"
    while not (
        list(progress.glob("finetune-*.safetensors")) if moment == "after it" else running(trained)
    ):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert status(trained)["counts"]["pending"] == 0
    result = json.loads(run(trained, *FINETUNE).stdout)
    assert result["outcome"] in ("promoted", "rejected")
    found = json.loads(run(trained, "models", "list", "--json").stdout)
    outcomes = [item["outcome"] for item in found["finetunes"]]
    assert outcomes.count(result["outcome"]) == 1
    assert set(outcomes) <= {result["outcome"], "failed"}
    assert contents(trained) == before
    assert leftovers(trained) == []
