"""Paths as text that any byte sequence survives: percent-encoded, relative to a source's root."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from urllib.parse import quote_from_bytes, unquote_to_bytes


def encode(relative: bytes | PurePath) -> str:
    """The stored form of a relative path: percent-encoded bytes (RFC 3986), "/" kept."""
    raw = relative if isinstance(relative, bytes) else os.fsencode(relative.as_posix())
    return quote_from_bytes(raw, safe="/")


def decode(text: str) -> Path:
    """The relative path that `encode` was given; bytes outside UTF-8 become surrogates."""
    return Path(os.fsdecode(unquote_to_bytes(text)))


def real(path: Path) -> Path:
    """`path` made absolute, without `..` and links: a folder has one such name.

    Unlike `Path.resolve`, it takes a loop of links for a name as any other.
    """
    return Path(os.path.realpath(path))


def root_uri(root: Path) -> str:
    """A source's real root as a percent-encoded `file:` URI (RFC 8089)."""
    return real(root).as_uri()


def root_path(uri: str) -> Path:
    """The real path of what `root_uri` was given."""
    path = os.fsdecode(unquote_to_bytes(uri.removeprefix("file://")))
    return Path(path.removeprefix("/") if os.name == "nt" else path)
