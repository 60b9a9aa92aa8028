"""`curate` and `python -m curate`."""

from __future__ import annotations

import os
import signal
from types import FrameType


def _end(signal_number: int, frame: FrameType | None) -> None:
    os._exit(128 + signal_number)


def run() -> None:
    """Run the program; a signal during its imports ends it at once, for nothing has begun."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    from curate.cli import main

    main()


if __name__ == "__main__":
    run()
