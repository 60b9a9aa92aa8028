"""Files made to break decoders: each ends as an image or a reason, soon, and the next is fine."""

from __future__ import annotations

import io
import pickle
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from curate.images.decode import DecodedImage, Decoder, UnreadableImage

SECONDS = 5.0
"""Far above what any of them takes, so that a busy machine fails nothing."""
PNG_START = b"\x89PNG\r\n\x1a\n"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def picture() -> Image.Image:
    return Image.effect_noise((48, 40), 60).convert("RGB")


PNG, JPEG, GIF = (encoded(picture(), kind) for kind in ("PNG", "JPEG", "GIF"))
WEBP = encoded(picture(), "WEBP", lossless=True)
PROGRESSIVE = encoded(picture(), "JPEG", progressive=True)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int,
    height: int,
    depth: int = 8,
    colour: int = 2,
    before: bytes = b"",
    rows: bytes = b"\0",
    after: bytes = b"",
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return PNG_START + header + before + data + after + chunk(b"IEND", b"")


def claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its frame header (SOF0)."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def gif_of_frames(count: int) -> bytes:
    start = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\xff\0\0\0\0\xff"
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return start + frame * count + b";"


def animated_png(count: int) -> bytes:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 10, 0, 0))
    return png(
        1,
        1,
        before=chunk(b"acTL", struct.pack(">II", count, 0)),
        rows=b"\0\1\2\3",
        after=control * count,
    )


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../../outside.png", PNG)
    return stream.getvalue()


ONE_BIT = zlib.compress(b"\0" * (6251 * 50_000), 9)
TEXT_BOMB = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"A" * 200_000_000, 9))
PROFILE_BOMB = chunk(b"iCCP", b"k\0\0" + zlib.compress(b"A" * 200_000_000, 9))
RGB_ROW = b"\0\1\2\3"
CUT = "cut short or damaged: the {} file has no valid end"
FORMATS = "not JPEG, PNG, WEBP or GIF"

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "an empty file"),
    "one byte": (b"\xff", FORMATS),
    "zeros": (bytes(1 << 20), FORMATS),
    "login page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
    "svg with script": (b"<svg xmlns='...'><script>alert(1)</script></svg>", "SVG"),
    "PNG signature only": (PNG_START, CUT.format("PNG")),
    "JPEG signature only": (b"\xff\xd8\xff", CUT.format("JPEG")),
    "GIF signature only": (b"GIF89a", CUT.format("GIF")),
    "WebP signature only": (b"RIFF\x10\0\0\0WEBP", CUT.format("WEBP")),
    "half a PNG": (PNG[: len(PNG) // 2], CUT.format("PNG")),
    "half a JPEG": (JPEG[: len(JPEG) // 2], CUT.format("JPEG")),
    "half a GIF": (GIF[: len(GIF) // 2], CUT.format("GIF")),
    "half a WebP": (WEBP[: len(WEBP) // 2], CUT.format("WEBP")),
    "PNG, the rest zeros": (PNG[:900] + bytes(len(PNG) - 900), CUT.format("PNG")),
    "JPEG, the rest zeros": (JPEG[:900] + bytes(len(JPEG) - 900), CUT.format("JPEG")),
    "WebP, the rest zeros": (WEBP[:900] + bytes(len(WEBP) - 900), CUT.format("WEBP")),
    "JPEG without a scan": (b"\xff\xd8\xff\xe0\0\2\xff\xd9", CUT.format("JPEG")),
    "flipped byte inside IDAT": (
        PNG[:200] + bytes([PNG[200] ^ 4]) + PNG[201:],
        CUT.format("PNG"),
    ),
    "JPEG with the end mark in its metadata only": (
        encoded(picture(), "JPEG", comment=b"\xff\xd9" * 20)[:300],
        CUT.format("JPEG"),
    ),
    "PNG 50000 x 50000, 1 bit": (
        PNG_START
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0))
        + chunk(b"IDAT", ONE_BIT)
        + chunk(b"IEND", b""),
        "50,000,000 pixels",
    ),
    "PNG 13377 x 13377 RGB": (png(13_377, 13_377), "50,000,000 pixels"),
    "PNG 9459 x 9459 RGBA": (png(9_459, 9_459, colour=6), "50,000,000 pixels"),
    "PNG with the largest sides": (png(0x7FFFFFFF, 0x7FFFFFFF), "pixels"),
    "PNG 80,000,000 x 1": (png(80_000_000, 1), "pixels"),
    "PNG 20,001 x 1": (png(20_001, 1), "20001 x 1 pixels; at most 20,000 a side"),
    "PNG 0 x 10": (png(0, 10), ""),
    "text bomb before IDAT": (png(1, 1, before=TEXT_BOMB, rows=RGB_ROW), "too large"),
    "profile bomb before IDAT": (png(1, 1, before=PROFILE_BOMB, rows=RGB_ROW), "too large"),
    "100,000 text chunks": (
        png(1, 1, before=chunk(b"tEXt", b"k\0v") * 100_000, rows=RGB_ROW),
        "more than 50,000 chunks",
    ),
    "APNG of 50,000 frames": (animated_png(50_000), "more than 50,000 chunks"),
    "GIF canvas of 65535 x 65535": (
        b"GIF89a"
        + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
        + b"\x02\x02\x44\x01\0;",
        "50,000,000 pixels",
    ),
    "GIF of a million sub-blocks": (GIF[:-2] + b"\1\0" * 1_000_000, "500,000 blocks"),
    "JPEG that claims 65535 x 65535": (claiming(JPEG, 65_535, 65_535), "50,000,000 pixels"),
    "TIFF whose directory is itself": (b"II*\0\x08\0\0\0" + b"\0\0\x08\0\0\0", "TIFF"),
    "PPM named png": (b"P6 1 1 255 \0\0\0", FORMATS),
    "EPS named png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
    "FITS named png": (b"SIMPLE  =                    T".ljust(2880), FORMATS),
    "ICO named png": (encoded(picture(), "ICO"), FORMATS),
    "BMP": (encoded(picture(), "BMP"), "BMP"),
    "AVIF": (b"\0\0\0\x1cftypavif" + bytes(40), "AVIF"),
    "HEIC": (b"\0\0\0\x1cftypheic" + bytes(40), "HEIC"),
    "JPEG XL": (b"\xff\x0a" + bytes(40), "JPEG XL"),
    "JPEG XL container": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
    "pickle": (pickle.dumps([print, "hello"]), FORMATS),
    "ZIP with ../": (zipped(), "ZIP"),
    "PNG that is all header": (PNG_START + chunk(b"IEND", b""), ""),
    "JPEG of segments only": (b"\xff\xd8" + b"\xff\xe0\0\2" * 60_000, "50,000 segments"),
    "WebP of zeros": (b"RIFF" + struct.pack("<I", 1_000) + b"WEBPVP8 " + bytes(988), ""),
}

DECODED: dict[str, tuple[bytes, tuple[int, int]]] = {
    "whole PNG": (PNG, (48, 40)),
    "whole JPEG": (JPEG, (48, 40)),
    "whole GIF": (GIF, (48, 40)),
    "whole WebP": (WEBP, (48, 40)),
    "plain white WebP": (
        encoded(Image.new("RGB", (300, 300), "white"), "WEBP", quality=100, method=0),
        (300, 300),
    ),
    "progressive": (PROGRESSIVE, (48, 40)),
    "IDAT longer than the header says": (png(1, 1, rows=RGB_ROW * 5_000), (1, 1)),
    "text bomb after IDAT, unread": (
        png(1, 1, rows=RGB_ROW, after=chunk(b"tEXt", b"k\0=1+1<b>")),
        (1, 1),
    ),
    "GIF of 100,000 frames": (gif_of_frames(100_000), (1, 1)),
    "APNG of few frames": (animated_png(3), (1, 1)),
    "GIF that is also a ZIP": (GIF + zipped(), (48, 40)),
    "GIF that is also JavaScript": (
        GIF[:-1] + b"!\xfe\x08*/=1;//\n\0;" + b"\nalert(1)",
        (48, 40),
    ),
    "JPEG with a camera's trailer": (JPEG + b"SEFT" * 100, (48, 40)),
    "JPEG padded with zeros": (JPEG + bytes(5_000), (48, 40)),
    "damaged multi-picture index": (
        JPEG[:2] + b"\xff\xe2\0\x0eMPF\0garbage!" + JPEG[2:],
        (48, 40),
    ),
    "EXIF with formulas": (
        encoded(picture(), "JPEG", comment=b"=1+1<script>", exif=b"Exif\0\0garbage"),
        (48, 40),
    ),
}


def looked_at(decoder: Decoder, folder: Path, name: str, data: bytes) -> object:
    """What comes of the file, after checking that it took no time, no worker, and no neighbour."""
    path, good = folder / name, folder / "good.png"
    path.write_bytes(data)
    good.write_bytes(PNG)
    list(decoder.map([good]))
    before, began = decoder.pids, time.monotonic()
    [(_, result), (_, neighbour)] = decoder.map([path, good])
    assert time.monotonic() - began < SECONDS
    assert decoder.pids == before
    assert isinstance(neighbour, DecodedImage)
    return result


@pytest.mark.parametrize("name", REFUSED)
def test_refused(decoder: Decoder, tmp_path: Path, name: str) -> None:
    data, reason = REFUSED[name]
    result = looked_at(decoder, tmp_path, "upload.png", data)
    assert isinstance(result, UnreadableImage)
    assert reason in result.reason
    assert 0 < len(result.reason) <= 220
    assert result.reason.isprintable()
    assert result.stat is not None
    assert result.stat.size == len(data)


@pytest.mark.parametrize("name", DECODED)
def test_decoded(decoder: Decoder, tmp_path: Path, name: str) -> None:
    data, size = DECODED[name]
    result = looked_at(decoder, tmp_path, "upload.jpg", data)
    assert isinstance(result, DecodedImage), result
    assert (result.width, result.height) == size


@pytest.mark.parametrize("whole", [PNG, JPEG, GIF, WEBP, PROGRESSIVE])
def test_each_of_the_last_64_bytes_counts(decoder: Decoder, tmp_path: Path, whole: bytes) -> None:
    paths = [tmp_path / f"{missing}.png" for missing in range(1, 65)]
    for missing, path in enumerate(paths, 1):
        path.write_bytes(whole[:-missing])
    assert all(isinstance(result, UnreadableImage) for _, result in decoder.map(paths))


@pytest.mark.parametrize("whole", [PNG, JPEG, GIF, WEBP])
def test_flipped_bytes_crash_nothing(decoder: Decoder, tmp_path: Path, whole: bytes) -> None:
    paths = [tmp_path / f"{at}.png" for at in range(0, len(whole), max(1, len(whole) // 60))]
    for step, path in enumerate(paths):
        at = int(path.stem)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << step % 8)]) + whole[at + 1 :])
    list(decoder.map(paths[:1]))
    before = decoder.pids
    for _, result in decoder.map(paths):
        assert isinstance(result, DecodedImage | UnreadableImage)
    assert decoder.pids == before
