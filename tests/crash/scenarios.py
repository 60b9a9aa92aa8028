"""What is killed: commands on a small project, and all of it that no interruption may change."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from safetensors.numpy import load_file

from curate.catalog.checking import wrong_counts
from curate.catalog.engine import make_engine
from curate.catalog.schema import open_catalog
from curate.model.checkpoint import WEIGHTS, is_whole

from ..forked import Before, nothing
from ..program import SHAPES, draw, run

Contents = dict[str, Any]
MIGRATION = "CREATE TABLE extra (name TEXT NOT NULL, PRIMARY KEY (name));"


@dataclass(frozen=True)
class Scenario:
    """A project made ready by `prepare`, the command, and what must be there afterwards."""

    prepare: Callable[[Path], None]
    arguments: Sequence[object]
    contents: Callable[[Path], Contents]
    once: str | None = None
    """What is never made over: once it is there, it must be whole."""
    before: Before = nothing


def arrive(folder: Path) -> None:
    """Some uploads, one name twice, one of them broken."""
    for shape in SHAPES:
        draw(folder / "inbox", shape, range(1000, 1003))
    shutil.copy(folder / "inbox" / "disc-1000.png", folder / "inbox" / "again.png")
    (folder / "inbox" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def ingested(folder: Path) -> None:
    """The same in the catalog, some of it flagged."""
    arrive(folder)
    draw(folder / "inbox", "noise", range(4))
    run(folder, "rate", "10%")
    run(folder, "ingest", "inbox")


def unlearned(folder: Path) -> None:
    """Labeled pictures that nothing has been trained on."""
    shutil.rmtree(folder / ".curate")


@contextmanager
def catalog(folder: Path) -> Iterator[sqlite3.Connection]:
    """The project's catalog, which must be sound."""
    file = folder / ".curate" / "catalog.db"
    engine = make_engine(file)
    assert wrong_counts(engine) == []
    engine.dispose()
    with closing(sqlite3.connect(file, timeout=30)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        yield database


def previews(folder: Path) -> dict[str, bytes]:
    """Every kept preview by the hash of its original."""
    with closing(sqlite3.connect(folder / ".curate" / "previews.db", timeout=30)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return dict(database.execute("SELECT sha256, bytes FROM previews"))


def images(folder: Path) -> Contents:
    """Images, names, reasons, tags and previews."""
    with catalog(folder) as database:

        def rows(query: str) -> list[tuple[Any, ...]]:
            return sorted(database.execute(query).fetchall())

        return {
            "images": rows("SELECT sha256, format, width, height, bytes FROM image"),
            "sightings": rows("SELECT path, sha256 FROM sighting"),
            "unreadable": rows("SELECT path, reason FROM unreadable"),
            "pending": rows("SELECT sha256 FROM pending"),
            "tags": rows("SELECT sha256, tag, label, score IS NULL FROM current_tag"),
            "previews": previews(folder),
        }


def weights(folder: Path, database: sqlite3.Connection, role: str) -> dict[str, bytes]:
    """Every tensor of the network that serves in a role: a whole one."""
    (served,) = database.execute(
        "SELECT checkpoint_id FROM activation WHERE role = ? ORDER BY seq DESC", (role,)
    ).fetchone()
    checkpoint = folder / ".curate" / "checkpoints" / served
    assert is_whole(checkpoint)
    return {name: tensor.tobytes() for name, tensor in load_file(checkpoint / WEIGHTS).items()}


def learned(folder: Path) -> Contents:
    """The network that serves in both roles, and what it was trained on."""
    with catalog(folder) as database:
        splits = database.execute("SELECT sha256, class_name, split FROM labeled_image").fetchall()
        return {
            "classifier": weights(folder, database, "classifier"),
            "detector": weights(folder, database, "detector"),
            "splits": sorted(splits),
            "previews": previews(folder),
            "progress": list((folder / ".curate" / "progress").iterdir()),
        }


def finetuned(folder: Path) -> Contents:
    """The images, the runs that ended, and which network tags them."""
    with catalog(folder) as database:
        tuned = weights(folder, database, "detector")
        outcomes = database.execute("SELECT outcome FROM finetune_run").fetchall()
        scored = database.execute(
            "SELECT count(*) FROM score WHERE checkpoint_id = "
            "(SELECT checkpoint_id FROM activation WHERE role = 'detector' ORDER BY seq DESC)"
        ).fetchone()
    return images(folder) | {
        "weights": tuned,
        "promoted": ("promoted",) in outcomes,
        "others": set(outcomes) - {("promoted",), ("failed",)},
        "scored": scored,
    }


def exported(name: str, folder: Path) -> Contents:
    """Every exported file's bytes."""
    place = folder / name
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(files)}


def newer() -> None:
    """Become a program that knows one table more, in the working directory's `migrations`."""
    opening = partial(open_catalog, migrations=Path("migrations").absolute())
    patch("curate.workspace.open_catalog", opening).start()


def older(folder: Path) -> None:
    """A catalog that such a program has to bring up."""
    ingested(folder)
    (folder / "migrations").mkdir()
    (folder / "migrations" / "0002_extra.sql").write_text(MIGRATION)


def migrated(folder: Path) -> Contents:
    """The images, the new version, and the copy from before."""
    with catalog(folder) as database:
        versions = database.execute("SELECT version FROM schema_version").fetchall()
        tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'extra'").fetchall()
    (kept,) = (folder / ".curate").glob("*.before-v*")
    with closing(sqlite3.connect(kept)) as before:
        old = sorted(before.execute("SELECT sha256 FROM image"))
        assert before.execute("SELECT max(version) FROM schema_version").fetchone() == (1,)
    return images(folder) | {"versions": versions, "extra": tables, "before": old}


def copied(name: str, folder: Path) -> Contents:
    """What the project beside the first one holds."""
    beside = folder / "beside"
    beside.mkdir(exist_ok=True)
    shutil.rmtree(beside / ".curate", ignore_errors=True)
    shutil.copytree(folder / name, beside / ".curate")
    return images(beside)


def backed_up(folder: Path) -> None:
    """A project that lies in a backup alone."""
    ingested(folder)
    run(folder, "backup", "kept")
    shutil.rmtree(folder / ".curate")


def leftovers(folder: Path) -> list[str]:
    """Temporary files that a start should have swept."""
    return [str(path) for path in folder.rglob("*.tmp-*")]


SCENARIOS: dict[str, Scenario] = {
    "train": Scenario(unlearned, ("train", "labeled", "--epochs", 2, "--image-size", 16), learned),
    "ingest": Scenario(arrive, ("ingest", "inbox"), images),
    "watch": Scenario(arrive, ("watch", "inbox", "--once", "--settle", "0"), images),
    "finetune": Scenario(
        ingested, ("finetune", "--recipe", "paper", "--epochs", 1, "--margin", 0.5), finetuned
    ),
    "csv": Scenario(ingested, ("export", "out.csv"), partial(exported, "out.csv")),
    "imagefolder": Scenario(
        ingested, ("export", "out", "--format", "imagefolder"), partial(exported, "out"), "out"
    ),
    "migration": Scenario(older, ("status",), migrated, before=newer),
    "backup": Scenario(ingested, ("backup", "kept"), partial(copied, "kept"), "kept"),
    "restore": Scenario(backed_up, ("restore", "kept"), images, ".curate"),
}
