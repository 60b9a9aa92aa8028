"""Fixtures of the tests of the one door for untrusted bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.config import DecodeConfig
from curate.images.decode import Decoder

from .files import png


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeConfig(workers=1)) as made:
        yield made


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "good.png").write_bytes(png())
    return tmp_path / "good.png"
