"""Plants every fault of `tests/faults.py` and of the review; a named test must notice each.

    python -m tests.planted

Works on a copy of the checkout. First every named test must pass there; then each fault is planted
alone, and its test must fail. Ends with exit code 1 where one does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import faults
from .faults import Fault
from .review import faults as page

TOP = Path(__file__).parents[1]
FAULTS = [*faults.FAULTS, *page.FAULTS]


def tested(place: Path, test: str) -> bool:
    """Whether the test passes in the copy."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
    )
    assert done.returncode in (0, 1), done.stdout.decode()[-2000:]
    return done.returncode == 0


def planted(place: Path, fault: Fault) -> bool:
    """Whether the test noticed."""
    file = place / fault.file
    sound = file.read_text()
    assert sound.count(fault.old) == 1, f"{fault.what}: {fault.file} has changed"
    file.write_text(sound.replace(fault.old, fault.new))
    try:
        return not tested(place, fault.test)
    finally:
        file.write_text(sound)


def main() -> None:
    """Plant all of them, one after another."""
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "checkout")
        shutil.copytree(TOP, place, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        for test in dict.fromkeys(fault.test for fault in FAULTS):
            assert tested(place, test), f"{test} fails without a fault"
        for fault in FAULTS:
            noticed = planted(place, fault)
            missed += not noticed
            said = "noticed by" if noticed else "MISSED BY"
            sys.stdout.write(f"{fault.what}: {said} {fault.test}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(FAULTS) - missed} of {len(FAULTS)} were noticed\n")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
