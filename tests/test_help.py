"""What `--help` shows on a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from curate.cli.app import ORDER, app

PAGES = [[], *([name] for name in ORDER), *(["models", name] for name in ("list", "show", "use"))]


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_every_page_fits_and_names_no_variable(page: list[str]) -> None:
    done = CliRunner().invoke(app, [*page, "--help"], env={"COLUMNS": "80"}, terminal_width=80)
    assert done.exit_code == 0
    assert "--help" in done.stdout
    assert "env var" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_the_variable_of_an_option_is_named_as_the_option(page: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = command.make_context("curate", [*page, "--help"], resilient_parsing=True)
    for name in page:
        command = command.get_command(context, name)
    for option in (found for found in command.params if found.param_type_name == "option"):
        longest = max(option.opts, key=len).removeprefix("--").replace("-", "_")
        named = [] if longest == "catalog" else page
        variable = option.envvar or "_".join(["CURATE", *page, option.name]).upper()
        assert variable == "_".join(["CURATE", *named, longest]).upper()


def test_defaults_that_are_no_values_are_told() -> None:
    texts = [
        CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
        for name in ("finetune", "undo")
    ]
    for told in ("the nearest .curate", "guarded 0.01, paper 0.1", "(2000)"):
        assert told in texts[0]
    assert "Whose last step. [default: (your login name)]" in " ".join(texts[1].split())


def test_an_option_can_be_set_in_the_environment(tmp_path: Path) -> None:
    place = tmp_path / "pictures"
    done = CliRunner().invoke(app, ["demo", str(place)], env={"CURATE_DEMO_SEED": "x"})
    assert done.exit_code == 2
    assert "Invalid value for '--seed'" in done.stderr
    assert not place.exists()


@pytest.mark.parametrize(
    "variable",
    [
        *("CURATE_VERSION", "CURATE_HELP", "CURATE_STATUS_HELP"),
        *("CURATE_INSTALL_COMPLETION", "CURATE_SHOW_COMPLETION"),
    ],
)
@pytest.mark.parametrize("value", ["1", "1.2"])
def test_an_option_that_ends_the_program_has_no_variable(
    variable: str, value: str, tmp_path: Path
) -> None:
    arguments = ["status", "--catalog", str(tmp_path / "none")]
    done = CliRunner().invoke(app, arguments, env={variable: value})
    assert (done.exit_code, done.stdout) == (4, "")
    assert "no catalog" in done.stderr
