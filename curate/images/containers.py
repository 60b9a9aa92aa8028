"""What kind of file some bytes are, and whether they are whole: no decoder is asked yet.

Decoders load a PNG without its last bytes and call it whole; so each container is walked to its
own end mark. What follows that mark (camera trailers, a second picture, an archive) is ignored.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence

MAX_PARTS = 50_000
"""Chunks or segments of a file; a whole 50 MB picture of 8 KiB chunks has 6,400."""
MAX_GIF_BLOCKS = 500_000
MAX_SCANS = 50
"""Of a JPEG; libjpeg's progressive script makes 10. A scan of 75 bytes keeps a decoder busy with 50
megapixels for 0.03 s, so without a limit a file of 100 kB holds it for a minute."""

_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "GIF": rb"GIF8[79]a",
    "AVIF": rb"....ftypavi[fs]",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "BMP": rb"BM",
    "HEIC": rb"....ftyp(?:hei|hev|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "PDF": rb"%PDF",
    "EPS": rb"%!PS",
    "ZIP": rb"PK\x03\x04",
    "SVG, HTML or XML": rb"\s*<(?:svg|\?xml|!|html)",
}
_KINDS = {kind: re.compile(pattern, re.DOTALL) for kind, pattern in _SIGNATURES.items()}
MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""Of a JPEG. In entropy-coded data FF is followed by 00 or a restart, FF FF is a marker's fill
(ITU-T T.81, B.1.1)."""


class Refused(Exception):
    """The bytes are not made into a picture; `str()` says why."""


def kind_of(data: bytes, formats: Sequence[str]) -> str:
    """Which of `formats` the content is, whatever its name says. Raises Refused for others."""
    found = next((kind for kind, known in _KINDS.items() if known.match(data)), None)
    if found in formats:
        return str(found)
    allowed = f"{', '.join(formats[:-1])} or {formats[-1]}"
    raise Refused(f"not {allowed} but {found}" if found else f"not {allowed}")


def check_whole(kind: str, data: bytes) -> None:
    """Raise Refused unless the container of `kind` reaches its end mark."""
    checks = {"JPEG": _jpeg_whole, "PNG": _png_whole, "WEBP": _webp_whole, "GIF": _gif_whole}
    if kind in checks and not checks[kind](data):
        raise Refused(f"cut short or damaged: the {kind} file has no valid end")


def _too_many(what: str, limit: int) -> Refused:
    return Refused(f"more than {limit:,} {what}")


def _png_whole(data: bytes) -> bool:
    """Chunks follow each other up to IEND; critical ones match their CRC (PNG, 5.3)."""
    at, view = 8, memoryview(data)
    for _ in range(MAX_PARTS):
        if at + 12 > len(data):
            return False
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            return False
        critical = kind[:1].isupper()
        if critical and zlib.crc32(view[at + 4 : end - 4]) != _uint32(data, end - 4):
            return False
        if kind == b"IEND":
            return True
        at = end
    raise _too_many("chunks", MAX_PARTS)


def _uint32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _jpeg_whole(data: bytes) -> bool:
    """Segments lead to a scan, and the scans to EOI (ITU-T T.81, B.2.1)."""
    at, scans = 2, 0
    for _ in range(MAX_PARTS):
        marker = MARKER.search(data, at)
        if marker is None:
            return False
        kind, at = data[marker.start() + 1], marker.end()
        if kind == 0xD9:
            return scans > 0
        scans += kind == 0xDA
        if scans > MAX_SCANS:
            raise _too_many("scans", MAX_SCANS)
        at += int.from_bytes(data[at : at + 2], "big")
    raise _too_many("segments", MAX_PARTS)


def _webp_whole(data: bytes) -> bool:
    """The RIFF length lies inside the file (RFC 9649, 2.4), and most of it was written.

    Zeros decode as if they were pixels. A plain white picture ends in 25 % zeros, none in 50 %.
    """
    end = end_of_riff(data)
    return len(data) >= end and 2 * len(data[:end].rstrip(b"\0")) >= end


def end_of_riff(data: bytes) -> int:
    """Where a RIFF file (WebP) says that it ends, in bytes; 0 for any other."""
    return 8 + int.from_bytes(data[4:8], "little") if data.startswith(b"RIFF") else 0


def _gif_whole(data: bytes) -> bool:
    """Blocks follow each other up to the trailer 3B (GIF89a, 27)."""
    at, inside = 13 + colour_table(data[10:11]), False
    for _ in range(MAX_GIF_BLOCKS):
        byte = data[at : at + 1]
        if inside:  # sub-blocks, each after its length; one of length 0 ends them
            at += 1 + sum(byte)
            inside = sum(byte) > 0
        elif byte == b",":
            at, inside = at + 11 + colour_table(data[at + 9 : at + 10]), True
        elif byte == b"!":
            at, inside = at + 2, True
        else:
            return byte == b";"
    raise _too_many("blocks", MAX_GIF_BLOCKS)


def colour_table(flags: bytes) -> int:
    """Bytes of the colour table that a packed field announces."""
    packed = flags[0] if flags else 0
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0
