"""`curate` and `python -m curate`."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # -m puts the working directory first: an upload there must not be taken for a module,
    # neither by us nor by the processes that import from where we do.
    sys.path[:] = [*sys.path[1:], os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

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
