"""Files made to break decoders: each ends as an image or a reason, soon, and the next is fine."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from curate.images.decode import DecodedImage, Decoder, UnreadableImage

from .bad_inputs import DECODED, GIF, JPEG, PNG, PROGRESSIVE, REFUSED, WEBP, picture

SECONDS = 5.0
"""Far above what any of them takes, so that a busy machine fails nothing."""


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
    assert_bare(result.preview)


def assert_bare(preview: bytes) -> None:
    """A preview opens and holds pixels and what they need, nothing of the original's metadata."""
    with Image.open(io.BytesIO(preview)) as image:
        image.load()
        kind = image.format
    if kind == "PNG":
        assert set(chunks(preview)) <= {b"IHDR", b"IDAT", b"IEND"}
    else:
        assert kind == "JPEG"
        assert preview[:11] == b"\xff\xd8\xff\xe0\0\x10JFIF\0"
        head = preview[20 : preview.index(b"\xff\xda")]
        assert set(segments(head)) <= {0xDB, 0xC0, 0xC4}  # tables and the frame


def chunks(png: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind
        at += 12 + length


def segments(head: bytes) -> Iterator[int]:
    at = 0
    while at < len(head):
        _, kind, length = struct.unpack_from(">BBH", head, at)
        yield kind
        at += 2 + length


def test_no_preview_holds_the_metadata_of_its_original(decoder: Decoder, tmp_path: Path) -> None:
    """Whatever an upload has that it can have: Pillow hands none of it on."""
    exif = Image.Exif()
    exif[0x010E] = "secret"
    text = PngInfo()
    text.add_text("secret", "secret")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata: dict[str, Any] = {
        "exif": exif,
        "icc_profile": profile,
        "xmp": b"secret",
        "comment": b"secret",
    }
    for side in (40, 400):  # a preview as PNG, and one as JPEG
        image = picture().resize((side, side))
        for kind in ("JPEG", "WEBP", "GIF", "PNG"):
            path = tmp_path / f"{side}.{kind}"
            image.save(path, kind, pnginfo=text, **metadata)
            assert b"secret" in path.read_bytes()
            [(_, result)] = decoder.map([path])
            assert isinstance(result, DecodedImage)
            assert_bare(result.preview)


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
