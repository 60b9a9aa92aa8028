"""How a camera was held, read from and written as the one entry of EXIF that must not be lost.

Read by hand, from bytes whose container has been walked: no library parses a stranger's EXIF here.
"""

from __future__ import annotations

import re
import struct

UPRIGHT = 1
_MAGIC, _TAG, _SHORT = 42, 0x0112, 3
_FORMS = {1: "B", _SHORT: "H", 4: "I"}
_MAX_ENTRIES = 1_000
_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([0-9])")
_ORDERS = {b"II": "<", b"MM": ">"}


def of_exif(exif: bytes) -> int | None:
    """The orientation in EXIF (CIPA DC-008, 4.6.5), 1 to 8; None where there is no such entry.

    Garbage in the entry means upright.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = _ORDERS.get(exif[:2])
    try:
        found = _entry(exif, order) if order else None
    except struct.error:
        return None
    return found if found in (None, *range(1, 9)) else UPRIGHT


def of_xmp(xmp: bytes) -> int | None:
    """The orientation in an XMP packet (tiff:Orientation); None where there is none."""
    found = _XMP.search(xmp)
    value = int(found[1]) if found else None
    return value if value in (None, *range(1, 9)) else UPRIGHT


def exif_of(orientation: int) -> bytes:
    """EXIF that holds this orientation alone, as the TIFF structure without a prefix: 26 bytes."""
    header = struct.pack(">2sHI", b"MM", _MAGIC, 8)
    return header + struct.pack(">HHHIHHI", 1, _TAG, _SHORT, 1, orientation, 0, 0)


def _entry(exif: bytes, order: str) -> int | None:
    """What the first directory's entry holds. Raises struct.error where it ends too early."""
    magic, at = struct.unpack_from(f"{order}HI", exif, 2)
    if magic != _MAGIC:
        return None
    (count,) = struct.unpack_from(f"{order}H", exif, at)
    for number in range(min(count, _MAX_ENTRIES)):
        entry = at + 2 + 12 * number
        tag, kind, values = struct.unpack_from(f"{order}HHI", exif, entry)
        if tag == _TAG and (form := _FORMS.get(kind)) and 0 < values <= 4 // struct.calcsize(form):
            return int(struct.unpack_from(order + form, exif, entry + 8)[0])
    return None
