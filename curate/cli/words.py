"""Counts and paths as people read them."""

from __future__ import annotations

from pathlib import Path

from curate.console import safe


def counted(count: int, text: str) -> str:
    """So many of something; `{s}` in the text is the plural's, as in "file{s} left"."""
    return f"{count} {text.format(s='' if count == 1 else 's')}"


def images_are(count: int) -> str:
    """The beginning of a sentence about so many images."""
    return f"{counted(count, 'image{s}')} {'is' if count == 1 else 'are'}"


def near(path: object) -> str:
    """A path as seen from the working directory."""
    return safe(str(path).removeprefix(f"{Path.cwd()}/"))


def percent(share: float) -> str:
    """A share for people: one decimal, or as many as a small rate needs."""
    return f"{share:.1%}" if round(share, 3) == share else f"{100 * share:.3g}%"
