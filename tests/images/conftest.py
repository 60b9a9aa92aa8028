"""Fixtures of the tests of the one door for untrusted bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from .files import png


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "good.png").write_bytes(png())
    return tmp_path / "good.png"
