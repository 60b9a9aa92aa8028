"""Small pictures, and what the door makes of a single file."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from curate.images.decode import Decoder, FileStat, UnreadableImage


def png(number: int = 0, side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (number % 256, number // 256, 0)).save(stream, "PNG")
    return stream.getvalue()


def only(decoder: Decoder, path: Path) -> object:
    [(given, result)] = decoder.map([path])
    assert given == path
    return result


def unreadable(path: Path, reason: str) -> UnreadableImage:
    return UnreadableImage(reason, FileStat.of(path.lstat()))
