"""Good pictures of every format, and ways to spoil them that still reach a decoder's depths."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import chain

from PIL import Image, ImageCms, features
from PIL.PngImagePlugin import PngInfo

from curate.images.containers import Refused, kind_of

from .images.bad_inputs import DECODED, PNG_START, encoded

LARGEST_SEED = 50_000
_VALUES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
Mutation = Callable[[bytearray, random.Random], None]
"""Spoils in place, and leaves at least a byte."""


def _noise(mode: str, side: int = 40) -> Image.Image:
    count = side * (side + 3)
    band = Image.frombytes("L", (side + 3, side), random.Random(side).randbytes(count))
    return Image.merge("RGB", (band, band.rotate(180), band)).convert(mode)


def seeds(formats: Sequence[str]) -> list[bytes]:
    """Pictures of these formats to spoil: small ones that the tests decode, and more kinds."""
    rgb, exif, text = _noise("RGB"), Image.Exif(), PngInfo()
    exif[0x0112], exif[0x010E] = 6, "a description"
    text.add_itxt("Comment", "text", zip=True)
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # when it was made: the same seed gives the same inputs
    known = {"exif": exif, "icc_profile": bytes(profile)}
    frames = {"save_all": True, "append_images": [_noise("RGB", 40).rotate(90), rgb]}
    made = [data for data, _ in DECODED.values()]
    made += [encoded(_noise(mode), "PNG", pnginfo=text, **known) for mode in ("RGBA", "P", "L")]
    made += [encoded(rgb, "PNG", **frames), encoded(rgb, "GIF", **frames)]
    made += [encoded(_noise(mode), "JPEG", **known) for mode in ("RGB", "L", "CMYK")]
    made += [encoded(rgb, "JPEG", subsampling=2, restart_marker_blocks=2, progressive=True)]
    made += [encoded(_noise("RGBA"), "WEBP", lossless=lossless, **known) for lossless in (0, 1)]
    made += [encoded(rgb, "WEBP", **frames), encoded(_noise("RGBA"), "WEBP", **frames)]
    made += [encoded(_noise("P"), "GIF", transparency=3, interlace=1)]
    packed = ("raw", "packbits", "tiff_lzw", "tiff_deflate", "jpeg")
    made += [encoded(rgb, "TIFF", compression=how) for how in packed]
    made += [encoded(_noise(mode), "BMP") for mode in ("RGB", "P", "1", "RGBA")]
    if features.check("avif"):
        made += [encoded(_noise(mode), "AVIF") for mode in ("RGB", "RGBA")]
    return [data for data in made if is_seed(data, formats)]


def is_seed(data: bytes, formats: Sequence[str]) -> bool:
    """Whether it is worth spoiling: of a format that is read, and small, so that it is quick."""
    try:
        return bool(kind_of(data, formats)) and len(data) <= LARGEST_SEED
    except Refused:
        return False


def _span(data: bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.choice((1, 4, 16, 64, 256)))


def _flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 32))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_number(data: bytearray, rng: random.Random) -> None:
    """Write a number that programs stumble over, mostly near the head."""
    size, order = rng.choice("HI"), rng.choice("<>")
    number = struct.pack(order + size, rng.choice(_VALUES) & (0xFFFF if size == "H" else -1))
    at = rng.randrange(min(len(data), rng.choice((64, 256, len(data)))))
    data[at : at + len(number)] = number


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(1, len(data) + 1) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    start, end = _span(data, rng)
    if end - start < len(data):
        del data[start:end]


def _double(data: bytearray, rng: random.Random) -> None:
    start, end = _span(data, rng)
    at = rng.randrange(len(data))
    data[at:at] = data[start:end] * rng.choice((1, 1, 2, 50))


def _fill(data: bytearray, rng: random.Random) -> None:
    start, end = _span(data, rng)
    data[start:end] = bytes([rng.choice((0, 0xFF, rng.randrange(256)))]) * (end - start)


_MUTATIONS: tuple[Mutation, ...] = (_flip_bits, _set_number, _cut, _remove, _double, _fill)


def mutated(pictures: list[bytes], rng: random.Random) -> bytes:
    """One picture spoiled, once to four times; nine in ten get checksums and lengths that fit."""
    data = bytearray(rng.choice(pictures))
    if rng.random() < 0.1:
        other = rng.choice(pictures)  # spliced, of whatever format
        data = data[: rng.randrange(1, len(data) + 1)] + other[rng.randrange(len(other)) :]
    if rng.random() < 0.4 and data.startswith(PNG_START):
        spoil = rng.choice((_with_chunks_moved, _with_rows_spoiled))
        data = bytearray(spoil(bytes(data), rng))
        if rng.random() < 0.5:
            return bytes(data)
    for mutate in rng.choices(_MUTATIONS, weights=(4, 4, 1, 1, 1, 1), k=rng.choice((1, 1, 2, 4))):
        mutate(data, rng)
    return _fitting(bytes(data)) if rng.random() < 0.9 else bytes(data)


def _fitting(data: bytes) -> bytes:
    """With the checksums of a PNG, the length of a RIFF, and an end of each, as they must be.

    Otherwise nearly all would be refused before a decoder has seen them.
    """
    if data.startswith(PNG_START):
        return PNG_START + b"".join(chain(_chunks(data), [_chunk(b"IEND", b"")]))
    if data.startswith(b"\xff\xd8"):
        return data + b"\xff\xd9"
    if data.startswith(b"RIFF"):
        return data[:4] + struct.pack("<I", max(0, len(data) - 8)) + data[8:]
    return data + b";" if data.startswith(b"GIF8") else data


def _chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def _chunks(data: bytes) -> list[bytes]:
    """A PNG's chunks but the last, checksums mended; a length too large takes what is left."""
    at, found = 8, []
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : min(at + 8 + length, len(data) - 4)]
        if kind != b"IEND":
            found.append(_chunk(kind, content))
        at += 12 + length
    return found


def _with_chunks_moved(data: bytes, rng: random.Random) -> bytes:
    """One chunk there again, gone, or in another place."""
    chunks = _chunks(data)
    if not chunks:
        return data
    chosen = rng.randrange(len(chunks))
    taken = chunks[chosen] if rng.random() < 0.5 else chunks.pop(chosen)
    if rng.random() < 0.8:
        chunks.insert(rng.randrange(len(chunks) + 1), taken)
    return PNG_START + b"".join(chunks) + _chunk(b"IEND", b"")


def _with_rows_spoiled(data: bytes, rng: random.Random) -> bytes:
    """Other filters and pixels, packed anew: one bit wrong in the packed stops the unpacking."""
    chunks = _chunks(data)
    packed = b"".join(chunk[8:-4] for chunk in chunks if chunk[4:8] == b"IDAT")
    try:
        rows = bytearray(zlib.decompressobj().decompress(packed, 1_000_000))
    except zlib.error:
        return data
    for mutate in rng.choices(_MUTATIONS, k=2) if rows else ():
        mutate(rows, rng)
    head = [chunk for chunk in chunks if chunk[4:8] != b"IDAT"]
    body = _chunk(b"IDAT", zlib.compress(bytes(rows)))
    return PNG_START + b"".join(head) + body + _chunk(b"IEND", b"")
