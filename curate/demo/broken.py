"""Files that an inbox really receives and nobody can decode; harmless, and refused by `decode`."""

from __future__ import annotations

import struct
import zlib

_LOGIN = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><form action="/login"><input name="user"><input name="password"></form></body></html>
"""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side: int = 50_000) -> bytes:
    """A PNG of under 100 bytes whose header claims `side` x `side` pixels (PNG, 11.2.1 IHDR)."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"\0"))
        + _chunk(b"IEND", b"")
    )


def broken_files(jpeg: bytes, png: bytes) -> dict[str, bytes]:
    """Unreadable files by name; `jpeg` and `png` are whole ones, to be cut short."""
    return {
        "cut-short.jpg": jpeg[: len(jpeg) // 2],
        "cut-short.png": png[: len(png) * 2 // 3],
        "sign-in-page.jpg": _LOGIN,
        "empty.png": b"",
        "notes.txt": b"Tuesday: ask for better photographs.\n",
        "bomb.png": png_bomb(),
    }
