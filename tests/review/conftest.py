"""One server for all tests of a module, and a person who has opened its page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .known import Known
from .made import project, served


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """Three images, which no test here may judge."""
    folder = tmp_path_factory.mktemp("door")
    hashes = project(folder, 3)
    with served(folder, "--reviewer", "anna") as running:
        made = Known(folder, running, hashes)
        yield made
        assert made.untouched()
