"""What starts without torch: the package, its help, and every command that needs no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from curate.workspace import open_workspace

HEAVY = ("torch", "torchvision", "sqlalchemy", "PIL")


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_import_curate_is_light() -> None:
    assert modules_after("import curate").isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "module",
    [
        *("curate.cli", "curate.status", "curate.gate", "curate.export"),
        *("curate.tagging", "curate.ingest", "curate.reviews", "curate.review"),
        *("curate.watch", "curate.score"),
    ],
)
def test_rooms_without_a_network_import_no_torch(module: str) -> None:
    assert modules_after(f"import {module}").isdisjoint(("torch", "torchvision", "pyarrow"))


def modules_of(*arguments: str) -> tuple[set[str], str]:
    """What `curate` with `arguments` has imported when it ends well, and what it printed."""
    call = f"""
sys.argv = ['curate', *{arguments!r}]
import runpy
try:
    runpy.run_module('curate', run_name='__main__')
except SystemExit as end:
    assert not end.code
"""
    code = f"import sys\n{call}\nprint()\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split()), done.stdout


@pytest.mark.parametrize(
    "command",
    [
        *("", "train", "watch", "finetune", "status", "check", "export", "import-reviews"),
        *("evaluate", "review"),
    ],
)
def test_help_is_light(command: str) -> None:
    modules, printed = modules_of(*command.split(), "--help")
    assert modules.isdisjoint((*HEAVY, "pyarrow", "prometheus_client"))
    assert "Usage" in printed


@pytest.mark.parametrize("command", ["ingest", "watch --once --settle 0"])
def test_images_are_taken_in_without_torch_where_no_network_serves(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox").mkdir()
    Image.new("RGB", (80, 80), "red").save(tmp_path / "inbox" / "red.png")
    modules, _ = modules_of(*command.split(), "inbox")
    assert modules.isdisjoint(("torch", "torchvision"))
    with open_workspace(None, create=False) as workspace:
        assert len(list(workspace.catalog.contents())) == 1
