"""Uploads that drift away from the labeled folder: noticed by an audit, and corrected by it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image, ImageEnhance

from curate.catalog.query import Query
from curate.demo.pictures import picture
from curate.demo.subjects import CLASSES
from curate.model.alarms import alarm_interval
from curate.workspace import open_workspace

from ..program import run

SAMPLE = 120
LATER = 200


def drifted(image: Image.Image) -> Image.Image:
    """As another camera would have taken it: brighter, and closer."""
    width, height = image.size
    closer = image.crop((width // 4, height // 4, width * 3 // 4, height * 3 // 4))
    return ImageEnhance.Brightness(closer).enhance(1.5)


def drawn(folder: Path, numbers: Iterable[int], drift: bool, labeled: bool = False) -> None:
    """So many pictures of each class, each drawn by its number."""
    for kind, subject in CLASSES.items():
        place = folder / kind if labeled else folder
        place.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            image = picture(Random(f"{kind} {number}"), subject)
            (drifted(image) if drift else image).save(place / f"{kind}-{number}.png")


def flagged(folder: Path, named: str) -> float:
    """The share of the images at such paths that is tagged as OOD; all of them are ours."""
    with open_workspace(str(folder / ".curate"), create=False) as workspace:
        rows = list(workspace.catalog.iter_images(Query(path=named)))
    assert len(rows) >= LATER
    return sum(row.tag == "ood" for row in rows) / len(rows)


def audited(folder: Path, *options: object) -> dict[str, Any]:
    """`curate audit --json`."""
    found: dict[str, Any] = json.loads(run(folder, "audit", "--json", *options).stdout)
    return found


def test_an_audit_notices_a_drifted_inbox_and_corrects_it(tmp_path: Path) -> None:
    drawn(tmp_path / "labeled", range(100), drift=False, labeled=True)
    drawn(tmp_path / "inbox" / "early", range(3_000, 3_040), drift=False)
    run(tmp_path, "train", "labeled", "--epochs", 25, "--image-size", 32)
    run(tmp_path, "ingest", "inbox")
    assert "newest images are flagged" not in run(tmp_path, "status").stderr
    drawn(tmp_path / "inbox" / "before", range(1_000, 1_040), drift=True)
    run(tmp_path, "ingest", "inbox")
    assert "newest images are flagged even in the classes" in run(tmp_path, "status").stderr
    _, most = alarm_interval(120, 240, 0.05)
    assert flagged(tmp_path, "before/") > most
    audited(tmp_path, "path:before/", "--images", SAMPLE)
    with open_workspace(str(tmp_path / ".curate"), create=False) as workspace:
        sample = workspace.catalog.audits.images(1)
    assert len(sample) == SAMPLE
    run(tmp_path, "tag", "id", *(image.sha256 for image in sample))
    found = audited(tmp_path)
    assert found["drifted"]
    assert found["alarms"]["low"] > 0.05
    run(tmp_path, "audit", "--recalibrate")
    # What comes next from the same camera is flagged as often as was asked for.
    drawn(tmp_path / "inbox" / "after", range(2_000, 2_040), drift=True)
    run(tmp_path, "ingest", "inbox")
    least, most = alarm_interval(SAMPLE, 240, 0.05)
    assert least <= flagged(tmp_path, "after/") <= most
