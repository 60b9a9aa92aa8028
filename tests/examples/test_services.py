"""The examples for other machinery name only commands and options that there are."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from curate.cli.app import app

EXAMPLES = Path(__file__).parents[2] / "examples"


def parsed(command: str) -> dict[str, Any]:
    """The parameters that the program reads from a command line, which is not run."""
    program, name, *arguments = shlex.split(command)
    assert program.rpartition("/")[2] == "curate", command
    group: Any = typer.main.get_command(app)
    context = group.make_context("curate", [name, *arguments], resilient_parsing=True)
    found: dict[str, Any] = group.get_command(context, name).make_context(name, arguments).params
    return found


def test_the_workflow_runs_commands_that_there_are() -> None:
    workflow = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    scripts = [step["run"] for step in job["steps"] if "run" in step]
    commands = [line for script in scripts for line in script.splitlines()]
    read = [parsed(command) for command in commands]
    assert len(read) == 5
    assert read[1]["query"] == ["since:1d", "source:inbox"]
    assert (read[1]["max_ood_rate"], read[1]["confidence"]) == (0.1, 0.95)
    assert (read[1]["max_unreadable"], read[1]["max_pending"], read[1]["min_images"]) == (20, 0, 1)


UNIT = EXAMPLES / "systemd" / "curate-watch.service"


def test_the_unit_starts_a_watch() -> None:
    (command,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    read = parsed(command)
    assert read["inbox"] == Path("/srv/uploads/inbox")
    assert (read["log_format"], read["metrics"]) == ("json", 9464)
    assert not read["once"]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    unit, text = tmp_path / UNIT.name, UNIT.read_text(encoding="utf-8")
    text = text.replace("/opt/curate/bin/curate", f"{sys.executable} -m curate")
    unit.write_text(text.replace("User=curate", "User=root"), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
