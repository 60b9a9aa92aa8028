"""The demo's pictures: a subject in a random pose and style upon a random background.

Drawn at twice the size and reduced, so that edges are smooth. Everything random comes from the
`Random` that is passed in: the same one gives the same picture.
"""

from __future__ import annotations

import colorsys
import math
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from curate.demo.subjects import Part, Points, Subject

Colour = tuple[int, int, int]
Size = tuple[int, int]
_OVERSAMPLING = 2


def colour(rng: Random, lightness: float) -> Colour:
    """A random colour of about this lightness in [0, 1]."""
    light = min(max(lightness + rng.uniform(-0.06, 0.06), 0.04), 0.96)
    red, green, blue = colorsys.hls_to_rgb(rng.random(), light, rng.uniform(0.15, 0.9))
    return round(255 * red), round(255 * green), round(255 * blue)


def luminance(shade: Colour) -> float:
    """How bright the eye finds it, in [0, 1]."""
    red, green, blue = shade
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def contrasting(rng: Random, shades: tuple[Colour, ...], distance: float = 0.4) -> Colour:
    """A random colour that stands out from all `shades`, as far as `distance` can be had."""
    while True:
        for _ in range(40):
            found = colour(rng, rng.random())
            if all(abs(luminance(found) - luminance(shade)) >= distance for shade in shades):
                return found
        distance *= 0.8


def gradient(size: Size, start: Colour, end: Colour, angle: float) -> Image.Image:
    """`start` turning into `end` in the direction of `angle` degrees."""
    ramp = Image.linear_gradient("L").rotate(angle, resample=Image.Resampling.BILINEAR)
    mask = ramp.crop((38, 38, 218, 218)).resize(size)
    return Image.composite(Image.new("RGB", size, end), Image.new("RGB", size, start), mask)


def _plain(rng: Random, size: Size, first: Colour, second: Colour) -> Image.Image:
    return Image.new("RGB", size, first)


def _gradient(rng: Random, size: Size, first: Colour, second: Colour) -> Image.Image:
    return gradient(size, first, second, rng.uniform(0, 360))


def _stripes(rng: Random, size: Size, first: Colour, second: Colour) -> Image.Image:
    side = max(size) * 2
    step = rng.randint(8, 22)
    image = Image.new("RGB", (side, side), first)
    draw = ImageDraw.Draw(image)
    for left in range(0, side, 2 * step):
        draw.rectangle((left, 0, left + step, side), fill=second)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    turned = image.rotate(rng.uniform(0, 180), resample=Image.Resampling.BILINEAR)
    return turned.crop((left, top, left + size[0], top + size[1]))


def grain(rng: Random, size: Size, cell: int) -> Image.Image:
    """Grey noise in squares of `cell` pixels, smoothed."""
    wide, high = size[0] // cell + 1, size[1] // cell + 1
    small = Image.frombytes("L", (wide, high), rng.randbytes(wide * high))
    return small.resize(size, Image.Resampling.BICUBIC)


def _noise(rng: Random, size: Size, first: Colour, second: Colour) -> Image.Image:
    mask = grain(rng, size, rng.randint(2, 7))
    return Image.composite(Image.new("RGB", size, first), Image.new("RGB", size, second), mask)


def _blobs(rng: Random, size: Size, first: Colour, second: Colour) -> Image.Image:
    image = Image.new("RGB", size, first)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(3, 7)):
        x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        radius = rng.uniform(0.1, 0.3) * size[0]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=second)
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(6, 14)))


_BACKGROUNDS = (_plain, _gradient, _stripes, _noise, _blobs)


def background(rng: Random, size: Size) -> tuple[Image.Image, tuple[Colour, Colour]]:
    """A picture without a subject, and the two colours of near lightness it is made of."""
    lightness = rng.random()
    first = colour(rng, lightness)
    second = colour(rng, lightness + rng.choice((-1, 1)) * rng.uniform(0.06, 0.13))
    return rng.choice(_BACKGROUNDS)(rng, size, first, second), (first, second)


def _pose(rng: Random, size: Size) -> tuple[float, float, float, float, float, float]:
    """The affine map from the subject's square to pixels: turned, mirrored, squashed, moved."""
    angle = math.radians(rng.gauss(0, 11))
    flip = rng.choice((-1, 1))
    across = min(size) / 2 * rng.uniform(0.74, 0.94)
    along = across * rng.uniform(0.85, 1.12)
    shift = min(size) * 0.07
    x, y = size[0] / 2 + rng.uniform(-shift, shift), size[1] / 2 + rng.uniform(-shift, shift)
    lean = rng.uniform(-0.12, 0.12)
    cos, sin = math.cos(angle), math.sin(angle)
    return (
        flip * across * cos, along * (lean * cos - sin), x,
        flip * across * sin, along * (lean * sin + cos), y,
    )  # fmt: skip


def _placed(points: Points, pose: tuple[float, float, float, float, float, float]) -> Points:
    a, b, c, d, e, f = pose
    return [(a * x + b * y + c, d * x + e * y + f) for x, y in points]


def _draw(canvas: Image.Image, parts: list[Part], rng: Random, shades: tuple[Colour, ...]) -> None:
    """Draws the posed `parts`: filled, outlined, or both."""
    ink = contrasting(rng, shades)
    second = contrasting(rng, (ink,), 0.25)
    style = rng.choice(("flat", "shaded", "outline", "both", "both"))
    fill = Image.new("RGB", canvas.size, ink)
    if style == "shaded":
        bright = colour(rng, luminance(ink) + (0.15 if luminance(ink) > 0.5 else -0.15))
        fill = gradient(canvas.size, ink, bright, rng.uniform(0, 360))
    edge = ink if style in ("outline", "shaded") else contrasting(rng, (ink, *shades), 0.25)
    width = round(canvas.size[0] * rng.uniform(0.038, 0.06))
    pen = ImageDraw.Draw(canvas)
    for part in parts:
        corners = [part.points[0], *part.points[1:]]
        if part.kind != "line" and style != "outline":
            mask = Image.new("L", canvas.size)
            ImageDraw.Draw(mask).polygon(corners, fill=255)
            inside = fill if part.kind == "body" else Image.new("RGB", canvas.size, second)
            canvas.paste(inside, mask=mask)
        if part.kind == "line":
            _stroke(pen, corners, edge if style == "both" else ink, width)
        elif style in ("outline", "both"):
            _stroke(pen, [*corners, corners[0], corners[1]], edge, width)


def _stroke(pen: ImageDraw.ImageDraw, points: Points, ink: Colour, width: int) -> None:
    pen.line(points, fill=ink, width=width, joint="curve")
    for x, y in (points[0], points[-1]):
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=ink)


def finished(rng: Random, canvas: Image.Image) -> Image.Image:
    """Reduced to its final size, at times a little blurred or grainy, as photographs are."""
    image = canvas.reduce(_OVERSAMPLING)
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.0)))
    if rng.random() < 0.25:
        noise = grain(rng, image.size, 1).convert("RGB")
        image = Image.blend(image, noise, rng.uniform(0.03, 0.1))
    return image


def canvas_size(rng: Random) -> Size:
    """About 96 pixels a side, twice over, not always square."""
    side = rng.randint(88, 104)
    return side * _OVERSAMPLING, round(side * rng.uniform(0.88, 1.12)) * _OVERSAMPLING


def picture(rng: Random, subject: Subject) -> Image.Image:
    """A new picture (RGB, about 96 x 96 pixels) of `subject`."""
    canvas, shades = background(rng, canvas_size(rng))
    pose = _pose(rng, canvas.size)
    parts = [Part(part.kind, _placed(part.points, pose)) for part in subject(rng)]
    _draw(canvas, parts, rng, shades)
    return finished(rng, canvas)
