"""An empty inbox under a watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from curate.images.decode import Decoder
from curate.workspace import open_workspace

from .inbox import Inbox


@pytest.fixture
def inbox(tmp_path: Path, decoder: Decoder) -> Iterator[Inbox]:
    (tmp_path / "inbox").mkdir()
    with ExitStack() as stack:
        workspace = stack.enter_context(
            open_workspace(str(tmp_path / "store" / "catalog.db"), create=True)
        )
        yield Inbox(workspace, tmp_path / "inbox", decoder, stack)
