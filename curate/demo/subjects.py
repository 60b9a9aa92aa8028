"""What the demo draws: outlines in the square [-1, 1]², y downwards, of slightly random shape.

A subject is told apart by its outline alone; colour, style and pose come from `pictures`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

Point = tuple[float, float]
Points = list[Point]


@dataclass(frozen=True)
class Part:
    """One piece of a subject: a closed body, a closed detail upon it, or an open line."""

    kind: Literal["body", "detail", "line"]
    points: Points


Subject = Callable[[Random], list[Part]]


def arc(x: float, y: float, wide: float, high: float, start: float = 0, end: float = 360) -> Points:
    """The points of an ellipse's arc around (x, y), half axes `wide` and `high`, in degrees."""
    steps = 28
    angles = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(x + wide * math.cos(angle), y + high * math.sin(angle)) for angle in angles]


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """The corners of an upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def cup(rng: Random) -> list[Part]:
    """A mug with its handle at the right; at times a saucer or steam."""
    rim, foot = rng.uniform(0.5, 0.66), rng.uniform(0.36, 0.6)
    top, bottom = rng.uniform(-0.6, -0.35), rng.uniform(0.55, 0.75)
    middle, grip = (top + bottom) / 2, rng.uniform(0.26, 0.36)
    parts = [
        Part("line", arc(rim - 0.16, middle, 0.16 + grip, grip, -100, 100)),
        Part("body", [(-rim - 0.1, top), (rim - 0.1, top), (foot - 0.1, bottom), (-foot, bottom)]),
        Part("detail", arc(-0.1, top, rim - 0.04, 0.11)),
    ]
    if rng.random() < 0.4:
        parts.insert(0, Part("body", arc(-0.05, bottom + 0.05, 0.85, 0.13)))
    if rng.random() < 0.4:
        for x in (-0.35, 0.1):
            steam = [(x + 0.08 * math.sin(step), top - 0.16 - 0.07 * step) for step in range(6)]
            parts.append(Part("line", steam))
    return parts


def key(rng: Random) -> list[Part]:
    """A ring, a shaft to the right and two or three teeth below it."""
    ring, thick = rng.uniform(0.34, 0.44), rng.uniform(0.09, 0.14)
    centre = -0.95 + ring
    tall = ring * rng.uniform(0.8, 1.15)
    teeth = [
        Part("body", box(x, 0, x + 0.15, rng.uniform(0.3, 0.48)))
        for x in (0.8, 0.54, 0.28)[: rng.randint(2, 3)]
    ]
    return [
        *teeth,
        Part("body", box(centre, -thick, 0.95, thick)),
        Part("body", arc(centre, 0, ring, tall)),
        Part("detail", arc(centre - 0.03, 0, ring * 0.5, tall * 0.5)),
    ]


def leaf(rng: Random) -> list[Part]:
    """A pointed oval with a stalk, a midrib and side veins."""
    wide, blunt = rng.uniform(0.38, 0.52), rng.uniform(0.7, 1.0)
    steps = [step / 12 - 1 for step in range(25)]
    edge = [(0.8 * t + 0.1, wide * (1 - t * t) ** blunt * (1 - 0.25 * t)) for t in steps]
    parts = [
        Part("line", [(-0.98, rng.uniform(-0.15, 0.15)), (-0.68, 0)]),
        Part("body", edge + [(x, -y) for x, y in reversed(edge)]),
        Part("line", [(-0.68, 0), (0.8, 0)]),
    ]
    for index in range(rng.randint(2, 4)):
        x = -0.4 + 0.28 * index
        parts.append(Part("line", [(x + 0.16, -wide * 0.6), (x, 0), (x + 0.16, wide * 0.6)]))
    return parts


def fish(rng: Random) -> list[Part]:
    """A body, a forked tail at the left, a fin and an eye."""
    high, fork = rng.uniform(0.3, 0.46), rng.uniform(0.34, 0.5)
    top = [(-0.15, -high * 0.9), (rng.uniform(-0.25, 0.0), -high - 0.25), (0.4, -high * 0.8)]
    tail = [(-0.45, 0), (-0.98, -fork), (-0.8, 0), (-0.98, fork)]
    return [
        Part("body", tail),
        Part("body", top),
        Part("body", arc(0.2, 0, 0.74, high)),
        Part("line", arc(0.38, 0, 0.1, high * 0.7, 100, 260)),
        Part("detail", arc(0.64, -high * 0.25, 0.08, 0.08)),
    ]


def house(rng: Random) -> list[Part]:
    """Walls, a gabled roof, a door and one or two windows; at times a chimney."""
    wide, eaves = rng.uniform(0.55, 0.75), rng.uniform(-0.2, 0.05)
    door = rng.uniform(-0.25, 0.25)
    parts = [
        Part("body", box(-wide, eaves, wide, 0.8)),
        Part("body", [(-wide - 0.2, eaves), (0, rng.uniform(-0.95, -0.7)), (wide + 0.2, eaves)]),
        Part("detail", box(door - 0.14, 0.3, door + 0.14, 0.8)),
    ]
    if rng.random() < 0.6:
        parts.insert(0, Part("body", box(wide * 0.4, -0.85, wide * 0.4 + 0.22, eaves)))
    for x in rng.choice(((-1,), (1,), (-1, 1))):
        side = x * (wide - 0.2)
        if abs(side - door) > 0.3:
            parts.append(Part("detail", box(side - 0.12, eaves + 0.14, side + 0.12, eaves + 0.38)))
    return parts


def star(rng: Random) -> list[Part]:
    """Five points, seldom six."""
    points, inner = rng.choice((5, 5, 5, 6)), rng.uniform(0.36, 0.5)
    turns = [math.pi * step / points - math.pi / 2 for step in range(2 * points)]
    radii = [0.95, 0.95 * inner] * points
    corners = zip(radii, turns, strict=True)
    return [Part("body", [(r * math.cos(turn), r * math.sin(turn)) for r, turn in corners])]


def umbrella(rng: Random) -> list[Part]:
    """A canopy with a scalloped edge, and a stick with a hook."""
    high, lobes = rng.uniform(0.6, 0.8), rng.randint(3, 4)
    edge = 0.05
    canopy = arc(0, edge, 0.92, high, 180, 360)
    step = 1.84 / lobes
    for lobe in range(lobes):
        canopy += arc(0.92 - step * (lobe + 0.5), edge, step / 2, 0.13, 0, -180)
    hook = arc(0.16, 0.72, 0.16, 0.18, 180, 0)
    return [Part("line", [(0, -high - 0.08), (0, 0.72), *hook]), Part("body", canopy)]


def arrow(rng: Random) -> list[Part]:
    """A shaft and a triangular head, pointing right."""
    thick, head = rng.uniform(0.1, 0.22), rng.uniform(0.4, 0.6)
    neck = rng.uniform(0.1, 0.4)
    upper = [(-0.95, -thick), (neck, -thick), (neck, -head), (0.95, 0)]
    return [Part("body", upper + [(x, -y) for x, y in reversed(upper[:-1])])]


def bicycle(rng: Random) -> list[Part]:
    """Two wheels and a frame between them."""
    wheel, saddle = rng.uniform(0.33, 0.42), rng.uniform(-0.45, -0.3)
    rear, front, pedals = (-0.55, 0.35), (0.55, 0.35), (-0.05, 0.35)
    seat, bar = (-0.25, saddle), (0.38, saddle)
    return [
        Part("line", arc(*rear, wheel, wheel)),
        Part("line", arc(*front, wheel, wheel)),
        Part("line", [rear, pedals, bar, (-0.2, saddle + 0.1), rear]),
        Part("line", [front, (0.32, saddle - 0.2), (0.55, saddle - 0.25)]),
        Part("line", [pedals, seat, (-0.4, saddle), (-0.1, saddle)]),
    ]


def letter(rng: Random) -> list[Part]:
    """One of six capital letters, in strokes."""
    middle = rng.uniform(-0.1, 0.15)
    strokes: list[list[Points]] = [
        [[(-0.6, 0.9), (0, -0.9), (0.6, 0.9)], [(-0.35, 0.25), (0.35, 0.25)]],
        [[(-0.5, -0.9), (-0.5, 0.9)], [(0.5, -0.9), (-0.5, middle), (0.55, 0.9)]],
        [[(-0.6, -0.8), (0.6, -0.8), (-0.6, 0.8), (0.6, 0.8)]],
        [[(-0.55, -0.9), (-0.55, 0.9)], [(0.55, -0.9), (0.55, 0.9)], [(-0.55, 0), (0.55, 0)]],
        [[(0.5, -0.85), (-0.5, -0.85), (-0.5, 0.85), (0.5, 0.85)], [(-0.5, middle), (0.3, middle)]],
        [arc(0, -0.42, 0.5, 0.42, 340, 90) + arc(0, 0.42, 0.5, 0.42, -90, 160)],
    ]
    return [Part("line", stroke) for stroke in rng.choice(strokes)]


def mushroom(rng: Random) -> list[Part]:
    """A spotted cap on a stem."""
    wide, stem = rng.uniform(0.7, 0.9), rng.uniform(0.18, 0.3)
    spots = [Part("detail", arc(x, y, 0.11, 0.1)) for x, y in ((-0.4, -0.25), (0.05, -0.5))]
    stalk = [(-stem, 0), (stem, 0), (stem * 1.2, 0.85), (-stem * 1.2, 0.85)]
    return [Part("body", stalk), Part("body", arc(0, 0.02, wide, 0.8, 180, 360)), *spots]


def heart(rng: Random) -> list[Part]:
    """The usual curve."""
    wide = rng.uniform(0.048, 0.058)
    turns = [math.tau * step / 40 for step in range(40)]
    return [
        Part(
            "body",
            [
                (
                    wide * 16 * math.sin(t) ** 3,
                    -0.055 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)) - 0.1,
                )
                for t in turns
            ],
        )
    ]


def hammer(rng: Random) -> list[Part]:
    """A handle and a head with a bevelled end."""
    thick, high = rng.uniform(0.08, 0.13), rng.uniform(0.3, 0.42)
    head = [
        (-0.5, -0.9),
        (0.4, -0.9),
        (0.75, -0.75 + high),
        (0.3, -0.9 + high),
        (-0.5, -0.9 + high),
    ]
    return [Part("body", box(-thick - 0.05, -0.7, thick - 0.05, 0.95)), Part("body", head)]


def glasses(rng: Random) -> list[Part]:
    """Two lenses, a bridge and the ends of the temples."""
    wide, high = rng.uniform(0.33, 0.4), rng.uniform(0.26, 0.38)
    return [
        Part("body", arc(-0.48, 0, wide, high)),
        Part("body", arc(0.48, 0, wide, high)),
        Part("line", arc(0, 0, 0.48 - wide, 0.14, 180, 360)),
        Part("line", [(-0.48 - wide, 0), (-0.98, -0.3)]),
        Part("line", [(0.48 + wide, 0), (0.98, -0.3)]),
    ]


CLASSES: dict[str, Subject] = {
    "cup": cup, "fish": fish, "house": house, "key": key, "leaf": leaf, "star": star,
}  # fmt: skip
STRANGERS: dict[str, Subject] = {
    "umbrella": umbrella, "arrow": arrow, "bicycle": bicycle, "letter": letter,
    "mushroom": mushroom, "heart": heart, "hammer": hammer, "glasses": glasses,
}  # fmt: skip
