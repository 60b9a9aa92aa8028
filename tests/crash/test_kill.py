"""SIGKILL in the middle of train, ingest and fine-tune; then the same command again.

Afterwards the catalog is that of an undisturbed run: nothing lost, nothing double, nothing left.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from ..program import SHAPES, draw, run, start, status

INGEST = ("ingest", "inbox")
TRAIN = ("train", "labeled", "--epochs", 12, "--image-size", 32)
FINETUNE = ("finetune", "--updates", 60, "--force", "--json")


def killed(folder: Path, command: tuple[object, ...], after: float) -> bool:
    """Start a command and kill it `after` seconds; whether it was still running then."""
    process = start(folder, *command)
    time.sleep(after)
    running = process.poll() is None
    process.kill()
    process.communicate()
    return running


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


def leftovers(folder: Path) -> list[str]:
    """Temporary files that the next start should have swept."""
    return [path.name for path in (folder / ".curate").rglob("*.tmp-*")]


def weights(folder: Path) -> dict[str, Any]:
    """Every tensor of the only checkpoint."""
    (file,) = (folder / ".curate" / "checkpoints").glob("*/model.safetensors")
    found: dict[str, Any] = load_file(file)
    return found


def test_ingest(trained_once: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    shutil.copytree(trained_once, whole)
    for shape in SHAPES:
        draw(whole / "inbox" / shape, shape, range(1000, 1100))
    (whole / "inbox" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    shutil.copytree(whole, parts)
    began = time.monotonic()
    run(whole, *INGEST)
    took = time.monotonic() - began
    rng = random.Random(5)
    hits = sum(killed(parts, INGEST, took * rng.uniform(0.4, 0.9)) for _ in range(6))
    assert hits >= 2, "the kills came too late to mean anything"
    run(parts, *INGEST)
    assert contents(parts) == contents(whole)
    assert contents(parts)["pending"] == 0
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
    while moment == "after it" and not list(progress.glob("finetune-*.safetensors")):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0 if moment == "after it" else 3)
    process.kill()
    process.communicate()
    assert status(trained)["counts"]["pending"] == 0
    result = json.loads(run(trained, *FINETUNE).stdout)
    assert result["outcome"] in ("promoted", "rejected")
    found = json.loads(run(trained, "models", "list", "--json").stdout)
    outcomes = [item["outcome"] for item in found["finetunes"]]
    assert outcomes.count(result["outcome"]) == 1
    assert set(outcomes) <= {result["outcome"], "failed"}
    assert contents(trained) == before
    assert leftovers(trained) == []
