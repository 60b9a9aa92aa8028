"""Any name survives being stored, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.images.paths import decode, encode, root_path, root_uri


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        (b"a/b.jpg", "a/b.jpg"),
        (b"a b%#?.jpg", "a%20b%25%23%3F.jpg"),
        (b"\xff\xfe.png", "%FF%FE.png"),
        ("é.png".encode(), "%C3%A9.png"),
        (b"[red]\n\x1b=1+1", "%5Bred%5D%0A%1B%3D1%2B1"),
        (b"--help", "--help"),
    ],
)
def test_encode(raw: bytes, stored: str) -> None:
    assert encode(raw) == stored
    assert encode(PurePath(os.fsdecode(raw))) == stored
    assert os.fsencode(decode(stored)) == raw


@given(st.binary(min_size=1).filter(lambda raw: b"\0" not in raw))
def test_any_bytes_survive(raw: bytes) -> None:
    path = Path(os.fsdecode(raw))
    assert decode(encode(path)) == path
    assert encode(path).isascii()


def test_root_uri() -> None:
    root = Path("/data/new uploads") / os.fsdecode(b"\xff#?")
    assert root_uri(root) == "file:///data/new%20uploads/%FF%23%3F"
    assert root_path(root_uri(root)) == root
    assert root_path(root_uri(Path("here"))) == Path.cwd() / "here"
