"""What people judge comes back: fifty words on a new kind of OOD, and the next ones are found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from curate.demo.pictures import picture
from curate.demo.subjects import CLASSES, STRANGERS
from curate.model.alarms import alarm_interval

from ..program import run

KIND = "heart"
FRESH = 200
CALIBRATED = 120
"""A fifth of the labeled pictures."""


def drawn(folder: Path, kind: str, numbers: Iterable[int]) -> list[Path]:
    """Write pictures of one kind, each drawn by its number; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in numbers:
        path = folder / f"{kind}-{number}.png"
        picture(Random(f"{kind} {number}"), (CLASSES | STRANGERS)[kind]).save(path)
        paths.append(path)
    return paths


def measured(folder: Path) -> tuple[float, float]:
    """Shares of fresh pictures that are flagged: of the new kind, and of the network's own."""
    asked = ("evaluate", "--id", "fresh/ours", "--ood", f"fresh/{KIND}", "--json")
    found: dict[str, Any] = json.loads(run(folder, *asked).stdout)
    by_rate = found["networks"][-1]["groups"]["fresh"]["decisions"][0]
    assert by_rate["rule"] == "rate"
    assert (by_rate["recall"]["images"], by_rate["alarm_rate"]["images"]) == (FRESH, 600)
    return by_rate["recall"]["value"], by_rate["alarm_rate"]["value"]


@pytest.mark.timeout(900)  # where a processor multiplies no bfloat16, beside another test
def test_fifty_reviews_raise_the_recall_of_their_kind(tmp_path: Path) -> None:
    for kind in CLASSES:
        drawn(tmp_path / "labeled" / kind, kind, range(100))
        drawn(tmp_path / "inbox", kind, range(1_000, 1_060))
        drawn(tmp_path / "fresh" / "ours", kind, range(2_000, 2_100))
    strange = drawn(tmp_path / "inbox", KIND, range(50))
    drawn(tmp_path / "fresh" / KIND, KIND, range(2_000, 2_000 + FRESH))
    run(tmp_path, "train", "labeled", "--epochs", 12, "--image-size", 32)
    run(tmp_path, "ingest", "inbox")
    before, alarms_before = measured(tmp_path)
    run(tmp_path, "tag", "ood", *strange)
    told = run(tmp_path, "finetune", "--updates", 50).stderr
    assert "promoted: fine-tuned on 360 inbox images and 50 that people judged" in told
    after, alarms = measured(tmp_path)
    assert after >= before + 0.1
    # Half of the calibration images are canaries now, which fresh pictures are not read against.
    for calibrated, share in ((CALIBRATED, alarms_before), (CALIBRATED // 2, alarms)):
        least, most = alarm_interval(calibrated, 600, 0.05)
        assert least <= share <= most
