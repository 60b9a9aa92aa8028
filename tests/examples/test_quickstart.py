"""The quickstart whose output the README shows is the one that can be run."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands(file: str, mark: str) -> list[str]:
    """The commands of the program behind a mark at the beginning of a line, in their order."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return re.findall(rf"^{re.escape(mark)}(curate .*)$", text, re.MULTILINE)


def test_the_readme_shows_the_quickstart_step_by_step() -> None:
    shown = commands("README.md", "$ ")
    assert shown == commands("examples/quickstart.sh", "step ")
    assert len(shown) == 6
