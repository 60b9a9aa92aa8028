"""SIGKILL in the middle of every command; then the same command again.

Afterwards all is as after an undisturbed run: nothing lost, nothing double, nothing left.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from safetensors.numpy import load_file

from curate.images.previews import Previews
from curate.model.progress import SAVE_EVERY

from ..forked import Fork, nothing, undisturbed
from ..program import SHAPES, draw, run, start, status
from .kills import make_ready, rounds
from .scenarios import SCENARIOS, Contents, images, leftovers

INGEST = ("ingest", "inbox")
TRAIN = ("train", "labeled", "--epochs", 12, "--image-size", 16)
FINETUNE = ("finetune", "--force", "--json", "--updates")


def kept(folder: Path) -> Contents:
    """All that a fine-tune must not change."""
    return {name: found for name, found in images(folder).items() if name != "tags"}


def running(folder: Path) -> int:
    """How many fine-tunes have begun and not ended."""
    with closing(sqlite3.connect(folder / ".curate" / "catalog.db", timeout=30)) as catalog:
        found = catalog.execute("SELECT count(*) FROM finetune_run WHERE ended_at IS NULL")
        return int(found.fetchone()[0])


def weights(folder: Path) -> dict[str, Any]:
    """Every tensor of the only checkpoint."""
    (file,) = (folder / ".curate" / "checkpoints").glob("*/model.safetensors")
    found: dict[str, Any] = load_file(file)
    return found


@pytest.mark.timeout(900)
def test_two_hundred_kills(trained_once: Path, tmp_path: Path) -> None:
    prepared = [make_ready(name, trained_once, tmp_path / name) for name in SCENARIOS]
    survived: Counter[str] = Counter()
    going = rounds(prepared, tmp_path, 0)
    while survived.total() < 200 or min(survived[name] for name in SCENARIOS) < 5:
        name, _, kills = next(going)
        survived[name] += kills
    going.close()


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


@pytest.mark.parametrize(
    ("moment", "updates"), [("before the first state", 10), ("after it", SAVE_EVERY + 10)]
)
def test_finetune(trained: Path, moment: str, updates: int) -> None:
    for shape in SHAPES:
        draw(trained / "inbox" / shape, shape, range(1000, 1020))
    draw(trained / "inbox", "noise", range(20))
    run(trained, *INGEST)
    run(trained, "rate", "10%")
    before = kept(trained)
    process = start(trained, *FINETUNE, updates)
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
    result = json.loads(run(trained, *FINETUNE, updates).stdout)
    assert result["outcome"] in ("promoted", "rejected")
    found = json.loads(run(trained, "models", "list", "--json").stdout)
    outcomes = [item["outcome"] for item in found["finetunes"]]
    assert outcomes.count(result["outcome"]) == 1
    assert set(outcomes) <= {result["outcome"], "failed"}
    assert kept(trained) == before
    assert leftovers(trained) == []


def test_ingest_on_postgresql(database: str, tmp_path: Path) -> None:
    """Killed, or cut off from its database, at random moments; more files come meanwhile."""
    rng, codes = random.Random(0), Counter[int]()
    ingest = ("ingest", "inbox", "--catalog", database)
    (tmp_path / ".curate").mkdir()
    for number in range(30):
        draw(tmp_path / "inbox", "disc", range(10 * number, 10 * number + 10))
        process = Fork(tmp_path, ingest, nothing).go()
        process.wait(rng.uniform(0, 0.5 + number / 10))  # ever later, for slow machines
        if number % 2:
            process.kill()
        else:
            cut_off(process, database)
        ended = process.end()
        codes[ended.code] += 1
        assert "Traceback" not in ended.said
    assert set(codes) <= {0, 6, -signal.SIGKILL}
    assert min(codes[6], codes[-signal.SIGKILL]) > 0
    undisturbed(tmp_path, ingest)
    listed = run(tmp_path, "list", "--json", "--catalog", database).stdout.splitlines()
    found = sorted((row["sha256"], Path(row["path"]).name) for row in map(json.loads, listed))
    files = sorted((tmp_path / "inbox").iterdir())
    assert found == sorted((hashlib.sha256(f.read_bytes()).hexdigest(), f.name) for f in files)
    assert leftovers(tmp_path) == []
    with Previews.open(tmp_path / ".curate" / "previews.db") as previews:
        assert list(previews.hashes()) == sorted(sha256 for sha256, _ in found)


def cut_off(process: Fork, database: str) -> None:
    """End every session that the process opens, for half a second."""
    with psycopg.connect(database, autocommit=True) as server:
        for _ in range(20):
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            process.wait(0.025)
