"""Lines of a log: JSON objects for programs, and progress as a line now and then."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

Level = Literal["info", "warning", "error"]
PAUSE_SECONDS = 10.0


def json_line(
    level: Level, event: str, message: str, facts: Mapping[str, object], now: datetime
) -> str:
    """One JSON object in ASCII: time (ISO 8601), level, event, message, and the event's facts."""
    moment = now.isoformat(timespec="milliseconds")
    row = {"time": moment, "level": level, "event": event, "message": message, **facts}
    return as_json(row)


def as_json(document: object, indent: int | None = None) -> str:
    """JSON in ASCII, times as ISO 8601, paths as text; raises ValueError for NaN and infinity."""
    return json.dumps(document, indent=indent, allow_nan=False, default=_plain)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else os.fspath(value)


class Lines:
    """Progress as lines of a log: one every ten seconds at most, and one at the end."""

    def __init__(
        self, total: int | None, clock: Callable[[], float], say: Callable[[str, int, int], None]
    ) -> None:
        self._clock, self._say = clock, say
        self._start = self._last = clock()
        self._done, self._total = 0, total or 0

    def advance(self, done: int, total: int) -> None:
        """Say how far it is, unless that was said just now."""
        self._done, self._total = done, total
        now = self._clock()
        if now - self._last >= PAUSE_SECONDS and done < total:
            self._last = now
            rate = done / (now - self._start)
            left = f", {_duration((total - done) / rate)} left" if rate else ""
            self._tell(f"{done} of {total} ({done / total:.0%}), {rate:.1f}/s{left}")

    def end(self) -> None:
        """The last line, also where the work broke off: how far it came and how long it took."""
        if not self._done:
            return
        took = self._clock() - self._start
        rate = f", {self._done / took:.1f}/s" if took > 0 else ""
        self._tell(f"{self._done} of {self._total} in {_duration(took)}{rate}")

    def _tell(self, text: str) -> None:
        self._say(text, self._done, self._total)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
