"""What `--help` shows on a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path

import pytest
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


def test_an_option_can_be_set_in_the_environment(tmp_path: Path) -> None:
    place = tmp_path / "pictures"
    done = CliRunner().invoke(app, ["demo", str(place)], env={"CURATE_DEMO_SEED": "x"})
    assert done.exit_code == 2
    assert "Invalid value for '--seed'" in done.stderr
    assert not place.exists()
