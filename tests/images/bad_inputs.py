"""Files made to break decoders, by what is wrong with them.

`REFUSED` says what the reason must hold, `DECODED` how large the picture is in pixels.
"""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
import zlib

from PIL import Image

PNG_START = b"\x89PNG\r\n\x1a\n"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def picture() -> Image.Image:
    return Image.frombytes("RGB", (48, 40), random.Random(0).randbytes(48 * 40 * 3))


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


def animated_webp() -> bytes:
    others = [Image.new("RGB", (48, 40), (red, 0, 0)) for red in range(0, 250, 50)]
    return encoded(picture(), "WEBP", save_all=True, append_images=others, lossless=True)


def of_scans(count: int) -> bytes:
    """A progressive JPEG of 25 megapixels whose last scan is there again and again."""
    jpeg = encoded(Image.new("L", (5_000, 5_000)), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * count + jpeg[-2:]


def ycck(colour: tuple[int, int, int, int]) -> bytes:
    """A JPEG of luma, two chromas and black, as Adobe marks them (APP14, transform 2)."""
    jpeg = encoded(Image.new("CMYK", (8, 8), colour), "JPEG", quality=100)
    at = jpeg.index(b"Adobe") + 11
    return jpeg[:at] + b"\2" + jpeg[at + 1 :]


def described() -> bytes:
    exif = Image.Exif()
    exif[0x010E], exif[0x8298] = "=cmd|'/c calc'!A1", "<script>alert(1)</script>"
    return encoded(picture(), "JPEG", comment=b"=1+1<script>", exif=exif)


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("../../outside.png"), PNG)
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
    "text bomb after IDAT": (png(1, 1, rows=RGB_ROW, after=TEXT_BOMB), "too large"),
    "profile bomb after IDAT": (png(1, 1, rows=RGB_ROW, after=PROFILE_BOMB), "too large"),
    "JPEG of 2,000 scans": (of_scans(2_000), "more than 50 scans"),
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
    "JPEG of 46 scans": (of_scans(40), (5_000, 5_000)),
    "IDAT longer than the header says": (png(1, 1, rows=RGB_ROW * 5_000), (1, 1)),
    "IDAT of 200 MB for one pixel": (png(1, 1, rows=RGB_ROW + bytes(200_000_000)), (1, 1)),
    "formulas in text after IDAT": (
        png(1, 1, rows=RGB_ROW, after=chunk(b"tEXt", b"k\0=1+1<script>")),
        (1, 1),
    ),
    "animated WebP": (animated_webp(), (48, 40)),
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
    "EXIF of garbage": (encoded(picture(), "JPEG", exif=b"Exif\0\0garbage"), (48, 40)),
    "EXIF and comment with formulas and markup": (described(), (48, 40)),
    "profile of garbage": (encoded(picture(), "PNG", icc_profile=b"<script>"), (48, 40)),
    "CMYK": (encoded(picture().convert("CMYK"), "JPEG"), (48, 40)),
    "YCCK": (ycck((0, 0, 0, 0)), (8, 8)),
    "grey with alpha": (encoded(picture().convert("LA"), "PNG"), (48, 40)),
    "palette with transparency": (
        encoded(picture().convert("P"), "PNG", transparency=0),
        (48, 40),
    ),
    "1 bit": (encoded(picture().convert("1"), "PNG"), (48, 40)),
    "16 bits": (encoded(Image.new("I;16", (48, 40), 40_000), "PNG"), (48, 40)),
}
