"""Pictures rid of what was written about them: the same pixels, turned the same way."""

from __future__ import annotations

import io
import re
import struct
import zlib
from random import Random
from typing import Any

import pytest
from PIL import Image, ImageOps

from curate.images.orientation import exif_of, of_exif, of_xmp
from curate.images.stripping import strip

from ..mutations import mutated, seeds

SECRET = b"51 N 0 W by somebody"
FORMATS = ("JPEG", "PNG", "WEBP")


def noise(size: tuple[int, int] = (24, 16)) -> Image.Image:
    image = Image.new("RGB", size)
    image.putdata([(x * 7 % 256, x * 13 % 256, x * 29 % 256) for x in range(size[0] * size[1])])
    return image


def saved(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    noise().save(out, kind, **options)
    return out.getvalue()


def told(turn: int | None) -> bytes:
    """EXIF with a secret, a GPS latitude and an orientation."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[1] = "N"
    if turn:
        exif[0x0112] = turn
    return exif.tobytes()


def upright(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image).convert("RGB").tobytes()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("turn", [None, 1, 3, 6, 8])
def test_exif_goes_but_for_the_orientation(kind: str, turn: int | None) -> None:
    data = saved(kind, exif=told(turn))
    assert SECRET in data
    made = strip(kind, data)
    assert made is not None
    assert SECRET not in made
    assert upright(made) == upright(data)
    with Image.open(io.BytesIO(made)) as image:
        assert dict(image.getexif()) == ({0x0112: turn} if turn and turn > 1 else {})
    assert strip(kind, made) == made


@pytest.mark.parametrize("kind", FORMATS)
def test_colour_profiles_stay(kind: str) -> None:
    profile = b"\0\0\2\x0cprofile" * 40
    made = strip(kind, saved(kind, icc_profile=profile))
    assert made is not None
    with Image.open(io.BytesIO(made)) as image:
        assert image.info["icc_profile"] == profile


@pytest.mark.parametrize("kind", FORMATS)
def test_an_orientation_that_xmp_alone_names_is_kept(kind: str) -> None:
    packet = b'<x:xmpmeta><rdf tiff:Orientation="6"/>' + SECRET + b"</x:xmpmeta>"
    if kind == "PNG":
        data = _with_chunk(saved(kind), b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)
    else:
        data = saved(kind, xmp=packet)
    made = strip(kind, data)
    assert made is not None
    assert SECRET not in made
    with Image.open(io.BytesIO(made)) as image:
        assert image.getexif()[0x0112] == 6
        assert image.size == (24, 16)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    return png[:33] + _chunk(name, body) + png[33:]


def test_a_jpeg_loses_comments_trailers_and_all_other_application_segments() -> None:
    plain = saved("JPEG", quality=90, progressive=True)
    segments = b"".join(
        struct.pack(">BBH", 0xFF, kind, 2 + len(SECRET)) + SECRET
        for kind in (*range(0xE1, 0xF0), 0xFE)
    )
    made = strip("JPEG", plain[:2] + segments + plain[2:] + SECRET)
    assert made == plain


def test_the_pixels_of_a_jpeg_without_jfif_come_after_the_orientation() -> None:
    data = saved("JPEG", exif=told(6))
    bare = data[:2] + data[20:] if data[2:4] == b"\xff\xe0" else data
    made = strip("JPEG", bare)
    assert made is not None
    assert made[2:12] == b"\xff\xe1\x00\x22Exif\0\0"
    assert upright(made) == upright(data)


def test_a_png_keeps_what_changes_its_look() -> None:
    data = saved("PNG", dpi=(300, 300))
    told_of = _with_chunk(_with_chunk(data, b"tEXt", SECRET), b"gAMA", struct.pack(">I", 45455))
    made = strip("PNG", told_of + SECRET)
    assert made == _with_chunk(data, b"gAMA", struct.pack(">I", 45455))


def test_a_png_keeps_nothing_critical_that_no_one_knows() -> None:
    data = saved("PNG")
    ended = data[:-12] + _chunk(b"IEND", SECRET)
    assert strip("PNG", _with_chunk(ended, b"GPSX", SECRET)) == data


def test_a_gif_keeps_no_extension_that_no_one_knows() -> None:
    data = saved("GIF")
    told = b"".join(
        bytes([0x21, kind, len(SECRET)]) + SECRET + b"\0" for kind in (0x01, 0x42, 0xFE)
    )
    assert strip("GIF", data[:-1] + told + b";") == data


def test_a_gif_keeps_its_frames_and_loop_and_loses_its_comment() -> None:
    out = io.BytesIO()
    frames = [noise().rotate(90 * turn).convert("P") for turn in range(1, 3)]
    noise().convert("P").save(
        out, "GIF", save_all=True, append_images=frames, loop=3, duration=70, comment=SECRET
    )
    made = strip("GIF", out.getvalue())
    assert made is not None
    assert SECRET not in made
    with Image.open(io.BytesIO(made)) as new, Image.open(out) as old:
        assert (getattr(new, "n_frames", 1), new.info["loop"], new.info["duration"]) == (3, 3, 70)
        for frame in range(3):
            new.seek(frame)
            old.seek(frame)
            assert new.convert("RGB").tobytes() == old.convert("RGB").tobytes()


def test_an_animated_webp_keeps_its_frames() -> None:
    out = io.BytesIO()
    noise().save(out, "WEBP", save_all=True, append_images=[noise().rotate(180)], exif=told(6))
    made = strip("WEBP", out.getvalue())
    assert made is not None
    assert SECRET not in made
    with Image.open(io.BytesIO(made)) as image:
        assert getattr(image, "n_frames", 1) == 2


@pytest.mark.parametrize("kind", [*FORMATS, "GIF"])
def test_what_is_not_whole_is_not_stripped(kind: str) -> None:
    data = saved(kind)
    assert strip(kind, data[: len(data) // 2]) is None
    assert strip(kind, b"") is None


def test_what_has_no_place_in_the_catalog_is_not_stripped() -> None:
    assert strip("TIFF", saved("TIFF")) is None


def test_orientations() -> None:
    for turn in range(1, 9):
        assert of_exif(exif_of(turn)) == turn
    assert len(exif_of(6)) == 26
    assert of_exif(b"Exif\0\0" + exif_of(6).replace(b"\0\6", b"\0\x0b")) == 1
    assert of_exif(exif_of(6)[:15]) is None
    assert of_exif(b"garbage") is None
    assert of_exif(b"II*\0\xff\xff\xff\xff") is None
    assert of_xmp(b"<tiff:Orientation>8</tiff:Orientation>") == 8
    assert of_xmp(b"<tiff:Orientation>9</tiff:Orientation>") == 1
    assert of_xmp(b"") is None


def pixels(data: bytes) -> tuple[str, bytes] | None:
    """As they lie in the file, whatever way it is held; None where they cannot be read."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.mode, image.tobytes()
    except Exception:  # whatever Pillow raises for damaged data
        return None


def test_of_a_spoiled_picture_no_pixel_is_lost_either() -> None:
    pictures, readable = seeds(("JPEG", "PNG", "WEBP", "GIF")), 0
    for number in range(1_500):
        data = mutated(pictures, Random(number))
        made = next(filter(None, (strip(kind, data) for kind in (*FORMATS, "GIF"))), None)
        if made is not None and (before := pixels(data)) is not None:
            assert pixels(made) == before, number
            readable += 1
    assert readable > 300


def test_what_is_seen_through_stays_so() -> None:
    image = noise()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    for lossless in (False, True):
        out = io.BytesIO()
        image.save(out, "WEBP", lossless=lossless, exif=told(None))
        made = strip("WEBP", out.getvalue())
        assert made is not None
        assert SECRET not in made
        assert pixels(made) == pixels(out.getvalue())


def unfilled(data: bytes) -> bytes:
    """Without the fill bytes that may stand before a marker."""
    return re.sub(rb"\xff+", b"\xff", data)


def test_from_the_first_scan_on_a_damaged_jpeg_stays_as_it_is() -> None:
    data = saved("JPEG", progressive=True)
    first, stripped = data.index(b"\xff\xda"), 0
    for at in range(first + 20, len(data) - 8):
        spoiled = data[:at] + b"\xff\xa7\0\x06" + data[at + 4 :]
        made = strip("JPEG", spoiled)
        if made is not None:
            kept = made[made.index(b"\xff\xda") :]
            assert unfilled(kept) == unfilled(spoiled[first:]), at
            stripped += 1
    assert stripped > 100


def test_a_container_with_nothing_in_it() -> None:
    empty = b"RIFF\x04\0\0\0WEBP"
    assert strip("WEBP", empty) == empty


@pytest.mark.parametrize("kind", FORMATS)
def test_what_only_looks_like_exif_turns_nothing(kind: str) -> None:
    data = saved(kind, exif=told(6))
    whole = data.index(b"MM\0*")
    for spoiled in (data[: whole + 3] + b"+" + data[whole + 4 :], _with_more_values(data)):
        made = strip(kind, spoiled if kind != "PNG" else _summed(spoiled))
        assert made is not None
        with Image.open(io.BytesIO(made)) as image:
            assert dict(image.getexif()) == {}


def _with_more_values(data: bytes) -> bytes:
    """The entry of the orientation says that it holds three: then it holds none, but an address."""
    return data.replace(b"\x01\x12\0\x03\0\0\0\x01", b"\x01\x12\0\x03\0\0\0\x03")


def _summed(data: bytes) -> bytes:
    """The PNG with a right check sum of its EXIF."""
    at = data.index(b"eXIf")
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    return data[:end] + struct.pack(">I", zlib.crc32(data[at:end])) + data[end + 4 :]
