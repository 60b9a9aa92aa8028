"""The log that programs read: one object a line, whatever is in a name."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from curate import console
from curate.log import json_line

from .program import draw, run, start, wait_until

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def test_a_line_by_hand() -> None:
    told = json_line("warning", "unreadable", "caf\xe9.png: cut", {"bytes": 3}, NOW)
    assert told == (
        '{"time": "2026-03-01T12:00:00.250+00:00", "level": "warning", "event": "unreadable", '
        '"message": "caf\\u00e9.png: cut", "bytes": 3}'
    )


def test_lines_hold_no_character_that_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console._log, "as_json", True)
    console.note("\x1b[2J\n\u202e", event="seen", path=Path("caf\udce9.png"), left=None)
    console.warn("slow", clock=True)
    console.error("gone", exit_code=6)
    assert not console.on_terminal()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all(datetime.fromisoformat(line.pop("time")).tzinfo == UTC for line in lines)
    assert lines == [
        {
            "level": "info",
            "event": "seen",
            "message": r"\x1b[2J\n\u202e",
            "path": r"caf\xe9.png",
            "left": None,
        },
        {"level": "warning", "event": "warning", "message": "slow"},
        {"level": "error", "event": "error", "message": "gone", "exit_code": 6},
    ]


def test_progress_is_told_in_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console._log, "as_json", True)
    now = iter((0.0, 11.0, 12.0))
    with console.progress("reading", clock=lambda: next(now)) as advance:
        advance(5, 10)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["stage"], line["done"], line["total"]) for line in lines] == [
        ("progress", "reading", 5, 10),
        ("progress", "reading", 5, 10),
    ]


def test_a_warning_of_python_is_a_line_too() -> None:
    code = """
import warnings
from curate import console
console.log_as_json(True)
warnings.warn("odd\\nfile")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["event"], line["message"]) == ("python_warning", r"odd\nfile")


def told(errors: str) -> list[dict[str, Any]]:
    """Every line, each of which has what all have; its time has no zone but UTC, and is now."""
    lines = [json.loads(line) for line in errors.splitlines()]
    for line in lines:
        assert {"time", "level", "event", "message"} <= line.keys()
        moment = datetime.fromisoformat(line["time"])
        assert moment.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=10)
    return lines


def test_every_line_of_a_watch_is_an_object(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1000, 1004))
    (trained / "inbox" / "a\nb.jpg").write_bytes(b"<html>")
    watch = start(trained, "watch", "inbox", "--settle", 0.2, "--log-format", "json")
    try:
        wait_until(lambda: (trained / ".curate").exists() and scored(trained) == 4)
    finally:
        watch.send_signal(signal.SIGTERM)
        _, errors = watch.communicate(timeout=60)
    lines = told(errors)
    assert [line["event"] for line in lines] == ["started", "arrived", "unreadable", "stopped"]
    assert lines[0]["inbox"] == str(trained / "inbox")
    arrived = {"images": 4, "known_content": 0, "unreadable": 1, "left": 0, "scored": 4}
    assert arrived.items() <= lines[1].items()
    assert lines[2]["level"] == "warning"
    assert lines[2]["path"] == str(trained / "inbox" / r"a\nb.jpg")
    assert lines[2]["reason"].startswith("not JPEG")


def scored(folder: Path) -> int:
    rows = run(folder, "list", "--json").stdout.splitlines()
    return sum(json.loads(row)["tag"] != "pending" for row in rows)


def test_once_tells_what_it_did_and_an_error_is_a_line(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1000, 1002))
    once = ("watch", "inbox", "--once", "--settle", 0, "--log-format", "json")
    events = {line["event"]: line for line in told(run(trained, *once).stderr)}
    assert list(events) == ["started", "arrived", "ended", "tags"]
    assert events["ended"]["images"] == 2
    assert events["tags"]["pending"] == 0
    refused = run(trained, "watch", "nowhere", "--log-format", "json", code=2)
    (line,) = told(refused.stderr)
    assert (line["level"], line["exit_code"]) == ("error", 2)
    assert "no such folder" in line["message"]
