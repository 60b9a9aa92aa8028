"""One server for all tests of a module, with a visitor, and desks on either database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate import console
from curate.review.desk import Desk
from curate.workspace import open_workspace

from .desks import HOSTILE, IMAGES
from .known import Known
from .made import add_images, add_network, project, served


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """Three images, which no test here may judge."""
    folder = tmp_path_factory.mktemp("door")
    hashes = project(folder, 3)
    with served(folder, "--reviewer", "anna") as running:
        made = Known(folder, running, hashes)
        yield made
        assert made.untouched()
        said = running.stop().splitlines()[2:]
        assert said == ["stopped; what was done is kept"], "no word of what strangers sent"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images 0 to 11, of which the first five are flagged."""
    folder = tmp_path_factory.mktemp("desk")
    project(folder, IMAGES, list(HOSTILE))
    return folder


@pytest.fixture
def desk(drawn: Path, tmp_path: Path) -> Iterator[Desk]:
    """Anna's, before a copy of the images."""
    shutil.copytree(drawn / ".curate", tmp_path / ".curate")
    with open_workspace(str(tmp_path / ".curate"), create=False) as workspace:
        yield Desk(workspace, "anna", console.safe)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    """The same on either database."""
    if request.param == "sqlite":
        yield request.getfixturevalue("desk")
        return
    monkeypatch.chdir(tmp_path)
    with open_workspace(request.getfixturevalue("database"), create=True) as workspace:
        add_network(workspace)
        add_images(workspace, tmp_path, range(IMAGES), list(HOSTILE))
        yield Desk(workspace, "anna", console.safe)
