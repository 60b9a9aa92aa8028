"""What starts without torch: the package, its help, and every command that needs no network."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
    ],
)
def test_rooms_without_a_network_import_no_torch(module: str) -> None:
    assert modules_after(f"import {module}").isdisjoint(("torch", "torchvision", "pyarrow"))


@pytest.mark.parametrize(
    "command",
    [
        *("", "train", "watch", "finetune", "status", "check", "export", "import-reviews"),
        *("evaluate", "review"),
    ],
)
def test_help_is_light(command: str) -> None:
    call = f"""
sys.argv = ['curate', *{command.split()!r}, '--help']
import runpy
try:
    runpy.run_module('curate', run_name='__main__')
except SystemExit as end:
    assert not end.code
"""
    code = f"import sys\n{call}\nprint()\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split("\n")[-2].split()).isdisjoint(
        (*HEAVY, "pyarrow", "prometheus_client")
    )
    assert "Usage" in done.stdout
