"""Every CHECK, key and reference of schema.sql refuses what it is there to refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from curate.catalog.engine import make_engine, write
from curate.catalog.schema import open_catalog, schema_file

from .cases import Place, name_of

WHEN = "2026-03-01 12:00:00.000000"
SHA, SNAP, CHECKPOINT = name_of(1), name_of("snapshot"), name_of("checkpoint")
STAT = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1, "first_seen": WHEN, "last_seen": WHEN}
HEX = [SHA[:-1], SHA.upper(), SHA[:-1] + "g", SHA + "0"]
WORD = ["x", None]
PATHS = ["", "/absolute", None]

GOOD: dict[str, dict[str, Any]] = {
    "schema_version": {"version": 9, "applied_at": WHEN, "program": "x"},
    "source": {
        "source_id": "s",
        "root_uri": "file:///in",
        "added_at": WHEN,
        "last_scan_at": WHEN,
        "last_scan_files": 0,
        "watch_mode": "poll",
    },
    "image": {
        "sha256": SHA,
        "format": "PNG",
        "width": 1,
        "height": 1,
        "bytes": 1,
        "first_seen": WHEN,
    },
    "sighting": {"source_id": "s", "path": "p", "sha256": SHA, **STAT},
    "unreadable": {"source_id": "s", "path": "p", "reason": "r", "policy": "v", **STAT},
    "snapshot": {"snapshot_id": SNAP, "root": "/labeled", "taken_at": WHEN},
    "labeled_image": {
        "snapshot_id": SNAP,
        "sha256": SHA,
        "class_name": "hat",
        "split": "train",
        "path": "p",
    },
    "checkpoint": {
        "checkpoint_id": CHECKPOINT,
        "kind": "pretrained",
        "parent_id": None,
        "snapshot_id": SNAP,
        "backbone": "b",
        "recipe": "r",
        "created_at": WHEN,
        "figures": "{}",
    },
    "scoring": {"checkpoint_id": CHECKPOINT},
    "pending": {"checkpoint_id": CHECKPOINT, "sha256": SHA},
    "activation": {
        "role": "detector",
        "seq": 1,
        "checkpoint_id": CHECKPOINT,
        "activated_at": WHEN,
        "reason": "r",
    },
    "score": {
        "checkpoint_id": CHECKPOINT,
        "sha256": SHA,
        "score": -3.5,
        "discrepancy": 2.0,
        "msp": 0.0,
        "energy": -9.5,
        "knn": 0.0,
        "disagreement": 0.0,
        "label": "hat",
        "confidence": 1.0,
        "p_value": 1.0,
        "calibration": "canary",
        "nearest": "0 1",
        "scored_at": WHEN,
    },
    "review": {
        "sha256": SHA,
        "seq": 1,
        "verdict": "id",
        "class_name": "hat",
        "reviewer": "ann",
        "reviewed_at": WHEN,
        "step": 2,
        "undoes": 1,
    },
    "finetune_run": {
        "run_id": "r",
        "started_at": WHEN,
        "ended_at": WHEN,
        "recipe": "guarded",
        "outcome": "promoted",
        "reason": "better",
        "figures": "{}",
        "images": 0,
        "checkpoint_id": CHECKPOINT,
        "pid": 1,
        "host": "h",
        "process_started": "",
    },
    "hook": {
        "name": "on-tag",
        "delivered": 0,
        "failures": 1,
        "last_delivered_at": None,
        "last_failed_at": WHEN,
        "last_error": "no answer",
    },
    "notice": {"sha256": SHA, "queued_at": WHEN},
    "handed_on": {"sha256": SHA, "handed_on_at": WHEN},
    "audit": {"seq": 1, "drawn_at": WHEN, "query": "", "recalibrated_at": None},
    "audit_image": {"seq": 1, "sha256": SHA},
    "lease": {
        "name": "n",
        "what": "w",
        "fence": 1,
        "pid": 1,
        "host": "h",
        "process_started": "",
        "acquired_at": WHEN,
        "expires_at": WHEN,
        "released": False,
    },
    "alarm_rate": {"seq": 1, "rate": 0.5, "set_at": WHEN},
    "total": {"what": "image", "number": 0},
    "tally": {"checkpoint_id": CHECKPOINT, "verdict": "none", "p_value": 0.5, "number": 0},
}

BAD: dict[str, dict[str, list[Any]]] = {
    "schema_version": {"version": [0, *WORD]},
    "source": {
        "source_id": ["", None],
        "root_uri": ["", "/in", "in", None],
        "last_scan_files": [-1, "x"],
        "watch_mode": ["", "sometimes"],
    },
    "image": {
        "sha256": [*HEX, None],
        "format": ["", "png", None],
        "width": [0, -1, *WORD],
        "height": [0, 1_000_001, *WORD],
        "bytes": [0, *WORD],
    },
    "sighting": {
        "source_id": ["unknown"],
        "sha256": [name_of(2)],
        "path": PATHS,
        "size": [0, *WORD],
        "mtime_ns": WORD,
        "ctime_ns": WORD,
        "inode": WORD,
    },
    "unreadable": {
        "source_id": ["unknown"],
        "path": PATHS,
        "reason": ["", None],
        "policy": ["", None],
        "size": [-1, *WORD],
        "mtime_ns": WORD,
        "ctime_ns": WORD,
        "inode": WORD,
    },
    "snapshot": {"snapshot_id": [*HEX, None], "root": ["", None]},
    "labeled_image": {
        "snapshot_id": [name_of(2)],
        "sha256": [*HEX, None],
        "class_name": ["", None],
        "split": ["", "test", None],
        "path": PATHS,
    },
    "checkpoint": {
        "checkpoint_id": [*HEX, None],
        "kind": ["", "finetuned", "other", None],
        "parent_id": [CHECKPOINT, name_of(2)],
        "snapshot_id": [name_of(2), None],
        "backbone": [""],
        "recipe": [""],
        "figures": ["", "[]", None],
    },
    "scoring": {"checkpoint_id": [name_of(2), None]},
    "pending": {"checkpoint_id": [name_of(2)], "sha256": [name_of(2), None]},
    "activation": {
        "role": ["", "other", None],
        "seq": [0, *WORD],
        "checkpoint_id": [name_of(2), None],
        "reason": [""],
    },
    "score": {
        "checkpoint_id": [name_of(2)],
        "sha256": [name_of(2)],
        "score": [float("nan"), float("inf"), *WORD],
        "discrepancy": [-0.1, 2.1, float("nan"), *WORD],
        "msp": [-0.1, 1.1, float("nan"), *WORD],
        "energy": [float("inf"), float("-inf"), float("nan"), *WORD],
        "knn": [-0.1, float("inf"), float("nan"), *WORD],
        "disagreement": [-0.1, float("inf"), float("nan"), *WORD],
        "label": ["", None],
        "confidence": [-0.1, 1.1, float("nan"), *WORD],
        "p_value": [0.0, 1.1, float("nan"), *WORD],
        "calibration": ["", "train", None],
        "nearest": ["a", "1,2", None],
    },
    "review": {
        "sha256": [name_of(2)],
        "seq": [0, *WORD],
        "verdict": ["", "maybe", "ood", "none", None],
        "class_name": [""],
        "reviewer": ["", None],
        "step": [0, *WORD],
        "undoes": [0, 2, 3, "x"],
    },
    "finetune_run": {
        "run_id": ["", None],
        "ended_at": [None],
        "recipe": [""],
        "outcome": ["", "other", None],
        "reason": [None],
        "checkpoint_id": [name_of(2), None],
        "figures": ["[]"],
        "images": [-1, *WORD],
        "pid": [0, *WORD],
        "host": [""],
    },
    "hook": {
        "name": ["", "other", None],
        "delivered": [-1, *WORD],
        "failures": [-1, *WORD],
        "last_failed_at": [None],
        "last_error": [None],
    },
    "notice": {"sha256": [name_of(2), None]},
    "handed_on": {"sha256": [name_of(2), None]},
    "audit": {"seq": [0, *WORD]},
    "audit_image": {"seq": [2, *WORD], "sha256": [name_of(2), None]},
    "lease": {
        "name": ["", None],
        "what": [""],
        "fence": [0, *WORD],
        "pid": [0, *WORD],
        "host": [""],
        "released": [7, *WORD],
    },
    "alarm_rate": {"seq": [0, *WORD], "rate": [0.0, 0.51, -1.0, float("nan"), *WORD]},
    "total": {"what": ["", "score", None], "number": [*WORD]},
    "tally": {
        "checkpoint_id": [name_of(2), None],
        "verdict": ["", "maybe", None],
        "p_value": [0.0, 1.1, float("nan"), *WORD],
        "number": [*WORD],
    },
}


@pytest.fixture
def engine(place: Place) -> Iterator[Engine]:
    """A catalog with one good row in each table."""
    open_catalog(place, create=True).close()
    engine = make_engine(place)
    for table, row in GOOD.items():
        put(engine, table, row)
    yield engine
    engine.dispose()


def put(engine: Engine, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with write(engine) as connection:
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)  # noqa: S608


def test_every_check_refuses(engine: Engine) -> None:
    taken = []
    with write(engine) as connection:
        for table in reversed(GOOD):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608
    for table, good in GOOD.items():
        for column, values in BAD[table].items():
            for value in values:
                try:
                    put(engine, table, good | {column: value})
                except DBAPIError:
                    continue
                taken.append((table, column, value))
        put(engine, table, good)
    assert taken == []


def test_a_key_is_there_once(engine: Engine) -> None:
    for table in GOOD:
        with pytest.raises(DBAPIError, match=r"(?i)unique"):
            put(engine, table, GOOD[table])


def test_two_sources_never_share_a_root(engine: Engine) -> None:
    with pytest.raises(DBAPIError, match=r"(?i)unique"):
        put(engine, "source", GOOD["source"] | {"source_id": "other"})


def test_every_column_with_a_check_is_tried() -> None:
    """A CHECK that is added later must be added above."""
    sql = re.sub(r"--.*", "", schema_file().read_text())
    for table, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", sql, re.DOTALL):
        checked = "\n".join(line for line in body.splitlines() if "CHECK" in line)
        columns = set(re.findall(r"^    ([a-z_0-9]+) [A-Z]+", body, re.MULTILINE))
        named = {column for column in columns if re.search(rf"\b{column}\b", checked)}
        assert named <= set(BAD[table]), table
