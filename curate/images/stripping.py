"""Pictures without what a camera or a person wrote about them, their pixels byte for byte the same.

What changes how a picture looks stays: colour profile, gamma, resolution, animation, orientation.
Everything else goes, GPS, comments, thumbnails and what follows the picture's end included.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator

from curate.images.containers import (
    MARKER,
    Refused,
    check_whole,
    colour_table,
    end_of_riff,
    kind_of,
)
from curate.images.orientation import UPRIGHT, exif_of, of_exif, of_xmp

Turn = tuple[int | None, int | None]
"""Orientation by EXIF and by XMP that a part of a file holds."""
_EOI, _SOS = 0xD9, 0xDA
_APP0, _APP1, _APP2, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_KEPT = {
    *(b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD"),
    *(b"pHYs", b"acTL", b"fcTL", b"fdAT", b"IHDR", b"PLTE", b"IDAT"),
}
_PNG_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")
_PNG_XMP = b"XML:com.adobe.xmp"
_LONGEST_TEXT = 1_000_000
_WEBP_KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_WEBP_EXIF_FLAG, _WEBP_XMP_FLAG = 0x08, 0x04
_GIF_KEPT = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")
_GRAPHIC_CONTROL, _APPLICATION = 0xF9, 0xFF


def strip(kind: str, data: bytes) -> bytes | None:
    """A picture's bytes without metadata; None where that cannot be done without re-encoding it.

    `kind` is JPEG, PNG, WEBP or GIF, the formats that are catalogued; any other is None, and so is
    a file that is not whole. An orientation that EXIF or XMP names is kept, as EXIF that says
    nothing else. GIF has no place for one, and what shows GIFs asks for none.
    """
    try:
        if kind not in _STRIPPERS:
            return None
        kind_of(data, (kind,))
        check_whole(kind, data)
        return _STRIPPERS[kind](data)
    except (Refused, struct.error, IndexError):
        return None


def _strip_jpeg(data: bytes) -> bytes:
    segments = list(_segments(data))
    kept = [
        _segment(kind, looks) + coded
        for kind, body, coded in segments
        if (looks := _kept_segment(kind, body)) is not None
    ]
    turned = _turn(_jpeg_turn(kind, body) for kind, body, _ in segments)
    if turned != UPRIGHT:  # after JFIF's own segment, which comes first
        exif = _segment(_APP1, b"Exif\0\0" + exif_of(turned))
        kept.insert(kept[0][1] == _APP0, exif)
    return b"\xff\xd8" + b"".join(kept) + b"\xff\xd9"


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Marker, content and what is entropy-coded after it, up to EOI (ITU-T T.81, B.2.1).

    In damaged data what looks like a marker need be none: from the first scan on, what follows any
    segment goes with it.
    """
    at, scanned = 2, False
    while True:
        marker = MARKER.search(data, at)
        if marker is None:
            raise Refused("no end")
        kind, at = data[marker.start() + 1], marker.end()
        if kind == _EOI:
            return
        end = at + int.from_bytes(data[at : at + 2], "big")
        body, coded = data[at + 2 : end], b""
        scanned = scanned or kind == _SOS
        if scanned and (following := MARKER.search(data, end)):
            coded = data[end : _before_fill(data, following.start())]
        yield kind, body, coded
        at = end


def _before_fill(data: bytes, at: int) -> int:
    """Where the fill bytes FF before a marker begin."""
    while data[at - 1] == 0xFF:
        at -= 1
    return at


def _segment(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, 2 + len(body)) + body


def _kept_segment(kind: int, body: bytes) -> bytes | None:
    """A segment's content as far as it changes how the picture looks; None where it does not."""
    if kind == _APP0:  # without the thumbnail
        return body[:12] + b"\0\0" if body.startswith(b"JFIF\0") else None
    if kind == _APP14:
        return body[:12] if body.startswith(b"Adobe") else None
    if kind == _APP2:
        return body if body.startswith(b"ICC_PROFILE\0") else None
    return None if _APP1 <= kind <= _APP15 or kind == _COM else body


def _jpeg_turn(kind: int, body: bytes) -> Turn:
    if kind == _APP1 and body.startswith(b"Exif\0\0"):
        return of_exif(body), None
    return None, of_xmp(body) if kind == _APP1 and body.startswith(_XMP_NAME) else None


def _turn(found: Iterable[Turn]) -> int:
    """The orientation that EXIF names first, else that of XMP, else upright."""
    turns = list(found)
    named = [turn for source in (0, 1) for pair in turns if (turn := pair[source]) is not None]
    return named[0] if named else UPRIGHT


def _strip_png(data: bytes) -> bytes:
    chunks = list(_png_chunks(data))
    turned = _turn(_png_turn(kind, body) for kind, body, _ in chunks)
    out, told = [data[:8]], turned == UPRIGHT
    for kind, _, whole in chunks:
        if kind == b"IDAT" and not told:
            out.append(_png_chunk(b"eXIf", exif_of(turned)))
            told = True
        if kind in _PNG_KEPT:
            out.append(whole)
    return b"".join([*out, _png_chunk(b"IEND", b"")])


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Name, content and the whole of each chunk, up to IEND (PNG, 5.3)."""
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        yield kind, data[at + 8 : end - 4], data[at:end]
        at = end


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_turn(kind: bytes, body: bytes) -> Turn:
    if kind == b"eXIf":
        return of_exif(body), None
    name, _, text = body.partition(b"\0")
    if kind == b"iTXt" and name == _PNG_XMP:
        return None, of_xmp(text)
    if kind in (b"tEXt", b"zTXt") and name in _PNG_EXIF:
        return _raw_profile(_inflated(text[1:]) if kind == b"zTXt" else text), None
    return None, None


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, _LONGEST_TEXT)
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> int | None:
    """The orientation in EXIF as ImageMagick writes it: a name, a length, and hex digits."""
    try:
        return of_exif(bytes.fromhex(text.split(b"\n", 3)[3].decode("ascii")))
    except (ValueError, IndexError):
        return None


def _strip_webp(data: bytes) -> bytes:
    chunks = list(_webp_chunks(data[: end_of_riff(data)]))
    flags = next((body[0] for name, body in chunks if name == b"VP8X"), 0)
    turned = _turn(_webp_turn(name, body, flags) for name, body in chunks)
    out = [
        (name, _with_flags(body, turned) if name == b"VP8X" else body)
        for name, body in chunks
        if name in _WEBP_KEPT
    ]
    if turned != UPRIGHT:
        out.append((b"EXIF", exif_of(turned)))
    packed = b"".join(
        name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for name, body in out
    )
    return struct.pack("<4sI4s", b"RIFF", 4 + len(packed), b"WEBP") + packed


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk (RFC 9649, 2.3)."""
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _webp_turn(name: bytes, body: bytes, flags: int) -> Turn:
    """What a picture's flags do not announce is not read by anyone."""
    if name == b"EXIF" and flags & _WEBP_EXIF_FLAG:
        return of_exif(body), None
    return None, of_xmp(body) if name == b"XMP " and flags & _WEBP_XMP_FLAG else None


def _with_flags(body: bytes, turned: int) -> bytes:
    kept = body[0] & ~(_WEBP_EXIF_FLAG | _WEBP_XMP_FLAG)
    return bytes([kept | (_WEBP_EXIF_FLAG if turned != UPRIGHT else 0)]) + body[1:]


def _strip_gif(data: bytes) -> bytes:
    """Extensions go, but for what times and shows a frame, loops and colour profiles."""
    at = 13 + colour_table(data[10:11])
    out = [data[:at]]
    while data[at] != 0x3B:
        start, kind = at, data[at + 1]
        at += 2 if data[at] == 0x21 else 11 + colour_table(data[at + 9 : at + 10])
        application, at = data[at + 1 : at + 12], _after_blocks(data, at)
        looks = kind == _GRAPHIC_CONTROL or (kind == _APPLICATION and application in _GIF_KEPT)
        if data[start] != 0x21 or looks:
            out.append(data[start:at])
    return b"".join([*out, b";"])


def _after_blocks(data: bytes, at: int) -> int:
    """Where the sub-blocks end that begin here (GIF89a, 15)."""
    while data[at]:
        at += 1 + data[at]
    return at + 1


_STRIPPERS: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": _strip_jpeg,
    "PNG": _strip_png,
    "WEBP": _strip_webp,
    "GIF": _strip_gif,
}
