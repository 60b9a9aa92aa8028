"""A process that stood still until its lease had passed on does nothing when it wakes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from unittest.mock import patch

import pytest

from curate.recipes import attempt
from curate.watch.service import Watch

from ..forked import Before, Ended, Fork, nothing
from ..program import draw, status, wait_until
from .scenarios import ingested

WATCH = ("watch", "inbox", "--settle", 0)
FINETUNE = ("finetune", "--recipe", "paper", "--epochs", 1, "--margin", 0.5)


def stand_still() -> None:
    """Until somebody sends SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def before_it_learns() -> None:
    """Stand still with the lease on the fine-tune, which lasts a second."""
    patch("curate.workspace.LEASE_SECONDS", 1).start()
    real = attempt.attempt

    def late(*given: object) -> object:
        stand_still()
        return real(*given)  # type: ignore[arg-type]

    patch("curate.finetune.attempt", late).start()


def before_it_looks() -> None:
    """Stand still with the lease on the inbox, which lasts a second."""
    patch("curate.workspace.LEASE_SECONDS", 1).start()
    real = Watch.turn

    def late(watch: Watch, now: float) -> None:
        stand_still()
        real(watch, now)

    patch("curate.watch.service.Watch.turn", late).start()


def is_stopped(pid: int) -> bool:
    """Whether the process stands still (proc(5): state T)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def taken_over(folder: Path, command: tuple[object, ...]) -> Ended:
    """The end of a run that begins as soon as it is not refused any more."""
    refused = 0
    while (ended := Fork(folder, command, nothing).go().end()).code == 5:
        refused += 1
        assert refused < 100, ended
    return ended


@pytest.mark.parametrize(
    ("first", "second", "before"),
    [(FINETUNE, FINETUNE, before_it_learns), (WATCH, (*WATCH, "--once"), before_it_looks)],
)
def test_one_that_slept_is_told_who_came(
    trained: Path, first: tuple[object, ...], second: tuple[object, ...], before: Before
) -> None:
    ingested(trained)
    sleeper = Fork(trained, first, before).go()
    wait_until(lambda: is_stopped(sleeper.pid))
    came = taken_over(trained, second)
    assert came.code == 0, came
    after = status(trained)
    draw(trained / "inbox", "disc", range(2000, 2001))
    os.kill(sleeper.pid, signal.SIGCONT)
    woken = sleeper.end()
    assert woken.code == 5, woken
    assert "held by process" in woken.said
    found = status(trained)
    for fact in ("counts", "classifier", "detector", "last_finetune"):
        assert found[fact] == after[fact], fact
