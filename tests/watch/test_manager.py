"""What the service manager hears, by a real socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.watch.manager import ServiceManager

from ..forked import environment
from ..program import draw
from .inbox import Inbox


@pytest.fixture(params=["path", "abstract"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """A bound socket such as systemd has."""
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(name if request.param == "path" else f"\0curate-{os.getpid()}-{tmp_path.name}")
        bound.settimeout(120)
        yield bound


def name_of(bound: socket.socket) -> str:
    """The socket's name, as the manager gives it to what it starts."""
    name = bound.getsockname()
    return name if isinstance(name, str) else "@" + name[1:].decode()


def heard(bound: socket.socket) -> list[str]:
    """All that was sent by now."""
    bound.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(bound.recv(4_096).decode())
        except BlockingIOError:
            return messages


def test_signs_of_life_come_three_times_within_the_timeout(listening: socket.socket) -> None:
    now = [100.0]
    told = {"NOTIFY_SOCKET": name_of(listening), "WATCHDOG_USEC": "30000000"}
    manager = ServiceManager(told | {"WATCHDOG_PID": str(os.getpid())}, lambda: now[0])
    manager.ready()
    for moment in (100.0, 109.9, 110.0, 119.9, 120.0, 200.0, 209.0):
        now[0] = moment
        manager.alive()
    manager.status("watching")
    manager.status("watching")
    manager.stopping()
    alive = 3 * ["WATCHDOG=1"]
    assert heard(listening) == ["READY=1", *alive, "STATUS=watching", "STOPPING=1"]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
    ],
)
def test_nobody_waits_for_signs_of_life(told: dict[str, str]) -> None:
    assert ServiceManager(told).every == 0


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/at/all", "@nobody-listens", "vsock:2"])
def test_a_manager_that_cannot_be_reached_stops_nothing(name: str) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1"})
    manager.ready()
    manager.alive()


def test_the_turns_of_a_watch_tell_of_it(inbox: Inbox, listening: socket.socket) -> None:
    told = {"NOTIFY_SOCKET": name_of(listening), "WATCHDOG_USEC": "30000000"}
    inbox.service.manager = ServiceManager(told, lambda: 0.0)
    draw(inbox.root, "disc", range(2))
    inbox.service.turn(0.0)
    inbox.service.turn(2.0)
    assert heard(listening)[-1] == "STATUS=watching; 2 new images, 0 unreadable"
    assert inbox.service.pause(2.0) <= 10.0


def test_a_watch_is_ready_alive_and_stopping(tmp_path: Path, listening: socket.socket) -> None:
    draw(tmp_path / "inbox", "disc", range(2))
    told = {"NOTIFY_SOCKET": name_of(listening), "WATCHDOG_USEC": "3000000"}
    watch = subprocess.Popen(
        [sys.executable, "-m", "curate", "watch", "inbox", "--settle", "0.1"],
        cwd=tmp_path,
        env=environment() | told,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        messages = [listening.recv(4_096).decode()]
        while messages.count("WATCHDOG=1") < 3:
            messages.append(listening.recv(4_096).decode())
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.wait(60)
    messages += heard(listening)
    assert messages[0] == "READY=1"
    assert messages[-1] == "STOPPING=1"
    assert "STATUS=watching; 2 new images, 0 unreadable" in messages
