"""The examples for other machinery name only commands and options that there are."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

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
