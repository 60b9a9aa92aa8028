"""Plants every fault of `tests/faults.py` and of the review; a named test must notice each.

    python -m tests.planted

Works on copies of the checkout, one a core. First every named test must pass there; then each fault
is planted alone, and its test must fail. Ends with exit code 1 where one does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue

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
    """Plant all of them, each in a copy that nothing else uses meanwhile."""
    free: SimpleQueue[Path] = SimpleQueue()

    def in_a_copy(work: Callable[[Path], bool]) -> bool:
        place = free.get()
        try:
            return work(place)
        finally:
            free.put(place)

    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(cores) as pool:
        for number in range(cores):
            place = Path(folder, f"checkout{number}")
            shutil.copytree(TOP, place, ignore=shutil.ignore_patterns(".*", "__pycache__"))
            free.put(place)
        tests = list(dict.fromkeys(fault.test for fault in FAULTS))
        sound = pool.map(lambda test: in_a_copy(partial(tested, test=test)), tests)
        for test, passed in zip(tests, sound, strict=True):
            assert passed, f"{test} fails without a fault"
        found = pool.map(lambda fault: in_a_copy(partial(planted, fault=fault)), FAULTS)
        missed = sum(not told(fault, noticed) for fault, noticed in zip(FAULTS, found, strict=True))
    sys.stdout.write(f"{len(FAULTS) - missed} of {len(FAULTS)} were noticed\n")
    sys.exit(bool(missed))


def told(fault: Fault, noticed: bool) -> bool:
    """Say whether the fault was noticed; returns it."""
    said = "noticed by" if noticed else "MISSED BY"
    sys.stdout.write(f"{fault.what}: {said} {fault.test}\n")
    sys.stdout.flush()
    return noticed


if __name__ == "__main__":
    main()
