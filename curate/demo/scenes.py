"""Pictures with no drawn subject at all: noise, screenshots, landscapes, charts, patterns."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw, ImageFont

from curate.demo.pictures import (
    background,
    canvas_size,
    colour,
    contrasting,
    finished,
    gradient,
)

_WORDS = [
    "total",
    "invoice",
    "your",
    "order",
    "Monday",
    "please",
    "reply",
    "meeting",
    "09:30",
    "login",
    "settings",
    "help",
]


def noise(rng: Random) -> Image.Image:
    """Television snow, coarse or fine, in colour or grey."""
    wide, high = canvas_size(rng)
    cell = rng.choice((2, 4, 8, 16))
    mode, channels = rng.choice((("L", 1), ("RGB", 3)))
    small = (wide // cell, high // cell)
    data = rng.randbytes(small[0] * small[1] * channels)
    image = Image.frombytes(mode, small, data).convert("RGB")
    return image.resize((wide // 2, high // 2), Image.Resampling.NEAREST)


def screenshot(rng: Random) -> Image.Image:
    """A window with a title bar and lines of text."""
    size = canvas_size(rng)
    paper = colour(rng, rng.choice((0.1, 0.92)))
    ink = contrasting(rng, (paper,), 0.5)
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, size[0], rng.randint(14, 26)), fill=colour(rng, 0.5))
    font = ImageFont.load_default(rng.randint(12, 18))
    for top in range(32, size[1], rng.randint(16, 26)):
        line = " ".join(rng.choices(_WORDS, k=rng.randint(1, 6)))
        draw.text((8, top), line, fill=ink, font=font)
    return finished(rng, image)


def landscape(rng: Random) -> Image.Image:
    """A sky, a sun or none, and two ridges of hills."""
    size = canvas_size(rng)
    image = gradient(size, colour(rng, 0.75), colour(rng, 0.5), rng.choice((0, 180)))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.6:
        x, y, radius = rng.uniform(0, size[0]), rng.uniform(10, 60), rng.uniform(8, 22)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour(rng, 0.85))
    for base, lightness in ((0.5, 0.45), (0.75, 0.25)):
        steps = range(0, size[0] + 24, 24)
        ridge = [(x, size[1] * (base + rng.uniform(-0.1, 0.1))) for x in steps]
        draw.polygon([(0, size[1]), *ridge, (size[0], size[1])], fill=colour(rng, lightness))
    return finished(rng, image)


def chart(rng: Random) -> Image.Image:
    """Bars, a curve or a pie."""
    size = canvas_size(rng)
    paper = colour(rng, 0.93)
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    wide, high = size
    if rng.random() < 0.3:
        turns = sorted(rng.sample(range(20, 340), rng.randint(2, 4)))
        for start, end in zip([0, *turns], [*turns, 360], strict=True):
            draw.pieslice((20, 20, wide - 20, high - 20), start, end, fill=colour(rng, 0.5))
        return finished(rng, image)
    draw.line([(16, 12), (16, high - 16), (wide - 10, high - 16)], fill=(40, 40, 40), width=3)
    heights = [rng.uniform(0.1, 0.8) * high for _ in range(rng.randint(4, 9))]
    step = (wide - 30) / len(heights)
    tops = [(22 + step * index, high - 16 - tall) for index, tall in enumerate(heights)]
    if rng.random() < 0.5:
        draw.line(tops, fill=contrasting(rng, (paper,)), width=4, joint="curve")
    else:
        for x, y in tops:
            draw.rectangle((x, y, x + step * 0.7, high - 16), fill=colour(rng, 0.5))
    return finished(rng, image)


def wallpaper(rng: Random) -> Image.Image:
    """A background with nothing on it."""
    return finished(rng, background(rng, canvas_size(rng))[0])


SCENES: dict[str, Callable[[Random], Image.Image]] = {
    "noise": noise,
    "screenshot": screenshot,
    "landscape": landscape,
    "chart": chart,
    "wallpaper": wallpaper,
}
