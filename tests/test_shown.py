"""What a watch shows: a line a batch in a log, a bar and one line on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate import console
from curate.cli.watching import Watching
from curate.ingest import REASONS_KEPT, Ingested
from curate.watch.events import Arrived, FinetuneImpossible, Reading


def batch(images: int, *reasons: str) -> Arrived:
    found = [(Path("bad.png"), reason) for reason in reasons]
    return Arrived(Ingested(images=images, unreadable=len(reasons), reasons=found), images)


def tell_of_a_backlog() -> None:
    with Watching() as told:
        for done in (500, 1_000):
            told.tell(Reading(done, 1_200))
            told.tell(batch(499, "cut"))
        told.tell(Reading(1_200, 1_200))
        told.tell(batch(200))
        told.tell(Reading(1, 1))
        told.tell(batch(1))


def test_in_a_log_a_backlog_is_a_line_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    tell_of_a_backlog()
    lines = [line[9:] for line in capsys.readouterr().err.splitlines() if "new image" in line]
    assert lines == [
        "499 new images, 1 unreadable; 499 scored",
        "499 new images, 1 unreadable; 499 scored",
        "200 new images; 200 scored",
        "1 new image; 1 scored",
    ]


def test_on_a_terminal_a_backlog_is_a_bar_and_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "on_terminal", lambda: True)
    tell_of_a_backlog()
    shown = capsys.readouterr().err.splitlines()
    assert shown[0].startswith("reading: 1200 of 1200 in ")
    lines = [line[9:] for line in shown if "new image" in line]
    assert lines == ["1198 new images, 2 unreadable; 1198 scored", "1 new image; 1 scored"]


def test_a_watch_of_months_keeps_only_the_first_reasons() -> None:
    total = Ingested()
    for _ in range(REASONS_KEPT):
        total.add(batch(0, "cut", "empty").ingested)
    assert (total.unreadable, len(total.reasons)) == (2 * REASONS_KEPT, REASONS_KEPT)


def test_why_a_fine_tune_could_not_run_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Watching() as told:
        told.tell(FinetuneImpossible(2, "no device \x1b[2J"))
    shown = capsys.readouterr().err
    assert "warning: " in shown
    assert r"the fine-tune could not run (exit code 2): no device \x1b[2J;" in shown
