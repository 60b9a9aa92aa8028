"""Untrusted bytes become a preview: upright, sRGB, small. Runs in the decode worker only.

Each unusual kind of pixel has its own rule, because Pillow's defaults turn 16-bit images white,
float images black, and show the hidden colours of transparent ones.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from io import BytesIO
from typing import NamedTuple

from PIL import Image, ImageChops, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from curate.config import DecodeConfig
from curate.images.containers import Refused, check_whole, kind_of

SHORT_SIDE = 256
LONG_SIDE = 1024
LOSSLESS_SIDE = 64
JPEG_QUALITY = 92

_PLUGINS = {"JPEG": "Jpeg", "PNG": "Png", "WEBP": "WebP", "GIF": "Gif"} | {
    "AVIF": "Avif",
    "TIFF": "Tiff",
    "BMP": "Bmp",
}
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SRGB = ImageCms.createProfile("sRGB")


class Picture(NamedTuple):
    """A decoded image: upright size of the original, and the encoded preview."""

    format: str
    width: int
    height: int
    preview: bytes


def prepare(config: DecodeConfig) -> None:
    """Set Pillow up for `config`: its limits, and only the plug-ins it needs.

    A suspected bomb is an error. Other warnings concern metadata, which a picture may have wrong.
    """
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = config.max_pixels
    for name in config.formats:
        import_module(f"PIL.{_PLUGINS[name]}ImagePlugin")
    # A multi-picture JPEG (MPO) is its first picture, also where its index is damaged.
    Image.register_open("JPEG", JpegImageFile, lambda prefix: prefix.startswith(b"\xff\xd8\xff"))


def decode(data: bytes, config: DecodeConfig) -> Picture:
    """Decode the first frame of `data`.

    Raises Refused for what the rules exclude, and whatever Pillow raises for damaged data.
    """
    kind = kind_of(data, config.formats)
    check_whole(kind, data)
    with Image.open(BytesIO(data), formats=(kind,)) as image:
        width, height = image.size
        _check_size(width, height, config)
        small = preview_size(width, height)
        image.draft(None, small)  # a JPEG is decoded at a fraction of its size
        image.load()
        turn = _orientation(image)
        pixels = _resized(_plain(image), small)
        upright = _upright(_to_srgb(_over_white(pixels), image.info.get("icc_profile")), turn)
    width, height = (height, width) if turn >= 5 else (width, height)
    return Picture(kind, width, height, _encoded(upright))


def preview_size(width: int, height: int) -> tuple[int, int]:
    """Size of the preview: short side 256, long side at most 1,024, never enlarged."""
    scale = min(1.0, SHORT_SIDE / min(width, height), LONG_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _check_size(width: int, height: int, config: DecodeConfig) -> None:
    if min(width, height) < 1:
        raise Refused("no pixels")
    if max(width, height) > config.max_side:
        raise Refused(f"{width} x {height} pixels; at most {config.max_side:,} a side")
    if width * height > config.max_pixels:
        raise Refused(f"{width} x {height} pixels; at most {config.max_pixels:,}")


def _orientation(image: Image.Image) -> int:
    """EXIF or XMP orientation, 1 to 8 (CIPA DC-008, 4.6.5); garbage counts as 1, upright."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in _UPRIGHT else 1


def _upright(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else image


def _plain(image: Image.Image) -> Image.Image:
    """The same pixels as 8-bit L, RGB, RGBA or CMYK. Raises Refused for 32-bit channels."""
    if image.mode.startswith("I;16"):
        # Multiplying by 2^-8 and dropping the fraction leaves the high byte.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("I", "F"):
        raise Refused("32-bit or floating-point pixels, whose range nobody can know")
    if image.mode == "CMYK":
        # Adobe's files are inverted, others are not; Pillow takes every JPEG for Adobe's.
        foreign = image.format == "JPEG" and "adobe" not in image.info
        return ImageChops.invert(image) if foreign else image
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB, through the embedded ICC profile; one that does not fit is ignored."""
    if profile:
        with suppress(ImageCms.PyCMSError):
            return _transform(profile, image.mode).apply(image)
    return image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.getOpenProfile(BytesIO(profile)), _SRGB, mode, "RGB")


def _encoded(image: Image.Image) -> bytes:
    """PNG where the short side is at most 64, else JPEG 4:4:4; no metadata."""
    image.info = {}
    stream = BytesIO()
    if min(image.size) <= LOSSLESS_SIDE:
        image.save(stream, "PNG")
    else:
        image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return stream.getvalue()
