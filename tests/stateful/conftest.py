"""The project that every example begins with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.images.decode import Decoder

from .small import make_known, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, decoder: Decoder) -> Iterator[Path]:
    """A folder with a catalog, two networks of the smallest kind, and no image."""
    with pytest.MonkeyPatch.context() as patch:
        make_known(patch)
        folder = tmp_path_factory.mktemp("stateful")
        make_project(folder, decoder)
        yield folder
