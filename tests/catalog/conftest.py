"""Every test of this room runs on SQLite and on a PostgreSQL that is started for it alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.catalog import tally
from curate.catalog.engine import read
from curate.catalog.models import CheckpointRow, LabeledRow
from curate.catalog.schema import open_catalog
from curate.catalog.store import Catalog

from .cases import NOW, ROOT, AddCheckpoint, Place, name_of


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a new catalog can be created: a path, or the address of an empty database."""
    if request.param == "sqlite":
        return tmp_path / "catalog.db"
    address: str = request.getfixturevalue("database")
    return address


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    """A new catalog, whose running counts are right to the end."""
    made = open_catalog(place, create=True)
    yield made
    with read(made.engine) as connection:
        assert tally.faults(connection) == [], "a count that is not what it counts"
    made.close()


@pytest.fixture
def source_id(catalog: Catalog) -> str:
    """A source of the catalog."""
    return catalog.source(ROOT, NOW)


@pytest.fixture
def checkpoint(catalog: Catalog) -> AddCheckpoint:
    """Adds a pre-trained checkpoint, or with a parent a fine-tuned one; returns its id."""

    def add(name: str, parent: str | None = None) -> str:
        labeled = [LabeledRow(name_of("labeled"), "shirt", "train", "shirt/1.png")]
        row = CheckpointRow(
            checkpoint_id=name_of(name),
            kind="finetuned" if parent else "pretrained",
            parent_id=parent,
            snapshot_id=catalog.models.add_snapshot("/labeled", labeled, NOW),
            backbone="small-resnet",
            recipe="guarded" if parent else "pretrained",
            figures={"accuracy": 0.5},
            created_at=NOW,
        )
        catalog.models.add_checkpoint(row)
        return row.checkpoint_id

    return add


@pytest.fixture
def active(catalog: Catalog, checkpoint: AddCheckpoint) -> str:
    """A checkpoint in service in both roles, before there is any image."""
    name = checkpoint("first")
    assert catalog.models.begin_scoring(name) == 0
    assert catalog.models.activate(dict.fromkeys(("classifier", "detector"), name), "trained", NOW)
    return name
