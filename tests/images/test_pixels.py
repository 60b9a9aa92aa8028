"""Golden pixels: each unusual kind of picture, worked out by hand, through the whole door."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from curate.config import DecodeConfig
from curate.images.decode import DecodedImage, Decoder, UnreadableImage

from .bad_inputs import ycck

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
Decode = Callable[[bytes], DecodedImage]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    formats = (*DecodeConfig.formats, "TIFF")
    with Decoder(DecodeConfig(workers=1, formats=formats)) as made:
        yield made


@pytest.fixture
def decode(decoder: Decoder, tmp_path: Path) -> Decode:
    def decode(data: bytes) -> DecodedImage:
        (tmp_path / "picture").write_bytes(data)
        [(_, result)] = decoder.map([tmp_path / "picture"])
        assert isinstance(result, DecodedImage), result
        return result

    return decode


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def shown(made: DecodedImage) -> Image.Image:
    return Image.open(io.BytesIO(made.preview))


def pixels(made: DecodedImage) -> list[object]:
    image = shown(made)
    assert image.mode == "RGB"
    return [image.getpixel((x, y)) for y in range(image.height) for x in range(image.width)]


def quarters() -> Image.Image:
    """Red and green above blue and yellow, and a column of black to the right of them."""
    image = Image.new("RGB", (3, 2))
    for x, y, colour in ((0, 0, RED), (1, 0, GREEN), (0, 1, BLUE), (1, 1, YELLOW)):
        image.putpixel((x, y), colour)
    return image


# Rows as EXIF means them to be seen (CIPA DC-008, 4.6.5, "0th row" and "0th column").
UPRIGHT = [[RED, GREEN, BLACK], [BLUE, YELLOW, BLACK]]
LEFT_RIGHT = [[BLACK, GREEN, RED], [BLACK, YELLOW, BLUE]]
HALF_TURN = [[BLACK, YELLOW, BLUE], [BLACK, GREEN, RED]]
UPSIDE_DOWN = [[BLUE, YELLOW, BLACK], [RED, GREEN, BLACK]]
TRANSPOSED = [[RED, BLUE], [GREEN, YELLOW], [BLACK, BLACK]]
CLOCKWISE = [[BLUE, RED], [YELLOW, GREEN], [BLACK, BLACK]]
TRANSVERSE = [[BLACK, BLACK], [YELLOW, GREEN], [BLUE, RED]]
ANTICLOCKWISE = [[BLACK, BLACK], [GREEN, YELLOW], [RED, BLUE]]


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (1, UPRIGHT),
        (2, LEFT_RIGHT),
        (3, HALF_TURN),
        (4, UPSIDE_DOWN),
        (5, TRANSPOSED),
        (6, CLOCKWISE),
        (7, TRANSVERSE),
        (8, ANTICLOCKWISE),
        (0, UPRIGHT),
        (99, UPRIGHT),
        (65535, UPRIGHT),
    ],
)
def test_orientation(decode: Decode, value: int, rows: list[list[object]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    made = decode(encoded(quarters(), exif=exif))
    assert pixels(made) == [pixel for row in rows for pixel in row]
    assert (made.width, made.height) == (len(rows[0]), len(rows))


@pytest.mark.parametrize(
    "directory",
    [
        b"\xff" * 40,
        b"\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04six\0\0\0\0\0",  # a text
    ],
)
def test_exif_of_garbage_is_upright(decode: Decode, directory: bytes) -> None:
    made = decode(encoded(quarters(), exif=b"Exif\0\0MM\0*" + directory))
    assert pixels(made)[:3] == UPRIGHT[0]


def one(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (1, 1), colour)  # type: ignore[arg-type]


def palette(transparency: int | bytes) -> bytes:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    return encoded(image, transparency=transparency)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(encoded(one("1", 1)), [WHITE], id="1-bit white"),
        pytest.param(encoded(one("1", 0)), [BLACK], id="1-bit black"),
        pytest.param(encoded(one("L", 77)), [(77, 77, 77)], id="L"),
        pytest.param(encoded(one("I;16", 0x8040)), [(128, 128, 128)], id="16-bit: high byte"),
        pytest.param(encoded(one("I;16", 0x00FF)), [BLACK], id="16-bit: low byte dropped"),
        pytest.param(encoded(one("I;16", 0xFFFF)), [WHITE], id="16-bit white"),
        # 255 - 0.2 * 255 = 204; 0.2 * 100 + 0.8 * 255 = 224
        pytest.param(encoded(one("LA", (0, 51))), [(204, 204, 204)], id="LA over white"),
        pytest.param(encoded(one("LA", (100, 51))), [(224, 224, 224)], id="LA grey over white"),
        pytest.param(encoded(one("RGBA", (0, 255, 0, 0))), [WHITE], id="hidden colour"),
        pytest.param(encoded(one("RGBA", (255, 0, 0, 51))), [(255, 204, 204)], id="RGBA"),
        pytest.param(encoded(one("RGB", RED), transparency=RED), [WHITE], id="colour key"),
        pytest.param(palette(0), [WHITE, BLUE], id="P, one index transparent"),
        pytest.param(palette(b"\xff\x33"), [RED, (204, 204, 255)], id="P, alpha per index"),
        pytest.param(encoded(one("I;16", 0x8040), "TIFF"), [(128,) * 3], id="16-bit TIFF"),
        pytest.param(
            encoded(one("RGBA", (1, 2, 3, 0)), "WEBP", lossless=True, exact=True),
            [WHITE],
            id="WebP with alpha",
        ),
    ],
)
def test_modes(decode: Decode, data: bytes, expected: list[object]) -> None:
    assert pixels(decode(data)) == expected


@pytest.mark.parametrize("mode", ["F", "I"])
def test_channels_without_a_range_are_refused(decoder: Decoder, tmp_path: Path, mode: str) -> None:
    (tmp_path / "a.tif").write_bytes(encoded(one(mode, 1), "TIFF"))
    [(_, result)] = decoder.map([tmp_path / "a.tif"])
    assert isinstance(result, UnreadableImage)
    assert result.reason == "32-bit or floating-point pixels, whose range nobody can know"


def cmyk_jpeg(colour: tuple[int, int, int, int]) -> bytes:
    """As Adobe writes it: values inverted, and marked so (APP14)."""
    return encoded(Image.new("CMYK", (8, 8), colour), "JPEG", quality=100)


def without_adobe(jpeg: bytes) -> bytes:
    made = re.sub(rb"\xff\xee\0\x0eAdobe.{7}", b"", jpeg, flags=re.DOTALL)
    assert len(made) == len(jpeg) - 16
    return made


def test_cmyk(decode: Decode) -> None:
    cyan = cmyk_jpeg((255, 0, 0, 0))
    assert near(pixels(decode(cyan))[0], (0, 255, 255), 3)
    # The stored bytes are 0, 255, 255, 255: not inverted, that is full black.
    assert near(pixels(decode(without_adobe(cyan)))[0], BLACK, 3)
    # Stored 255, 255, 255, 0, read as it stands: all inks but black.
    assert near(pixels(decode(without_adobe(cmyk_jpeg((0, 0, 0, 255)))))[0], BLACK, 3)
    # Stored 0, 255, 255, 0 as it stands: magenta and yellow ink, which is red.
    assert near(pixels(decode(without_adobe(cmyk_jpeg((255, 0, 0, 255)))))[0], RED, 3)


def test_ycck(decode: Decode) -> None:
    def grey(luma: int, black: int) -> object:
        """Pillow stores inks inverted; without chroma, the three colours' are the luma."""
        inks = (255 - luma, 127, 127, 255 - black)
        return pixels(decode(ycck(inks)))[0]

    # libjpeg gives 255 - RGB as the stored inks, of which the inverse counts: luma is ink.
    assert near(grey(0, 255), WHITE, 3)
    assert near(grey(255, 255), BLACK, 3)
    assert near(grey(0, 0), BLACK, 3)
    assert near(grey(55, 255), (200, 200, 200), 4)


def near(found: object, expected: tuple[int, ...], by: int) -> bool:
    assert isinstance(found, tuple)
    return all(abs(a - b) <= by for a, b in zip(found, expected, strict=True))


def swapped_primaries() -> bytes:
    """An ICC profile whose red is sRGB's green, and the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ")
    return swapped.replace(b"????", b"gXYZ")


def test_embedded_profile_is_applied(decode: Decode) -> None:
    made = decode(encoded(one("RGB", RED), icc_profile=swapped_primaries()))
    assert near(pixels(made)[0], GREEN, 2)
    assert shown(made).info.get("icc_profile") is None


@pytest.mark.parametrize("profile", [b"no profile", swapped_primaries()[:300]])
def test_broken_profile_is_ignored(decode: Decode, profile: bytes) -> None:
    assert pixels(decode(encoded(one("RGB", RED), icc_profile=profile))) == [RED]


def test_profile_of_another_colour_space_is_ignored(decode: Decode) -> None:
    assert pixels(decode(encoded(one("L", 7), icc_profile=swapped_primaries()))) == [(7, 7, 7)]


@pytest.mark.parametrize(
    ("size", "small", "kind"),
    [
        ((1280, 960), (341, 256), "JPEG"),
        ((960, 1280), (256, 341), "JPEG"),
        ((300, 200), (300, 200), "JPEG"),
        ((4000, 300), (1024, 77), "JPEG"),
        ((64, 1000), (64, 1000), "PNG"),
        ((65, 65), (65, 65), "JPEG"),
        ((20000, 1), (1024, 1), "PNG"),
    ],
)
@pytest.mark.parametrize("stored", ["JPEG", "PNG"])
def test_preview_size(
    decode: Decode, size: tuple[int, int], small: tuple[int, int], kind: str, stored: str
) -> None:
    made = decode(encoded(Image.new("RGB", size, (10, 200, 30)), stored))
    preview = shown(made)
    assert (preview.size, preview.format) == (small, kind)
    assert (made.width, made.height, made.format) == (*size, stored)
    assert near(preview.getpixel((small[0] // 2, 0)), (10, 200, 30), 3)


def test_small_pictures_are_kept_without_loss(decode: Decode) -> None:
    noise = Image.effect_noise((32, 32), 80).convert("RGB")
    assert shown(decode(encoded(noise))).tobytes() == noise.tobytes()


def test_first_frame(decode: Decode) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    for kind in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert pixels(decode(data))[0] == RED, kind


def test_multi_picture_jpeg_is_its_first_picture(decode: Decode) -> None:
    frames = [Image.new("RGB", (80, 80), colour) for colour in (RED, BLUE)]
    made = decode(encoded(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert made.format == "JPEG"
    assert near(pixels(made)[0], RED, 3)


def test_metadata_is_not_kept(decode: Decode) -> None:
    exif = Image.Exif()
    exif[0x010E] = "=cmd()"
    data = encoded(Image.new("RGB", (90, 90)), "JPEG", exif=exif, comment=b"<script>")
    preview = decode(data).preview
    assert b"<script>" in data
    assert b"<script>" not in preview
    assert b"=cmd()" not in preview
    assert set(Image.open(io.BytesIO(preview)).info) <= {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
    }


def test_identity_is_the_content(decode: Decode, tmp_path: Path) -> None:
    data = encoded(quarters())
    made = decode(data)
    status = (tmp_path / "picture").stat()
    assert made.sha256 == hashlib.sha256(data).hexdigest()
    found = (made.stat.size, made.stat.mtime_ns, made.stat.ctime_ns, made.stat.inode)
    assert found == (len(data), status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
