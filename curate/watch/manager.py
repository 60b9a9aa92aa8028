"""Word to the service manager: ready, alive, stopping, in the datagrams of systemd's sd_notify(3).

They are sent by the loop that does the work and by no thread beside it: where the loop hangs, none
comes, and the manager ends the watch and starts it again.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

SEND_SECONDS = 1.0
PER_TIMEOUT = 3
"""So often within the time after which the manager gives up."""


class ServiceManager:
    """Who started the watch, where that is told by `NOTIFY_SOCKET`; else nothing is sent."""

    def __init__(
        self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address, self._clock = _address(environment), clock
        self.every = _timeout(environment) / PER_TIMEOUT
        """Seconds between two signs of life; 0 where none is wanted."""
        self._next = 0.0
        self._status = ""

    def ready(self) -> None:
        """The inbox is held, and work begins."""
        self._send("READY=1")
        self._next = self._clock() + self.every

    def alive(self) -> None:
        """Give a sign of life where one is due. Cheap to call often."""
        if self.every and (now := self._clock()) >= self._next:
            self._next = now + self.every
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; the same again is not sent."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """The watch is about to end."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        """A manager that does not listen must not stop the work."""
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_SECONDS)
                sender.sendto(message.encode(), self._address)


def _address(environment: Mapping[str, str]) -> str:
    """The socket's path; of a name that begins with @, the abstract one. Others are not known."""
    given = environment.get("NOTIFY_SOCKET", "")
    if given.startswith("@"):
        return "\0" + given[1:]
    return given if given.startswith("/") else ""


def _timeout(environment: Mapping[str, str]) -> float:
    """Seconds after which the manager takes this process for dead; 0 where it does not watch it."""
    watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if watched and microseconds.isdecimal() else 0.0
