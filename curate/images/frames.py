"""How the program and its decode workers speak: a JSON header, then raw bytes, both framed.

No pickle in either direction. A worker that was taken over can still send false facts, and as the
preview any bytes up to MAX_BODY, which are kept and later decoded outside of it.
"""

from __future__ import annotations

import json
import struct
from typing import IO

_LENGTHS = struct.Struct(">II")
MAX_HEADER = 1 << 20
MAX_BODY = 1 << 21
"""Noise of 1,024 x 256 pixels, the most that a preview can be, takes a third of it."""

Header = dict[str, object]


def send(stream: IO[bytes], header: Header, body: bytes = b"") -> None:
    """Write one frame: two lengths (uint32, big-endian), the header, the body."""
    text = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(text), len(body)) + text + body)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[Header, bytes]:
    """Read one frame. Raises EOFError where the stream ends, ValueError for what is no frame."""
    header_length, body_length = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    if header_length > MAX_HEADER or body_length > MAX_BODY:
        raise ValueError(f"a frame of {header_length} + {body_length} bytes")
    header = json.loads(_exactly(stream, header_length))
    if not isinstance(header, dict):
        raise ValueError("a frame's header is an object")
    return header, _exactly(stream, body_length)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data
