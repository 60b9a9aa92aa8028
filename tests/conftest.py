"""What many tests need: a small network, a decoder and a PostgreSQL, each made once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from curate.config import DecodeConfig
from curate.images.decode import Decoder
from curate.workspace import Workspace, open_workspace

from .postgresql import empty_database, running_server
from .program import SHAPES, draw, run


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of long runs: of what has a long form, and of `tests/stateful`."""
    parser.addoption("--long", action="store_true", help="all of what stands for more")
    parser.addoption("--inbox-examples", type=int, help="play so many examples, at random")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that may take longer than others begin first, so that no core waits for one alone."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(autouse=True)
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that a test computes itself are the same on every CPU."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `labeled/` (three classes, 40 pictures each) and a catalog trained on it."""
    folder = tmp_path_factory.mktemp("trained")
    for shape in SHAPES:
        draw(folder / "labeled" / shape, shape, range(40))
    run(folder, "train", "labeled", "--epochs", 24, "--image-size", 16)
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    folder = tmp_path / "project"
    shutil.copytree(trained_once, folder)
    return folder


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    """One worker for whatever is to be decoded."""
    with Decoder(DecodeConfig(workers=1)) as made:
        yield made


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty catalog in `store/`."""
    with open_workspace(str(tmp_path / "store"), create=True) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The socket folder of a running PostgreSQL; without one on the machine the tests fail."""
    with running_server() as socket:
        yield socket


@pytest.fixture
def database(postgresql: str) -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    with empty_database(postgresql) as address:
        yield address
