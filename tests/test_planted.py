"""Every planted fault still has its place in the code, and a test that is there."""

from __future__ import annotations

import pytest

from .faults import Fault
from .planted import FAULTS, TOP


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_can_be_planted(fault: Fault) -> None:
    assert (TOP / fault.file).read_text().count(fault.old) == 1
    assert fault.new != fault.old
    path, _, name = fault.test.partition("::")
    tests = (TOP / path).read_text()
    assert not name or f"def {name.partition('[')[0]}(" in tests
