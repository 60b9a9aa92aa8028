"""The inbox through whatever may happen to it: nothing lost, nothing doubled, nothing wrong.

    pytest tests/stateful --inbox-examples 2000

is the long run, at random, which also shrinks what it finds. Without the option some examples are
played, the same each time.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from curate.images.decode import Decoder

from .invariants import Oracle
from .keeping import Keeping

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names and kills are Linux's")
EXAMPLES, STEPS = 40, 40


@pytest.mark.timeout(0)
def test_whatever_happens(
    project: Path, decoder: Decoder, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    wanted: int | None = pytestconfig.getoption("inbox_examples")
    numbers, oracle, tally = count(), Oracle(), Counter[str]()

    class Inbox(Keeping):
        """An inbox in a folder of its own, with a fresh copy of the project."""

        def __init__(self) -> None:
            base = tmp_path / str(next(numbers))
            shutil.copytree(project / ".curate", base / "project-0" / ".curate")
            super().__init__(base, decoder, oracle, tally)

    run_state_machine_as_test(
        Inbox,
        settings=settings(
            max_examples=wanted or EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not wanted,
            phases=[Phase.generate, Phase.shrink] if wanted else [Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
    told = (f"{tally[name]:,} {name}" for name in ("examples", "steps", "kills"))
    sys.stdout.write(f"{', '.join(told)}\n")
