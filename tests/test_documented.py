"""Every command and every option stands in the README, and nothing there that is not so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from curate.catalog.query import FIELDS
from curate.cli.app import ORDER, app

README = (Path(__file__).parents[1] / "README.md").read_text()


def options(command: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(option, command) of every command below one."""
    for part, below in getattr(command, "commands", {}).items():
        yield from options(below, f"{name} {part}".strip())
    if name and not hasattr(command, "commands"):
        for option in command.params:
            if option.param_type_name == "option" and "--help" not in option.opts:
                yield max(option.opts, key=len), name


def test_every_option_is_told_of_with_its_commands() -> None:
    section = README.partition("## Every option\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(--[\w-]+)` \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    told = {(option, name) for option, names in rows for name in names.split(", ")}
    assert told == set(options(typer.main.get_command(app)))


def test_every_command_has_its_row() -> None:
    table = README.partition("| command | does |\n")[2].partition("\n\n")[0]
    told = set(re.findall(r"`curate ([\w-]+)", table))
    assert told == set(ORDER)


def test_every_field_of_queries_is_told_of() -> None:
    section = README.partition("Queries of `list`")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+):?`", section))
    assert named >= set(FIELDS)
