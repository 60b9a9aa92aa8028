"""SIGKILL, a full disk and a failing one at every single call that writes, in every command.

Each run is counted once, call by call. Then it is made again for each call, on a fresh copy of the
project, with the fault at just this one; and then once more without any. That is a command of its
own, `pytest tests/crash --long`; without the option some calls stand for all.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ..forked import Ended, undisturbed
from .kills import Ready, make_ready
from .scenarios import SCENARIOS, leftovers
from .tampering import tampered, traced

WRITING = (
    "write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,renameat2,link,linkat,unlink,unlinkat"
)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")
SOME = 12
FAULTS = ("signal=SIGKILL", "error=ENOSPC", "error=EIO")


@pytest.fixture(scope="module", params=SCENARIOS)
def ready(
    request: pytest.FixtureRequest, trained_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Ready:
    return make_ready(request.param, trained_once, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def calls(ready: Ready, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """How often the command makes each system call."""
    place = tmp_path_factory.mktemp("counted") / "project"
    shutil.copytree(ready.project, place)
    trace = traced(place, ready.scenario.arguments, WRITING, ready.scenario.before)
    return Counter(re.findall(r"^(\w+)\(", trace, re.MULTILINE))


def pictures(place: Path) -> list[Path]:
    """What a project was given, which is only read."""
    return sorted(path for name in ("inbox", "labeled") for path in (place / name).rglob("*"))


def broken_and_mended(ready: Ready, place: Path, inject: str) -> Ended:
    """Run with the fault, then without; all must be as if nothing had happened."""
    scenario = ready.scenario
    shutil.copytree(ready.project, place)
    given = pictures(place)
    ended = tampered(place, scenario.arguments, inject, scenario.before)
    assert pictures(place) == given, inject
    if not ready.done(place):
        undisturbed(place, scenario.arguments, scenario.before)
    assert scenario.contents(place) == ready.expected, inject
    assert leftovers(place) == [], inject
    shutil.rmtree(place)
    return ended


def points(calls: Counter[str], fault: str, every: bool) -> list[str]:
    """Where to inject: at each call, or at a few of them, the first and the last included."""
    found = [
        f"{name}:{fault}:when={number}"
        for name, count in sorted(calls.items())
        for number in range(1, count + 1)
    ]
    if every or len(found) <= SOME:
        return found
    return [found[round(at * (len(found) - 1) / (SOME - 1))] for at in range(SOME)]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_a_call_that_writes(
    ready: Ready, calls: Counter[str], tmp_path: Path, fault: str, pytestconfig: pytest.Config
) -> None:
    chosen = points(calls, fault, pytestconfig.getoption("--long"))

    def tried(point: str) -> Ended:
        return broken_and_mended(ready, tmp_path / point.replace(":", "-"), point)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(tried, chosen))
    for point, ended in zip(chosen, found, strict=True):
        assert "Traceback" not in ended.said, (point, ended.said)
        if fault == "signal=SIGKILL":
            assert ended.code == -signal.SIGKILL, (point, ended)
        else:
            assert ended.code == 0 or "error: " in ended.said, (point, ended)
